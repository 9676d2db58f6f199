"""Start times, memory and processor share of both processes, measured on the whole program.

    ./dev run python bench/resources.py

One borne on the simulated wires with a local central system. Start times are over several starts; PSS and CPU are
read from /proc over a stated window, once idle and once with two cars charging.
"""

import asyncio
import socket
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "e2e"))

from common import percentiles, save, table
from harness import Borne

from chargepoint.sim.central_system import CentralSystem

STARTS = 7
WINDOW_S = 20.0


def pss_mb(pid: int) -> float:
    """Proportional set size, MB (10^6 bytes), from smaps_rollup."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"no Pss line for process {pid}")


def cpu_s(pid: int) -> float:
    """Processor seconds used so far by the process's threads, from the scheduler's own count in nanoseconds.

    Not from /proc/PID/stat: a 100 Hz loop runs in step with the kernel's tick, which then counts it all or nothing.
    """
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


async def evse_controls(borne: Borne, since: float) -> float:
    """Seconds until the safety process reports a point, which it does after it has set the pilots."""
    path = str(borne.root / "run" / "evse.sock")
    loop = asyncio.get_running_loop()
    while time.monotonic() < since + 20:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        link.setblocking(False)
        try:
            await loop.sock_connect(link, path)
            async with asyncio.timeout(5):
                if await loop.sock_recv(link, 65536):
                    return time.monotonic() - since
        except (FileNotFoundError, ConnectionRefusedError):
            await asyncio.sleep(0.005)
        finally:
            link.close()
    raise RuntimeError(f"evse did not come up\n{borne.tail()}")


async def start_times() -> list[dict[str, Any]]:
    evse, boot = [], []
    for _ in range(STARTS):
        async with CentralSystem() as central:
            borne = Borne(central.url)
            try:
                await borne.spawn("sim", "serve")
                await borne.until(borne.simulated, 20, "the simulated borne")
                start = time.monotonic()
                await borne.spawn("evse")
                evse.append(await evse_controls(borne, start))
                start = time.monotonic()
                await borne.spawn("station")
                await central.wait_for("BootNotification", timeout_s=20)
                boot.append(time.monotonic() - start)
            finally:
                await borne.stop()
                borne.remove()
    return [
        {"what": "evse: start to pilot under control, s", **percentiles(evse)},
        {"what": "station: start to BootNotification, s", **percentiles(boot)},
    ]


async def shares(borne: Borne, label: str) -> list[dict[str, Any]]:
    pids = {name: borne.child(name) for name in ("evse", "station", "sim")}
    before = {name: cpu_s(pid) for name, pid in pids.items()}
    start = time.monotonic()
    await asyncio.sleep(WINDOW_S)
    span = time.monotonic() - start
    rows = []
    for name, pid in pids.items():
        used = (cpu_s(pid) - before[name]) / span * 100
        rows.append({"process": name, "when": label, "cpu_percent": used, "pss_mb": pss_mb(pid)})
    return rows


async def steady() -> list[dict[str, Any]]:
    async with CentralSystem(tags={"04A1B2C3": "Accepted", "04D4E5F6": "Accepted"}) as central:
        borne = Borne(central.url)
        try:
            await borne.start()
            await asyncio.sleep(15)
            rows = await shares(borne, "idle")
            for evse, uid in ((1, "04A1B2C3"), (2, "04D4E5F6")):
                await borne.sim("plug", evse=evse)
                await borne.until_status(evse, "Preparing")
                await borne.sim("badge", uid=uid)
                await borne.until_status(evse, "Charging", timeout_s=30)
            await asyncio.sleep(8)
            rows += await shares(borne, "two cars charging")
        finally:
            await borne.stop()
            borne.remove()
    for label in ("idle", "two cars charging"):
        both = [row for row in rows if row["when"] == label and row["process"] in ("evse", "station")]
        rows.append(
            {
                "process": "evse + station",
                "when": label,
                "cpu_percent": sum(row["cpu_percent"] for row in both),
                "pss_mb": sum(row["pss_mb"] for row in both),
            }
        )
    return rows


def main() -> None:
    starts = asyncio.run(start_times())
    table(f"Start, {STARTS} starts", starts)
    usage = asyncio.run(steady())
    table(f"Processor share of one core and memory, {WINDOW_S:.0f} s each", usage)
    save("resources", starts + usage)


if __name__ == "__main__":
    main()
