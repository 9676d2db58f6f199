"""All meters on one line, read in turn for ever.

A reading counts only whole: one failed block and nothing of it is used. A meter that stays silent is lost: its last
good reading stays as it is, with its age, never a zero; it is asked more and more seldom so that it does not slow the
others, and announced when it answers again.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Protocol, TypeVar

import structlog

from chargepoint.config import MeterRef
from chargepoint.meter import maps
from chargepoint.meter.decode import EnergyGuard, Implausible, Jumped, to_reading, without_direction
from chargepoint.meter.identity import code, judge, without_supply
from chargepoint.meter.link import Counters, ModbusLink, NoAnswer, NoLine, Refused, heed_cancellation
from chargepoint.meter.plan import Block, plan
from chargepoint.meter.reading import BUILDING, Reading

log = structlog.get_logger()
T = TypeVar("T")

NOTHING_S = 5.0
"""A bus without meters looks up so often, to show that it lives."""
LOST_AFTER = 4
"""Failed readings in a row before a meter is called lost."""
BACK_OFF_S = (2.0, 4.0, 8.0, 10.0)
"""Pauses between attempts at a lost meter."""


class MeterListener(Protocol):
    """Who is told."""

    def meter_read(self, evse: int, reading: Reading) -> None:
        """A whole, plausible reading."""

    def meter_lost(self, evse: int, why: str) -> None:
        """The meter has not answered for several attempts; the last reading keeps standing."""

    def meter_found(self, evse: int) -> None:
        """A lost meter answers again; its reading follows."""


class WrongModel(Exception):
    """The meter says it is another model, whose registers stand elsewhere."""


class _Meter:
    """One meter and how it is doing."""

    def __init__(self, evse: int, ref: MeterRef, alone: bool) -> None:
        self.evse = evse
        self.unit = ref.unit
        self.map = maps.load(ref.model)
        self.plan = plan(self.map, alone=alone, signs=evse == BUILDING)
        self.registers: dict[int, int] = {}
        """What was read last; a brief round renews a part."""
        self.turns = 0
        self.guard = EnergyGuard()
        self.last: Reading | None = None
        self.failures = 0
        self.lost = False
        self.identified = False
        """Its code was asked since it was last found."""
        self.due = 0.0
        self.wanted = False
        """Ask now, whatever is due."""
        self.waiting = 0
        """How many wait for a fresh reading: no back-off meanwhile."""
        self.fresh = asyncio.Event()
        """Set, and replaced, at every good reading."""


class MeterBus:
    """The meters of one line. Raises maps.UnknownModel when a model has no map."""

    def __init__(
        self,
        port: str,
        baudrate: int,
        parity: str,
        interval_s: float,
        meters: Mapping[int, MeterRef],
        listener: MeterListener,
        link: ModbusLink | None = None,
    ) -> None:
        """`meters`: evse id -> model and unit. `link`: another line than the serial one of the first arguments."""
        self._link = link or ModbusLink(port, baudrate, parity)
        self._interval_s = interval_s
        self._meters = {evse: _Meter(evse, ref, len(meters) == 1) for evse, ref in meters.items()}
        self._listener = listener
        self._wake = asyncio.Event()
        self._readings = 0
        self._jobs: deque[Callable[[], Awaitable[None]]] = deque()
        self.turns = 0
        """Goes up whenever the loop gets round, whether a meter answered or not."""

    @property
    def counters(self) -> Counters:
        return self._link.counters

    def frames(self) -> list[tuple[float, bool, bytes]]:
        """As `ModbusLink.frames`."""
        return self._link.frames()

    def last(self, evse: int) -> Reading | None:
        """The last good reading, however old; None before the first."""
        return self._meters[evse].last

    def lost(self, evse: int) -> bool:
        return self._meters[evse].lost

    async def read_fresh(self, evse: int, after: float, timeout_s: float) -> Reading | None:
        """The first reading asked for at `after` (monotonic) or later; None when none came within the time."""
        meter = self._meters[evse]
        meter.waiting += 1
        try:
            async with asyncio.timeout(timeout_s):
                while meter.last is None or meter.last.at < after:
                    meter.wanted = True
                    self._wake.set()
                    await meter.fresh.wait()
        except TimeoutError:
            return None
        finally:
            meter.waiting -= 1
        return meter.last

    async def exclusive(self, evse: int, work: Callable[[ModbusLink, int], Coroutine[Any, Any, T]]) -> T:
        """Do `work(link, unit)` with a point's meter between two readings, and give what it gives or raises.

        The bus does it, not the caller: a caller that is cancelled leaves no request behind whose answer comes late.
        """
        unit = self._meters[evse].unit
        started: asyncio.Future[asyncio.Task[T]] = asyncio.get_running_loop().create_future()

        async def job() -> None:
            task = asyncio.ensure_future(work(self._link, unit))
            if not started.done():
                started.set_result(task)
            try:
                await asyncio.wait([task])
            finally:
                task.cancel()  # the bus was stopped; else it has ended

        self._jobs.append(job)
        self._wake.set()
        return await asyncio.shield(await started)

    async def run(self) -> None:
        """Poll for ever. Ends only by cancellation, and closes the line then."""
        try:
            while True:
                self.turns += 1
                meter = await self._next_due()
                while self._jobs:
                    await self._jobs.popleft()()
                    self.turns += 1
                await self._poll(meter)
                heed_cancellation()
        finally:
            self._link.close()

    async def _next_due(self) -> _Meter:
        if not self._meters:
            while True:  # nothing to read: until cancelled
                await asyncio.sleep(NOTHING_S)
                self.turns += 1
        while True:
            now = time.monotonic()
            meter = min(self._meters.values(), key=lambda m: (not m.wanted, m.due))
            if meter.wanted or meter.due <= now or self._jobs:
                return meter
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(meter.due - now):
                    await self._wake.wait()

    async def _poll(self, meter: _Meter) -> None:
        meter.wanted = False
        started = time.monotonic()
        try:
            reading = await self._read_sure(meter)
        except NoLine as e:
            self._failed(meter, str(e), soon=True)  # costs the others nothing, and all wait for the same device
        except (NoAnswer, Refused, WrongModel) as e:
            self._failed(meter, str(e))
        except Implausible as e:
            self.counters.implausible += 1
            self._failed(meter, f"unit {meter.unit} on {self._link.name}: {e}")
        else:
            meter.due = max(meter.due + self._interval_s, started + self._interval_s / 2)
            self._succeeded(meter, reading)

    async def _read_sure(self, meter: _Meter) -> Reading:
        """A register that has jumped is asked for again at once: noise is not the same twice."""
        whole = False
        for _ in range(EnergyGuard.CONFIRMATIONS - 1):
            try:
                return await self._read(meter, whole)
            except Jumped:
                self.counters.implausible += 1
                whole = True
        return await self._read(meter, whole)

    async def _read(self, meter: _Meter, whole: bool = False) -> Reading:
        asked = time.monotonic()
        self._readings += 1
        blocks = meter.plan.blocks(self._readings, len(self._meters), meter.turns)
        if whole or meter.last is None:
            blocks = meter.plan.whole
        elif blocks is not meter.plan.brief:
            meter.turns += 1
        for block in blocks:
            words = await self._link.read(meter.unit, meter.map.function, block, meter.map.gap_ms / 1000)
            meter.registers.update(enumerate(words, block.address))
        reading = to_reading(meter.map, meter.registers, asked)
        if meter.evse != BUILDING:
            reading = without_direction(reading)
        if not meter.identified:
            await self._identify(meter, reading)
        meter.guard.check(reading.energy_wh, reading.at)
        return reading

    async def _identify(self, meter: _Meter, reading: Reading) -> None:
        """Ask what it is, once it answers. Many meters cannot be asked: then its voltages have to be those of a supply.

        Raises WrongModel.
        """
        if said := without_supply(meter.map, reading):
            raise WrongModel(f"unit {meter.unit} on {self._link.name}: {said}")
        probe = meter.map.identity
        if probe is not None and probe.values:
            try:
                words = await self._link.read(meter.unit, probe.function, Block(probe.address, probe.words))
            except (NoAnswer, Refused) as e:
                if isinstance(e, Refused) and 0 not in probe.values:
                    said = f'it has no code where a {meter.map.title} has one: is model = "{meter.map.model}" right?'
                    raise WrongModel(f"unit {meter.unit} on {self._link.name}: {said}") from e
                log.info("meter_gives_no_code", evse=meter.evse, unit=meter.unit, why=str(e))
            else:
                found = code(probe, words)
                verdict = judge(meter.map, found or 0)
                if not verdict.usable:
                    raise WrongModel(f"unit {meter.unit} on {self._link.name}: {verdict.text}")
                if verdict.text:
                    log.warning("meter_model_differs", evse=meter.evse, unit=meter.unit, why=verdict.text)
        meter.identified = True

    def _succeeded(self, meter: _Meter, reading: Reading) -> None:
        meter.last = reading
        meter.failures = 0
        if meter.lost:
            meter.lost = False
            log.info("meter_found", evse=meter.evse, unit=meter.unit)
            self._listener.meter_found(meter.evse)
        self._listener.meter_read(meter.evse, reading)
        meter.fresh.set()
        meter.fresh = asyncio.Event()

    def _failed(self, meter: _Meter, why: str, soon: bool = False) -> None:
        meter.failures += 1
        now = time.monotonic()
        next_s = min(self._interval_s, 1.0) / 2
        if meter.failures >= LOST_AFTER:
            step = min(meter.failures - LOST_AFTER, len(BACK_OFF_S) - 1)
            meter.due = now + (next_s if soon or meter.waiting else BACK_OFF_S[step])
            if not meter.lost:
                meter.lost = True
                meter.identified = False
                log.error("meter_lost", evse=meter.evse, unit=meter.unit, why=why)
                self._listener.meter_lost(meter.evse, why)
        else:
            meter.due = now + next_s
