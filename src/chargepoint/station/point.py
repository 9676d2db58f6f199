"""One point of the station: its session, everything that is known of it, and what it does about the session's effects.

The pure parts decide (`session`, `status`, `energy.limits`); this object holds the present facts, carries out
effects, and is the only place from which a permission for the point comes.
"""

import asyncio
import sqlite3
from typing import Final

import structlog

from chargepoint.config import EvseSection
from chargepoint.energy.limits import Limit, Limits
from chargepoint.evse.messages import Lamps, Permit, PointReport
from chargepoint.journal import transactions
from chargepoint.journal.stamp import Stamp
from chargepoint.journal.transactions import OpenTransaction
from chargepoint.meter.reading import Reading
from chargepoint.station import indicators, metering, status
from chargepoint.station.api import ConnectorStatus, MeterValue, StatusChanged, StopReason
from chargepoint.station.badges import View
from chargepoint.station.faultlist import Active, FaultList, blocking, overdue
from chargepoint.station.session import Begin, Dropped, End, Grant, Session, TimedOut
from chargepoint.station.shared import Shared

log = structlog.get_logger()

OPEN_WAIT_S: Final = 12.0
"""The contactor is confirmed open within 6 s of the car being told (IEC 61851-1, A.5.3); then the lease's remainder."""
FRESH_WAIT_S: Final = 4.0
"""How long a fresh register is waited for before the last good one is taken."""
KEEP_REGISTER_S: Final = 60.0
"""The register of a running transaction is on the disk at least so often."""
RESTART_GAP_S: Final = 15.0
"""A safety process that is back within this time has the same car, if it has one: the lock held."""
SETTLE_AFTER_BOOT_S: Final = 0.5
"""What a newly started safety process says of the pilot is believed after this time."""
RETRY_WRITE_S: Final = 2.0


class Point:
    """The live state of one point. Event-loop only."""

    def __init__(self, config: EvseSection, shared: Shared) -> None:
        self.config = config
        self.id = config.id
        self._shared = shared
        self.session = Session(shared.settings)
        self.faults = FaultList()
        self.limits = Limits()
        self.report: PointReport | None = None
        """What the safety process said last; None while there is no link to it."""
        self.reading: Reading | None = None
        self.operative = True
        """In service, as the operator and the technician want it."""
        self.scheduled: bool | None = None
        """Availability that comes with the end of the transaction."""
        self.reserved_for: str | None = None
        """Token of a reservation that holds the point."""
        self.reservation: int | None = None
        """Id of that reservation."""
        self.offered_a = 0.0
        """What the station lets the car have, A; 0 when nothing."""
        self.reason = ""
        """Why no more: a key of `energy.allocator.REASONS`."""
        self.withheld = ""
        """Why energy is withheld from a running transaction; empty when it is not."""
        self.more_wh: int | None = None
        """Energy that may still be delivered after the token was found invalid, counted from `invalid_wh`."""
        self.invalid_wh = 0
        self.meter_start_wh = 0
        self.pending: OpenTransaction | None = None
        """A transaction of before a restart, until its car has been seen or missed."""
        self.status = ConnectorStatus.UNAVAILABLE
        self.status_at = shared.clock.monotonic()
        self._told: tuple[ConnectorStatus, str | None] | None = None
        self._begun_at = float("-inf")
        self._boot = ""
        self._reported_at = float("-inf")
        self._trust_from = float("-inf")
        self._closing = False
        self._kept_at = float("-inf")
        self._next_sample = float("inf")
        self._moment: tuple[str, float] = ("", float("-inf"))
        self._reported = asyncio.Event()

    # What comes in

    def reported(self, report: PointReport, now: float) -> None:
        """The safety process told the point's state."""
        if report.boot != self._boot:
            if self._boot and self.session.car is not None and now - self._reported_at < RESTART_GAP_S:
                self._trust_from = now + SETTLE_AFTER_BOOT_S
            self._boot = report.boot
        self.report = report
        self._reported_at = now
        self._reported.set()
        self.faults.reported(report.faults)
        self._limits_of(report, now)
        if now < self._trust_from:
            return
        if self._trust_from > float("-inf"):
            self._trust_from = float("-inf")
            self._same_car_after_restart(report)
        self._see_car(report, now)

    def link_lost(self) -> None:
        """Nothing is known of the pins any more; the lease runs out by itself."""
        self.report = None
        self._reported.set()

    def _limits_of(self, report: PointReport, now: float) -> None:
        self.limits.set(Limit("socket", "configuration", self.config.max_current, now))
        if report.cable_a is None:
            self.limits.clear("cable")
        else:
            self.limits.set(Limit("cable", "proximity contact", report.cable_a, now))
        if report.derate < 1.0:
            derated = round(self.config.max_current * report.derate, 1)
            self.limits.set(Limit("temperature", "safety process", derated, now))
        else:
            self.limits.clear("temperature")

    def _same_car_after_restart(self, report: PointReport) -> None:
        """The safety process was away for a moment: a car that is still there is taken for the same."""
        if report.state[:1] in "BCD" and self.session.car is not None:
            car = _identity(report)
            self.session.rename_car(car)
            tx = self.session.tx
            if tx is not None:
                self._shared.spawn(self._rename(tx, car))

    async def _rename(self, tx: int, car: str) -> None:
        try:
            await self._shared.journal.write(lambda db: transactions.keep_car(db, tx, car))
        except sqlite3.Error as error:
            log.error("journal does not take a write", what="car", tx=tx, error=str(error))

    def _see_car(self, report: PointReport, now: float) -> None:
        if self.pending is not None:
            self._resume_or_close(self.pending, report, now)
        if report.plugged:
            self.session.cable(True, now)
        letter = report.state[:1]
        if letter in "BCD":
            self.session.car_is(_identity(report), now)
        elif letter == "A" or not report.plugged:
            self.session.car_is(None, now)
        if not report.plugged and self.session.car is None:
            self.session.cable(False, now)

    def _resume_or_close(self, pending: OpenTransaction, report: PointReport, now: float) -> None:
        if self._closing:
            return
        same = report.plugged and report.state[:1] in "BCDEF" and self._never_left(pending, report, now)
        if same and self._shared.settings.resume_after_restart:
            log.info("transaction goes on after a restart", evse=self.id, tx=pending.tx)
            grant = Grant(pending.token, pending.group, "resumed", pending.reservation)
            self.meter_start_wh = pending.meter_start_wh
            self.session.resumed(pending.tx, grant, _identity(report), now)
            self._begun_at = now
            self._schedule_sample(now)
            self.pending = None
            return
        self._closing = True
        self._shared.spawn(self._close_after_restart(pending))

    def _never_left(self, pending: OpenTransaction, report: PointReport, now: float) -> bool:
        if pending.car == _identity(report):
            return True
        # Both processes were started anew in one boot, and the plug was held by its lock in between.
        gap = now - pending.last.mono
        return pending.last.boot == self._shared.clock.boot and 0 <= gap < KEEP_REGISTER_S + RESTART_GAP_S

    async def _close_after_restart(self, pending: OpenTransaction) -> None:
        """End a transaction whose car may have left while nobody looked: its last known time, and the register now.

        The register has moved only for this car since then: nobody else could charge. A jump that this car cannot have
        drawn (a meter exchanged) is not believed.
        """
        wh = pending.last_wh
        reading = await self._shared.meters.read_fresh(self.id, self._shared.clock.monotonic(), FRESH_WAIT_S)
        if reading is not None and 0 <= reading.energy_wh - wh < _UNBELIEVABLE_WH:
            wh = reading.energy_wh
        log.info("transaction ended by a restart", evse=self.id, tx=pending.tx, meter_stop_wh=wh)
        await self._write_end(pending.tx, pending.last, wh, StopReason.POWER_LOSS, None)
        self.pending, self._closing = None, False
        self._shared.backend.outbox_changed()
        self._shared.changed()

    def read(self, reading: Reading, now: float) -> None:
        """The meter told a reading."""
        self.reading = reading
        session = self.session
        if session.state != "running" or session.tx is None:
            return
        if self.more_wh is not None and reading.energy_wh - self.invalid_wh >= self.more_wh and not self.withheld:
            self.withheld = "invalid-token"
        if now - self._kept_at >= KEEP_REGISTER_S:
            self._kept_at = now
            tx, wh, stamp = session.tx, reading.energy_wh, self._shared.clock.stamp(reading.at)
            self._shared.spawn(self._keep(tx, stamp, wh))

    async def _keep(self, tx: int, stamp: Stamp, wh: int) -> None:
        try:
            await self._shared.journal.write(lambda db: transactions.keep_register(db, tx, stamp, wh))
        except sqlite3.Error as error:
            log.error("journal does not take a write", what="register", tx=tx, error=str(error))

    def tick(self, now: float) -> None:
        """A second has passed."""
        self.session.tick(now)
        self.limits.expire(now)
        if self.session.state == "running":
            worst = overdue(self.faults, now)
            if worst is not None:
                reason = StopReason.EMERGENCY_STOP if worst.name == "emergency-stop" else StopReason.OTHER
                log.warning("session ended by a fault", evse=self.id, fault=worst.name, detail=worst.detail)
                self.session.stop(reason, None, now)
            elif now >= self._next_sample:
                self._schedule_sample(now)
                self._shared.spawn(self.sample("Sample.Periodic", self._shared.clock.stamp()))

    # Carrying out the session's effects

    def carry_out(self) -> bool:
        """Start what the session asks for; True when there was something."""
        effects, self.session.effects = self.session.effects, []
        for effect in effects:
            match effect:
                case Begin():
                    self._shared.spawn(self._begin(effect))
                case End():
                    self._shared.spawn(self._end(effect))
                case Dropped():
                    log.info("authorisation came to nothing", evse=self.id, how=effect.grant.how)
                case TimedOut():
                    log.info("plugged but not authorised in time", evse=self.id)
        return bool(effects)

    async def _begin(self, begin: Begin) -> None:
        shared, grant = self._shared, begin.grant
        reading = await self._register_for_start()
        if reading is None:
            log.error("no session without a meter", evse=self.id)
            self.session.begin_failed()
            self.moment("refused")
            shared.changed()
            return
        stamp = shared.clock.stamp()
        connector = self.report.connector if self.report is not None else 1
        values = self._values(reading, shared.settings.ended_sampled_measurands, "Transaction.Begin")
        kept = metering.as_json(values)

        def write(db: sqlite3.Connection) -> int:
            tx = transactions.begin(
                db,
                self.id,
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

        shared.step("start-read")
        try:
            tx = await shared.journal.write(write)
        except sqlite3.Error as error:
            log.error("the start of a session could not be recorded", evse=self.id, error=str(error))
            self.session.begin_failed()
            self.moment("refused")
            shared.changed()
            return
        shared.step("start-durable")
        now = shared.clock.monotonic()
        self.meter_start_wh = reading.energy_wh
        self.withheld, self.more_wh = "", None
        self._begun_at = self._kept_at = now
        self._schedule_sample(now)
        log.info("session begun", evse=self.id, tx=tx, how=grant.how, meter_start_wh=reading.energy_wh)
        self.session.begun(tx)
        shared.backend.outbox_changed()
        shared.changed()

    async def _register_for_start(self) -> Reading | None:
        """The register before the contactor closes; it stands still then, so any reading since it opened is right."""
        clock, meters = self._shared.clock, self._shared.meters
        if self.config.meter is None:
            return Reading(clock.monotonic(), 0)
        last = meters.last(self.id)
        opened = self.report.opened_at if self.report is not None else None
        since = opened if opened is not None else clock.monotonic() - 5.0
        if last is not None and not meters.lost(self.id) and last.at > since + 1.0:
            return last
        return await meters.read_fresh(self.id, clock.monotonic(), FRESH_WAIT_S)

    async def _end(self, end: End) -> None:
        shared = self._shared
        shared.changed()  # the permission goes first
        opened = await self._contactor_open()
        reading = await self._register_for_end(opened)
        wh = reading.energy_wh if reading is not None else self.meter_start_wh
        at = shared.clock.stamp(reading.at if reading is not None else None)
        if reading is not None:
            values = self._values(reading, shared.settings.ended_sampled_measurands, "Transaction.End")
            if values:
                await self._keep_sample(end.tx, at, values)
        shared.step("end-read")
        await self._write_end(end.tx, at, wh, end.reason, end.token)
        shared.step("end-durable")
        log.info("session ended", evse=self.id, tx=end.tx, reason=end.reason, meter_stop_wh=wh)
        shared.backend.outbox_changed()
        self.session.ended(shared.clock.monotonic())
        if self.scheduled is not None:
            self.operative, self.scheduled = self.scheduled, None
        shared.changed()

    async def _contactor_open(self) -> float:
        """Wait, for a bounded time, until the contactor is confirmed open; when it was."""
        clock = self._shared.clock
        try:
            async with asyncio.timeout(OPEN_WAIT_S):
                while True:
                    report = self.report
                    if report is not None and not report.contactor_commanded and not report.contactor_closed:
                        return report.opened_at if report.opened_at is not None else clock.monotonic()
                    self._reported.clear()
                    await self._reported.wait()
        except TimeoutError:
            log.warning("contactor not confirmed open in time", evse=self.id, waited_s=OPEN_WAIT_S)
        return clock.monotonic()

    async def _register_for_end(self, opened: float) -> Reading | None:
        meters = self._shared.meters
        if self.config.meter is None:
            return Reading(self._shared.clock.monotonic(), 0)
        fresh = await meters.read_fresh(self.id, opened, FRESH_WAIT_S)
        if fresh is None:
            log.warning("the meter is silent at the end of a session; its last register counts", evse=self.id)
        return fresh or meters.last(self.id) or self.reading

    async def _write_end(self, tx: int, stamp: Stamp, wh: int, reason: StopReason, token: str | None) -> None:
        """Until the journal has taken it: the end of a session is never given up."""
        while True:
            try:
                await self._shared.journal.write(lambda db: transactions.end(db, tx, stamp, wh, reason.value, token))
            except sqlite3.Error as error:
                log.error("the end of a session could not be recorded yet", evse=self.id, tx=tx, error=str(error))
                await asyncio.sleep(RETRY_WRITE_S)
            else:
                return

    # Meter values

    def _values(self, reading: Reading, measurands: tuple[str, ...], context: str) -> list[MeterValue]:
        temperature = self.report.temperature_c if self.report is not None else None
        offered = self.report.offered_a if self.report is not None else 0.0
        return metering.values(reading, measurands, context, offered, self.config.phases, temperature)

    def present_values(self, measurands: tuple[str, ...], context: str) -> list[MeterValue]:
        """Values of the last reading, empty before the first one."""
        return [] if self.reading is None else self._values(self.reading, measurands, context)

    def _schedule_sample(self, now: float) -> None:
        interval = self._shared.settings.sample_interval_s
        self._next_sample = now + interval if interval > 0 else float("inf")

    def settings_changed(self, now: float) -> None:
        """Timers begin anew."""
        if self.session.state == "running":
            self._schedule_sample(now)

    async def sample(self, context: str, stamp: Stamp) -> None:
        """Put values of the running transaction into the outbox, and keep those that go into its end."""
        settings, tx = self._shared.settings, self.session.tx
        if tx is None or self.reading is None or self._shared.meters.lost(self.id):
            return
        aligned = context == "Sample.Clock"
        now_names = settings.aligned_measurands if aligned else settings.sampled_measurands
        end_names = settings.ended_aligned_measurands if aligned else settings.ended_sampled_measurands
        sent = metering.as_json(self.present_values(now_names, context))
        kept = metering.as_json(self.present_values(end_names, context))
        wh = self.reading.energy_wh
        self._kept_at = self._shared.clock.monotonic()

        def write(db: sqlite3.Connection) -> None:
            if sent:
                transactions.sampled(db, tx, stamp, self.id, sent)
            if kept:
                transactions.keep_sample(db, tx, stamp, kept)
            transactions.keep_register(db, tx, stamp, wh)

        try:
            await self._shared.journal.write(write)
        except sqlite3.Error as error:
            log.error("journal does not take a write", what="meter values", tx=tx, error=str(error))
            return
        self._shared.backend.outbox_changed()

    async def _keep_sample(self, tx: int, stamp: Stamp, values: list[MeterValue]) -> None:
        kept = metering.as_json(values)
        try:
            await self._shared.journal.write(lambda db: transactions.keep_sample(db, tx, stamp, kept))
        except sqlite3.Error as error:
            log.error("journal does not take a write", what="last values", tx=tx, error=str(error))

    # What follows from the facts

    def fault(self) -> Active | None:
        """The worst fault that stops the point."""
        return blocking(self.faults)

    @property
    def usable(self) -> bool:
        """A new session may begin here."""
        return self.operative and self.fault() is None and self.pending is None

    @property
    def wants(self) -> bool:
        """The car may have current now, if there is any."""
        session = self.session
        return (
            session.state in ("starting", "running")
            and session.connected
            and not session.ending
            and not self.withheld
            and self.fault() is None
        )

    @property
    def permitted(self) -> bool:
        return self.session.state == "running" and self.wants and self.offered_a > 0

    def permit(self) -> Permit:
        """The permission as it follows from everything known."""
        return Permit(
            evse=self.id,
            allowed=self.permitted,
            current_a=self.offered_a if self.permitted else 0.0,
            hold_lock=self.session.holds_lock or self.pending is not None,
        )

    def moment(self, kind: str) -> None:
        """Show something for a moment (a row of `indicators.MOMENTS`)."""
        self._moment = (kind, self._shared.clock.monotonic() + indicators.MOMENT_S)

    def lamps(self, now: float) -> Lamps:
        kind, until = self._moment
        if kind and now < until:
            return Lamps(self.id, indicators.MOMENTS[kind])
        return Lamps(self.id, indicators.BY_STATUS[self.status])

    def settle(self, now: float, station_operative: bool, reserved: bool) -> StatusChanged | None:
        """Work the status out anew; the news for the backend, or None."""
        derived = status.derive(
            self.session,
            self.report,
            self.permitted,
            self.status,
            now - self._begun_at,
            self.operative and station_operative,
            self.fault() is not None,
            reserved,
        )
        if derived is not self.status:
            self.status, self.status_at = derived, now
        told = (self.status, self._error())
        if told == self._told:
            return None
        self._told = told
        return self.status_changed()

    def _error(self) -> str | None:
        return next((f.name for f in self.faults), None)

    def status_changed(self) -> StatusChanged:
        """The present status as the backend is told it."""
        worst = next(iter(self.faults), None)
        detail = worst.detail if worst is not None else ""
        at = self._shared.clock.utc_of(self.status_at)
        return StatusChanged(self.id, self.status, self._error(), detail, at)

    def view(self, usable: bool, reserved: bool) -> View:
        """As the decision about a badge sees it."""
        session = self.session
        grant = session.grant
        return View(
            self.id,
            session.state,
            grant.token if grant is not None else None,
            grant.group if grant is not None else None,
            session.connected,
            session.plugged_at,
            session.ended_at,
            session.retained,
            usable,
            reserved,
        )


_UNBELIEVABLE_WH: Final = 5000


def _identity(report: PointReport) -> str:
    return f"{report.boot}:{report.plug_count}"
