"""From the badge to the contactor, with a central system 50 ms away: the whole program on the simulated borne.

    ./dev run python bench/badge.py [TIMES]

The two points take turns, at a pace that spares the lock (it makes ten moves a minute at most, and lets a car wait
rather than make an eleventh). The car is plugged; the time begins when the simulated card meets the reader.
`permission` is when the station gave leave to charge (the start is on the disk by then), `contactor` when the simulated
contactor had closed, after the lock.
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
TURN_S = 9.0
"""From one badge to the next: each point's lock moves twice in two turns."""


async def once(borne: Borne, central: CentralSystem, evse: int, tag: str) -> dict[str, float]:
    mark, turn = central.mark(), time.monotonic()
    await borne.sim("plug", evse=evse)
    await borne.until_status(evse, "Preparing")
    began = time.monotonic()
    contactor = asyncio.create_task(borne.sim("wait", evse=evse, contactor=True, timeout=60))
    await borne.sim("badge", uid=tag)
    asked = await central.wait_for("Authorize", after=mark)
    asked_at = time.monotonic()
    await borne.until(lambda: _offered(borne, evse), 20, "permission")
    permitted = time.monotonic()
    await contactor
    closed = time.monotonic()
    assert asked.payload["idTag"] == tag
    await borne.sim("badge", uid=tag)
    await borne.until_status(evse, "Finishing")
    await asyncio.sleep(1.5)  # the lock lets go
    await borne.sim("unplug", evse=evse)
    await borne.until_status(evse, "Available")
    await asyncio.sleep(turn + TURN_S - time.monotonic())
    return {
        "badge to Authorize": 1000 * (asked_at - began),
        "badge to permission": 1000 * (permitted - began),
        "badge to contactor": 1000 * (closed - began),
        "permission without round trip": 1000 * (permitted - began - LATENCY_S),
    }


async def _offered(borne: Borne, evse: int) -> bool:
    return bool((await borne.evse(evse))["offered"])


async def run(times: int) -> list[dict[str, Any]]:
    async with CentralSystem(tags=TAGS, latency_s=LATENCY_S) as central:
        borne = Borne(central.url)
        try:
            await borne.start()
            await central.wait_for("StatusNotification", lambda p: p["connectorId"] == 2, timeout_s=20)
            taken = [await once(borne, central, number % 2 + 1, TAGS[number % 2]) for number in range(times)]
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
