"""SIGKILL the station, the safety process or both, at random instants of random sessions, and settle the accounts.

    ./dev run python bench/power_cuts.py [--cuts 1000] [--seed 1]

The central system keeps its own account; in the end every session must be there once, with the energy of the meter's
register, none lost, none twice. A start or stop whose answer was lost in the kill comes again with the same content
(OCPP 1.6 cannot tell the two apart): such a pair is one transaction in the account, and is counted.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "e2e"))

from common import save, table
from harness import Borne, RpcError

from chargepoint.sim.central_system import CentralSystem

BADGES = {1: "04A1B2C3", 2: "04D4E5F6"}
STEPS = ("start-read", "start-durable", "end-read", "end-durable")
QUICK = """
ConnectionTimeOut = 5
RetryBackOffWaitMinimum = 0
RetryBackOffRandomRange = 0
TransactionMessageRetryInterval = 1
"""
ARRIVE = ("plug", "badge")
LEAVE = ("badge", "unplug")
SETTLE_S = 5.0
"""After the last restart: what was open is taken up again, or closed, before anyone asks."""
STEP_SHARE = 0.2
"""Part of the cuts that happen at a named step of a transaction instead of at a random instant."""


@dataclass
class Account:
    """What the campaign did and what the central system has of it."""

    cuts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    transactions: int = 0
    repeated_starts: int = 0
    repeated_stops: int = 0
    never_stopped: int = 0
    energy_missing_wh: int = 0
    order_broken: int = 0
    stuck: int = 0
    reasons: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def sound(self) -> bool:
        return not (self.never_stopped or self.energy_missing_wh or self.order_broken or self.stuck)


class Campaign:
    """One borne, its processes started one by one so that each can be killed and started again at once."""

    def __init__(self, borne: Borne, central: CentralSystem, seed: int) -> None:
        self.borne = borne
        self.central = central
        self.random = random.Random(seed)
        self.account = Account()

    async def begin(self) -> None:
        await self.borne.spawn("sim", "serve")
        await self.borne.until(self.borne.simulated, 20, "the simulated borne")
        await self.borne.sim("speed", factor=100)
        await self.borne.spawn("evse")
        await self.borne.spawn("station")
        await self.borne.ready(60)
        await self.central.wait_connected()
        self.first = {evse: (await self.borne.wires(evse))["energy"] for evse in BADGES}

    async def cut(self) -> None:
        """One power cut somewhere in what the drivers do."""
        step = self.random.choice(STEPS) if self.random.random() < STEP_SHARE else ""
        if step:
            await self._kill("station")
            await self._spawn_stepping(step)
            await self.borne.until(
                self._ready_or_gone, 60, "the station to answer, or to reach the step in its recovery"
            )
        drivers = asyncio.create_task(self._drivers(3 if not step else 6))
        if step:
            await self._until_gone(8.0)
        else:
            await asyncio.sleep(self.random.uniform(0.0, 3.0))
        names = ("station",) if step else self.random.choice((("station",), ("evse",), ("station", "evse")))
        self.account.cuts[step or "+".join(names)] += 1
        for name in names:
            await self._kill(name)
        for name in reversed(names):
            await self.borne.spawn(name)
        await drivers

    async def _drivers(self, moves: int) -> None:
        """People who come and go, and do not care what the controller is doing."""
        for _ in range(moves):
            evse = self.random.choice(tuple(BADGES))
            for deed in self.random.choice((ARRIVE, ARRIVE, LEAVE, LEAVE, ("car",), ("badge",))):
                try:
                    if deed == "badge":
                        await self.borne.sim("badge", uid=BADGES[evse])
                    elif deed == "car":
                        await self.borne.sim("unplug", evse=evse, side="car")
                    else:
                        await self.borne.sim(deed, evse=evse)
                except RpcError:
                    pass  # already plugged, or the lock holds: people turn away
                await asyncio.sleep(self.random.uniform(0.2, 1.0))

    async def _spawn_stepping(self, step: str) -> None:
        with self.borne.log.open("ab") as log:
            self.borne.processes["station"] = await asyncio.create_subprocess_exec(
                sys.executable,
                str(Path(__file__).parent / "stepping_station.py"),
                str(self.borne.config),
                step,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def _ready_or_gone(self) -> bool:
        return self.borne.processes["station"].returncode is not None or await self.borne.answers()

    async def _until_gone(self, limit_s: float) -> None:
        try:
            async with asyncio.timeout(limit_s):
                await self.borne.processes["station"].wait()
        except TimeoutError:
            return  # no session came to that step: the cut is an ordinary one

    async def _kill(self, name: str) -> None:
        process = self.borne.processes[name]
        if process.returncode is None:
            os.kill(process.pid, signal.SIGKILL)
        await process.wait()

    async def settle(self) -> None:
        """Everybody leaves, everything is delivered; then the books are compared."""
        await self.borne.ready(60)
        await asyncio.sleep(SETTLE_S)
        for evse in BADGES:
            try:
                await self.borne.until(
                    lambda evse=evse: self._left(evse), 90, f"point {evse} to be empty and available"
                )
            except AssertionError as stuck:
                self.account.stuck += 1
                print(stuck)
        await self.borne.until(self._delivered, 90, "the outbox to be delivered")
        self._books({evse: (await self.borne.wires(evse))["energy"] for evse in BADGES})

    async def _left(self, evse: int) -> bool:
        if (await self.borne.wires(evse))["plugged"]:
            try:
                await self.borne.sim("unplug", evse=evse)
            except RpcError:
                await self._ask_out(evse)
                return False
        return bool((await self.borne.evse(evse))["status"] == "Available")

    async def _ask_out(self, evse: int) -> None:
        for method in ("stop", "unlock"):
            try:
                await self.borne.station(method, evse=evse)
            except RpcError:
                continue  # no session to stop, or the lock is on its way: asked again
            return

    async def _delivered(self) -> bool:
        ocpp = (await self.borne.status())["ocpp"]
        return bool(ocpp["connected"] and ocpp["queue"] == 0)

    def _books(self, last: dict[int, int]) -> None:
        starts: dict[tuple[Any, ...], list[Any]] = defaultdict(list)
        for booked in self.central.transactions:
            starts[(booked.connector, booked.id_tag, booked.started, booked.meter_start)].append(booked)
        stops: dict[int, set[str]] = defaultdict(set)
        for payload in self.central.calls("StopTransaction"):
            stops[payload["transactionId"]].add(json.dumps(payload, sort_keys=True))
            self.account.repeated_stops += 1
        self.account.repeated_stops -= len(stops)
        billed: dict[int, int] = defaultdict(int)
        at = dict(self.first)
        account = self.account
        account.transactions = len(starts)
        for key, booked in starts.items():
            account.repeated_starts += len(booked) - 1
            ended = [b for b in booked if b.meter_stop is not None]
            if len(ended) != 1 or len(stops[ended[0].id]) != 1:
                account.never_stopped += 1
                print("not closed once:", key, [stops[b.id] for b in booked])
                continue
            evse = key[0]
            account.reasons[ended[0].reason or "Local"] += 1
            account.order_broken += key[3] < at[evse]
            at[evse] = ended[0].meter_stop
            billed[evse] += ended[0].energy_wh
        for evse, register in last.items():
            missing = register - self.first[evse] - billed[evse]
            account.energy_missing_wh += abs(missing)
            if missing:
                print(f"point {evse}: register {self.first[evse]} to {register} Wh, billed {billed[evse]} Wh")


async def campaign(cuts: int, seed: int, limit_s: float = 7200.0) -> Account:
    """As many power cuts as asked for, or as the time allows; then the account."""
    async with CentralSystem(tags=list(BADGES.values())) as central:
        borne = Borne(central.url, QUICK)
        work = Campaign(borne, central, seed)
        end = time.monotonic() + limit_s
        try:
            await work.begin()
            for _ in range(cuts):
                if time.monotonic() > end:
                    break
                await work.cut()
            await work.settle()
        finally:
            await borne.stop()
            if work.account.sound:
                borne.remove()
            else:
                print(f"kept for a look: {borne.root}")
        if central.violations:
            raise AssertionError(f"bad frames: {central.violations[:3]}")
    return work.account


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cuts", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    account = asyncio.run(campaign(arguments.cuts, arguments.seed))
    row = {
        "cuts": sum(account.cuts.values()),
        "seed": arguments.seed,
        "transactions": account.transactions,
        "start sent twice": account.repeated_starts,
        "stop sent twice": account.repeated_stops,
        "not closed once": account.never_stopped,
        "Wh missing": account.energy_missing_wh,
        "out of order": account.order_broken,
        "points stuck": account.stuck,
    }
    table("Power cuts", [row])
    print(dict(account.cuts), dict(account.reasons))
    save("power_cuts", [row | {"by": dict(account.cuts), "reasons": dict(account.reasons)}])
    return 0 if account.sound else 1


if __name__ == "__main__":
    sys.exit(main())
