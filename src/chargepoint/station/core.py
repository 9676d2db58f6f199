"""The station: its points, and everything that happens to them, brought together.

One event loop, one object. Whatever happens calls `_settle` in the end: effects are carried out, the supply is shared,
permissions and lamps follow, and changed statuses are told. A task that dies ends the process visibly; the
supervisor starts it again and the journal knows what was open.
"""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, Final

import structlog

from chargepoint.config import Config
from chargepoint.connectors import DOMESTIC, TYPE_2
from chargepoint.energy.profiles import Profile, ProfileError
from chargepoint.evse.messages import BorneReport, PointReport
from chargepoint.journal import outbox, store, transactions
from chargepoint.journal.journal import Journal
from chargepoint.journal.stamp import set_offset
from chargepoint.logs import correlate
from chargepoint.meter.reading import BUILDING, Reading
from chargepoint.reader.badge import Badge
from chargepoint.sdnotify import Notifier
from chargepoint.station import endings, metering
from chargepoint.station.api import (
    Backend,
    ConnectorStatus,
    MeterSampled,
    SecurityEvent,
    StatusChanged,
    StopReason,
)
from chargepoint.station.charging_profiles import ChargingProfiles
from chargepoint.station.clock import STEP_S, Clock
from chargepoint.station.departures import Departures
from chargepoint.station.endings import Ending
from chargepoint.station.entrance import Entrance
from chargepoint.station.evse_link import Link
from chargepoint.station.faultlist import FaultList
from chargepoint.station.health import Health
from chargepoint.station.indicators import Indicators
from chargepoint.station.point import Point
from chargepoint.station.power import Power
from chargepoint.station.progress import Progress
from chargepoint.station.reserving import Reserving
from chargepoint.station.settings import Settings
from chargepoint.station.shared import Meters, Shared, Signer
from chargepoint.station.supply import SupplyWatch
from chargepoint.station.uplink import Uplink

log = structlog.get_logger()

TICK_S: Final = 1.0
CLOCK_CHECK_S: Final = 60.0
AVAILABILITY: Final = {TYPE_2: "availability", DOMESTIC: "availability-domestic"}
"""Where the journal keeps it, by connector."""


class StationCore:
    """What runs, and what comes in. Make it, `attach` what talks to it, `await run()`."""

    def __init__(
        self,
        config: Config,
        journal: Journal,
        clock: Clock,
        settings: Settings,
        link: Link,
        step: Callable[[str], None] | None = None,
    ) -> None:
        self.config = config
        self.journal = journal
        self.clock = clock
        self.settings = settings
        rules = config.authorisation
        settings.free_vend_tag, settings.free_vend_evses = rules.free_vend_tag, rules.free_vend_evses
        settings.fleet_group, settings.fleet_unattended = rules.fleet_group, rules.fleet_unattended
        self.link = link
        self.faults = FaultList()
        """Those of no point."""
        self.last_badges: dict[int, Badge] = {}
        """By reader: the last badge shown."""
        self.readers: dict[int, str] = {}
        """By reader: why it does not work; empty when it does."""
        self.power = Power(config)
        self.profiles = ChargingProfiles(config, journal, clock)
        self.departures = Departures(journal, clock, config.supply.voltage)
        self.started_at = clock.monotonic()
        run_dir = config.station.run_dir
        self.progress = Progress()
        self.notifier = Notifier()
        self.health = Health(journal, clock, self.faults, run_dir, self._spawn)
        self.uplink = Uplink(config.modem, journal, self.faults, self.health.kpis, self._spawn)
        self.supply = SupplyWatch(config, self.profiles, self.faults, self.started_at, self._settle)
        self.restart_requested = False
        """`run` ended because of a reset: the process is to be started again."""
        self._step = step or (lambda name: None)
        self._tasks: asyncio.TaskGroup | None = None
        self._early: list[Coroutine[Any, Any, None]] = []
        self._stopping = asyncio.Event()
        self._settling = False
        self._settled = asyncio.Event()
        self._again = False
        self._operative = True
        self._aligned_at = float("inf")
        self._offset_kept = float("-inf")
        self._clock_checked_at = clock.monotonic()
        self._runners: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self._listeners: list[Callable[[str, dict[str, Any]], None]] = []
        self._told_station: tuple[ConnectorStatus, str | None] | None = None
        self.points: dict[int, Point] = {}

    def attach(
        self,
        backend: Backend,
        meters: Meters,
        runners: list[Callable[[], Coroutine[Any, Any, None]]] | None = None,
        signer: Signer | None = None,
    ) -> None:
        """Give it what was made after it: the central system's room, the meters, and whatever else is to `run`."""
        self.backend = backend
        self.meters = meters
        self.health.meters = meters
        self._runners = list(runners or [])
        shared = Shared(
            clock=self.clock,
            journal=self.journal,
            link=self.link,
            settings=self.settings,
            backend=backend,
            meters=meters,
            spawn=self._spawn,
            changed=self._settle,
            step=self._step,
            indicators=Indicators.of(self.config.lamps, self.config.buzzer),
            signer=signer,
        )
        volts = self.config.supply.voltage
        self.points = {section.id: Point(section, shared, volts) for section in self.config.evse}
        correlate(self._transaction_at)
        self.reserving = Reserving(self.points, self.journal, self.clock)
        self.entrance = Entrance(self.points, shared, self.reserving)
        self.link.attach(self)
        self.progress.watch("safety process's link", lambda: self.link.turns)

    def _transaction_at(self, evse: int) -> int | None:
        point = self.points.get(evse)
        return point.session.tx if point is not None else None

    # Running

    async def run(self) -> None:
        """Until `stop_running` or a reset. An error in any task ends it with that error."""
        await self.backend.load()
        await self._recover()
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                for early in self._early:
                    tasks.create_task(early)
                self._early.clear()
                running = [tasks.create_task(runner()) for runner in self._runners]
                running += [tasks.create_task(self.link.run()), tasks.create_task(self.meters.run())]
                running.append(tasks.create_task(self._tick_for_ever()))
                self.notifier.ready()
                await self._stopping.wait()
                self.notifier.stopping()
                for task in running:
                    task.cancel()
                raise _Stopped
        except* _Stopped:
            await self.health.stopping(self.restart_requested)
        finally:
            self._tasks = None
            for point in self.points.values():
                point.session.close()

    def stop_running(self) -> None:
        """End `run` cleanly: open transactions stay open in the journal and go on after the restart."""
        self._stopping.set()

    async def _recover(self) -> None:
        """Open transactions, availability and charging profiles of before."""
        await self.profiles.recover()
        await self.departures.recover()
        await self.health.recover()
        await self.uplink.recover()
        await self.reserving.recover()
        found = await self.journal.read(transactions.open_transactions)
        for transaction in found:
            point = self.points.get(transaction.evse)
            ending = await self.journal.read(lambda db, tx=transaction.tx: endings.of(db, tx))  # type: ignore[misc]
            if point is None or point.pending is not None:
                tx, wh = transaction.tx, transaction.last_wh
                log.warning("open transaction of no point is closed", tx=tx, evse=transaction.evse)
                ending = ending or Ending(StopReason.POWER_LOSS, None, transaction.last)
                await self.journal.write(
                    lambda db, tx=tx, ending=ending, wh=wh: endings.finish(db, tx, ending, wh)  # type: ignore[misc]
                )
            else:
                point.pending, point.ending = transaction, ending
        for number, area in AVAILABILITY.items():
            kept = await self.journal.read(lambda db, area=area: store.items(db, area))  # type: ignore[misc]
            for key, value in kept.items():
                if key.isdecimal():
                    self._recover_availability(int(key), number, value)
                else:
                    log.warning("a stored availability is of no point and is left out", point=key)
        await self._keep_offset()
        self._schedule_aligned()

    def _recover_availability(self, evse: int, number: int, value: dict[str, Any]) -> None:
        operative = bool(value.get("scheduled", value.get("operative", True)))
        point = self.points.get(evse)
        if evse == 0:
            self._operative = operative
        elif point is not None and number in point.connectors:
            connector = point.connectors[number]
            connector.kept_out = bool(value.get("kept_out", False))
            connector.updating = bool(value.get("updating", not operative and not connector.kept_out))
            if point.pending is not None and point.pending.connector == number and "scheduled" in value:
                connector.operative = bool(value.get("operative", True))
                connector.scheduled = bool(value["scheduled"])
            else:
                connector.operative = operative

    async def _tick_for_ever(self) -> None:
        while True:
            self.tick()
            await asyncio.sleep(TICK_S)

    def tick(self) -> None:
        """A second has passed: timers, sharing, what is due."""
        now = self.clock.monotonic()
        self.entrance.tick(now)
        for point in self.points.values():
            point.tick(now)
            if (bay := point.look_at_bay(now)) is not None:
                self.backend.notify(bay)
        if now - self._clock_checked_at >= CLOCK_CHECK_S:
            self._clock_checked_at = now
            before = self.clock.now()
            if self.clock.check():
                self._clock_set(before)
        if self.clock.utc() >= self._aligned_at:
            self._aligned_due()
        self.faults.own("clock-unsynchronised", not self.clock.synchronised, now)
        self.progress.tick()
        self.notifier.alive()
        for (outcome, by), count in self.entrance.take_outcomes().items():
            self.health.kpis.add("authorisations_total", count, outcome=outcome, by=by)
        online = self.backend.online or not self.config.ocpp.url
        self.uplink.tick(self.backend.reachable or not self.config.ocpp.url, self._idle(), now)
        self.health.tick(self.points, online, now)
        self._settle()

    def _idle(self) -> bool:
        """Nobody uses the borne, nobody is about to, and every plug is known to be out, in service or not."""
        return not any(self.entrance.waiting) and all(
            point.session.state == "idle" and point.pending is None and point.report is not None
            and not point.session.plugged and all(c.came_at is None for c in point.connectors.values())
            for point in self.points.values()
        )  # fmt: skip

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        if self._stopping.is_set():
            work.close()  # what it would have done is in the journal's open transactions, for the next start
        elif self._tasks is None:
            self._early.append(work)
        else:
            self._tasks.create_task(work)

    def _settle(self) -> None:
        """Bring everything that follows from the facts up to date. Safe to call from anywhere, also from itself."""
        if self._settling:
            self._again = True
            return
        self._settling = True
        try:
            self._again = True
            while self._again:
                self._again = False
                self._settle_once()
        finally:
            self._settling = False
            self._settled.set()

    def _settle_once(self) -> None:
        now = self.clock.monotonic()
        self.entrance.tick(now)
        points = list(self.points.values())
        for point in points:
            if point.carry_out():
                self._again = True
        self._limit(points, now)
        self.power.share(points, now, self.departures.factors(points, now))
        for ended in self.reserving.prune():
            self._spawn(self.reserving.forget(ended.id))
        for point in points:
            held = self.reserving.shown_at(point.id)
            point.show_reservation(held)
            told = point.settle(now, self._operative)
            permit = point.permit()
            if permit is not None:
                self.link.permit(permit)
            self.link.lamps(point.lamps(now, self.power.waits_for(point, now)))
            for news in told:
                what = {"evse": news.evse, "status": news.status.value, "error": news.error}
                what |= {"connector": news.connector} if news.connector != TYPE_2 else {}
                log.info("status", **what)
                self.backend.notify(news)
                self._tell("status", what)
        self.health.settled(self.points, self.power.least_a, now)
        whole = self.status_of(0)
        if (whole.status, whole.error) != self._told_station:
            self._told_station = (whole.status, whole.error)
            self.backend.notify(whole)

    def _limit(self, points: list[Point], now: float) -> None:
        """What operator and supply allow now."""
        begun, ended = self.profiles.follow(points, now)
        for evse in ended:
            self._spawn(self.profiles.ended(evse))
        for point in begun:
            profile = point.session.grant.profile if point.session.grant is not None else None
            if profile is not None:
                self._spawn(self._begin_with(point, profile))
        for point in points:
            self.profiles.limit(point, now)
        self.power.supply = self.supply.update(points, now)

    async def _begin_with(self, point: Point, profile: Profile) -> None:
        try:
            await self.profiles.started(point, profile)
        except ProfileError as error:
            log.warning("the profile of a remote start cannot be", evse=point.id, error=str(error))
        self._settle()

    # What the safety process tells

    def point_reported(self, report: PointReport) -> None:
        point = self.points.get(report.evse)
        if point is None:
            return
        session = point.session
        before = session.state, session.connector
        point.reported(report, self.clock.monotonic())
        if session.state == "waiting_auth" and before != (session.state, session.connector):
            self.entrance.plugged(report.evse)
        self._settle()

    def borne_reported(self, report: BorneReport) -> None:
        self.faults.reported(report.faults)
        self.supply.contacts_read(report.grid_closed)
        self.health.loop_late(report.late_max_ms)
        now = self.clock.monotonic()
        for name in ("emergency-stop", "door-open"):
            on = any(f.name == name for f in report.faults)
            for point in self.points.values():
                point.faults.own(name, on, now)
                point.end_if_overdue(now)  # an emergency stop may be over before the next tick
        self._settle()

    def evse_found(self) -> None:
        now = self.clock.monotonic()
        self.faults.own("evse-process-lost", False, now)
        for point in self.points.values():
            point.faults.own("evse-process-lost", False, now)

    def evse_lost(self, why: str) -> None:
        now = self.clock.monotonic()
        self.faults.own("evse-process-lost", True, now, why)
        for point in self.points.values():
            point.link_lost()
            point.faults.own("evse-process-lost", True, now, why)
        self._settle()

    # What the meters and readers tell

    def meter_read(self, evse: int, reading: Reading) -> None:
        point = self.points.get(evse)
        if evse == BUILDING:
            self.supply.building_read(reading)
        elif point is not None and point.read(reading, self.clock.monotonic()):
            self._settle()

    def meter_lost(self, evse: int, why: str) -> None:
        point = self.points.get(evse)
        if point is not None and point.faults.own("meter-lost", True, self.clock.monotonic(), why):
            self._settle()

    def meter_found(self, evse: int) -> None:
        point = self.points.get(evse)
        if point is not None and point.faults.own("meter-lost", False, self.clock.monotonic()):
            self._settle()

    def badge(self, badge: Badge) -> None:
        """Somebody showed a badge."""
        section = next((r for r in self.config.reader if r.id == badge.reader), None)
        evses = self.config.reader_evses(section) if section is not None else tuple(self.points)
        self.last_badges[badge.reader] = badge
        self._tell("badge", {"reader": badge.reader})
        self.entrance.badge(badge.token, evses)
        self._settle()

    def reader_state(self, reader: int, ok: bool, why: str) -> None:
        """A reader was found or lost."""
        self.readers[reader] = "" if ok else why
        detail = why if len(self.config.reader) == 1 else f"reader {reader}: {why}"
        if self.faults.own("reader-lost", not ok, self.clock.monotonic(), detail):
            self._settle()

    def status_of(self, evse: int, connector: int = TYPE_2) -> StatusChanged:
        if evse != 0:
            return self.points[evse].status_changed(connector)
        operative = any(p.operative for p in self.points.values()) and self._operative
        status = ConnectorStatus.AVAILABLE if operative else ConnectorStatus.UNAVAILABLE
        worst = next((f for f in self.faults if f.row.faulted), None)
        if worst is not None:
            status = ConnectorStatus.FAULTED
        shown = worst or next((f for f in self.faults if f.name not in _NOT_TOLD), None)
        name, detail = (shown.name, shown.detail) if shown is not None else (None, "")
        return StatusChanged(0, status, name, detail, self.clock.now())

    def _clock_set(self, before: datetime) -> None:
        """The clock found a source, or was moved. It is a security event only when it was a step."""
        now = self.clock.now()
        log.info("clock set", source=self.clock.source, was=before.isoformat(), now=now.isoformat())
        self._spawn(self._keep_offset())
        self._schedule_aligned()
        if abs((now - before).total_seconds()) >= STEP_S:
            info = f"{before.isoformat()} to {now.isoformat()} ({self.clock.source})"
            self.backend.notify(SecurityEvent("SettingSystemTime", info, now))

    async def clock_kept(self) -> None:
        """What is known of the time by now is in the journal: stamps of before it was known can be told."""
        await self._keep_offset()

    async def _keep_offset(self) -> None:
        boot, offset = self.clock.boot, self.clock.offset
        if not self.clock.synchronised or abs(offset - self._offset_kept) < STEP_S:
            return
        await self.journal.write(lambda db: set_offset(db, boot, offset))
        self._offset_kept = offset

    # Clock-aligned values

    def _schedule_aligned(self) -> None:
        interval = self.settings.aligned_interval_s
        known = interval > 0 and self.clock.synchronised
        self._aligned_at = metering.aligned(self.clock.utc(), interval) if known else float("inf")

    def _aligned_due(self) -> None:
        """Values of an instant aligned to midnight UTC: of transactions by the journal, of other points at once."""
        due = self._aligned_at
        self._schedule_aligned()
        stamp = self.clock.stamp(due - self.clock.offset)
        at = self.clock.utc_of(stamp.mono)
        for point in self.points.values():
            if point.session.state == "running":
                point.sample("Sample.Clock", stamp)
            else:
                values = point.present_values(self.settings.aligned_measurands, "Sample.Clock")
                if values and not self.meters.lost(point.id):
                    self.backend.notify(MeterSampled(point.id, at, tuple(values)))

    # Subscribers of the control socket

    def subscribe(self, listener: Callable[[str, dict[str, Any]], None]) -> Callable[[], None]:
        """Tell this listener what happens; the result ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def queue(self) -> int:
        """Messages that wait for the central system."""
        return await self.journal.read(outbox.count)

    def in_service(self) -> tuple[tuple[int, int], ...]:
        """As `StationApi.in_service`."""
        if not self._operative:
            return ()
        connectors = ((p.id, c) for p in self.points.values() for c in p.connectors.values())
        return tuple((evse, c.number) for evse, c in connectors if c.operative and c.scheduled is not False)

    def _tell(self, kind: str, what: dict[str, Any]) -> None:
        for listener in list(self._listeners):
            listener(kind, what)


class _Stopped(Exception):
    """Ends the task group from inside."""


_NOT_TOLD: Final = frozenset({"clock-unsynchronised", "backend-offline"})
"""Faults the central system cannot be told, or knows already."""
