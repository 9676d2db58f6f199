"""Which point a badge means, when one reader serves several.

A table, tried from the top; the first row that fits decides. "Own" is the same token, "group" the same parent.

| situation                                                        | the badge means                          |
|------------------------------------------------------------------|------------------------------------------|
| own transaction began under 3 s ago, its contactor is still open | nothing more: shown as understood        |
| own transaction runs                                             | stop it (the youngest, if several)       |
| own transaction, or one this badge has stopped, is just          | nothing more: shown as understood        |
| stopping or stopped under 3 s ago; a cable was released so       |                                          |
| a cable is retained for the own token                            | release it                               |
| own authorisation waits for its plug                             | its window starts anew                   |
| (from here on the token must be accepted)                        |                                          |
| a car is plugged and waits for a badge, and the badge's          |                                          |
| reservation is not of the other connector of that point          | start there (the most recently plugged)  |
| a transaction of the own group runs                              | stop it (the youngest)                   |
| a cable is retained for the own group                            | release it                               |
| something plugged is finished, which was nobody's, own or the    |                                          |
| group's                                                          | start again there (the latest)           |
| a point is free, reserved for the token, or several              | wait for the plug, the reserved one first|
| a stranger's plug is finished, and nothing else is free          | start again there (the latest)           |
| nothing of these                                                 | refused: no free point                   |

Stopping one's own session goes before starting at a car that waits: the other way round, a driver who wants to leave
would pay for the stranger who has just plugged in. Starting goes before stopping for a group mate, for the same
reason: it touches nobody else's session. Beside a stranger's finished plug the badge is for what is free: its holder
would pay for the stranger's car.
A point reserved for somebody else, out of service or faulted counts as neither waiting nor free.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

JUST_S = 3.0
"""The same badge so soon after it has started or stopped a session is the same gesture: people lift a card and tap
again to be sure, for which a reader counts it anew after 0.6 s. A start is seen to have worked when current flows,
which most cars let happen within these seconds; from then on the badge is meant as a stop."""


@dataclass(frozen=True, slots=True)
class View:
    """What the decision needs to know of a point the reader serves."""

    evse: int
    state: str
    """State of its session."""
    token: str | None = None
    """Of its present or last authorisation."""
    group: str | None = None
    connected: bool = False
    plugged_at: float = float("-inf")
    began_at: float = float("-inf")
    """When car and authorisation had come together, monotonic."""
    live: bool = False
    """A contactor of the point is not open."""
    ended_at: float = float("-inf")
    """When its last transaction was over, or the cable it had retained was released, monotonic."""
    stopper: str | None = None
    """The token that did so: a group mate's, perhaps."""
    retained: bool = False
    usable: bool = True
    """In service, free of faults, and not reserved for somebody else than this badge."""
    reserved: bool = False
    """Reserved for this badge."""
    spare: int | None = None
    """A free connector of the point, where the badge belongs sooner than to what is plugged in at another one: it is
    the one that was reserved, or what is plugged there is finished."""


class Meaning(Enum):
    STOP = "stop"
    RELEASE = "release"
    RENEW = "renew"
    UNDERSTOOD = "understood"
    AUTHORISE = "authorise"
    """Nothing can be said before the token is known to be accepted."""
    START = "start"
    WAIT = "wait"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Decision:
    meaning: Meaning
    evses: tuple[int, ...] = ()


def same(a: str | None, b: str | None) -> bool:
    """Two id tokens are the same; upper and lower case are one (OCPP 1.6, 7.28)."""
    return a is not None and b is not None and a.casefold() == b.casefold()


def _youngest(views: Iterable[View]) -> View | None:
    return max(views, key=lambda v: (v.plugged_at, v.evse), default=None)


def _latest(views: Iterable[View]) -> View | None:
    return max(views, key=lambda v: (v.ended_at, v.plugged_at), default=None)


def own(token: str, views: Iterable[View], now: float) -> Decision:
    """The rows that need no authorisation, else AUTHORISE."""
    views = list(views)
    mine = [v for v in views if same(v.token, token)]
    running = _youngest(v for v in mine if v.state in ("running", "starting"))
    if running is not None:
        just = now - running.began_at < JUST_S and not running.live
        return Decision(Meaning.UNDERSTOOD if just else Meaning.STOP, (running.evse,))
    done = [v for v in views if same(v.token, token) or same(v.stopper, token)]
    if any(v.state == "stopping" or (v.state == "finished" and now - v.ended_at < JUST_S) for v in done):
        return Decision(Meaning.UNDERSTOOD, tuple(v.evse for v in done))
    retained = [v for v in mine if v.retained]
    if retained:
        return Decision(Meaning.RELEASE, (retained[0].evse,))
    waiting = [v for v in mine if v.state == "waiting_car"]
    if waiting:
        return Decision(Meaning.RENEW, (waiting[0].evse,))
    return Decision(Meaning.AUTHORISE)


def strangers(view: View, token: str, group: str | None) -> bool:
    """What is finished there is somebody else's, who has not come back."""
    return view.token is not None and not same(view.token, token) and not same(view.group, group)


def accepted(token: str, group: str | None, views: Iterable[View], now: float) -> Decision:
    """What an accepted token means now: the whole table, since things may have changed while it was asked for."""
    views = list(views)
    first = own(token, views, now)
    if first.meaning is not Meaning.AUTHORISE:
        return first
    usable = [v for v in views if v.usable]
    waiting = _youngest(v for v in usable if v.state == "waiting_auth" and v.connected and v.spare is None)
    if waiting is not None:
        return Decision(Meaning.START, (waiting.evse,))
    mates = [v for v in views if same(v.group, group)]
    running = _youngest(v for v in mates if v.state in ("running", "starting"))
    if running is not None:
        return Decision(Meaning.STOP, (running.evse,))
    retained = [v for v in mates if v.retained]
    if retained:
        return Decision(Meaning.RELEASE, (retained[0].evse,))
    plugged = [v for v in usable if v.state == "finished" and v.connected and not v.retained]
    again = _latest(v for v in plugged if not strangers(v, token, group))
    if again is not None:
        return Decision(Meaning.START, (again.evse,))
    taken = [v for v in plugged if v.spare is None]
    free = [v for v in usable if v.state in ("idle", "waiting_auth") or (v.state == "finished" and not v.retained)]
    free = [v for v in free if v not in taken]
    reserved = [v for v in free if v.reserved]
    if free:
        return Decision(Meaning.WAIT, tuple(v.evse for v in reserved or free))
    last = _latest(taken)
    if last is not None:
        return Decision(Meaning.START, (last.evse,))
    return Decision(Meaning.REFUSE)
