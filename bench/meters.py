"""How long one round of two meters takes on one line, with the times the bytes would take on a real one.

A pseudo-terminal has no speed; the simulated meters wait as long as request, silence and answer last at the given rate
(ten bits a byte), and a turn-around of their own. Driver and meters share one process, so a machine with other work
shows in the figures: rounds in which it held this process up for more than `HELD_UP_S` are counted apart.
Run: ./dev run python bench/meters.py
"""

import asyncio
import logging
import tempfile
import time
from pathlib import Path

from common import percentiles, save, table

from chargepoint.config import MeterRef
from chargepoint.meter import maps
from chargepoint.meter.bus import MeterBus
from chargepoint.meter.reading import Reading
from chargepoint.sim.wire_meters import SimMeter, SimMeterBus, SimReading

ROUNDS = 60
AIM_MS = 250
TICK_S, HELD_UP_S = 0.005, 0.005
"""A ticker beside the rounds, and how late it may be in an undisturbed one: 2 % of the aim."""
NOW = SimReading((231.0, 229.5, 230.2), (16.0, 15.5, 14.7), (3696.0, 3557.0, 3383.0), 1_234_567.0)
CASES = [
    ("eastron-sdm630", 9600, 0.0),
    ("eastron-sdm630", 9600, 0.005),
    ("eastron-sdm630", 9600, 0.020),
    ("eastron-sdm630", 19200, 0.010),
    *((model, 9600, 0.010) for model in maps.names()),
]


class Silent:
    def meter_read(self, evse: int, reading: Reading) -> None: ...
    def meter_lost(self, evse: int, why: str) -> None: ...
    def meter_found(self, evse: int) -> None: ...


class Yardstick:
    """How late the event loop was at worst since it was last asked."""

    def __init__(self) -> None:
        self._worst_s = 0.0

    async def run(self) -> None:
        while True:
            due = time.monotonic() + TICK_S
            await asyncio.sleep(TICK_S)
            self._worst_s = max(self._worst_s, time.monotonic() - due)

    def take(self) -> float:
        worst, self._worst_s = self._worst_s, 0.0
        return worst


async def rounds(model: str, baudrate: int, turn_around_s: float) -> list[tuple[float, bool]]:
    """Milliseconds from asking for both meters to having both, and whether the machine held the round up."""
    yardstick = Yardstick()
    ticking = asyncio.create_task(yardstick.run())
    with tempfile.TemporaryDirectory() as folder:
        port = Path(folder) / "meters"
        meters = {unit: SimMeter(model, lambda: NOW) for unit in (1, 2)}
        for meter in meters.values():
            meter.delay_s = turn_around_s
        sim = SimMeterBus(port, meters, byte_s=10 / baudrate)
        await sim.start()
        refs = {unit: MeterRef(model=model, unit=unit) for unit in meters}
        bus = MeterBus(str(port), baudrate, "N", 60.0, refs, Silent())
        task = asyncio.create_task(bus.run())
        await asyncio.gather(*(bus.read_fresh(unit, 0.0, 5.0) for unit in meters))
        await asyncio.sleep(0.3)  # a reading that was under way ends
        taken = []
        for _ in range(ROUNDS):
            await asyncio.sleep(0.01)
            yardstick.take()
            asked = time.monotonic()
            readings = await asyncio.gather(*(bus.read_fresh(unit, asked, 5.0) for unit in meters))
            assert all(readings), bus.counters
            taken.append((1000 * (time.monotonic() - asked), yardstick.take() > HELD_UP_S))
        for one in (task, ticking):
            one.cancel()
        await asyncio.wait([task, ticking])
        await sim.close()
    return taken


async def main() -> None:
    rows = []
    for model, baudrate, turn_around_s in CASES:
        taken = await rounds(model, baudrate, turn_around_s)
        figures = percentiles([ms for ms, held_up in taken if not held_up] or [float("nan")])
        case = {"model": model, "Bd": baudrate, "turn-around ms": 1000 * turn_around_s}
        held_up = [ms for ms, held_up in taken if held_up]
        over = sum(1 for ms, held_up in taken if not held_up and ms > AIM_MS)
        worst = {"over aim": over, "held up": len(held_up), "their max": round(max(held_up, default=0.0))}
        rows.append({**case, **{k: figures[k] for k in ("p50", "p99", "max")}, **worst})
    table("Reading two meters once, ms (aim: 250 at 9600 Bd)", rows)
    save("meters", rows)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    asyncio.run(main())
