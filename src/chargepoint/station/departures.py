"""Cars that leave again: until when a running session must have its energy, as the operator has told.

OCPP 1.6 has no word for it (a reservation of a point that is in use is refused, a profile bounds but does not ask), so
it comes by DataTransfer. It is kept with the transaction and forgotten with it.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from chargepoint.energy.limits import MINIMUM_A
from chargepoint.energy.urgency import urgency
from chargepoint.journal import store
from chargepoint.journal.journal import Journal
from chargepoint.station.api import Outcome
from chargepoint.station.clock import Clock
from chargepoint.station.point import Point

log = structlog.get_logger()

AREA: Final = "departures"


@dataclass(frozen=True, slots=True)
class Departure:
    """What the operator wants for a transaction."""

    tx: int
    utc: float
    energy_wh: int
    """To be delivered in the whole session."""


class Departures:
    """By point. Event-loop only."""

    def __init__(self, journal: Journal, clock: Clock, volts: float) -> None:
        self._journal = journal
        self._clock = clock
        self._volts = volts
        self._known: dict[int, Departure] = {}

    async def recover(self) -> None:
        """Those of before; one whose transaction does not go on is never looked at. What cannot be read is left out."""
        kept = await self._journal.read(lambda db: store.items(db, AREA))
        for evse, value in kept.items():
            try:
                tx, utc, energy_wh, *_ = value
                self._known[int(evse)] = Departure(tx, utc, energy_wh)
            except (TypeError, ValueError) as error:
                log.warning("a stored departure cannot be read and is left out", evse=evse, error=repr(error))

    async def tell(self, point: Point | None, at: datetime, energy_wh: int) -> Outcome:
        """As `StationApi.departure`."""
        if point is None:
            return Outcome.UNKNOWN
        tx = point.session.tx
        if tx is None:
            return Outcome.REJECTED
        departure = Departure(tx, at.timestamp(), energy_wh)
        value = [departure.tx, departure.utc, departure.energy_wh]

        def write(db: sqlite3.Connection) -> None:
            store.put(db, AREA, str(point.id), value)

        await self._journal.write(write)
        self._known[point.id] = departure
        log.info("departure", evse=point.id, tx=tx, at=at.isoformat(), energy_wh=energy_wh)
        return Outcome.ACCEPTED

    def of(self, point: Point) -> Departure | None:
        """What was told for the transaction that runs there now."""
        known = self._known.get(point.id)
        return known if known is not None and known.tx == point.session.tx else None

    def factors(self, points: Iterable[Point], now: float) -> dict[int, float]:
        """By point: how much more of the rest its car gets."""
        return {point.id: self._factor(point, now) for point in points}

    def _factor(self, point: Point, now: float) -> float:
        known, reading = self.of(point), point.reading
        if known is None:
            return 1.0
        delivered = max(0, reading.energy_wh - point.meter_start_wh) if reading is not None else 0
        used = point.used
        most_w = max(MINIMUM_A, used.max_current) * len(used.lines) * self._volts
        return urgency(known.energy_wh - delivered, known.utc - now - self._clock.offset, most_w)
