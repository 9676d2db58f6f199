"""Weeks of a station on a clock that the bench turns: do memory, files and tasks stay flat, how much is written a day?

    ./dev run python bench/soak.py [--days 30] [--sessions 12] [--seed 1]

The product's: the station's core, the journal on the real disk, the OCPP room with its queue over a WebSocket to a
central system. In place of the safety process and the meters are those of the station's tests (`station_harness.py`).
Every step of the clock (10 s, longer than the station's tick of 1 s) waits until nothing is under way, so that each
write of the journal is one of its own, as in real time. Bytes are the kernel's count for this process (`write_bytes` of
/proc/self/io).
"""

import argparse
import asyncio
import gc
import random
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "station"))

import structlog
from common import save, table
from station_harness import FakeLink, FakeMeters, FakeTime, Harness, config

from chargepoint.journal.journal import Journal
from chargepoint.ocpp.v16.backend import Backend
from chargepoint.sim.central_system import CentralSystem
from chargepoint.station.clock import Clock
from chargepoint.station.settings import Settings
from chargepoint.station.station import Station

DAY_S, STEP_S = 86_400, 10.0
CHARGES_S = (1_200.0, 7_200.0)


class Soaked(Harness):
    """The harness's station with the product's OCPP room."""

    def __init__(self, root: Path, journal: Journal, url: str) -> None:
        self.time, self.journal, self.settings = FakeTime(), journal, Settings()
        file = config(root, ocpp={"url": url, "security_profile": 0})
        time = self.time
        self.clock = Clock(journal.boot, time.monotonic, time.utc, time.disciplined, time.ran_on)
        self.link = FakeLink(self.time, tuple(e.id for e in file.evse))
        self.meters = FakeMeters(self.time, self.link)
        self.station = Station(file, journal, self.clock, self.settings, self.link)
        self.meters.station = self.station
        self.room = Backend(file, journal, self.clock, self.station)
        self.station.attach(self.room, self.meters, [self.room.run])

    async def rest(self, idle: int) -> None:
        """Until the works that this step has begun have ended."""
        for _ in range(40_000):
            if len(asyncio.all_tasks()) <= idle:
                return
            await asyncio.sleep(0.0005)
        raise AssertionError(f"after {self.time.mono:.0f} s something does not end: {asyncio.all_tasks()}")

    async def step(self, idle: int) -> None:
        self.advance(STEP_S, wh=30)
        await self.rest(idle)


def measured() -> tuple[float, float]:
    """Resident memory and bytes written since the start, both in MB."""
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6
    lines = Path("/proc/self/io").read_text().splitlines()
    return resident, int(next(line for line in lines if line.startswith("write_bytes")).split()[1]) / 1e6


async def visit(borne: Soaked, evse: int, idle: int, dice: random.Random) -> None:
    """One car comes, charges for a while and goes."""
    token = ("TAG", "TAG2")[evse - 1]
    borne.plug(evse)
    borne.badge(token)
    await borne.until_state("running", evse)
    for _ in range(round(dice.uniform(*CHARGES_S) / STEP_S)):
        await borne.step(idle)
    borne.badge(token)
    await borne.until_state("finished", evse)
    borne.unplug(evse)
    await borne.step(idle)


async def soak(days: int, sessions: int, seed: int, root: Path) -> list[dict[str, Any]]:
    dice, rows = random.Random(seed), []
    async with CentralSystem(tags=["TAG", "TAG2"]) as central:
        journal = Journal.open(root / "chargepoint.db")
        borne = Soaked(root, journal, central.url)
        running = asyncio.create_task(borne.station.run())
        await central.wait_connected()
        await asyncio.sleep(1.0)
        idle = len(asyncio.all_tasks())
        for number in range(1, days + 1):
            began, (_, before) = time.perf_counter(), measured()
            end = borne.time.mono + DAY_S
            for visited in range(sessions):
                await visit(borne, 1 + visited % 2, idle, dice)
                pause = (end - borne.time.mono) / (sessions - visited) - CHARGES_S[1]
                for _ in range(max(0, round(dice.random() * pause / STEP_S))):
                    await borne.step(idle)
            while borne.time.mono < end:
                await borne.step(idle)
            closed = sum(t.meter_stop is not None for t in central.transactions)
            values = len(central.calls("MeterValues"))
            central.first_transaction_id += len(central.transactions)
            for grown in (central.transactions, central.received, central.frames, central.handshakes):
                grown.clear()
            gc.collect()
            resident, written = measured()
            size = {part: (root / f"chargepoint.db{part}").stat().st_size / 1024 for part in ("", "-wal")}
            rows.append(
                {
                    "day": number,
                    "sessions": closed,
                    "meter values": values,
                    "RSS MB": resident,
                    "objects": len(gc.get_objects()),
                    "threads": threading.active_count(),
                    "tasks": len(asyncio.all_tasks()),
                    "db KiB": size[""],
                    "log KiB": size["-wal"],
                    "written MB": written - before,
                    "took s": time.perf_counter() - began,
                }
            )
            print(rows[-1], flush=True)
        borne.station.stop_running()
        await running
        journal.close()
        assert central.violations == []
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--sessions", type=int, default=12, help="a day, on both points together")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with tempfile.TemporaryDirectory(prefix="soak-") as root:
        rows = asyncio.run(soak(options.days, options.sessions, options.seed, Path(root)))
    table("Soak", rows)
    save("soak", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
