"""From the badge to the contactor, with a central system 50 ms away: the whole program on the simulated borne.

    ./dev run python bench/badge.py [TIMES]

The car is plugged; the time begins when the simulated card meets the reader. `permission` is when the station gave
leave to charge (the start is on the disk by then), `contactor` when the simulated contactor had closed, after the lock.
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "e2e"))

from common import percentiles, save, table
from harness import Borne

from chargepoint.sim.central_system import CentralSystem

LATENCY_S = 0.05
TAGS = ("04A1B2C3D4E5F6", "04112233")


async def once(borne: Borne, central: CentralSystem, tag: str) -> dict[str, float]:
    mark = central.mark()
    await borne.sim("plug", evse=1)
    await borne.until_status(1, "Preparing")
    began = time.monotonic()
    contactor = asyncio.create_task(borne.sim("wait", evse=1, contactor=True, timeout=60))
    await borne.sim("badge", uid=tag)
    asked = await central.wait_for("Authorize", after=mark)
    asked_at = time.monotonic()
    await borne.until(lambda: _offered(borne), 20, "permission")
    permitted = time.monotonic()
    await contactor
    closed = time.monotonic()
    assert asked.payload["idTag"] == tag
    await borne.sim("badge", uid=tag)
    await borne.until_status(1, "Finishing")
    await asyncio.sleep(1.5)  # the lock lets go
    await borne.sim("unplug", evse=1)
    await borne.until_status(1, "Available")
    await asyncio.sleep(2.5)  # the reader forgets the card
    return {
        "badge to Authorize": 1000 * (asked_at - began),
        "badge to permission": 1000 * (permitted - began),
        "badge to contactor": 1000 * (closed - began),
        "permission without round trip": 1000 * (permitted - began - LATENCY_S),
    }


async def _offered(borne: Borne) -> bool:
    return bool((await borne.evse(1))["offered"])


async def run(times: int) -> list[dict[str, Any]]:
    async with CentralSystem(tags=TAGS, latency_s=LATENCY_S) as central:
        borne = Borne(central.url)
        try:
            await borne.start()
            await central.wait_for("StatusNotification", lambda p: p["connectorId"] == 2, timeout_s=20)
            taken = [await once(borne, central, TAGS[number % 2]) for number in range(times)]
        finally:
            await borne.stop()
            borne.remove()
    return [{"ms": name, **percentiles([one[name] for one in taken])} for name in taken[0]]


def main(times: int) -> None:
    rows = asyncio.run(run(times))
    table("from the badge to the contactor, central system 50 ms away", rows)
    save("badge", rows)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
