"""What a point makes of a restart: of the safety process, of the station, or of the whole machine.

A car that is there afterwards is either the one of before, which charges on, or nobody knows. The identity of a plug-in
tells within one run of the safety process; a lock that held the plug tells within one boot; after a power cut only
the time tells how long nobody looked, and only a clock that can be trusted has it.
"""

from enum import Enum
from typing import TYPE_CHECKING, Final

import structlog

from chargepoint.connectors import TYPE_2
from chargepoint.evse.messages import PointReport
from chargepoint.journal.transactions import OpenTransaction
from chargepoint.station import connectors
from chargepoint.station.api import StopReason
from chargepoint.station.session import Grant
from chargepoint.station.shared import Shared

if TYPE_CHECKING:
    from chargepoint.station.point import Point

log = structlog.get_logger()

KEEP_REGISTER_S: Final = 60.0
"""The register of a running transaction is on the disk at least so often."""
RESTART_GAP_S: Final = 15.0
"""A safety process that is back within this time has the same car, if it has one: the lock held."""
SETTLE_AFTER_BOOT_S: Final = 0.5
"""What a newly started safety process says of the pilot is believed after this time."""
TIME_WAIT_S: Final = 60.0
"""After a power cut a transaction whose car is there waits so long for NTP or the central system to tell the time."""


class Stay(Enum):
    """Whether the car of an open transaction never left."""

    SURE = "it is the same car"
    UNSURE = "it may be another"
    UNTIMED = "the time is not known yet that would tell"


class Restart:
    """Of one point. `Point.pending` is the transaction of before, until it goes on or is being closed."""

    def __init__(self, point: "Point", shared: Shared) -> None:
        self._point = point
        self._shared = shared
        self.closing = False
        """The transaction of before is being ended; nobody waits for its car any more."""
        self._boot = ""
        self._reported_at = float("-inf")
        self._trust_from: float | None = None
        self._asked_at: float | None = None
        """When the time was first missing to decide."""

    def believed(self, report: PointReport, now: float) -> bool:
        """Whether what a report says of the pilot is to be believed yet. To be called once with every report."""
        point = self._point
        if report.boot != self._boot:
            known = point.session.car is not None and now - self._reported_at < RESTART_GAP_S
            left_open = point.pending is not None and not point.pending.car.startswith(f"{report.boot}:")
            if known or left_open:
                self._trust_from = now + SETTLE_AFTER_BOOT_S
            self._boot = report.boot
        self._reported_at = now
        if self._trust_from is None:
            return True
        if now < self._trust_from:
            return False
        self._trust_from = None
        self._same_car(report)
        return True

    def _same_car(self, report: PointReport) -> None:
        """The safety process was away for a moment: a car that is still there is taken for the same."""
        session = self._point.session
        car = connectors.car(report, session.connector)
        if car is not None and session.car is not None:
            session.rename_car(car)
            if session.tx is not None:
                self._shared.spawn(self._point.books.keep_car(session.tx, car))

    def look(self, report: PointReport, now: float) -> None:
        """Go on with the transaction of before, or close it, as soon as its car has been seen or missed."""
        point, pending = self._point, self._point.pending
        if pending is None or self.closing:
            return
        number = pending.connector
        there = connectors.car(report, number) is not None or connectors.car_unknown(report, number)
        there = there and connectors.plugged(report, number) and number in point.connectors
        stay = self._stay(pending, report, now) if there else Stay.UNSURE
        if stay is Stay.SURE and self._shared.settings.resume_after_restart:
            self._go_on(pending, report, now)
        elif stay is not Stay.UNTIMED:
            self.closing = True
            self._shared.spawn(point.books.close_after_restart(pending))

    def _go_on(self, pending: OpenTransaction, report: PointReport, now: float) -> None:
        point, number = self._point, pending.connector
        log.info("transaction goes on after a restart", evse=point.id, tx=pending.tx)
        grant = Grant(pending.token, pending.group, "resumed", pending.reservation)
        point.meter_start_wh = pending.meter_start_wh
        point.session.resumed(pending.tx, grant, connectors.identity(report, number), now, number)
        point.resumed(now)
        if point.ending is not None:
            point.session.stop(point.ending.reason, point.ending.token, now)
        if pending.invalid:
            # How much was delivered since the refusal is not known any more: nothing further is.
            point.withheld = "invalid-token"
            if self._shared.settings.stop_on_invalid:
                point.session.stop(StopReason.DEAUTHORIZED, None, now)

    def _stay(self, pending: OpenTransaction, report: PointReport, now: float) -> Stay:
        if pending.car == connectors.identity(report, pending.connector):
            return Stay.SURE
        if pending.connector != TYPE_2:
            return Stay.UNSURE  # no lock held its plug while nobody looked
        clock, last = self._shared.clock, pending.last
        if last.boot == clock.boot:
            # Both processes were started anew in one boot, and the plug was held by its lock in between.
            return Stay.SURE if 0 <= now - last.mono < KEEP_REGISTER_S + RESTART_GAP_S else Stay.UNSURE
        settings = self._shared.settings
        limit = settings.resume_after_power_loss_s
        if limit <= 0 or last.utc is None or not settings.resume_after_restart:
            return Stay.UNSURE
        if clock.trusted:
            return Stay.SURE if 0 <= clock.utc() - last.utc < KEEP_REGISTER_S + limit else Stay.UNSURE
        # The power was off, and the clock with it: what it shows now is where it stopped, or the day it was made.
        if self._asked_at is None:
            self._asked_at = now
            log.info("an open transaction waits for the time", evse=self._point.id, tx=pending.tx)
        return Stay.UNTIMED if now - self._asked_at < TIME_WAIT_S else Stay.UNSURE
