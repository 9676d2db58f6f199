"""A borne on a slow, full or read-only disk, and on a clock that jumps; and how much it writes.

    ./dev run python bench/storage.py [--only slow,full,read-only,steps,boundary,epoch] [--writes MINUTES]

Needs a C compiler (see `tests/e2e/machine_shim.c`). `--writes`: so many minutes idle, then as many with two cars
charging, bytes counted by the kernel for both processes.
"""

import argparse
import asyncio
import errno
import http
import sqlite3
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "e2e"))

import troubles
from common import percentiles, save, table
from harness import Borne, children
from machine import Machine

from chargepoint.journal import history, store, transactions
from chargepoint.journal.journal import Journal
from chargepoint.journal.stamp import Stamp
from chargepoint.sim.central_system import CentralSystem

OFFLINE = """
AllowOfflineTxForUnknownId = true
RetryBackOffWaitMinimum = 1
RetryBackOffRandomRange = 0
"""


def no_time(machine: Machine, central: CentralSystem) -> None:
    machine.clock(-time.time() + 100.0, disciplined=False)
    central.refuse = http.HTTPStatus.SERVICE_UNAVAILABLE


def disciplined(machine: Machine, central: CentralSystem) -> None:
    machine.clock(0.0, disciplined=True)


def read_only(machine: Machine, central: CentralSystem) -> None:
    (machine.root).mkdir()
    machine.disk(refuses=errno.EROFS)


Trouble = tuple[Callable[[troubles.Stage], Awaitable[troubles.Figures]], str, Callable[[Machine, CentralSystem], None]]
TROUBLES: dict[str, Trouble] = {
    "slow": (lambda on: troubles.slow_disk(on, 30.0), "", disciplined),
    "full": (troubles.full_disk, "", disciplined),
    "read-only": (lambda on: troubles.full_disk(on, errno.EROFS), "", disciplined),
    "read-only at start": (troubles.refusing_at_start, "", read_only),
    "steps": (troubles.clock_steps, "", disciplined),
    "boundary": (troubles.back_over_a_boundary, "ClockAlignedDataInterval = 5\n", disciplined),
    "epoch": (troubles.no_clock_at_boot, OFFLINE, no_time),
}


async def one(name: str) -> dict[str, Any]:
    play, extra, prepare = TROUBLES[name]
    try:
        async with troubles.stage(extra, prepare) as on:
            return {"trouble": name, "result": "sound", "figures": await play(on)}
    except (AssertionError, TimeoutError) as error:
        return {"trouble": name, "result": repr(error).partition("\\n")[0], "figures": {}}


async def stall(ended: int) -> dict[str, Any]:
    """A journal with much to drop: how long the writes of a session wait behind one round of tidying."""
    with tempfile.TemporaryDirectory(prefix="tidy-") as root:
        journal = Journal.open(Path(root) / "chargepoint.db")

        def fill(db: sqlite3.Connection) -> None:
            for number in range(ended):
                at = Stamp(journal.boot, float(number))
                tx = transactions.begin(db, 1, 1, "TAG", None, None, "c:1", at, number)
                transactions.end(db, tx, at, number + 5, "Local", None)
                history.add(db, history.Event(at, 1, "diode", "raised", "x" * 60))
            db.execute("DELETE FROM outbox")

        await journal.write(fill)
        waits: list[float] = []
        tidying = asyncio.create_task(journal.tidy())
        while len(waits) < 200:
            asked = time.monotonic()
            await journal.write(lambda db: store.put(db, "bench", "k", len(waits)))
            waits.append((time.monotonic() - asked) * 1000)
            if tidying.done() and len(waits) % 20 == 0:
                await journal.tidy()
        await tidying
        journal.close()
    return {"ended transactions": ended, **{f"write ms {k}": v for k, v in percentiles(waits).items()}}


def written(borne: Borne) -> dict[str, int]:
    """Bytes each process has caused to be written, as the kernel counts them."""
    found = {}
    for name, pid in children(borne.processes["run"].pid).items():
        for line in Path(f"/proc/{pid}/io").read_text().splitlines():
            if line.startswith("write_bytes:"):
                found[name] = int(line.split()[1])
    return found


async def writes(minutes: float) -> list[dict[str, Any]]:
    """Bytes per hour of both processes, idle and charging, with the default sampling of a minute."""
    rows = []
    async with CentralSystem(tags=[troubles.KNOWN]) as central:
        borne = Borne(central.url, edit=lambda text: text.replace("SampleInterval = 1", "SampleInterval = 60"))
        try:
            await borne.start()
            await central.wait_connected()
            on = troubles.Stage(borne, central, None)  # type: ignore[arg-type]
            await asyncio.sleep(30)
            for when in ("idle", "two cars charging"):
                if when != "idle":
                    await on.charge()
                    await borne.sim("plug", evse=2)
                    await central.call("RemoteStartTransaction", {"idTag": troubles.KNOWN, "connectorId": 2})
                    await borne.until_status(2, "Charging", timeout_s=30)
                before = written(borne)
                await asyncio.sleep(minutes * 60)
                after = written(borne)
                for name in ("evse", "station"):
                    per_hour = (after[name] - before[name]) * 60 / minutes
                    rows.append({"process": name, "when": when, "minutes": minutes, "KiB per hour": per_hour / 1024})
        finally:
            await borne.stop()
            borne.remove()
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default=",".join(TROUBLES))
    parser.add_argument("--writes", type=float, default=0.0, help="minutes of each")
    parser.add_argument("--tidy", type=int, default=0, help="instead: a journal with so many ended transactions")
    options = parser.parse_args()
    if options.tidy:
        rows = [asyncio.run(stall(options.tidy))]
        table("Writes of a session while the journal is tidied", rows)
        save("storage_tidy", rows)
        return 0
    names = [name for name in options.only.split(",") if name]
    rows = [asyncio.run(one(name)) for name in names]
    if rows:
        table("Storage and clock", rows)
    counted = asyncio.run(writes(options.writes)) if options.writes else []
    if counted:
        table("Bytes written, as the kernel counts them", counted)
    save("storage", rows + counted)
    return 1 if any(row["result"] != "sound" for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
