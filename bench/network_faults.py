"""Every fault of the network between the whole program and a central system, in real time.

    ./dev run python bench/network_faults.py [--bornes 4] [--seconds 60]

A borne with its processes and simulated wires; a relay that behaves like a bad network. One session runs into the
fault, one begins and ends within it, one runs out of it. Measured: the time from the end of the fault to an accepted
link, and to an empty queue; every transaction must be booked once, with the energy of the meter's register.
"""

import argparse
import asyncio
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "e2e"))

from common import save, table
from fault_proxy import FaultProxy
from fault_weather import NETWORK
from harness import Borne, RpcError

from chargepoint.sim.central_system import SILENCE, CentralSystem

BADGES = {1: "04A1B2C3D4E5F6", 2: "04112233445566"}
KEYS = """WebSocketPingInterval = 30
"""
MUTE = ("Authorize", "Heartbeat", "StatusNotification", "MeterValues", "StartTransaction", "StopTransaction")
BOUND_S = 130.0


async def charge(borne: Borne, evse: int) -> None:
    await borne.sim("plug", evse=evse)
    await borne.until_status(evse, "Preparing")
    await borne.sim("badge", uid=BADGES[evse])
    await borne.until_status(evse, "Charging", timeout_s=45)


async def leave(borne: Borne, evse: int) -> None:
    await borne.sim("badge", uid=BADGES[evse])
    await borne.until_status(evse, "Finishing", timeout_s=45)

    async def pulled() -> bool:
        try:
            await borne.sim("unplug", evse=evse)
        except RpcError:
            return False
        return True

    await borne.until(pulled, 15, "the plug to be released")
    await borne.until_status(evse, "Available")
    await asyncio.sleep(1.0)


async def online(borne: Borne) -> bool:
    ocpp = (await borne.status())["ocpp"]
    return bool(ocpp["connected"] and ocpp["registration"] == "Accepted" and not ocpp["trouble"])


async def delivered(borne: Borne) -> bool:
    return await online(borne) and (await borne.status())["ocpp"]["queue"] == 0


async def play(name: str, seconds: float) -> dict[str, Any]:
    async with CentralSystem(tags=list(BADGES.values())) as central, FaultProxy(central.port) as proxy:
        borne = Borne(proxy.url, KEYS)
        try:
            await borne.spawn("run")
            await borne.ready(60)
            await borne.until(lambda: online(borne), 30, "the link")
            await borne.sim("speed", factor=20)
            for evse in BADGES:
                await charge(borne, evse)
                await leave(borne, evse)
            await charge(borne, 1)
            begin(name, proxy, central)
            began = time.monotonic()
            await leave(borne, 1)
            await charge(borne, 2)
            await asyncio.sleep(5)
            await leave(borne, 2)
            await charge(borne, 1)
            await asyncio.sleep(max(1.0, began + seconds - time.monotonic()))
            proxy.turn()
            central.answers.clear()
            gone = time.monotonic()
            await borne.until(lambda: online(borne), BOUND_S, "the link")
            back = time.monotonic() - gone
            await borne.until(lambda: delivered(borne), BOUND_S, "the queue to be delivered")
            told = time.monotonic() - gone
            await leave(borne, 1)
            await borne.until(lambda: delivered(borne), BOUND_S, "the last message to be delivered")
            return {
                "fault": name,
                "link_back_s": round(back, 1),
                "all_told_s": round(told, 1),
                **(await books(borne, central)),
            }
        finally:
            await borne.stop()
            borne.remove()


def begin(name: str, proxy: FaultProxy, central: CentralSystem) -> None:
    if name == "answers nothing":
        central.answers.update(dict.fromkeys(MUTE, SILENCE))
        return
    proxy.turn(**NETWORK[name])
    if "portal" in name:
        proxy.reset()


async def books(borne: Borne, central: CentralSystem) -> dict[str, int]:
    """Transactions booked, starts sent again, lost, twice, and Wh that nobody was billed for."""
    starts: dict[tuple[Any, ...], set[int]] = {}
    for booked in central.transactions:
        ends = starts.setdefault((booked.connector, booked.started, booked.meter_start), set())
        if booked.meter_stop is not None:
            ends.add(booked.meter_stop)
    billed = sum(min(ends) - key[2] for key, ends in starts.items() if ends)
    register = sum([(await borne.wires(evse))["energy"] for evse in BADGES])
    return {
        "transactions": len(starts),
        "sent_again": len(central.transactions) - len(starts),
        "lost": 5 - len(starts) + sum(not ends for ends in starts.values()),
        "twice": sum(len(ends) > 1 for ends in starts.values()),
        "wh_missing": register - billed,
    }


async def campaign(bornes: int, seconds: float) -> list[dict[str, Any]]:
    room = asyncio.Semaphore(bornes)

    async def one(name: str) -> dict[str, Any]:
        async with room:
            try:
                return await play(name, seconds)
            except (AssertionError, TimeoutError, RpcError, OSError) as error:
                print(f"{name}: {str(error)[:2000]}", file=sys.stderr)
                return {"fault": name, "link_back_s": None, "all_told_s": None, "transactions": 0, "sent_again": 0,
                        "lost": 5, "twice": 0, "wh_missing": 0}  # fmt: skip

    return list(await asyncio.gather(*(one(name) for name in (*NETWORK, "answers nothing"))))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--bornes", type=int, default=4, help="how many at once")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each fault lasts")
    arguments = parser.parse_args()
    rows = asyncio.run(campaign(arguments.bornes, arguments.seconds))
    table("Network faults, the whole program in real time", rows)
    save("network_faults", rows)
    return 1 if any(row["lost"] or row["twice"] or row["wh_missing"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
