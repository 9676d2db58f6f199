"""How the station looks after itself: its journal's troubles as faults, the history of faults, its figures, tidying."""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import structlog

from chargepoint.journal import history, outbox, store, tracks
from chargepoint.journal.history import Event
from chargepoint.journal.journal import Journal
from chargepoint.journal.salvage import Loss
from chargepoint.station.clock import Clock
from chargepoint.station.faultlist import FaultList
from chargepoint.station.kpis import Kpis
from chargepoint.station.point import Point
from chargepoint.station.shared import Meters
from chargepoint.station.tracks import Tracks

log = structlog.get_logger()

KEEP_S: Final = 900.0
"""The figures are written so often, when they have changed: 96 small writes a day."""
METRICS_S: Final = 60.0
TIDY_S: Final = 3600.0
METRICS_FILE: Final = "chargepoint.prom"
_AREA: Final = "kpis"
_RUN: Final = "run"


class Health:
    """Event-loop only."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        faults: FaultList,
        run_dir: Path,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._faults = faults
        self._file = run_dir / METRICS_FILE
        self._spawn = spawn
        self.kpis = Kpis()
        self.tracks = Tracks(clock)
        self.meters: Meters | None = None
        self._loop_late_ms = 0.0
        now = clock.monotonic()
        self._keep_at = now + KEEP_S
        self._metrics_at = now
        self._tidy_at = now + TIDY_S
        self._active: dict[tuple[int, str], str] = {}
        self._told_loss: Loss | None = None

    async def recover(self) -> None:
        """The figures of before, and how the last run ended."""
        kept, run = await self._journal.read(lambda db: (store.get(db, _AREA, "all"), store.get(db, _AREA, _RUN)))
        self.kpis.load(kept)
        self.kpis.add("starts_total", cause=self._cause(run))
        await self._mark("running")
        self._tell_loss(self._clock.monotonic())

    def state_is_in_memory(self, folder: Path, kind: str) -> None:
        """The journal's folder does not outlive a start of the machine: told as long as the program runs."""
        detail = f"{folder} is on {kind}: mount the data partition there; an overlay is overlayroot=tmpfs:recurse=0"
        log.error("the state is in memory", what=detail)
        self._faults.own("state-in-memory", True, self._clock.monotonic(), detail)

    def _tell_loss(self, now: float) -> None:
        """Found at the start, or while running: told once each, until a technician has seen it."""
        loss = self._journal.loss
        if loss is not None and loss is not self._told_loss:
            self._told_loss = loss
            log.error("the journal was damaged", what=loss.sentence())
            self._faults.own("database-damaged", True, now, loss.sentence())

    def _cause(self, run: Mapping[str, Any] | None) -> str:
        if run is None:
            return "first"
        if run.get("state") != "running":
            return str(run.get("state"))
        return "crash" if run.get("boot") == self._journal.boot else "power"

    async def _mark(self, state: str) -> None:
        run = {"state": state, "boot": self._journal.boot}
        await self._write("run", lambda db: store.put(db, _AREA, _RUN, run))

    async def stopping(self, restart: bool) -> None:
        """The program ends in good order."""
        await self._keep()
        await self._keep_tracks(self.tracks.take_all())
        await self._mark("reset" if restart else "stop")

    def tick(self, points: Mapping[int, Point], online: bool, now: float) -> None:
        """A second has passed."""
        self._tell_loss(now)
        trouble = self._journal.trouble
        if self._faults.own("disk-full", bool(trouble), now, trouble):
            log.error("disk", trouble=trouble or "takes writes again")
        self.kpis.tick(points.values(), online, self._clock.now(), now)
        if now >= self._keep_at and self.kpis.changed:
            self._keep_at = now + KEEP_S
            self._spawn(self._keep())
        if now >= self._metrics_at:
            self._metrics_at = now + METRICS_S
            self._spawn(self._write_metrics(points))
        if now >= self._tidy_at:
            self._tidy_at = now + TIDY_S
            self._spawn(self._tidy())

    def loop_late(self, worst_ms: float) -> None:
        """The safety process tells the worst lateness of its loop since its last report."""
        self._loop_late_ms = max(self._loop_late_ms, worst_ms)

    def settled(self, points: Mapping[int, Point], supply_a: float, now: float) -> None:
        """Something has changed: count it, keep it for the pictures, and note which faults came and went."""
        self.kpis.look(points.values(), now)
        if rows := self.tracks.look(points, supply_a, now):
            self._spawn(self._keep_tracks(rows))
        active = {(0, f.name): f.detail for f in self._faults}
        for point in points.values():
            active.update({(point.id, f.name): f.detail for f in point.faults})
        if active.keys() == self._active.keys():
            return
        stamp = self._clock.stamp(now)
        news = [Event(stamp, *key, "raised", active[key]) for key in active.keys() - self._active.keys()]
        news += [Event(stamp, *key, "cleared") for key in self._active.keys() - active.keys()]
        self._active = active
        self._spawn(self._note(news))

    async def _note(self, news: list[Event]) -> None:
        def work(db: sqlite3.Connection) -> None:
            for event in news:
                history.add(db, event)

        await self._write("fault history", work)

    async def _keep_tracks(self, rows: list[tracks.Row]) -> None:
        def work(db: sqlite3.Connection) -> None:
            for row in rows:
                tracks.add(db, row)

        if rows:
            await self._write("tracks", work)

    async def _keep(self) -> None:
        figures = self.kpis.as_json()
        self.kpis.changed = False
        await self._write("figures", lambda db: store.put(db, _AREA, "all", figures))

    async def _tidy(self) -> None:
        try:
            await self._journal.tidy()
        except sqlite3.Error as error:
            log.warning("the journal could not be tidied", error=str(error))

    async def _write_metrics(self, points: Mapping[int, Point]) -> None:
        self.kpis.set("queue_depth", await self._journal.read(outbox.count))
        self.kpis.set("journal_writes", self._journal.writes)
        self.kpis.set("loop_late_max_ms", self._loop_late_ms)
        self._loop_late_ms = 0.0
        written = await asyncio.to_thread(_written_bytes)
        if written is not None:
            self.kpis.set("disk_written_bytes", written)
        counters = self.meters.counters if self.meters is not None else None
        for name, value in (asdict(counters) if counters is not None else {}).items():
            self.kpis.set(f"meter_{name}_total", value)
        for point in points.values():
            if point.report is not None:
                for name, value in point.report.counters.items():
                    self.kpis.set(f"{name.replace('-', '_')}_total", value, evse=point.id)
        text = self.kpis.prometheus()
        try:
            await asyncio.to_thread(_replace, self._file, text)
        except OSError as error:
            log.warning("the metrics file cannot be written", file=str(self._file), error=str(error))

    async def _write(self, what: str, work: Callable[[sqlite3.Connection], Any]) -> None:
        try:
            await self._journal.write(work)
        except sqlite3.Error as error:
            log.error("the journal does not take a write", what=what, error=str(error))


def _written_bytes() -> int | None:
    """Bytes the kernel wrote for this process since its start (proc(5), `write_bytes`); None where it is not told."""
    try:
        lines = Path("/proc/self/io").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("write_bytes:")), None)


def _replace(file: Path, text: str) -> None:
    """Whoever reads the file never sees half of it."""
    part = file.with_name(file.name + ".new")
    part.write_text(text)
    part.replace(file)
