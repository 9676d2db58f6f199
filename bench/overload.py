"""From the Linky's overload notice to lowered pilots, through the whole program with the simulated borne.

Each round starts the program anew, so that no round learns from the one before; `--at-once` bornes run side by side.
"""

import argparse
import asyncio
import json
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "e2e"))
from common import percentiles, save, table
from harness import Borne

from chargepoint.sim.central_system import CentralSystem

TRUST_S = 40
"""The Linky must have been heard for 10 s, and both cars be shared out."""
POLLS = 2000
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
            await borne.until(lambda: shared(borne), TRUST_S, "both cars to share what the Linky leaves")
            rpc = borne.rpc("sim")
            began = time.time()
            await rpc.call("building", current=[45, 5, 5])
            for _ in range(POLLS):
                if not any(11 < evse["duty"] < 100 for evse in (await rpc.call("show"))["evses"]):
                    break
                await asyncio.sleep(0.005)
            else:
                raise RuntimeError("the pilots were not lowered")
            lowered = time.time()
            noticed = notice_at(borne)
            return {
                "draw to notice, ms": round((noticed - began) * 1000),
                "notice to lowered pilots, ms": round((lowered - noticed) * 1000),
            }
        finally:
            await borne.stop()
            borne.remove()


async def shared(borne: Borne) -> bool:
    """Both have the same share, and the Linky is who says how much."""
    first, second = (await borne.status())["evses"]
    named = {limit["name"] for limit in first["limits"]}
    return "tic" in named and first["offered"] == second["offered"] and 20 < first["offered"] < 26


def notice_at(borne: Borne) -> float:
    """When the station took the frame, by its log (UTC seconds)."""
    for line in borne.log.read_text().splitlines():
        if '"overload notice"' in line:
            return datetime.fromisoformat(json.loads(line)["timestamp"]).timestamp()
    raise RuntimeError("no overload notice in the log")


async def rounds(count: int, at_once: int) -> list[dict[str, Any]]:
    turn = asyncio.Semaphore(at_once)

    async def one() -> dict[str, Any]:
        async with turn:
            return await once()

    return list(await asyncio.gather(*(one() for _ in range(count))))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--into", type=Path, help="add the rounds to this file, and report all that are in it")
    asked = parser.parse_args()
    found = asyncio.run(rounds(asked.rounds, asked.at_once))
    if asked.into is not None:
        with asked.into.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in found)
        found = [json.loads(line) for line in asked.into.read_text(encoding="utf-8").splitlines()]
    rows = [
        {"what": what, **{k: round(v) for k, v in percentiles([r[what] for r in found]).items()}} for what in found[0]
    ]
    table("Overload: from the meter's frame to the pilots (polled every 5 ms), milliseconds", rows)
    save("overload", rows)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
