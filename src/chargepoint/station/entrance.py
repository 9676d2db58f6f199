"""From a badge, a remote start or a dedicated bay to an authorised session.

The decisions are in `badges` (which point) and `authorisation` (whether); this object asks, waits and carries out.
"""

import asyncio
import itertools
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from chargepoint.journal import tokens
from chargepoint.station import authorisation, badges
from chargepoint.station.api import (
    Authorization,
    AuthStatus,
    BackendUnreachable,
    Outcome,
    Reservation,
    ReservationContested,
    StopReason,
)
from chargepoint.station.authorisation import Known
from chargepoint.station.badges import Decision, Meaning, View
from chargepoint.station.connectors import holds
from chargepoint.station.point import Point
from chargepoint.station.reserving import Reserving
from chargepoint.station.session import Grant
from chargepoint.station.shared import Shared

log = structlog.get_logger()

FRESH_START_S: Final = 15.0
"""So long after the start, a link that has never been up counts as being on its way."""
FIRST_LINK_S: Final = 5.0
"""How long a badge waits for it."""
_POLL_S: Final = 0.1
_NEVER: Final = datetime(9999, 12, 31, tzinfo=UTC).timestamp()
"""The very last instant of that year, which means "never" to many, is as a float one of the year 10000."""
AGAIN_S: Final = 10.0
"""A start without a badge that failed is tried again after this time."""


@dataclass(frozen=True, slots=True)
class _Floating:
    """An authorisation that waits for a plug at one of several points."""

    grant: Grant
    evses: tuple[int, ...]
    deadline: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """A badge that was not let in. `at` is monotonic."""

    token: str
    """Masked."""
    status: AuthStatus
    at: float
    online: bool
    """The central system could be asked; else the offline rules decided."""


class Entrance:
    """Who may come in, and where. Event-loop only."""

    def __init__(self, points: dict[int, Point], shared: Shared, reserving: Reserving) -> None:
        self._points = points
        self._reserving = reserving
        self._shared = shared
        self._floating: list[_Floating] = []
        self._asking: set[str] = set()
        self._let_in: dict[int, float] = {}
        """By point: when a plug alone was last enough, monotonic."""
        self._started_at = shared.clock.monotonic()
        self._was_online = False
        self.closed = False
        """No new session may begin: the station is about to restart."""
        self.refused: dict[int, Refusal] = {}
        """The last badge that was refused at a point, until another one is accepted there."""
        self._outcomes: Counter[tuple[str, str]] = Counter()

    # Badges

    def badge(self, token: str, evses: Sequence[int]) -> None:
        """Somebody showed a badge at a reader that serves these points."""
        now = self._shared.clock.monotonic()
        decision = badges.own(token, self._views(token, None, evses), now)
        if decision.meaning is not Meaning.AUTHORISE:
            self._carry_out(decision, token, None, evses)
            return
        if token.casefold() in self._asking:
            return
        if self._renew_floating(token):
            self._show("accepted", evses)
            return
        self._asking.add(token.casefold())
        self._show("asking", evses)
        points = [self._points[evse] for evse in evses]
        meant = [p for p in points if p.session.plugged and p.session.state in ("waiting_auth", "finished")]
        self._shared.spawn(self._ask_for_badge(token, tuple(evses), meant))

    async def _ask_for_badge(self, token: str, evses: tuple[int, ...], meant: list[Point]) -> None:
        """`meant`: the points at which something was plugged in that the badge may be for."""
        try:
            answer = await self.authorize(token, evses)
        finally:
            self._asking.discard(token.casefold())
        if not answer.accepted:
            log.info("badge refused", token=masked(token), status=answer.status.value)
            refusal = Refusal(masked(token), answer.status, self._shared.clock.monotonic(), self._shared.backend.online)
            self.refused.update(dict.fromkeys(evses, refusal))
            self._show("refused", evses)
            self._shared.changed()
            return
        now = self._shared.clock.monotonic()
        for evse in evses:
            self.refused.pop(evse, None)
        decision = badges.accepted(token, answer.group, self._views(token, answer.group, evses), now)
        if decision.meaning is Meaning.WAIT and not all(p.session.plugged for p in meant):
            # The answer took long, and the driver has pulled and gone: the next car would charge on this badge.
            log.info("badge answered after its plug had gone", token=masked(token))
            self._show("refused", evses)
            self._shared.changed()
            return
        self._tell_contested(decision, token, answer.group, evses)
        self._carry_out(decision, token, answer.group, evses)

    def _tell_contested(self, decision: Decision, token: str, group: str | None, evses: Sequence[int]) -> None:
        """A good badge at a point that is kept for another: the operator may want to call one of the two."""
        for evse in evses:
            wanted = self._points[evse].session.plugged or decision.meaning is Meaning.REFUSE
            held = self._reserving.shown_at(evse)
            if wanted and held is not None and self._kept_from(evse, token, group):
                at = self._shared.clock.now()
                self._shared.backend.notify(ReservationContested(evse, held.id, token, at))

    def _carry_out(self, decision: Decision, token: str, group: str | None, evses: Sequence[int]) -> None:
        now = self._shared.clock.monotonic()
        points = [self._points[evse] for evse in decision.evses]
        log.info("badge", token=masked(token), means=decision.meaning.value, evses=list(decision.evses))
        match decision.meaning:
            case Meaning.STOP:
                points[0].session.stop(StopReason.LOCAL, token, now)
                self._show("understood", decision.evses)
            case Meaning.RELEASE:
                points[0].session.release(token, now)
                self._show("understood", decision.evses)
            case Meaning.UNDERSTOOD:
                self._show("understood", decision.evses)
            case Meaning.RENEW:
                grant = points[0].session.grant
                if grant is not None:
                    points[0].session.approved(grant, now)
                self._show("accepted", decision.evses)
            case Meaning.START:
                self.grant(Grant(token, group), decision.evses)
                self._show("accepted", decision.evses)
            case Meaning.WAIT:
                spare = self._view(points[0], token, group).spare if len(points) == 1 else None
                self.grant(Grant(token, group, connector=spare), decision.evses)
                self._show("accepted", decision.evses)
            case _:
                self._show("refused", evses)
        self._shared.changed()

    # Remote start, dedicated bays

    async def remote_start(self, token: str, evse: int | None, profile: Any, connector: int | None = None) -> Outcome:
        """Answer at once; what must be asked for is asked afterwards."""
        evses = tuple(self._points) if evse is None else (evse,)
        if self.closed or any(e not in self._points for e in evses):
            return Outcome.REJECTED
        grant = Grant(token, None, "remote", profile=profile, connector=connector)
        entry = authorisation.local(await self._known(token), self._shared.settings, self._shared.clock.utc())
        group = None if entry is None else entry.group
        grant = replace(grant, group=group)
        # Where there is but one connector, there is nothing to be mistaken about.
        named = evse is not None or sum(len(point.connectors) for point in self._points.values()) == 1
        startable = bool(self._startable(grant, evses, named))
        if not startable and (entry is not None or not self._startable_for_a_mate(grant, evses, named)):
            return Outcome.REJECTED
        if self._shared.settings.authorize_remote_start or not startable:
            self._shared.spawn(self._ask_for_remote(grant, evses, named))
        else:
            self._place_remote(grant, evses, named)
        return Outcome.ACCEPTED

    async def _ask_for_remote(self, grant: Grant, evses: tuple[int, ...], named: bool) -> None:
        token = grant.token
        answer = await self.authorize(token, evses)
        if answer.accepted:
            self._place_remote(replace(grant, group=answer.group), evses, named)
        else:
            log.info("remote start refused", token=masked(token), status=answer.status.value)
            self._show("refused", evses)
            self._shared.changed()

    def _place_remote(self, grant: Grant, evses: tuple[int, ...], named: bool) -> None:
        views = self._startable(grant, evses, named)
        plugged = [
            v
            for v in views
            if v.connected
            and (v.state == "waiting_auth" or (v.state == "finished" and not self._beside(v, grant, named)))
        ]
        waiting = [v for v in plugged if v.state == "waiting_auth"] or plugged
        asked_before = [v for v in views if v.state == "waiting_car"]  # of this token: it waits on
        chosen = [max(waiting, key=lambda v: v.plugged_at)] if waiting else asked_before[:1] or views
        if len(chosen) == 1 and self._beside(chosen[0], grant, named):
            grant = replace(grant, connector=chosen[0].spare)
        if chosen:
            chosen_evses = tuple(v.evse for v in chosen)
            self.grant(grant, chosen_evses)
            self._show("accepted", chosen_evses)
        else:
            log.info("remote start came to nothing: no point is free for it", token=masked(grant.token))
            self._show("refused", evses)
        self._shared.changed()

    def _startable_for_a_mate(self, grant: Grant, evses: tuple[int, ...], named: bool) -> bool:
        """Reservations alone keep the token out, and it may be of the group of one: its parent, which is not known
        here, is then asked for (OCPP 1.6, 5.13)."""
        groups = {r.group for r in self._reserving.reservations if r.group is not None}
        return any(self._startable(replace(grant, group=group), evses, named) for group in groups)

    def _startable(self, grant: Grant, evses: tuple[int, ...], named: bool) -> list[View]:
        """Points at which this token may be started: usable (at the connector asked for), neither in use nor waiting
        for somebody else's car, and not taken by a stranger's finished plug unless the order names the point."""
        token = grant.token
        return [
            v
            for v in self._views(token, grant.group, evses)
            if v.usable
            and self._points[v.evse].takes(grant.connector)
            and v.state not in ("starting", "running", "stopping")
            and (v.state != "waiting_car" or badges.same(v.token, token))
            and not (self._beside(v, grant, named) and v.spare is None)
        ]

    @staticmethod
    def _beside(view: View, grant: Grant, named: bool) -> bool:
        """A stranger's finished plug is there, and nobody said that it is the one that is meant."""
        return not named and view.state == "finished" and badges.strangers(view, grant.token, grant.group)

    def plugged(self, evse: int) -> None:
        """Plugged in: that is enough in a dedicated bay and, offline, for a fleet whose reservation holds the point."""
        point, rules, now = self._points[evse], self._shared.settings, self._shared.clock.monotonic()
        if self.closed or not point.usable:
            return
        if (
            rules.free_vend_tag
            and evse in rules.free_vend_evses
            and not self._kept_from(evse, rules.free_vend_tag, None)
        ):
            self._let_in[evse] = now
            self.grant(Grant(rules.free_vend_tag, None, "free-vend"), (evse,))
            return
        held = self._reserving.reservations.at(evse)
        if rules.fleet_unattended and held is not None and self._is_fleet(held) and not self._shared.backend.online:
            self._let_in[evse] = now
            self.grant(Grant(held.token, held.group, "fleet", held.id), (evse,))

    def _is_fleet(self, reservation: Reservation) -> bool:
        return badges.same(reservation.group, self._shared.settings.fleet_group or None)

    def _kept_from(self, evse: int, token: str, group: str | None) -> bool:
        return self._reserving.keeps_from(evse, token, group)

    # Grants

    def grant(self, grant: Grant, evses: tuple[int, ...]) -> None:
        """Authorise at this point; with several, at whichever is plugged in first."""
        now = self._shared.clock.monotonic()
        if self.closed:
            return
        # The same token again is the same wish: a second one would let in whoever plugs in next.
        self._floating = [f for f in self._floating if not badges.same(f.grant.token, grant.token)]
        if len(evses) == 1:
            self._approve(self._points[evses[0]], grant, now)
            return
        deadline = now + self._shared.settings.connection_timeout_s
        self._floating.append(_Floating(grant, evses, deadline))

    def tick(self, now: float) -> None:
        """Drop what has waited too long, and give what waits to a point that has been plugged in."""
        self._was_online = self._was_online or self._shared.backend.online
        gone = [f for f in self._floating if now >= f.deadline]
        self._floating = [f for f in self._floating if now < f.deadline]
        for floating in gone:
            log.info("badge without plug", token=masked(floating.grant.token))
        for point in self._points.values():
            if point.session.state != "waiting_auth" or not point.usable:
                continue
            found = next((f for f in self._floating if point.id in f.evses and self._may_use(point, f.grant)), None)
            if found is not None:
                self._floating.remove(found)
                self._approve(point, found.grant, now)
        for evse, point in self._points.items():
            # Whoever plugged in while the point could not be used, or whose start failed, has not been forgotten.
            if point.session.unserved and now - self._let_in.get(evse, float("-inf")) >= AGAIN_S:
                self.plugged(evse)

    def _approve(self, point: Point, grant: Grant, now: float) -> None:
        """Here; with the reservation that is used up by it."""
        held = self._reserving.match(point.id, grant.token, grant.group)
        if grant.connector is not None and not holds(point.session):
            point.turn_to(grant.connector, now)
        point.session.approved(grant if held is None else replace(grant, reservation=held.id), now)

    def _may_use(self, point: Point, grant: Grant) -> bool:
        return self._view(point, grant.token, grant.group).usable

    def _renew_floating(self, token: str) -> bool:
        for index, floating in enumerate(self._floating):
            if badges.same(floating.grant.token, token):
                deadline = self._shared.clock.monotonic() + self._shared.settings.connection_timeout_s
                self._floating[index] = _Floating(floating.grant, floating.evses, deadline)
                return True
        return False

    @property
    def waiting(self) -> tuple[tuple[int, ...], ...]:
        """Which points authorisations without a plug wait for."""
        return tuple(f.evses for f in self._floating)

    # Authorisation

    async def authorize(self, token: str, evses: Sequence[int] = ()) -> Authorization:
        """The verdict on a token, by local knowledge, the central system, or the rules of being offline.

        `evses`: where it was shown; a fleet's reservation of one of these counts offline.
        """
        shared = self._shared
        known = await self._known(token)
        utc = shared.clock.utc()
        if not shared.backend.online and not authorisation.offline(known, shared.settings, utc).accepted:
            await self._first_link()
        if shared.backend.online:
            at_once = authorisation.before_asking(known, shared.settings, utc)
            if at_once is not None:
                return self._count(at_once, "local")
            try:
                answer = await shared.backend.authorize(token)
            except BackendUnreachable:
                log.info("central system does not answer: offline rules", token=masked(token))
            else:
                await self.learn(token, answer)
                return self._count(answer, "central")
        held = [r for evse in evses if (r := self._reserving.reservations.at(evse)) is not None and self._is_fleet(r)]
        fleet = authorisation.Fleet(
            any(badges.same(r.token, token) for r in held), shared.settings.fleet_group if held else ""
        )
        return self._count(authorisation.offline(known, shared.settings, shared.clock.utc(), fleet), "offline")

    async def _first_link(self) -> None:
        """Directly after the start the link is still on its way: nobody is refused for having been that quick."""
        backend, clock = self._shared.backend, self._shared.clock
        if self._was_online or not backend.status()["url"]:
            return
        for _ in range(int(FIRST_LINK_S / _POLL_S)):
            if backend.online or clock.monotonic() - self._started_at > FRESH_START_S:
                return
            await asyncio.sleep(_POLL_S)

    def _count(self, answer: Authorization, by: str) -> Authorization:
        self._outcomes["accepted" if answer.accepted else "refused", by] += 1
        return answer

    def take_outcomes(self) -> Counter[tuple[str, str]]:
        """Verdicts since the last call: how many, by outcome and by who gave them."""
        taken, self._outcomes = self._outcomes, Counter()
        return taken

    async def _known(self, token: str) -> Known:
        listed, cached = await self._shared.journal.read(lambda db: tokens.lookup(db, token))
        return Known(_authorization(listed), _authorization(cached))

    async def learn(self, token: str, answer: Authorization) -> None:
        """Keep the central system's word in the cache, when there is one."""
        if not self._shared.settings.cache_enabled or answer.status is AuthStatus.CONCURRENT:
            return
        expiry = None if answer.expiry is None else answer.expiry.timestamp()
        entry = tokens.Entry(token, answer.status.value, expiry, answer.group)
        utc = self._shared.clock.utc()
        try:
            await self._shared.journal.write(lambda db: tokens.remember(db, entry, utc))
        except sqlite3.Error as error:
            log.error("journal does not take a write", what="cache", error=str(error))

    # Views

    def _views(self, token: str, group: str | None, evses: Iterable[int]) -> list[View]:
        return [self._view(self._points[evse], token, group) for evse in evses]

    def _view(self, point: Point, token: str, group: str | None) -> View:
        kept = self._kept_from(point.id, token, group)
        mine = self._reserving.match(point.id, token, group) is not None
        return point.view(point.usable and not self.closed and not kept, mine)

    def _show(self, kind: str, evses: Iterable[int]) -> None:
        for evse in itertools.chain(evses):
            self._points[evse].moment(kind)


def _authorization(entry: tokens.Entry | None) -> Authorization | None:
    if entry is None:
        return None
    expiry = None if entry.expiry is None else datetime.fromtimestamp(min(entry.expiry, _NEVER), UTC)
    return Authorization(AuthStatus(entry.status), expiry, entry.group)


def masked(token: str) -> str:
    """A token as a log may show it: its ends only."""
    return token if len(token) <= 4 else f"{token[:2]}…{token[-2:]}"
