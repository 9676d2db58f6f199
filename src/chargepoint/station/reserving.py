"""The station's reservations: kept in the journal, applied to its points."""

import sqlite3
from collections.abc import Mapping
from typing import Final

import structlog

from chargepoint.journal import store
from chargepoint.journal.journal import Journal
from chargepoint.station.api import Outcome, Reservation
from chargepoint.station.clock import Clock
from chargepoint.station.point import Point
from chargepoint.station.reservations import Reservations, Spot, from_dict, to_dict

log = structlog.get_logger()
AREA: Final = "reservations"


class Reserving:
    """Who keeps which point. Event-loop only."""

    def __init__(self, points: Mapping[int, Point], journal: Journal, clock: Clock) -> None:
        self._points = points
        self._journal = journal
        self._clock = clock
        self.reservations = Reservations()
        self._started_at = clock.monotonic()
        self._used_by: dict[int, int] = {}
        """By point: the transaction whose reservation is used up by it. Its id may be given again meanwhile."""

    async def recover(self) -> None:
        """Reservations of before a restart. What cannot be read is left out, and said."""
        kept: list[Reservation] = []
        for key, value in (await self._journal.read(lambda db: store.items(db, AREA))).items():
            try:
                kept.append(from_dict(value))
            except (KeyError, TypeError, ValueError) as error:
                log.warning("a stored reservation cannot be read and is left out", reservation=key, error=repr(error))
        self.reservations = Reservations(kept)

    async def reserve(self, reservation: Reservation) -> Outcome:
        """As `StationApi.reserve`."""
        point = self._points.get(reservation.evse)
        if reservation.evse != 0 and (point is None or reservation.connector not in (0, *point.connectors)):
            return Outcome.REJECTED
        before = self.reservations.get(reservation.id)
        outcome = self.reservations.add(reservation, self._spots(), self._clock.utc())
        if outcome is not Outcome.ACCEPTED:
            return outcome
        try:
            await self._journal.write(lambda db: store.put(db, AREA, str(reservation.id), to_dict(reservation)))
        except sqlite3.Error as error:
            log.error("a reservation could not be recorded", reservation=reservation.id, error=str(error))
            self.reservations.take_back(reservation, before)
            return Outcome.REJECTED
        log.info("reserved", reservation=reservation.id, evse=reservation.evse)
        return Outcome.ACCEPTED

    async def cancel(self, reservation_id: int) -> Outcome:
        """As `StationApi.cancel_reservation`."""
        if not self.reservations.cancel(reservation_id):
            return Outcome.UNKNOWN
        await self.forget(reservation_id)
        return Outcome.ACCEPTED

    def prune(self) -> list[Reservation]:
        """What has ended; `forget` each of them."""
        used = []
        for point in self._points.values():
            session = point.session
            new = session.state == "running" and session.tx != self._used_by.get(point.id)
            if new and session.grant is not None and session.tx is not None:
                self._used_by[point.id] = session.tx
                used += [] if session.grant.reservation is None else [session.grant.reservation]
        gone = self.reservations.prune(self._spots(), used, self._clock.utc(), self._clock.synchronised)
        for reservation in gone:
            log.info("reservation ended", reservation=reservation.id, evse=reservation.evse)
        return gone

    async def forget(self, reservation_id: int) -> None:
        """Take it out of the journal. One that stays there by mistake ends by its expiry."""
        try:
            await self._journal.write(lambda db: store.delete(db, AREA, str(reservation_id)))
        except sqlite3.Error as error:
            log.error("a reservation could not be removed", reservation=reservation_id, error=str(error))

    def match(self, evse: int, token: str, group: str | None) -> Reservation | None:
        """The reservation a badge would use at this point."""
        return self.reservations.match(evse, token, group)

    def keeps_from(self, evse: int, token: str | None, group: str | None) -> bool:
        """The point is kept from this badge (None: from anybody without a reservation)."""
        return len(self.reservations) > 0 and self.reservations.keeps_from(evse, token, group, self._spots())

    def shown_at(self, evse: int) -> Reservation | None:
        """The reservation for which the point shows as Reserved."""
        own = self.reservations.at(evse)
        if own is None and self.keeps_from(evse, None, None):
            return next((r for r in self.reservations if r.evse == 0), None)
        return own

    def _spots(self) -> list[Spot]:
        now = self._clock.monotonic()
        return [
            Spot(
                evse=p.id,
                free=p.session.state == "idle" and p.pending is None,
                in_service=p.operative,
                faulted_s=self._faulted_s(p, now),
                out=frozenset(c.number for c in p.connectors.values() if not c.operative),
                beside=frozenset(c.number for c in p.connectors.values() if c.came_at is None and p.beside(c.number)),
            )
            for p in self._points.values()
        ]

    def _faulted_s(self, point: Point, now: float) -> float | None:
        fault = point.fault()
        # A fault of before this start counts from the start: the safety process may not have been heard yet.
        return None if fault is None else now - max(fault.since, self._started_at)
