"""One point's charging session: who may charge, since when, and what ends it.

Theory of operation. A session needs two things that come in either order: a cable with a car, and an
authorisation (a `Grant`). When both are there a transaction is begun; its start is made durable first, and only
then may the car draw current. Whatever ends it (the badge, the backend, the car leaving, a fault that stays)
leads through `stopping`, in which the contactor opens and the meter's register is read, before the end is
written. What is plugged then stays `finished` until it is pulled or authorised anew.

    idle           nothing plugged, nobody authorised
    waiting_auth   plugged, not authorised; for at most the connection time-out
    waiting_car    authorised, no car connected; for at most the connection time-out
    starting       both; the start of the transaction is being made durable
    running        the transaction is open: the only state in which current may be permitted
    stopping       the contactor opens, the register is read, the end is being made durable
    finished       the transaction is over, or nobody came to authorise; something is still plugged

The states of OCPP are derived from these and from what the safety process reports (`status.py`).

The machine is pure: events come in as method calls with the monotonic time, and what is to be done comes out
as `effects`, in order. One static `transitions` machine serves all points; its callbacks only change the session's
own facts and emit effects. An event that means nothing in a state changes nothing.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from transitions import Machine

from chargepoint.connectors import TYPE_2
from chargepoint.station.api import StopReason
from chargepoint.station.settings import Settings


@dataclass(frozen=True, slots=True)
class Grant:
    """Somebody may charge."""

    token: str
    group: str | None = None
    how: str = "badge"
    """`badge`, `remote`, `free-vend` or `resumed`."""
    reservation: int | None = None
    profile: Any = None
    """A charging profile that came with a remote start."""
    connector: int | None = None
    """The only connector it is for; None: whichever is plugged."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Make the start of a transaction durable, then call `begun` (or `begin_failed`)."""

    grant: Grant
    car: str


@dataclass(frozen=True, slots=True)
class End:
    """Open the contactor, read the register, make the end durable, then call `ended`."""

    tx: int
    reason: StopReason
    token: str | None


@dataclass(frozen=True, slots=True)
class Dropped:
    """An authorisation came to nothing."""

    grant: Grant


@dataclass(frozen=True, slots=True)
class TimedOut:
    """Plugged, and nobody authorised it in time."""


Effect = Begin | End | Dropped | TimedOut

STATES = ("idle", "waiting_auth", "waiting_car", "starting", "running", "stopping", "finished")

TRANSITIONS: tuple[dict[str, Any], ...] = (
    {"trigger": "cable_in", "source": "idle", "dest": "waiting_auth", "after": "_wait"},
    {"trigger": "connect", "source": "waiting_auth", "dest": "waiting_auth", "after": "_wait"},
    {"trigger": "connect", "source": "waiting_car", "dest": "starting", "after": "_begin"},
    {"trigger": "connect", "source": "finished", "dest": "waiting_auth", "after": "_wait"},
    {"trigger": "approve", "source": "idle", "dest": "waiting_car", "after": "_wait"},
    {"trigger": "approve", "source": "waiting_car", "dest": "waiting_car", "after": "_wait"},
    {
        "trigger": "approve",
        "source": ["waiting_auth", "finished"],
        "dest": "starting",
        "conditions": "connected",
        "after": "_begin",
    },
    {"trigger": "approve", "source": ["waiting_auth", "finished"], "dest": "waiting_car", "after": "_wait"},
    {"trigger": "recorded", "source": "starting", "dest": "stopping", "conditions": "ending", "after": "_end"},
    {"trigger": "recorded", "source": "starting", "dest": "running"},
    {"trigger": "fail", "source": "starting", "dest": "finished", "conditions": "plugged", "before": "_drop"},
    {"trigger": "fail", "source": "starting", "dest": "idle", "before": "_drop"},
    {"trigger": "resume", "source": ["idle", "waiting_auth", "finished"], "dest": "running"},
    {"trigger": "leave", "source": "running", "dest": "stopping", "conditions": "ends_on_leave", "after": "_end"},
    {"trigger": "cable_out", "source": "running", "dest": "stopping", "after": "_end"},
    {"trigger": "cable_out", "source": ["waiting_auth", "finished"], "dest": "idle", "after": "_forget"},
    {"trigger": "finish", "source": "running", "dest": "stopping", "after": "_end"},
    {
        "trigger": "finish",
        "source": "waiting_car",
        "dest": "waiting_auth",
        "conditions": "plugged",
        "before": "_drop",
        "after": "_wait",
    },
    {"trigger": "finish", "source": "waiting_car", "dest": "idle", "before": "_drop"},
    {
        "trigger": "close_out",
        "source": "stopping",
        "dest": "waiting_auth",
        "conditions": "another_car",
        "after": ["_forget", "_wait"],
    },
    {"trigger": "close_out", "source": "stopping", "dest": "finished", "conditions": "plugged"},
    {"trigger": "close_out", "source": "stopping", "dest": "idle", "after": "_forget"},
    {"trigger": "expire", "source": "waiting_auth", "dest": "finished", "after": "_time_out"},
    {"trigger": "expire", "source": "waiting_car", "dest": "finished", "conditions": "plugged", "before": "_drop"},
    {"trigger": "expire", "source": "waiting_car", "dest": "idle", "before": "_drop"},
)

# An event that means nothing in a state is no mistake here; the library would warn of each.
logging.getLogger("transitions.core").setLevel(logging.ERROR)

MACHINE = Machine(
    model=None,
    states=list(STATES),
    transitions=list(TRANSITIONS),
    initial="idle",
    queued=True,
    auto_transitions=False,
    ignore_invalid_triggers=True,
)


class Session:
    """The session of one point. Call the events; then take and carry out `effects`."""

    state: str
    trigger: Callable[[str], bool]

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.effects: list[Effect] = []
        self.plugged = False
        """A cable is in the socket (or the tethered cable on a car)."""
        self.connected = False
        """A car is at the end of the cable."""
        self.car: str | None = None
        """Identity of the present plug-in."""
        self.connector = 1
        """The connector it is about: an EVSE has one session at a time, whichever of its connectors is used."""
        self.plugged_at = float("-inf")
        """When the cable or the car came last, monotonic."""
        self.grant: Grant | None = None
        self.tx: int | None = None
        self.deadline: float | None = None
        """Until when a badge waits for its plug, or a plug for its badge."""
        self.retained = False
        """The transaction is over, but the cable stays locked until its owner shows the badge."""
        self.began_at = float("-inf")
        """When both the car and the authorisation were there, monotonic."""
        self.ended_at = float("-inf")
        """When the last transaction was over, or the cable it had retained was released, monotonic."""
        self.reason: StopReason | None = None
        """Why the transaction ends or ended."""
        self.stopper: str | None = None
        """The token that ended the transaction, or released its cable; None when no badge did."""
        self._tx_car: str | None = None
        self._now = 0.0
        MACHINE.add_model(self)

    def close(self) -> None:
        """Let the shared machine forget this session."""
        MACHINE.remove_model(self)

    # Facts used by the table

    @property
    def ending(self) -> bool:
        return self.reason is not None

    @property
    def ends_on_leave(self) -> bool:
        return self._settings.stop_on_ev_disconnect

    @property
    def another_car(self) -> bool:
        return self.connected and self.car != self._tx_car

    @property
    def holds_lock(self) -> bool:
        """The plug stays locked whatever the pilot says."""
        if self.state in ("starting", "running"):
            return True
        if self.state == "stopping":
            return self.reason is not StopReason.EV_DISCONNECTED or not self._settings.unlock_on_ev_disconnect
        return self.state == "finished" and self.retained

    @property
    def unserved(self) -> bool:
        """Plugged, and nobody has been let in with it: it waits, or its wait ran out, or its start failed."""
        missed = self.state == "finished" and self.connected and self.car != self._tx_car
        return self.grant is None and (self.state == "waiting_auth" or missed)

    # Events

    def use(self, connector: int) -> None:
        """What is seen from now on is at this connector. Raises ValueError while something is plugged at another."""
        if connector != self.connector and (self.plugged or self.car is not None):
            raise ValueError(f"connector {self.connector} is in use, so nothing is looked at on {connector}")
        self.connector = connector

    def cable(self, plugged: bool, now: float) -> None:
        """The cable is in, or out of, the socket."""
        if plugged == self.plugged:
            return
        self._now = now
        self.plugged = plugged
        if plugged:
            self.plugged_at = now
            self.trigger("cable_in")
        else:
            self._gone()
            self.trigger("cable_out")

    def car_is(self, car: str | None, now: float) -> None:
        """A car with this identity is connected, or none is. Another identity means that the car was exchanged."""
        if car == self.car:
            return
        self._now = now
        if self.car is not None:
            self.car, self.connected = None, False
            if self.ends_on_leave:
                self._gone()
            self.trigger("leave")
        if car is not None:
            self.car, self.connected = car, True
            self.plugged_at = now
            self.trigger("connect")

    def rename_car(self, car: str) -> None:
        """The same car under another identity: the safety process was started anew."""
        if self._tx_car == self.car:
            self._tx_car = car
        self.car = car

    def approved(self, grant: Grant, now: float) -> bool:
        """Somebody may charge here; True when it was of use in this state."""
        if self.state in ("starting", "running", "stopping"):
            return False
        self._now = now
        if self.state == "waiting_car" and self.grant is not None and self.grant.token != grant.token:
            return False
        self.grant = grant
        self.retained = False
        if grant.connector is not None and not self.plugged:
            self.connector = grant.connector
        self.trigger("approve")
        return True

    def begun(self, tx: int) -> None:
        """The start is durable."""
        self.tx = tx
        self.trigger("recorded")

    def begin_failed(self) -> None:
        """No transaction could be begun (no meter, no journal)."""
        self._tx_car = None
        self.trigger("fail")

    def resumed(self, tx: int, grant: Grant, car: str, now: float, connector: int = TYPE_2) -> None:
        """A transaction of before a restart goes on: its car never left."""
        self.connector = connector
        self._now = now
        self.grant, self.tx = grant, tx
        self.plugged = self.connected = True
        self.car = self._tx_car = car
        self.plugged_at = now
        self.trigger("resume")

    def stop(self, reason: StopReason, token: str | None, now: float) -> None:
        """End the transaction, or withdraw an authorisation that waits for its car."""
        self._now = now
        if self.state in ("starting", "running") and self.reason is None:
            self.reason, self.stopper = reason, token
        self.trigger("finish")

    def ended(self, now: float) -> None:
        """The end is durable."""
        self._now = now
        self.ended_at = now
        keeps = self.reason is StopReason.DEAUTHORIZED or (
            self.reason is StopReason.EV_DISCONNECTED and not self._settings.unlock_on_ev_disconnect
        )
        self.retained = self.plugged and keeps and self.connector == TYPE_2  # no lock holds the plug of another
        self.tx = None
        self.trigger("close_out")
        self.reason = None

    def release(self, token: str | None, now: float) -> None:
        """The owner of a retained cable came, or the operator lets it go."""
        if self.retained:
            self.retained = False
            self.stopper, self.ended_at = token, now

    def tick(self, now: float) -> None:
        """Time passes."""
        if self.deadline is not None and now >= self.deadline and self.state in ("waiting_auth", "waiting_car"):
            self._now = now
            self.trigger("expire")
        if self.state not in ("waiting_auth", "waiting_car"):
            self.deadline = None

    # Callbacks of the machine

    def _wait(self) -> None:
        self.deadline = self._now + self._settings.connection_timeout_s

    def _begin(self) -> None:
        if self.grant is None or self.car is None:
            raise AssertionError("a transaction needs a grant and a car")
        self.reason = self.stopper = None
        self.began_at = self._now
        self._tx_car = self.car
        self.effects.append(Begin(self.grant, self.car))

    def _end(self) -> None:
        if self.tx is None:
            raise AssertionError("no transaction to end")
        if self.reason is None:
            self.reason = StopReason.OTHER
        self.effects.append(End(self.tx, self.reason, self.stopper))

    def _drop(self) -> None:
        if self.grant is not None:
            self.effects.append(Dropped(self.grant))
        self.grant = None

    def _forget(self) -> None:
        self.grant = None
        self.retained = False

    def _time_out(self) -> None:
        self.effects.append(TimedOut())

    def _gone(self) -> None:
        if self.state in ("starting", "running") and self.reason is None:
            self.reason, self.stopper = StopReason.EV_DISCONNECTED, None
