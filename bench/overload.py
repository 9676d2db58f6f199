"""From the Linky's overload notice to lowered pilots, through the whole program with the simulated borne."""

import asyncio
import json
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "e2e"))
from common import save, table
from harness import Borne

from chargepoint.sim.central_system import CentralSystem

ROUNDS = 3
TAGS = ("04A1B2C3D4E5F6", "04112233")


async def once() -> dict[str, Any]:
    """Two cars share 36 kVA; a building that starts drawing 45 A on L1 makes the Linky give notice."""
    async with CentralSystem(tags=dict.fromkeys(TAGS, "Accepted")) as central:
        borne = Borne(central.url, "\n[tic]\n[sharing]\nsafe_current = 40\n")
        try:
            await borne.start()
            await borne.sim("building", current=[5, 5, 5], subscribed_kva=36)
            for evse, uid in enumerate(TAGS, 1):
                await borne.sim("plug", evse=evse)
                await borne.until_status(evse, "Preparing")
                await borne.sim("badge", uid=uid)
                await borne.until_status(evse, "Charging", timeout_s=30)
            await asyncio.sleep(20)
            rpc = borne.rpc("sim")
            began = time.time()
            await rpc.call("building", current=[45, 5, 5])
            for _ in range(1000):
                if not any(11 < evse["duty"] < 100 for evse in (await rpc.call("show"))["evses"]):
                    break
                await asyncio.sleep(0.01)
            lowered = time.time()
            noticed = notice_at(borne)
            return {
                "draw to notice, ms": round((noticed - began) * 1000),
                "notice to lowered pilots, ms": round((lowered - noticed) * 1000),
            }
        finally:
            await borne.stop()
            borne.remove()


def notice_at(borne: Borne) -> float:
    """When the station took the frame, by its log (UTC seconds)."""
    for line in borne.log.read_text().splitlines():
        if '"overload notice"' in line:
            return datetime.fromisoformat(json.loads(line)["timestamp"]).timestamp()
    raise RuntimeError("no overload notice in the log")


async def rounds() -> list[dict[str, Any]]:
    return [await once() for _ in range(ROUNDS)]


def main() -> int:
    rows = asyncio.run(rounds())
    table("Overload: from the meter's frame to the pilots (polled every 10 ms)", rows)
    save("overload", rows)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
