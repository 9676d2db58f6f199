"""A week without the central system, in injected time: people charge by the offline rules, then the link is back.

    ./dev run python bench/week_offline.py [--days 7] [--sessions 12] [--sample 60] [--seed 1]

The station's core, its journal on a real disk and the OCPP room over real TCP; the safety process and the meters are
the tests'. The first day begins with the link, in which the central system learns to know nobody and the borne its
badges; then nothing listens where the central system was. The attempts to connect are made, each of them, at their
times. At the end the account of the central system is compared with the registers.
"""

import argparse
import asyncio
import gc
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(1, str(Path(__file__).parents[1] / "tests" / "e2e"))
sys.path.insert(1, str(Path(__file__).parents[1] / "tests" / "station"))

import soak
import structlog
import virtual_time
from common import save, table
from injected_disk import PromptJournal
from station_harness import FakeTime

from chargepoint.journal import outbox
from chargepoint.sim.central_system import CentralSystem

TOKENS = {1: "TAG", 2: "TAG2"}
STEP_S, DAY_S = 10.0, 86_400.0
FULL_WH = 30
"""What a car takes in a step."""
TICK_S = 5.0
"""The station looks at its timers every second in reality; nothing here is due so exactly."""


class LoopTime(FakeTime):
    """The harness's clock is the loop's."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        super().__init__()

    @property
    def mono(self) -> float:  # type: ignore[override]
        return self._loop.time()

    @mono.setter
    def mono(self, value: float) -> None:
        pass


class Borne(soak.Soaked):
    """Its time goes on by itself."""

    async def life(self) -> None:
        """Cars take their energy, the safety process reports, the meters are read."""
        while True:
            await asyncio.sleep(STEP_S)
            for evse, car in self.link.cars.items():
                car.wh += FULL_WH if car.closed else 0
                self.link.report(evse)
                self.meters.poll(evse)

    async def visit(self, evse: int, seconds: float) -> None:
        """One car comes, charges and goes."""
        self.plug(evse)
        self.badge(TOKENS[evse])
        await self.within(lambda: self.state(evse) == "running", 30)
        await asyncio.sleep(seconds)
        self.badge(TOKENS[evse])
        await self.within(lambda: self.state(evse) == "finished", 30)
        self.unplug(evse)

    async def within(self, what: Any, seconds: float) -> None:
        async with asyncio.timeout(seconds):
            while not what():  # noqa: ASYNC110  (time is injected: looking costs nothing)
                await asyncio.sleep(0.25)

    async def people(self, evse: int, visits: int, dice: random.Random) -> None:
        """A day at one point."""
        for _ in range(visits):
            slot = DAY_S / visits
            charging = dice.uniform(*soak.CHARGES_S)
            before = dice.uniform(0, slot - charging - 120)
            await asyncio.sleep(before)
            await self.visit(evse, charging)
            await asyncio.sleep(slot - before - charging - 60)

    async def row(self, day: int, root: Path) -> dict[str, Any]:
        gc.collect()
        waiting = await self.journal.read(outbox.count)
        sizes = {part: (root / f"chargepoint.db{part}").stat().st_size / 1024 for part in ("", "-wal")}
        found = {"day": day, "waiting": waiting, "RSS MB": soak.measured()[0], "objects": len(gc.get_objects())}
        return {**found, "db KiB": sizes[""], "log KiB": sizes["-wal"], "fault": self.offline_fault()}

    def offline_fault(self) -> str:
        return next((f.detail for f in self.station.faults if f.name == "backend-offline"), "")


async def week(days: int, sessions: int, sample_s: int, seed: int, root: Path) -> list[dict[str, Any]]:
    dice, rows = random.Random(seed), []
    async with CentralSystem(tags=list(TOKENS.values())) as central:
        with patch.object(soak, "FakeTime", LoopTime):
            journal = PromptJournal.open(root / "chargepoint.db", "boot-1")
            borne = Borne(root, journal, central.url)
        borne.settings.sample_interval_s = sample_s
        running, life = asyncio.create_task(borne.station.run()), asyncio.create_task(borne.life())
        await borne.within(lambda: borne.room.online, 60)
        for evse in TOKENS:
            await borne.visit(evse, 60)
        first = {evse: car.wh for evse, car in borne.link.cars.items()}
        known = len(central.transactions)
        await asyncio.sleep(60)
        await central.close()
        for connection in tuple(central.connections.values()):
            connection.transport.abort()
        attempts = _count(borne)
        rows.append(await borne.row(0, root))
        for day in range(1, days + 1):
            await asyncio.gather(*(borne.people(evse, sessions // 2, dice) for evse in TOKENS))
            rows.append(await borne.row(day, root))
            print(rows[-1], flush=True)
        waiting, returned, mark = rows[-1]["waiting"], borne.time.mono, central.mark()
        at, before = time.perf_counter(), attempts()
        await central.start()
        await borne.within(lambda: borne.room.online, 120)
        back = borne.time.mono - returned
        while await journal.read(outbox.count):  # noqa: ASYNC110
            await asyncio.sleep(0.25)
        told = borne.time.mono - returned - back
        await asyncio.sleep(60)
        rows.append(await borne.row(days + 1, root))
        print(f"{before} attempts in vain; back after {back:.1f} s; {waiting} messages told {told:.1f} s later")
        print(f"(real time {time.perf_counter() - at:.1f} s; injected time stands still while a socket is at work)")
        _check(central, mark, known, first, {e: c.wh for e, c in borne.link.cars.items()}, days * (sessions // 2) * 2)
        life.cancel()
        borne.station.stop_running()
        await running
        journal.close()
        assert central.violations == []
    return rows


def _count(borne: Borne) -> Any:
    """Counts the attempts to connect from now on."""
    made, attempt = [0], borne.room._link._attempt

    async def counted(endpoint: Any) -> None:
        made[0] += 1
        await attempt(endpoint)

    borne.room._link._attempt = counted  # type: ignore[method-assign]
    return lambda: made[0]


def _check(
    central: CentralSystem, mark: int, known: int, first: dict[int, int], last: dict[int, int], expected: int
) -> None:
    """Every session once, to the watt-hour, and everything in the order in which it happened at its point."""
    booked = central.transactions[known:]
    assert len(booked) == expected, f"{len(booked)} transactions of {expected}"
    assert all(t.meter_stop is not None for t in booked)
    for evse, register in last.items():
        mine = [t for t in booked if t.connector == evse]
        assert sum(t.energy_wh for t in mine) == register - first[evse]
        assert [t.started for t in mine] == sorted(t.started for t in mine)
    stamps: dict[int, list[str]] = {}
    of = {t.id: t.connector for t in booked}
    values = 0
    for call in central.received[mark:]:
        payload = call.payload
        if call.action == "MeterValues":
            values += 1
            stamps.setdefault(payload["connectorId"], []).append(payload["meterValue"][0]["timestamp"])
        elif call.action in ("StartTransaction", "StopTransaction"):
            connector = payload.get("connectorId") or of[payload["transactionId"]]
            stamps.setdefault(connector, []).append(payload["timestamp"])
    assert all(one == sorted(one) for one in stamps.values()), "out of order"
    energy_wh = sum(t.energy_wh for t in booked)
    print(f"{len(booked)} transactions once each, {values} meter values, {energy_wh} Wh, in order")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--sessions", type=int, default=12, help="a day, on both points together")
    parser.add_argument("--sample", type=int, default=60, help="MeterValueSampleInterval, s")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    with (
        tempfile.TemporaryDirectory(prefix="week-") as root,
        patch("chargepoint.station.core.TICK_S", TICK_S),
    ):
        rows = virtual_time.run(
            week(options.days, options.sessions, options.sample, options.seed, Path(root)), options.seed
        )
    table("A week without the central system", rows)
    save("week_offline", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
