"""A whole borne in one process and in injected time: faster than real, and the same again for the same seed.

Real: the safety machine of both points, stepped as its loop does; the electrical model of the simulated borne with its
cars; the station with its SQLite journal; the meter bus with its decoding, against the simulated meters' registers;
the protocol room with its WebSocket over a real TCP connection; the Linky's frames and their listener. Left out:
processes, pins and pilot files, the meters' serial frames, the socket between the two processes (its messages are
handed over), badge frames (a badge is a call). The disk and the clock are the machine's as far as they are told.
"""

import asyncio
import contextlib
import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
from injected_disk import Disk, PromptJournal
from memory_lines import MemoryLine, MemoryWire
from virtual_time import VirtualLoop

from chargepoint.board.types import BorneInputs, PointInputs, PointOutputs
from chargepoint.config import Config
from chargepoint.evse.borne import Borne as SafetyBorne
from chargepoint.evse.memory import PointMemory, Remembered
from chargepoint.evse.messages import RENEW_S, Acknowledge, Done, Dump, Lamps, Permit, Sample, SelfTest, Trace, Unlock
from chargepoint.journal.journal import FILE_NAME
from chargepoint.meter.bus import MeterBus
from chargepoint.meter.link import QUIET_S, TIMEOUT_S, ModbusLink, NoAnswer, Refused
from chargepoint.meter.plan import Block
from chargepoint.ocpp.v16.backend import Backend
from chargepoint.reader.badge import Badge
from chargepoint.sim.devices import what_linky_shows
from chargepoint.sim.electrics import Borne as Electrics
from chargepoint.sim.electrics import Commands, Point
from chargepoint.sim.server import make_borne
from chargepoint.sim.wire_meters import SimMeter, SimReading
from chargepoint.sim.wire_tic import SimTic
from chargepoint.station.clock import Clock
from chargepoint.station.evse_link import LinkLost, Listener
from chargepoint.station.settings import Settings
from chargepoint.station.station import Station
from chargepoint.tic.listener import TicListener

UTC0 = 1_800_000_000.0
FINE_S, COARSE_S = 0.01, 0.25
CLOSE_LOOK_S = 1.0
"""Passes come every 10 ms for so long after anything has happened, then four times a second."""
REPORT_S = 1.0
ANSWER_S = 0.03
TIC_PERIOD_S = 2.4
"""Every second frame of a Linky in standard mode: half the work, and within every bound of the listener."""
LOOK_AT_DISK_S = 1.0


def config(
    directory: Path, url: str, keys: dict[str, Any] | None = None, socket: dict[str, Any] | None = None, **more: Any
) -> Config:
    """Two points of 32 A on 52 A, with a meter each. `socket`: the domestic one of point 1."""
    first = {"id": 1, "max_current": 32, "meter": {"model": "eastron-sdm630", "unit": 1}}
    evses = [
        first if socket is None else {**first, "domestic": socket},
        {"id": 2, "max_current": 32, "phase_rotation": "STR", "meter": {"model": "eastron-sdm630", "unit": 2}},
    ]
    tree = {
        "station": {"id": "FR-ARD-0001", "state_dir": directory, "run_dir": directory},
        "supply": {"max_current": 52},
        "board": {"kind": "simulated"},
        "evse": evses,
        "reader": [{"id": 1, "evses": [1]}, {"id": 2, "evses": [2]}],
        "ocpp": {"url": url, "security_profile": 0, "configuration": keys or {}},
        **more,
    }
    return msgspec.convert(tree, Config)


class Controller:
    """The safety machine, stepped over the electrical model without a process; and the station's link to it."""

    def __init__(self, config: Config, electrics: Electrics, clock: Callable[[], float]) -> None:
        self.config = config
        self.electrics = electrics
        self.clock = clock
        self.memory: dict[int, PointMemory] = {}
        self.safety: SafetyBorne | None = None
        self.late = False
        self.happened_at = clock()
        self.passes = 0
        self._beat_at: float | None = None
        self._told_at = -math.inf
        self._listener: Listener | None = None
        self._permits: dict[int, Permit] = {}
        self._ids = itertools.count(1)
        self.turns = 0
        self.start()

    # The process

    def start(self) -> None:
        for point in self.electrics.points.values():
            point.commands = Commands()
        self.safety = SafetyBorne(self.config, Remembered(dict(self.memory)), self.clock())
        self.happened()
        if self._listener is not None:
            self._listener.evse_found()
            for permit in self._permits.values():
                self._hand(permit)

    def kill(self) -> None:
        """As SIGKILL: the pins stay as they are, the coil watchdog drops the contactors."""
        assert self.safety is not None
        self.memory = self.safety.memory()
        self.safety = None
        if self._listener is not None:
            self._listener.evse_lost("the connection was closed")

    def happened(self) -> None:
        self.happened_at = self.clock()

    async def live(self) -> None:
        """Pass after pass, for ever."""
        while True:
            now = self.clock()
            self.step(now)
            fine = self.electrics.moving or now - self.happened_at < CLOSE_LOOK_S
            await asyncio.sleep(FINE_S if fine else COARSE_S)

    def step(self, now: float) -> None:
        electrics, safety = self.electrics, self.safety
        self.passes += 1
        electrics.advance(now, self._beat_at)
        if safety is None:
            return
        e = electrics
        shared = BorneInputs(e.emergency_stop, e.door_open, e.coils_armed, e.grid_closed)
        silent = "adc-silent" in electrics.faults
        for evse, point in electrics.points.items():
            out = safety.step(evse, _inputs(point, silent), shared, now)
            commands = _commands(out)
            if commands != point.commands:
                point.commands = commands
                self.happened()
        self._beat_at = now
        due = now >= self._told_at + REPORT_S
        if due:
            self._told_at = now
        for evse in electrics.points:
            if (safety.changed(evse, now) or due) and self._listener is not None:
                self._listener.point_reported(safety.report(evse, now))
        if due and self._listener is not None:
            self._listener.borne_reported(safety.borne_report(now, self.passes, 0.0))

    # The station's link to it

    def attach(self, listener: Listener) -> None:
        self._listener = listener

    def detach(self) -> None:
        """The station is gone: nobody renews, nobody listens."""
        self._listener = None
        self._permits.clear()

    async def run(self) -> None:
        assert self._listener is not None
        if self.safety is not None:
            self._listener.evse_found()
        self._told_at = -math.inf
        while True:
            self.turns += 1
            await asyncio.sleep(RENEW_S)
            for permit in self._permits.values():
                self._hand(permit)

    def permit(self, permit: Permit) -> None:
        if self._permits.get(permit.evse) != permit:
            self._permits[permit.evse] = permit
            self.happened()
            self._hand(permit)

    def _hand(self, permit: Permit) -> None:
        if self.safety is not None:
            self.safety.handle(permit, lambda done: None, self.clock())

    def lamps(self, lamps: Lamps) -> None:
        pass

    def record(self, evse: int, fault: str) -> None:
        pass

    def trace(self, trace: Trace, listener: Callable[[Sample], None]) -> None:
        pass

    async def dump(self, evse: int, timeout_s: float) -> Done:
        return await self._ask(Dump(evse, next(self._ids)), timeout_s)

    async def unlock(self, evse: int, timeout_s: float) -> Done:
        return await self._ask(Unlock(evse, next(self._ids)), timeout_s)

    async def self_test(self, evse: int, what: str, timeout_s: float) -> Done:
        return await self._ask(SelfTest(evse, next(self._ids), what), timeout_s)

    async def acknowledge(self, evse: int, fault: str, timeout_s: float) -> Done:
        return await self._ask(Acknowledge(evse, next(self._ids), fault), timeout_s)

    async def _ask(self, message: Any, timeout_s: float) -> Done:
        if self.safety is None:
            raise LinkLost("the safety process is not connected")
        self.happened()
        future: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
        self.safety.handle(message, lambda done: future.done() or future.set_result(done), self.clock())
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            raise LinkLost(f"the safety process did not answer within {timeout_s:g} s") from None


def _inputs(point: Point, silent: bool) -> PointInputs:
    return PointInputs(
        cp_high_v=0.0 if silent else point.high.value,
        cp_low_v=0.0 if silent else point.low.value,
        pp_ohm=point.pp_ohm,
        contactor_closed=point.contactor.closed,
        load_live=point.load_live,
        lock_closed=point.lock.is_closed,
        lock_open=point.lock.is_open,
        rcd_tripped=point.rcd_tripped,
        rdc_tripped=point.rdc_tripped,
        pe_ok=point.pe_ok,
        temperature_c=point.sensor_c,
        reference_v=0.0 if silent else 2.5,
        duty_measured=0.0 if silent else point.generator_duty,
        domestic_plug=point.domestic_current_a is not None and "domestic-lid" not in point.faults,
        domestic_closed=point.domestic_contactor.closed,
    )


def _commands(out: PointOutputs) -> Commands:
    return Commands(out.contactor, out.duty, int(out.lock), out.rcd_test, out.domestic_contactor)


class MeterLine(ModbusLink):
    """The meters' registers, asked as over the line; silence and noise as the simulated meters make them."""

    def __init__(self, electrics: Electrics) -> None:
        super().__init__("meters")
        self.meters = {n: SimMeter("eastron-sdm630", lambda p=p: _measured(p)) for n, p in electrics.points.items()}

    async def read(self, unit: int, function: int, block: Block, gap_s: float = 0.0) -> list[int]:
        self.counters.requests += 1
        meter = self.meters[unit]
        if meter.silent:
            self.counters.timeouts += 1
            await asyncio.sleep(TIMEOUT_S + QUIET_S)
            raise NoAnswer(f"unit {unit} is silent")
        request = bytes((function,)) + block.address.to_bytes(2, "big") + block.count.to_bytes(2, "big")
        answer = meter.answer(request)
        await asyncio.sleep(ANSWER_S)
        if meter.spoil(answer) != answer:
            self.counters.malformed += 1
            await asyncio.sleep(QUIET_S)
            raise NoAnswer(f"unit {unit}: a damaged answer")
        if answer[0] & 0x80:
            raise Refused(f"unit {unit} refused {block}")
        return [int.from_bytes(answer[i : i + 2], "big") for i in range(2, len(answer), 2)]


def _measured(point: Point) -> SimReading:
    return SimReading(point.voltage_v, point.current_a, point.phase_power_w, float(point.register_wh))


class InjectedBorne:
    """The borne. `begin` it, use it, `end` it. Runs in a `virtual_time` loop only."""

    def __init__(self, directory: Path, url: str, keys: dict[str, Any] | None = None, **more: Any) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self.loop = loop
        self.config = config(directory, url, keys, **more)
        self.electrics = make_borne(self.config)
        self.controller = Controller(self.config, self.electrics, loop.time)
        self.line = MeterLine(self.electrics)
        self.tic: SimTic | None = None
        self.tic_wire: MemoryWire | None = None
        self.disk = Disk()
        self.disciplined = True
        """NTP keeps the system's clock."""
        self.clock_shift = 0.0
        """What the system's clock shows too much, s."""
        self.boots = 1
        self.readers_silent = False
        self.station: Station
        self.backend: Backend
        self.starts = 0
        self.failure: BaseException | None = None
        """What ended the station when nobody asked for it."""
        self._journal: PromptJournal | None = None
        self._running: asyncio.Task[None] | None = None
        self._lives: list[asyncio.Task[None]] = []
        self._stack = contextlib.ExitStack()

    async def begin(self) -> None:
        self._stack.enter_context(self.disk.mounted())
        if self.config.tic is not None:
            await self._begin_tic()
        self._lives = [asyncio.create_task(life()) for life in (self.controller.live, self._look_at_disk)]
        self.start_station()
        await asyncio.sleep(2.0)

    async def end(self) -> None:
        await self.kill_station(stop=True)
        for life in self._lives:
            life.cancel()
        if self.tic is not None:
            await self.tic.close()
        self._stack.close()

    async def _begin_tic(self) -> None:
        self._stack.enter_context(patch("chargepoint.tic.listener.SerialLine", MemoryLine))
        with patch("chargepoint.sim.wire_tic.PtyWire", MemoryWire):
            self.tic = SimTic(Path("linky"), lambda: what_linky_shows(self.electrics, self.config.supply.phases))
        assert isinstance(self.tic.wire, MemoryWire)
        self.tic_wire, self.tic.period_s = self.tic.wire, TIC_PERIOD_S
        await self.tic.start()

    async def _look_at_disk(self) -> None:
        """The journal looks whether the disk is whole again at its next write: there is one in injected time."""
        while True:
            await asyncio.sleep(LOOK_AT_DISK_S)
            if self._journal is not None and self._journal.trouble:
                await self._journal.write(lambda db: None)

    # The station process

    def utc(self) -> float:
        """The true time."""
        return UTC0 + self.loop.time()

    async def power_cut(self, off_s: float) -> None:
        """Everything is off for so long; both processes start anew, in another boot."""
        await self.kill_station()
        self.controller.kill()
        for point in self.electrics.points.values():
            point.commands = Commands(duty=0.0)
        self.controller.happened()
        await asyncio.sleep(off_s)
        self.boots += 1
        self.controller.start()
        self.start_station()

    def start_station(self) -> None:
        """As its process starts."""
        self.starts += 1
        journal = PromptJournal.open(self.config.station.state_dir / FILE_NAME, f"boot-{self.boots}")
        journal.disk = self.disk  # type: ignore[attr-defined]
        clock = Clock(
            journal.boot,
            self.loop.time,
            lambda: self.utc() + self.clock_shift,
            lambda: self.disciplined,
            lambda: False,
        )
        settings = Settings()
        station = Station(self.config, journal, clock, settings, self.controller)
        backend = Backend(self.config, journal, clock, station)
        meters = {e.id: e.meter for e in self.config.evse if e.meter is not None}
        bus = MeterBus("", 9600, "N", self.config.meter_bus.interval, meters, station, self.line)
        runners = [backend.run]
        if self.config.tic is not None:
            runners.append(TicListener("linky", "", station.supply.tic_read, station.supply.tic_state).run)
        station.attach(backend, bus, runners)
        if self.readers_silent:
            self._tell_readers(station)
        self.station, self.backend, self._journal = station, backend, journal
        self._running = asyncio.create_task(self._run(station))

    async def _run(self, station: Station) -> None:
        try:
            await station.run()
        except Exception as error:
            self.failure = error
            raise
        if station.restart_requested:
            asyncio.get_running_loop().call_later(1.0, asyncio.ensure_future, self._again())

    async def _again(self) -> None:
        await self.kill_station()
        self.start_station()

    async def kill_station(self, stop: bool = False) -> None:
        """End it in mid-sentence; `stop`: in good order."""
        running, self._running = self._running, None
        if running is not None:
            if stop:
                self.station.stop_running()
            else:
                running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        self.controller.detach()
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    @property
    def station_up(self) -> bool:
        return self._journal is not None

    # People and trouble

    def badge(self, token: str, reader: int) -> None:
        """Each point has a reader of its own."""
        if self.station_up and not self.readers_silent:
            self.station.badge(Badge(bytes.fromhex(token), token, reader, self.loop.time()))

    def _tell_readers(self, station: Station) -> None:
        for section in self.config.reader:
            station.reader_state(section.id, not self.readers_silent, "no answer")

    def fault(self, name: str, evse: int | None, on: bool) -> None:
        self.controller.happened()
        if evse is None:
            (self.electrics.faults.add if on else self.electrics.faults.discard)(name)
            if name in ("reader-silent", "reader-noise"):
                self.readers_silent = on
                if self.station_up:
                    self._tell_readers(self.station)
        elif name in ("meter-silent", "meter-noise"):
            meter = self.line.meters[evse]
            meter.silent, meter.noise = (on, meter.noise) if name == "meter-silent" else (meter.silent, on)
        else:
            point = self.electrics.points[evse]
            point.set_fault(name, on)
            if name == "over-current" and point.domestic_current_a:
                point.domestic_current_a = 18.0 if on else 8.0

    def faults(self, evse: int) -> set[str]:
        return {f.name for f in (*self.station.points[evse].faults, *self.station.faults)}
