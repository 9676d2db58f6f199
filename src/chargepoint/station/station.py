"""The station: its points, and everything that happens to them, brought together.

One event loop, one object. Whatever happens calls `_settle` in the end: effects are carried out, the supply is shared,
permissions and lamps follow, and changed statuses are told. A task that dies ends the process visibly; the
supervisor starts it again and the journal knows what was open.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, Final

import structlog

from chargepoint.config import Config
from chargepoint.evse.messages import BorneReport, PointReport
from chargepoint.journal import outbox, store, tokens, transactions
from chargepoint.journal.journal import Journal
from chargepoint.journal.stamp import set_offset
from chargepoint.meter.reading import Reading
from chargepoint.reader.badge import Badge
from chargepoint.station import authorisation, metering
from chargepoint.station.api import (
    Authorization,
    Backend,
    ConnectorStatus,
    MeterSampled,
    Outcome,
    SecurityEvent,
    StatusChanged,
    StopReason,
)
from chargepoint.station.clock import Clock
from chargepoint.station.entrance import Entrance
from chargepoint.station.evse_link import Link, LinkLost
from chargepoint.station.faultlist import FaultList
from chargepoint.station.point import Point
from chargepoint.station.power import Power
from chargepoint.station.settings import Settings
from chargepoint.station.shared import Meters, Shared

log = structlog.get_logger()

TICK_S: Final = 1.0
STOP_WAIT_S: Final = 20.0
UNLOCK_WAIT_S: Final = 10.0
RESET_WAIT_S: Final = {False: 30.0, True: 5.0}
"""How long a reset waits for transactions to end: soft, hard."""
CLOCK_CHECK_S: Final = 60.0
_AVAILABILITY: Final = "availability"
_BUSY: Final = ("starting", "running", "stopping")
_POLL_S: Final = 0.1


class Station:
    """The business core. Make it, `attach` what talks to it, `await run()`."""

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
        self.link = link
        self.faults = FaultList()
        """Those of no point."""
        self.power = Power(config.supply)
        self.started_at = clock.monotonic()
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
    ) -> None:
        """Give it what was made after it: the central system's room, the meters, and whatever else is to `run`."""
        self.backend = backend
        self.meters = meters
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
        )
        self.points = {section.id: Point(section, shared) for section in self.config.evse}
        self.entrance = Entrance(self.points, shared)
        self.link.attach(self)

    # Running

    async def run(self) -> None:
        """Until `stop_running` or a reset. An error in any task ends it with that error."""
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
                await self._stopping.wait()
                for task in running:
                    task.cancel()
                raise _Stopped
        except* _Stopped:
            pass
        finally:
            self._tasks = None
            for point in self.points.values():
                point.session.close()

    def stop_running(self) -> None:
        """End `run` cleanly: open transactions stay open in the journal and go on after the restart."""
        self._stopping.set()

    async def _recover(self) -> None:
        """Open transactions and availability of before."""
        found = await self.journal.read(transactions.open_transactions)
        for transaction in found:
            point = self.points.get(transaction.evse)
            if point is None or point.pending is not None:
                stamp, wh, tx = transaction.last, transaction.last_wh, transaction.tx
                log.warning("open transaction of no point is closed", tx=tx, evse=transaction.evse)
                await self.journal.write(
                    lambda db, tx=tx, stamp=stamp, wh=wh: transactions.end(  # type: ignore[misc]
                        db, tx, stamp, wh, StopReason.POWER_LOSS.value, None
                    )
                )
            else:
                point.pending = transaction
        kept = await self.journal.read(lambda db: store.items(db, _AVAILABILITY))
        for key, value in kept.items():
            operative = bool(value.get("scheduled", value.get("operative", True)))
            if key == "0":
                self._operative = operative
            elif int(key) in self.points:
                point = self.points[int(key)]
                if point.pending is not None and "scheduled" in value:
                    point.operative, point.scheduled = bool(value.get("operative", True)), bool(value["scheduled"])
                else:
                    point.operative = operative
        await self._keep_offset()
        self._schedule_aligned()

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
        if now - self._clock_checked_at >= CLOCK_CHECK_S:
            self._clock_checked_at = now
            if self.clock.check():
                self._spawn(self._keep_offset())
                self._schedule_aligned()
        if self.clock.utc() >= self._aligned_at:
            self._aligned_due()
        self.faults.own("clock-unsynchronised", not self.clock.synchronised, now)
        self._settle()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        if self._tasks is None:
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
        self.power.share(points, now)
        for point in points:
            news = point.settle(now, self._operative, point.reserved_for is not None)
            self.link.permit(point.permit())
            self.link.lamps(point.lamps(now))
            if news is not None:
                log.info("status", evse=news.evse, status=news.status.value, error=news.error)
                self.backend.notify(news)
                self._tell("status", {"evse": news.evse, "status": news.status.value, "error": news.error})
        whole = self.status_of(0)
        if (whole.status, whole.error) != self._told_station:
            self._told_station = (whole.status, whole.error)
            self.backend.notify(whole)

    # What the safety process tells

    def point_reported(self, report: PointReport) -> None:
        point = self.points.get(report.evse)
        if point is None:
            return
        before = point.session.state
        point.reported(report, self.clock.monotonic())
        if point.session.state == "waiting_auth" and before != "waiting_auth":
            section = self.config.authorisation
            if section.free_vend_tag and report.evse in section.free_vend_evses:
                self.entrance.free_vend(report.evse, section.free_vend_tag)
        self._settle()

    def borne_reported(self, report: BorneReport) -> None:
        self.faults.reported(report.faults)
        now = self.clock.monotonic()
        for name in ("emergency-stop", "door-open"):
            on = any(f.name == name for f in report.faults)
            for point in self.points.values():
                point.faults.own(name, on, now)
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
        if point is not None:
            point.read(reading, self.clock.monotonic())
            if point.withheld:
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
        self._tell("badge", {"reader": badge.reader})
        self.entrance.badge(badge.token, evses)
        self._settle()

    def reader_state(self, reader: int, ok: bool, why: str) -> None:
        """A reader was found or lost."""
        detail = why if len(self.config.reader) == 1 else f"reader {reader}: {why}"
        if self.faults.own("reader-lost", not ok, self.clock.monotonic(), detail):
            self._settle()

    # StationApi

    async def remote_start(self, token: str, evse: int | None, profile: Any | None = None) -> Outcome:
        outcome = self.entrance.remote_start(token, evse, profile)
        self._settle()
        return outcome

    async def remote_stop(self, backend_tx_id: str) -> Outcome:
        tx = await self.journal.read(lambda db: transactions.by_backend_id(db, backend_tx_id))
        point = None if tx is None else next((p for p in self.points.values() if p.session.tx == tx), None)
        if point is None:
            return Outcome.REJECTED
        return await self.stop(point.id, StopReason.REMOTE)

    async def stop(self, evse: int, reason: StopReason) -> Outcome:
        point = self.points.get(evse)
        if point is None:
            return Outcome.UNKNOWN
        if point.session.tx is None and point.session.state not in ("starting", "waiting_car"):
            return Outcome.REJECTED
        point.session.stop(reason, None, self.clock.monotonic())
        asyncio.get_running_loop().call_soon(self._settle)
        return Outcome.ACCEPTED

    async def unlock(self, evse: int) -> Outcome:
        point = self.points.get(evse)
        if point is None:
            return Outcome.UNKNOWN
        if not point.config.socket:
            return Outcome.NOT_SUPPORTED
        point.session.stop(StopReason.UNLOCK_COMMAND, None, self.clock.monotonic())
        point.session.release()
        self._settle()
        if not await self._ended([point], STOP_WAIT_S):
            return Outcome.FAILED
        point.session.release()
        self._settle()
        try:
            done = await self.link.unlock(evse, UNLOCK_WAIT_S)
        except LinkLost as error:
            log.warning("unlock failed", evse=evse, error=str(error))
            return Outcome.FAILED
        return Outcome.ACCEPTED if done.ok else Outcome.FAILED

    async def _ended(self, points: list[Point], timeout_s: float) -> bool:
        """Wait until these points have no transaction."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while any(p.session.state in _BUSY for p in points):
                    self._settled.clear()
                    await self._settled.wait()
        return not any(p.session.state in _BUSY for p in points)

    async def set_availability(self, evse: int, operative: bool, connector: int | None = None) -> Outcome:
        if evse == 0:
            outcomes = [await self._set_one(point, operative) for point in self.points.values()]
            await self.journal.write(lambda db: store.put(db, _AVAILABILITY, "0", {"operative": True}))
            self._operative = True
            self._settle()
            return Outcome.SCHEDULED if Outcome.SCHEDULED in outcomes else Outcome.ACCEPTED
        point = self.points.get(evse)
        if point is None:
            return Outcome.REJECTED
        outcome = await self._set_one(point, operative)
        self._settle()
        return outcome

    async def _set_one(self, point: Point, operative: bool) -> Outcome:
        busy = point.session.state in _BUSY or point.pending is not None
        value = {"operative": point.operative, "scheduled": operative} if busy else {"operative": operative}
        await self.journal.write(lambda db: store.put(db, _AVAILABILITY, str(point.id), value))
        if busy and operative != point.operative:
            point.scheduled = operative
            return Outcome.SCHEDULED
        point.scheduled = None
        point.operative = operative
        if not operative and point.session.state == "waiting_car":
            point.session.stop(StopReason.OTHER, None, self.clock.monotonic())
        return Outcome.ACCEPTED

    async def reset(self, hard: bool) -> Outcome:
        self._spawn(self._reset(hard))
        return Outcome.ACCEPTED

    async def _reset(self, hard: bool) -> None:
        log.info("reset", hard=hard)
        self.entrance.closed = True
        now = self.clock.monotonic()
        points = list(self.points.values())
        for point in points:
            point.session.stop(StopReason.HARD_RESET if hard else StopReason.SOFT_RESET, None, now)
        self._settle()
        await asyncio.sleep(0.2)  # the answer leaves first
        await self._ended(points, RESET_WAIT_S[hard])
        await self._outbox_empty(RESET_WAIT_S[hard])
        self.restart_requested = True
        self.stop_running()

    async def _outbox_empty(self, timeout_s: float) -> None:
        for _ in range(int(timeout_s / _POLL_S)):
            waiting = await self.journal.read(outbox.count)
            if waiting == 0 or not self.backend.online:
                return
            await asyncio.sleep(_POLL_S)

    async def clear_cache(self) -> Outcome:
        if not self.settings.cache_enabled:
            return Outcome.REJECTED
        await self.journal.write(tokens.clear_cache)
        return Outcome.ACCEPTED

    def evse_ids(self) -> tuple[int, ...]:
        return tuple(section.id for section in self.config.evse)

    def status_of(self, evse: int) -> StatusChanged:
        if evse != 0:
            return self.points[evse].status_changed()
        operative = any(p.operative for p in self.points.values()) and self._operative
        status = ConnectorStatus.AVAILABLE if operative else ConnectorStatus.UNAVAILABLE
        worst = next((f for f in self.faults if f.row.faulted), None)
        if worst is not None:
            status = ConnectorStatus.FAULTED
        shown = worst or next((f for f in self.faults if f.name not in _NOT_TOLD), None)
        name, detail = (shown.name, shown.detail) if shown is not None else (None, "")
        return StatusChanged(0, status, name, detail, self.clock.now())

    def sample_now(self, evse: int, context: str) -> MeterSampled | None:
        point = self.points.get(evse)
        if point is None or point.reading is None:
            return None
        values = point.present_values(self.settings.sampled_measurands, context)
        return MeterSampled(evse, self.clock.utc_of(point.reading.at), tuple(values))

    def transaction_of(self, evse: int) -> int | None:
        point = self.points.get(evse)
        return None if point is None else point.session.tx

    async def transaction_answered(self, tx: int, backend_id: str | None, authorization: Authorization) -> None:
        def write(db: sqlite3.Connection) -> str | None:
            if backend_id is not None:
                outbox.set_backend_id(db, tx, backend_id)
            if not authorization.accepted:
                transactions.mark_invalid(db, tx)
            row = db.execute("SELECT token FROM tx WHERE tx = ?", (tx,)).fetchone()
            return None if row is None else str(row[0])

        token = await self.journal.write(write)
        if token is not None:
            await self.entrance.learn(token, authorization)
        point = next((p for p in self.points.values() if p.session.tx == tx), None)
        after = authorisation.after_start(authorization, self.settings)
        if point is None or authorization.accepted:
            return
        log.warning("token refused after the start", evse=point.id, tx=tx, status=authorization.status.value)
        if after.stop:
            point.session.stop(StopReason.DEAUTHORIZED, None, self.clock.monotonic())
        else:
            point.invalid_wh = point.reading.energy_wh if point.reading is not None else 0
            point.more_wh = after.more_wh
            if not after.more_wh:
                point.withheld = "invalid-token"
        self._settle()

    async def token_learned(self, token: str, authorization: Authorization) -> None:
        """The central system said something of a token in passing."""
        await self.entrance.learn(token, authorization)

    async def setting_changed(self, name: str) -> None:
        now = self.clock.monotonic()
        for point in self.points.values():
            point.settings_changed(now)
        self._schedule_aligned()

    def clock_offered(self, utc: datetime) -> None:
        before = self.clock.now()
        if self.clock.offer(utc.timestamp()):
            log.info("clock set", source=self.clock.source, was=before.isoformat(), now=utc.isoformat())
            self._spawn(self._keep_offset())
            self._schedule_aligned()
            info = f"{before.isoformat()} to {utc.isoformat()}"
            self.backend.notify(SecurityEvent("SettingSystemTime", info, self.clock.now()))

    async def _keep_offset(self) -> None:
        if not self.clock.synchronised:
            return
        boot, offset = self.clock.boot, self.clock.offset
        await self.journal.write(lambda db: set_offset(db, boot, offset))

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
                self._spawn(point.sample("Sample.Clock", stamp))
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

    def in_service(self, point: Point) -> bool:
        return self._operative and point.operative

    def _tell(self, kind: str, what: dict[str, Any]) -> None:
        for listener in list(self._listeners):
            listener(kind, what)


class _Stopped(Exception):
    """Ends the task group from inside."""


_NOT_TOLD: Final = frozenset({"clock-unsynchronised", "backend-offline"})
"""Faults the central system cannot be told, or knows already."""
