"""How long one round of two meters takes on one line, with the times the bytes would take on a real one.

A pseudo-terminal has no speed; the simulated meters wait as long as request, silence and answer last at the given rate
(ten bits a byte), and a turn-around of their own. Run: ./dev run python bench/meters.py
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


async def rounds(model: str, baudrate: int, turn_around_s: float) -> list[float]:
    """Milliseconds from asking for both meters to having both."""
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
            asked = time.monotonic()
            readings = await asyncio.gather(*(bus.read_fresh(unit, asked, 5.0) for unit in meters))
            assert all(readings), bus.counters
            taken.append(1000 * (time.monotonic() - asked))
        task.cancel()
        await asyncio.wait([task])
        await sim.close()
    return taken


async def main() -> None:
    rows = []
    for model, baudrate, turn_around_s in CASES:
        figures = percentiles(await rounds(model, baudrate, turn_around_s))
        case = {"model": model, "Bd": baudrate, "turn-around ms": 1000 * turn_around_s}
        rows.append({**case, **{k: figures[k] for k in ("p50", "p99", "max")}})
    table("Reading two meters once, ms (aim: 250 at 9600 Bd)", rows)
    save("meters", rows)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    asyncio.run(main())
