"""The safety process's one loop: every 10 ms all inputs, all points, all outputs.

Deadlines are absolute on CLOCK_MONOTONIC. The heartbeat of the coil watchdog is toggled here, at the end of a
pass in which every point was stepped and written, and nowhere else: if this loop hangs, the board drops the coils.
"""

import contextlib
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from chargepoint.board.types import Board, BorneInputs
from chargepoint.config import Config
from chargepoint.evse import realtime
from chargepoint.evse.borne import Borne
from chargepoint.evse.lateness import PERIOD_S, Lateness
from chargepoint.evse.log import Log
from chargepoint.evse.memory import FILE_NAME, PointMemory, Writer, backup, dump, load
from chargepoint.evse.messages import SOCKET_NAME, Done, Dump, ToEvse, Trace
from chargepoint.evse.recorder import AGAIN_S, DIRECTORY, KEEP_FILES, Occasions, contents, file_name
from chargepoint.evse.report import sample
from chargepoint.evse.server import Client, Server
from chargepoint.evse.single import AlreadyRunning, Claim
from chargepoint.evse.watch import WATCHDOG_DROP_S, CoilWatchdogDrop
from chargepoint.faults import FAULTS, stops
from chargepoint.sdnotify import Notifier

REPORT_S = 1.0
MIN_TRACE_S = 0.02


class Loop:
    """The loop and what it serves. `pass_once` is one pass; `run` repeats it on time."""

    def __init__(self, config: Config, board: Board, log: Log, clock: Callable[[], float] = time.monotonic) -> None:
        now = clock()
        self._board = board
        self._log = log
        self._clock = clock
        self._memory_path = config.station.state_dir / FILE_NAME
        remembered = load(self._memory_path)
        if remembered.damaged:
            log.error("memory-damaged", file=str(self._memory_path), reason=remembered.damaged)
        self.borne = Borne(config, remembered, now)
        self._written: dict[int, PointMemory] = {}
        """What was last handed to the writer: at the start nothing, so that a missing copy is made."""
        self._writer = Writer(realtime.follow)
        self._write_error = ""
        self._notifier = Notifier()
        self._next_alive = now
        self._server = Server(config.station.run_dir / SOCKET_NAME, self._problem)
        self._next_report = now
        self._faults_seen: dict[int, int] = {}
        self._grid_seen = self.borne.borne_inputs.grid_closed
        self._recorder_path = config.station.state_dir / DIRECTORY
        self._occasions = Occasions()
        self._trace_until = float("-inf")
        self._lateness = Lateness()
        self._drop = CoilWatchdogDrop(now)
        self.ticks = 0
        self.stopping = False

    def stop(self, *_: object) -> None:
        """Leave `run` after the present pass."""
        self.stopping = True

    def run(self) -> None:
        """Pass after pass until `stop`."""
        clock, sleep = self._clock, time.sleep
        deadline = clock()
        while not self.stopping:
            now = clock()
            late = now - deadline
            self.pass_once(now, late)
            if self.ticks == 1:
                self._notifier.ready()
            deadline = (now if late > PERIOD_S else deadline) + PERIOD_S  # passes that were missed are not made up for
            delay = deadline - clock()
            if delay > 0:
                sleep(delay)

    def pass_once(self, now: float, late: float) -> None:
        """One pass: read, decide, write, heartbeat; then talk."""
        board, borne = self._board, self.borne
        self._judge_lateness(late, now)
        inputs = board.read_borne()
        if not self._drop.seen:
            inputs = self._until_dropped(inputs, now)
        for evse in borne.points:
            board.write_point(evse, borne.step(evse, board.read_point(evse), inputs, now))
        if self._lateness.may_beat(late + self._clock() - now) and self._drop.seen:
            board.heartbeat()
        self.ticks += 1
        self._server.poll(self._handle, self._greet)
        for evse, player in borne.lamps.items():
            colour = player.step(now)
            if colour is not None:
                board.write_lamps(evse, *colour)
        sounds = borne.buzzer.step(now)
        if sounds is not None:
            board.write_buzzer(sounds)
        self._tell(now)

    def _until_dropped(self, inputs: BorneInputs, now: float) -> BorneInputs:
        """What the points are told of a coil watchdog that has not yet been seen to drop: that it is not armed."""
        if self._drop.step(inputs.coil_watchdog_armed, now):
            self.borne.does_not_drop(WATCHDOG_DROP_S, now)
        return replace(inputs, coil_watchdog_armed=False)

    def close(self) -> None:
        """Outputs safe first, then the rest, whatever one of them raises: a latch must get to the disk."""
        with contextlib.ExitStack() as last_first:
            last_first.callback(self._board.close)
            last_first.callback(self._writer.close)
            last_first.callback(self._remember)
            last_first.callback(self._server.close)
            last_first.callback(self._notifier.stopping)
            last_first.callback(self._board.make_safe)

    # --- talk ----------------------------------------------------------------------------------------------------

    def _tell(self, now: float) -> None:
        borne, server = self.borne, self._server
        due = now >= self._next_report
        for evse, point in borne.points.items():
            if borne.changed(evse, now) or due:
                server.broadcast(borne.report(evse, now))
            if point.faults.changes != self._faults_seen.get(evse, 0):
                self._faults_seen[evse] = point.faults.changes
                self._log.info("faults", evse=evse, active={n: a.detail for n, a in point.faults.active.items()})
                self._remember()
                self._note_faults(evse, now)
                server.broadcast(borne.borne_report(now, self.ticks, self._lateness.worst_s))
        if borne.borne_inputs.grid_closed != self._grid_seen:
            self._grid_seen = borne.borne_inputs.grid_closed
            due = True
        if due:
            self._next_report = now + REPORT_S
            self._say_write_error()
            server.broadcast(borne.borne_report(now, self.ticks, self._lateness.worst_s))
            self._lateness.worst_s = 0.0
            self._remember()
        for evse, reason in self._occasions.due(now):
            self._dump(evse, reason, now)
        if now <= self._trace_until:
            self._trace(now)
        if self._notifier.watchdog_s is not None and now >= self._next_alive:
            self._next_alive = now + self._notifier.watchdog_s
            self._notifier.alive()

    def _trace(self, now: float) -> None:
        for client in list(self._server.clients.values()):
            if now <= client.trace_until and now >= client.trace_next:
                client.trace_next = now + client.trace_every
                point = self.borne.points[client.trace_evse]
                self._server.send(client, sample(point, self.borne.inputs[client.trace_evse], now))

    def _greet(self, client: Client) -> None:
        now = self._clock()
        for evse in self.borne.inputs:
            self._server.send(client, self.borne.report(evse, now))
        self._server.send(client, self.borne.borne_report(now, self.ticks, self._lateness.worst_s))

    def _handle(self, message: ToEvse, client: Client) -> None:
        now = self._clock()
        if isinstance(message, Trace) and message.evse in self.borne.points:
            client.trace_evse = message.evse
            client.trace_every = max(message.interval_s, MIN_TRACE_S)
            client.trace_until = now + message.seconds if message.seconds > 0 else float("-inf")
            client.trace_next = now
            self._trace_until = max(self._trace_until, client.trace_until)
        elif isinstance(message, Dump):
            self._server.send(client, self._dump_asked(message, now))
        elif not isinstance(message, Trace):
            self.borne.handle(message, partial(self._server.send, client), now)

    def _problem(self, what: str, detail: str) -> None:
        self._log.warning(what, detail=detail)

    # --- recorder ----------------------------------------------------------------------------------------------------

    def _dump(self, evse: int, reason: str, now: float) -> str:
        """Hand the ring to the file-writing thread. Answers the file's name."""
        name = file_name(evse, reason, datetime.now(UTC))
        raw = self.borne.recorders[evse].snapshot()
        make = partial(contents, raw, evse, self.borne.boot, reason, now)
        self._writer.submit(self._recorder_path / name, make, KEEP_FILES)
        return name

    def _dump_asked(self, message: Dump, now: float) -> Done:
        if message.evse not in self.borne.points:
            return Done(message.id, message.evse, False, "there is no such point")
        if message.reason not in FAULTS:
            return Done(message.id, message.evse, True, self._dump(message.evse, "request", now))
        written = self._occasions.came(message.evse, message.reason, now)
        why = "" if written else f"'{message.reason}' was recorded less than {AGAIN_S / 60:.0f} min ago"
        return Done(message.id, message.evse, written, why)

    def _note_faults(self, evse: int, now: float) -> None:
        """Faults came or went on a point: those that opened or stopped it just now are recorded."""
        for name, active in self.borne.points[evse].faults.active.items():
            if active.since >= now and stops(active.row):
                self._occasions.came(evse, name, now)

    # --- lateness, memory ------------------------------------------------------------------------------------------

    def _judge_lateness(self, late: float, now: float) -> None:
        lateness = self._lateness
        before = lateness.bad
        lateness.begins(late)
        if lateness.bad or before:
            detail = f"{late * 1000:.0f} ms late"
            self.borne.late(lateness.bad, now, detail)
            if not before:
                self._log.error("loop-overrun", late_ms=round(late * 1000))

    def _say_write_error(self) -> None:
        trouble = self._writer.trouble
        if trouble != self._write_error:
            self._write_error = trouble
            if self._write_error:
                self._log.error("write-failed", reason=self._write_error)
            else:
                self._log.info("write-succeeds-again")

    def _remember(self) -> None:
        memory = self.borne.memory()
        if memory != self._written:
            self._written = memory
            for path in (self._memory_path, backup(self._memory_path)):
                self._writer.submit(path, partial(dump, memory))


def run(config: Config, board: Board, log: Log | None = None, claim: Claim | None = None) -> int:
    """Run the safety process on a board until SIGTERM or SIGINT. Answers the exit status.

    `claim`: taken before the board was opened, so that a second process never touches the pins of the first.
    """
    board.make_safe()
    log = log or Log(config.log.level, path=config.station.run_dir / "evse.log")
    try:
        claim = claim or Claim(config.station.run_dir)
    except AlreadyRunning as error:
        log.error("already-running", reason=str(error))
        return 1
    with claim:
        loop = Loop(config, board, log)
        signal.signal(signal.SIGTERM, loop.stop)
        signal.signal(signal.SIGINT, loop.stop)
        granted = realtime.claim()
        log.info("ready", points=list(loop.borne.points), boot=loop.borne.boot, **granted)
        realtime.calm_interpreter()
        try:
            loop.run()
        finally:
            loop.close()
        log.info("stopped", ticks=loop.ticks)
    return 0
