"""The whole borne in one process, on a clock that the test turns: an hour in seconds, the same at every run.

    async with WholeBorne(root, central, extra="[tic]") as borne:
        borne.plug(1)
        borne.badge("04A1B2C3")
        await borne.until(lambda: borne.contactor(1), 30)
        await borne.run(3600)

As in the product: the configuration file's text; evse's loop with the board's code above the simulated pins, ADC
counts and PWM files; the socket between the processes; the station as `processes/station.py` composes it, with its
journal on disk; the OCPP connection over a WebSocket; the meters' register images in RTU frames, the TIC's frames
with their checksums, the badge reader's frames, each through the product's own listener.

Not as in the product: there is one process; `time.monotonic` is the test's; of a serial line neither the kernel's
terminal nor pymodbus or pyserial is there (bytes go over in memory, in no time); while nothing moves the loop passes
every `QUIET_S` and not every 10 ms. The clock stands still while anything is under way (disk, sockets).
"""

import asyncio
import contextlib
import io
import time
from asyncio.selector_events import _SelectorSocketTransport  # type: ignore[attr-defined]
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, Self
from unittest.mock import patch

from injected_disk import PromptJournal
from memory_lines import MemoryLine, MemoryWire, cable
from virtual_time import done_in_thread
from websockets.asyncio.connection import Connection

from chargepoint.board.pins import load_pins
from chargepoint.board.raspberry_pi import GpioBoard
from chargepoint.board.simulated import SimulatedHardware
from chargepoint.config_check import parse
from chargepoint.evse.log import Log
from chargepoint.evse.loop import Loop
from chargepoint.journal.journal import FILE_NAME
from chargepoint.meter.link import ModbusLink, NoAnswer, Refused
from chargepoint.meter.plan import Block
from chargepoint.processes import station as process
from chargepoint.sim.car import Car
from chargepoint.sim.central_system import CentralSystem
from chargepoint.sim.devices import SerialDevices
from chargepoint.sim.server import make_borne
from chargepoint.sim.wire_meters import crc16
from chargepoint.sim.wiring import Wiring
from chargepoint.station.clock import Clock
from chargepoint.station.control import Control
from chargepoint.station.point import Point

FINE_S, QUIET_S = 0.01, 0.25
FINE_FOR_S = 0.6
"""How long passes stay fine after something has moved."""
UTC0 = 1_800_000_000.0
"""UTC at the clock's zero: some midnight."""
QUIET_ROUNDS = 3
"""Rounds of the event loop with nothing to do before time may go on."""
TIED_ROUNDS, TIED_S = 100, 1e-6
LOST_S = 1.0
"""Real time after which bytes on their way between two sockets of this machine are lost."""
STUCK_S = 20.0
"""Real time in which what is under way must come to rest."""


class MemoryModbus(ModbusLink):
    """In place of the RTU client: whole frames with their CRC, answered at once or not at all."""

    async def read(self, unit: int, function: int, block: Block, gap_s: float = 0.0) -> list[int]:
        body = bytes((unit, function)) + block.address.to_bytes(2, "big") + block.count.to_bytes(2, "big")
        answers: list[bytes] = []
        wire = cable(self.name)
        wire.near = answers.append
        wire.on_bytes(body + crc16(body))
        self.counters.requests += 1
        frame = b"".join(answers)
        if not frame:
            self.counters.timeouts += 1
            await asyncio.sleep(self._timeout_s + self._quiet_s)
            raise NoAnswer(f"no usable answer from unit {unit} on {self.name}")
        if frame[-2:] != crc16(frame[:-2]):
            self.counters.malformed += 1
            await asyncio.sleep(self._quiet_s)
            raise NoAnswer(f"no usable answer from unit {unit} on {self.name}")
        if frame[1] & 0x80:
            raise Refused(f"unit {unit} on {self.name} refused registers {block.address}+{block.count}")
        data = frame[3:-2]
        return [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]


CONFIG = """
[station]
id = "FR-ARD-0001"
serial = "ARD-0001"
state_dir = "{root}/state"
run_dir = "{root}/run"

[supply]
phases = 3
voltage = 230
max_current = {max_current}

[board]
kind = "simulated"

[[evse]]
id = 1
max_current = 32
phase_rotation = "{rotations[0]}"
meter = {{ model = "eastron-sdm630", unit = 1 }}

[[evse]]
id = 2
max_current = 32
phase_rotation = "{rotations[1]}"
meter = {{ model = "eastron-sdm630", unit = 2 }}

[[reader]]
id = 1
kind = "rdm6300"

[ocpp]
url = "{url}"
security_profile = 0

[ocpp.configuration]
MeterValueSampleInterval = 300
HeartbeatInterval = 3600
{extra}
"""


class WholeBorne:
    """One borne and its central system, in this process and on this clock. One at a time."""

    def __init__(
        self,
        root: Path,
        central: CentralSystem,
        extra: str = "",
        begin: float = 0.0,
        max_current: float = 52,
        rotations: tuple[str, str] = ("RST", "STR"),
    ) -> None:
        """`begin`: what the clock shows at the start, s."""
        (root / "run").mkdir(parents=True, exist_ok=True)
        (root / "state").mkdir(parents=True, exist_ok=True)
        self.now = begin
        self.central = central
        self._ns = 0
        self._stack = contextlib.AsyncExitStack()
        self._text = CONFIG.format(
            root=root, url=central.url, extra=extra, max_current=max_current, rotations=rotations
        )
        self._fine_until = begin + FINE_FOR_S
        self._commands: tuple[object, ...] = ()
        self._bytes_under_way = 0

    # --- start and end -----------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        async with self._stack:
            self._patch()
            self._wait_for_threads(asyncio.get_running_loop())
            self._watch_sockets()
            self.config = config = parse(self._text)
            run_dir = config.station.run_dir
            self.sim = make_borne(config)
            self.wiring = Wiring(config, self.sim)
            self._stack.callback(self.wiring.close)
            self.devices = SerialDevices(config, self.sim)
            await self.devices.start()
            self._stack.push_async_callback(self.devices.close)
            pins = load_pins(config)
            self.wiring.exchange(self.now)
            board = GpioBoard(config.evse, pins, SimulatedHardware(run_dir, pins))
            log = Log("error", io.StringIO())
            self.loop = Loop(config, board, log, lambda: self.now)
            self._stack.callback(self.loop.close)
            self.journal = PromptJournal.open(config.station.state_dir / FILE_NAME, "boot-of-the-day")
            self._stack.callback(self.journal.close)
            self.station = process.compose(config, self.journal)
            self.control = Control(self.station, config.station.run_dir / "station.sock")
            running = asyncio.create_task(self.station.run())
            self._stack.push_async_callback(self._end, running)
            await self.until(lambda: self.online and all(p.report for p in self.station.points.values()), 30)
            self._stack = self._stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _end(self, running: "asyncio.Task[None]") -> None:
        self.station.stop_running()
        while not running.done():
            await self.step()
        await running

    def _patch(self) -> None:
        """Put the clock and the memory lines in place of the machine's, for as long as this borne lives."""
        for target, new in (
            ("time.monotonic", lambda: self.now),
            ("time.monotonic_ns", lambda: round(self.now * 1e9)),
            ("chargepoint.sim.wire_meters.PtyWire", MemoryWire),
            ("chargepoint.sim.wire_tic.PtyWire", MemoryWire),
            ("chargepoint.sim.wire_readers.PtyWire", MemoryWire),
            ("chargepoint.tic.listener.SerialLine", MemoryLine),
            ("chargepoint.reader.reader.SerialLine", MemoryLine),
            ("chargepoint.meter.bus.ModbusLink", MemoryModbus),
            ("chargepoint.processes.station.Clock", self._clock),
        ):
            self._stack.enter_context(patch(target, new))

    def _clock(self, boot: int) -> Clock:
        return Clock(boot, lambda: self.now, lambda: UTC0 + self.now, lambda: True)

    def _wait_for_threads(self, loop: asyncio.AbstractEventLoop) -> None:
        """What a thread does for the loop is done before anything else happens, as with the journal's own."""
        thread = self._stack.enter_context(ThreadPoolExecutor(1))

        def run_in_executor(executor: Executor | None, func: Any, *args: Any) -> Any:
            return done_in_thread(executor or thread, func, *args)

        self._stack.enter_context(patch.object(loop, "run_in_executor", run_in_executor))

    # --- time --------------------------------------------------------------------------------------------------

    async def step(self) -> None:
        """The next pass of the loop, and everything that follows from it."""
        self.now += FINE_S if self.now < self._fine_until else QUIET_S
        changed = self.wiring.exchange(self.now)
        self.loop.pass_once(self.now, 0.0)
        commands = tuple((p.state, p.load_live, p.lock.is_closed) for p in self.sim.points.values())
        if changed or self.sim.moving or commands != self._commands:
            self._fine_until = self.now + FINE_FOR_S
        self._commands = commands
        await self.rest()

    def _watch_sockets(self) -> None:
        """Count the bytes between station and central system: also the loopback takes its time on a busy machine."""
        write, received = _SelectorSocketTransport.write, Connection.data_received

        def counted_write(transport: Any, data: bytes) -> None:
            self._bytes_under_way += len(data)
            write(transport, data)

        def counted_received(connection: Any, data: bytes) -> None:
            self._bytes_under_way -= len(data)
            received(connection, data)

        self._stack.enter_context(patch.object(_SelectorSocketTransport, "write", counted_write))
        self._stack.enter_context(patch.object(Connection, "data_received", counted_received))

    async def rest(self) -> None:
        """Let everything that is under way come to rest, without time going on."""
        loop = asyncio.get_running_loop()
        quiet, busy, begun = 0, 0, time.perf_counter()
        while quiet < QUIET_ROUNDS:
            await asyncio.sleep(0)
            taken = time.perf_counter() - begun
            if self._bytes_under_way > 0 and quiet == QUIET_ROUNDS - 1:
                quiet = 0
                time.sleep(0.0001)  # noqa: ASYNC251  # the kernel's turn
                if taken > LOST_S:
                    self._bytes_under_way = 0  # sent into a connection that was closed
            busy = 0 if quiet else busy + 1
            if busy > TIED_ROUNDS:
                self.now += TIED_S  # somebody waits for a time that is due by a rounding error
            quiet = 0 if loop._ready else quiet + 1  # type: ignore[attr-defined]
            if taken > STUCK_S:
                raise AssertionError(f"at {self.now:.2f} s this goes on and on")

    async def run(self, seconds: float) -> None:
        end = self.now + seconds - 1e-9
        while self.now < end:
            await self.step()

    async def until(self, what: Callable[[], object], seconds: float) -> None:
        end = self.now + seconds
        while not what():
            assert self.now < end, f"not within {seconds:g} s: {self.states()}"
            await self.step()

    # --- what people do, and what shows --------------------------------------------------------------------------

    def plug(self, evse: int, cable: int = 32, max_current: float = 32, phases: int = 3) -> None:
        self.sim.points[evse].plug(cable, Car(max_current=max_current, phases=phases))
        self._happened()

    def badge(self, uid: str) -> None:
        self.devices.badge(1, bytes.fromhex(uid))

    def unplug(self, evse: int, force: bool = False) -> None:
        self.sim.points[evse].unplug("socket", force)
        self._happened()

    def contacts(self, first: bool, second: bool) -> None:
        """The grid operator's contacts at the board, closed or open."""
        self.sim.grid_closed = (first, second)
        self._happened()

    def fault(self, name: str, evse: int | None = None, on: bool = True) -> None:
        """One of the simulated borne's faults."""
        if evse is None:
            (self.sim.faults.add if on else self.sim.faults.discard)(name)
        else:
            self.sim.points[evse].set_fault(name, on)
        self.devices.set_fault(name, evse, on)
        self._happened()

    def _happened(self) -> None:
        self._fine_until = self.now + FINE_FOR_S

    @property
    def online(self) -> bool:
        return self.station.backend.online

    def point(self, evse: int) -> Point:
        return self.station.points[evse]

    def contactor(self, evse: int) -> bool:
        return self.sim.points[evse].contactor.closed

    def why(self, evse: int, lang: Literal["en", "fr"] = "en") -> str:
        return self.control.why(evse, lang)

    def states(self) -> list[tuple[str, str, str]]:
        return [(p.session.state, p.status.value, self.sim.points[i].state) for i, p in self.station.points.items()]
