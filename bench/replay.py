"""A week offline: 300 transactions with 60 meter values each are replayed from the journal to a central system.

    ./dev run python bench/replay.py [TRANSACTIONS] [VALUES]

The charge point's side (journal, queue, rendering, schema check, WebSocket) runs here; the central system in a process
of its own. Prints messages per second, how much memory the replay took at its peak, and how long the charge point took
to answer questions that it was asked all the while.
"""

import asyncio
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import structlog
from websockets.asyncio.server import ServerConnection, serve

sys.path.insert(0, str(Path(__file__).parent))
from common import percentiles, save, table
from stub_station import StubStation, stub_config

from chargepoint.journal import outbox, transactions
from chargepoint.journal.journal import Journal
from chargepoint.journal.stamp import Stamp
from chargepoint.ocpp.v16.backend import Backend
from chargepoint.station.clock import Clock

ASK_EVERY_S = 0.05
WEEK_S = 7 * 86_400.0
VALUES = [
    {"measurand": "Energy.Active.Import.Register", "value": 123456.0, "unit": "Wh", "location": "Outlet"},
    *(
        {"measurand": measurand, "value": 16.2, "unit": unit, "phase": phase, "location": "Outlet"}
        for measurand, unit, phases in (
            ("Current.Import", "A", ("L1", "L2", "L3")),
            ("Voltage", "V", ("L1-N", "L2-N", "L3-N")),
        )
        for phase in phases
    ),
    {"measurand": "Power.Active.Import", "value": 11040.0, "unit": "W", "location": "Outlet"},
]


def central(pipe: Connection) -> None:
    """A central system that answers, and asks something now and then."""

    async def ask(connection: ServerConnection, asked: dict[str, float]) -> None:
        while True:
            await asyncio.sleep(ASK_EVERY_S)
            name = f"question-{len(asked)}"
            asked[name] = time.monotonic()
            await connection.send(json.dumps([2, name, "GetLocalListVersion", {}]))

    async def answer(connection: ServerConnection) -> None:
        number = 0
        asked: dict[str, float] = {}
        took: list[float] = []
        asking = asyncio.create_task(ask(connection, asked))
        async for message in connection:
            frame = json.loads(message)
            if frame[0] == 3:
                took.append(1000 * (time.monotonic() - asked[frame[1]]))
                continue
            now = "2026-01-01T00:00:00Z"
            number += 1
            payload: dict[str, Any] = {
                "BootNotification": {"status": "Accepted", "currentTime": now, "interval": 3000},
                "StartTransaction": {"transactionId": number, "idTagInfo": {"status": "Accepted"}},
            }.get(frame[2], {})
            await connection.send(json.dumps([3, frame[1], payload]))
        asking.cancel()
        pipe.send(took)

    async def listen() -> None:
        async with serve(answer, "127.0.0.1", 0, subprotocols=["ocpp1.6"], compression=None) as server:  # type: ignore[list-item]
            pipe.send(next(iter(server.sockets)).getsockname()[1])
            await asyncio.get_running_loop().create_future()

    asyncio.run(listen())


async def fill(journal: Journal, count: int, samples: int) -> None:
    """Write the week."""
    step = WEEK_S / count
    begin = time.time() - WEEK_S

    def write(db: Any) -> None:
        for number in range(count):
            at = begin + number * step
            stamp = Stamp(journal.boot, at - begin, at)
            tx = transactions.begin(db, 1 + number % 2, 1, "04A1B2C3D4E5F6", None, None, "car", stamp, 1000 * number)
            for sample in range(samples):
                later = at + 60 * (sample + 1)
                transactions.sampled(db, tx, Stamp(journal.boot, later - begin, later), 1 + number % 2, VALUES)
            end = at + 60 * (samples + 1)
            transactions.end(db, tx, Stamp(journal.boot, end - begin, end), 1000 * (number + 1), "Local", None)

    await journal.write(write)


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def replay(directory: Path, port: int, count: int, samples: int) -> dict[str, Any]:
    journal = Journal.open(directory / "chargepoint.db", "boot")
    try:
        await fill(journal, count, samples)
        before = peak_mib()
        total = await journal.read(outbox.count)
        backend = Backend(stub_config(f"ws://127.0.0.1:{port}", directory), journal, Clock(journal.boot), StubStation())
        running = asyncio.create_task(backend.run())
        began, cpu = time.perf_counter(), time.process_time()
        while await journal.read(outbox.count):  # noqa: ASYNC110 - a benchmark looks from outside
            await asyncio.sleep(0.2)
        took, used = time.perf_counter() - began, time.process_time() - cpu
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    finally:
        journal.close()
    return {
        "messages": total,
        "seconds": took,
        "messages/s": total / took,
        "CPU ms/message": 1000 * used / total,
        "peak before MiB": before,
        "peak after MiB": peak_mib(),
    }


def main(count: int, samples: int) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=central, args=(theirs,), daemon=True)
    server.start()
    with tempfile.TemporaryDirectory() as directory:
        rows = [asyncio.run(replay(Path(directory), ours.recv(), count, samples))]
    if not ours.poll(10):
        raise SystemExit("the central system does not say how long its questions took")
    answers = percentiles(ours.recv())
    rows[0] |= {f"answers {name} ms": answers[name] for name in ("p50", "p99", "max")}
    server.terminate()
    table("replay after a week offline", rows)
    save("replay", rows)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300, int(sys.argv[2]) if len(sys.argv) > 2 else 60)
