"""What a point writes into the journal: the start of a transaction, its registers and samples, and its end.

Two orders are kept here and nowhere else. The start is on the disk before the session runs, and only a running session
is permitted current. The end is written after the contactor is confirmed open and the register has been read
since, and the session is finished only when the end is on the disk.
"""

import asyncio
import contextlib
import itertools
import math
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import structlog

from chargepoint.evse.messages import PointReport
from chargepoint.journal import transactions
from chargepoint.journal.stamp import Stamp
from chargepoint.journal.transactions import OpenTransaction
from chargepoint.meter.reading import Reading
from chargepoint.station import endings, metering
from chargepoint.station.api import StopReason
from chargepoint.station.endings import Ending
from chargepoint.station.session import Begin, End
from chargepoint.station.shared import Shared

if TYPE_CHECKING:
    from chargepoint.station.point import Point

log = structlog.get_logger()

OPEN_WAIT_S: Final = 12.0
"""The contactor is confirmed open within 6 s of the car being told (IEC 61851-1, A.5.3); then the lease's remainder."""
FRESH_WAIT_S: Final = 4.0
"""How long a fresh register is waited for before the last good one is taken."""
RETRY_WRITE_S: Final = 2.0
SETTLED_S: Final = 1.0
"""A reading so long after the contactor opened has the whole energy in it."""
FLOWS_A: Final = 0.5
"""Above it the meter shows that its registers still move."""
UNBELIEVABLE_WH: Final = 5000
"""More than a car can draw between the last register on the disk and the end of its lease: it is another meter."""


class Books:
    """The journal's side of one point."""

    def __init__(self, point: "Point", shared: Shared) -> None:
        self._point = point
        self._shared = shared

    async def begin(self, begin: Begin) -> None:
        """Make the start durable; then, and only then, the session runs."""
        point, shared, grant = self._point, self._shared, begin.grant
        reading = await self._register_for_start()
        if reading is None:
            log.error("no session without a meter", evse=point.id)
            point.not_begun()
            return
        stamp = shared.clock.stamp()
        connector = point.session.connector
        kept = self._values(reading, shared.settings.ended_sampled_measurands, "Transaction.Begin")

        def work(db: sqlite3.Connection) -> int:
            tx = transactions.begin(
                db,
                point.id,
                connector,
                grant.token,
                grant.group,
                grant.reservation,
                begin.car,
                stamp,
                reading.energy_wh,
            )
            if kept:
                transactions.keep_sample(db, tx, stamp, kept)
            return tx

        if shared.signer is not None:
            await shared.signer.begin(point.id, grant.token, shared.clock.utc())
        shared.step("start-read")
        try:
            tx = await shared.journal.write(work)
        except sqlite3.Error as error:
            log.error("the start of a session could not be recorded", evse=point.id, error=str(error))
            point.not_begun()
            return
        shared.step("start-durable")
        log.info("session begun", evse=point.id, tx=tx, how=grant.how, meter_start_wh=reading.energy_wh)
        point.begun(tx, reading.energy_wh)
        shared.backend.outbox_changed()
        shared.changed()

    async def _register_for_start(self) -> Reading | None:
        """The register before the contactor closes; it stands still then, so any reading since it opened is right."""
        point, clock, meters = self._point, self._shared.clock, self._shared.meters
        if point.config.meter is None:
            return Reading(clock.monotonic(), 0)
        last = meters.last(point.id)
        opened = point.report.opened_at if point.report is not None else None
        since = opened if opened is not None else clock.monotonic() - 5.0
        if last is not None and not meters.lost(point.id) and last.at > since + SETTLED_S:
            return last
        return await meters.read_fresh(point.id, clock.monotonic(), FRESH_WAIT_S)

    async def end(self, end: End) -> None:
        """Wait for the contactor, read the register, write the end; then the session is over."""
        point, shared = self._point, self._shared
        shared.changed()  # the permission goes first
        resumed = point.ending
        if resumed is None:
            wanted = Ending(end.reason, end.token, shared.clock.stamp())
            await self._write("stop", lambda db: endings.begin(db, end.tx, wanted))
        opened = await self._contactor_open()
        reading = await self._register_for_end(opened)
        wh = reading.energy_wh if reading is not None else point.meter_start_wh
        # Not the reading's time, which is an old one when the meter has fallen silent.
        ending = resumed or Ending(end.reason, end.token, shared.clock.stamp())
        last: list[dict[str, Any]] = []
        shared.step("end-read")
        if reading is not None:
            names = shared.settings.ended_sampled_measurands
            if reading.at < opened:  # the last one heard: its register still counts, its currents do not
                names = tuple(name for name in names if name.startswith("Energy."))
            last = self._values(reading, names, "Transaction.End")
            last += await self._signed()
        await self._write_end(end.tx, ending, wh, last)
        shared.step("end-durable")
        log.info("session ended", evse=point.id, tx=end.tx, reason=end.reason.value, meter_stop_wh=wh)
        shared.backend.outbox_changed()
        point.ended(end.reason)
        shared.changed()

    async def _signed(self) -> list[dict[str, Any]]:
        """The meter's signature over begin and end of the transaction, as a value of its own; empty without one."""
        signer = self._shared.signer
        signed = await signer.end(self._point.id) if signer is not None else None
        if signed is None:
            return []
        value = {"measurand": "Energy.Active.Import.Register", "value": signed.text, "unit": "Wh"}
        return [{**value, "location": "Outlet", "context": "Transaction.End", "format": "SignedData"}]

    async def _contactor_open(self) -> float:
        """Wait, for a bounded time, until the contactor is confirmed open; when it was."""
        point, clock = self._point, self._shared.clock
        try:
            async with asyncio.timeout(OPEN_WAIT_S):
                while True:
                    report = point.report
                    if report is not None and not point.live and _confirmed_open(report):
                        return report.opened_at if report.opened_at is not None else clock.monotonic()
                    await point.next_report()
        except TimeoutError:
            log.warning("contactor not confirmed open in time", evse=point.id, waited_s=OPEN_WAIT_S)
        return clock.monotonic()

    async def _register_for_end(self, opened: float) -> Reading | None:
        """The register after the contactor opened. As long as the meter still shows current its registers are those of
        before (meters renew them about once a second): it is asked again, for a bounded time."""
        point, meters = self._point, self._shared.meters
        if point.config.meter is None:
            return Reading(self._shared.clock.monotonic(), 0)
        fresh = await meters.read_fresh(point.id, opened, FRESH_WAIT_S)
        with contextlib.suppress(TimeoutError):  # a welded contact, or current of the domestic socket
            async with asyncio.timeout(SETTLED_S):
                while fresh is not None and _flows(fresh):
                    after = math.nextafter(fresh.at, math.inf)
                    fresh = await meters.read_fresh(point.id, after, FRESH_WAIT_S) or fresh
        if fresh is None:
            log.warning("the meter is silent at the end of a session; its last register counts", evse=point.id)
        return fresh or meters.last(point.id) or point.reading

    async def close_after_restart(self, pending: OpenTransaction) -> None:
        """End a transaction whose car may have left while nobody looked: its last known time, and the register now.
        One that was ending when the restart came ends as it was meant.

        The register has moved only for this car since then: nobody else could charge. A jump that this car cannot have
        drawn (a meter exchanged) is not believed.
        """
        point, shared, wh = self._point, self._shared, pending.last_wh
        shared.changed()  # the permission goes, should the safety process still have one
        reading = await self._register_for_end(await self._contactor_open())
        if reading is not None and 0 <= reading.energy_wh - wh < UNBELIEVABLE_WH:
            wh = reading.energy_wh
        ending = point.ending or Ending(StopReason.POWER_LOSS, None, pending.last)
        log.info(
            "transaction ended by a restart", evse=point.id, tx=pending.tx, reason=ending.reason.value, meter_stop_wh=wh
        )
        await self._write_end(pending.tx, ending, wh, [])
        point.pending = point.ending = None
        point.availability_due()
        shared.backend.outbox_changed()
        shared.changed()

    async def _write_end(self, tx: int, ending: Ending, wh: int, last: list[dict[str, Any]]) -> None:
        """Until the journal has taken it: the end of a session is never given up."""
        for attempt in itertools.count(1):
            if await self._write("end", lambda db: endings.finish(db, tx, ending, wh, last)):
                return
            await asyncio.sleep(min(attempt, 10) * RETRY_WRITE_S)

    async def keep_register(self, tx: int, stamp: Stamp, wh: int) -> None:
        """The register of a running transaction, in case the power is cut."""
        await self._write("register", lambda db: transactions.keep_register(db, tx, stamp, wh))

    async def keep_car(self, tx: int, car: str) -> None:
        """The car's new identity after a restart of the safety process."""
        await self._write("car", lambda db: transactions.keep_car(db, tx, car))

    async def sample(self, tx: int, reading: Reading, context: str, stamp: Stamp) -> None:
        """Put values of the running transaction into the outbox, and keep those that go into its end."""
        settings, evse, connector = self._shared.settings, self._point.id, self._point.session.connector
        aligned = context == "Sample.Clock"
        now_names = settings.aligned_measurands if aligned else settings.sampled_measurands
        end_names = settings.ended_aligned_measurands if aligned else settings.ended_sampled_measurands
        sent = self._values(reading, now_names, context)
        kept = self._values(reading, end_names, context)

        def work(db: sqlite3.Connection) -> None:
            if sent:
                transactions.sampled(db, tx, stamp, evse, sent, connector)
            if kept:
                transactions.keep_sample(db, tx, stamp, kept)
            transactions.keep_register(db, tx, stamp, reading.energy_wh)

        if await self._write("meter values", work):
            self._shared.backend.outbox_changed()

    def _values(self, reading: Reading, measurands: tuple[str, ...], context: str) -> list[dict[str, Any]]:
        return metering.as_json(self._point.values(reading, measurands, context))

    async def _write(self, what: str, work: Callable[[sqlite3.Connection], Any]) -> bool:
        try:
            await self._shared.journal.write(work)
        except sqlite3.Error as error:
            log.error("the journal does not take a write", what=what, evse=self._point.id, error=str(error))
            return False
        return True


def _confirmed_open(report: PointReport) -> bool:
    """The mirror contact falls a moment before the opening is confirmed; till then `opened_at` is an earlier one's."""
    return not report.contactor_closed and report.closed_at is None


def _flows(reading: Reading) -> bool:
    return max((amps for amps in reading.current_a if amps is not None), default=0.0) > FLOWS_A
