"""SIGKILL the station, the safety process or both, at random instants of random sessions, and settle the accounts.

    ./dev run python bench/power_cuts.py [--cuts 1000] [--seed 1] [--bornes 4]
    ./dev run python bench/power_cuts.py --cuts 1000 --minutes 8 --into FILE      (repeat: it goes on where it was)

The central system keeps its own account; in the end every session must be there once, with the energy of the meter's
register, none lost, none twice. A start or stop whose answer was lost in the kill comes again with the same content
(OCPP 1.6 cannot tell the two apart): such a pair is one transaction in the account, and is counted.

Several bornes are cut side by side, for most of the time is waiting. Each has its own seed (the first is `--seed`), and
ends with its own books after `PER_BORNE` cuts; the file has a line for each. A seed repeats what people and cuts do,
not the instant at which a kill meets the program.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "e2e"))

from common import save, table
from harness import Borne, RpcError
from websockets.exceptions import ConnectionClosed

from chargepoint.sim.central_system import CallFailed, CentralSystem, Payload

BADGES = {1: "04A1B2C3", 2: "04D4E5F6"}
OWN_STEPS = ("start-read", "start-durable", "end-read", "end-durable")
"""The station kills itself there (`stepping_station.py`)."""
WIRE_STEPS = {"start-sent": "StartTransaction", "stop-sent": "StopTransaction"}
"""The central system has it, and the station dies before the answer comes."""
ANSWERED_STEPS = {"start-answered": "StartTransaction", "stop-answered": "StopTransaction"}
"""The answer is on its way: the station dies within some milliseconds of it."""
STEPS = (*OWN_STEPS, *WIRE_STEPS, *ANSWERED_STEPS)
STEP_SHARE = 0.3
"""Part of the cuts that happen at a named step of a transaction instead of at a random instant."""
AGAIN_SHARE = 0.2
"""Part of the cuts that are followed by another one while the killed are still starting."""
PER_BORNE = 25
SPEED = 30
"""Energy flows so much faster than in reality: one watt-hour is 5 ms of a full point's charging."""
QUICK = """
ConnectionTimeOut = 5
RetryBackOffWaitMinimum = 0
RetryBackOffRandomRange = 0
TransactionMessageRetryInterval = 1
"""
ARRIVE = ("plug", "badge")
LEAVE = ("badge", "unplug")
KEPT_KEY = "MinimumStatusDuration"
"""A setting the operator changes during the cuts (0 or 1 s): what was answered must be there afterwards."""
BENCH_ERRORS = (AssertionError, OSError, RpcError, TimeoutError, LookupError, CallFailed, ConnectionClosed)
"""How a campaign on one borne may fail to come to its end: something did not happen in time, or a call met a borne that
had just been killed."""
SETTLE_S = 5.0
"""After the last restart: what was open is taken up again, or closed, before anyone asks."""


@dataclass
class Account:
    """What the campaign did and what the central system has of it."""

    seed: int = 0
    cuts: dict[str, int] = field(default_factory=Counter)
    transactions: int = 0
    repeated_starts: int = 0
    repeated_stops: int = 0
    never_stopped: int = 0
    energy_wh: int = 0
    energy_missing_wh: int = 0
    order_broken: int = 0
    settings_changed: int = 0
    settings_lost: int = 0
    stuck: int = 0
    reasons: dict[str, int] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    """What was wrong, in words."""

    @property
    def sound(self) -> bool:
        wrong = self.never_stopped or self.energy_missing_wh or self.order_broken or self.settings_lost
        return not (wrong or self.stuck)


class Campaign:
    """One borne, its processes started one by one so that each can be killed and started again at once."""

    def __init__(self, borne: Borne, central: CentralSystem, seed: int) -> None:
        self.borne = borne
        self.central = central
        self.random = random.Random(seed)
        self.account = Account(seed)
        self._setting = "0"
        self._maybe = {"0"}
        """What the setting may be: the last answered value, and those sent since."""

    async def begin(self) -> None:
        await self.borne.spawn("sim", "serve")
        await self.borne.until(self.borne.simulated, 20, "the simulated borne")
        await self.borne.sim("speed", factor=SPEED)
        await self.borne.spawn("evse")
        await self.borne.spawn("station")
        await self.borne.ready(60)
        await self.central.wait_connected(30)
        self.first = {evse: (await self.borne.wires(evse))["energy"] for evse in BADGES}

    async def cut(self) -> None:
        """One power cut somewhere in what people, cars and the operator do."""
        step = self.random.choice(STEPS) if self.random.random() < STEP_SHARE else ""
        if step in OWN_STEPS:
            await self._kill("station")
            await self._spawn_stepping(step)
            await self.borne.until(
                self._ready_or_gone, 60, "the station to answer, or to reach the step in its recovery"
            )
        drivers = asyncio.create_task(self._drivers(3 if not step else 6))
        operator = asyncio.create_task(self._operator())
        if step:
            await self._reach(step)
        else:
            await asyncio.sleep(self.random.uniform(0.0, 3.0))
        names = ("station",) if step else self.random.choice((("station",), ("evse",), ("station", "evse")))
        await self._cut_now(names, step or "+".join(names))
        if self.random.random() < AGAIN_SHARE:
            await asyncio.sleep(self.random.uniform(0.0, 1.5))
            await self._cut_now(names, f"{'+'.join(names)}, starting")
        await drivers
        await operator

    async def _cut_now(self, names: tuple[str, ...], counted_as: str) -> None:
        self.account.cuts[counted_as] += 1
        for name in names:
            await self._kill(name)
        for name in reversed(names):
            await self.borne.spawn(name)

    async def _reach(self, step: str) -> None:
        """Until the station has died at that step, for a while: no session may come to it."""
        action = WIRE_STEPS.get(step) or ANSWERED_STEPS.get(step)
        if action is not None:
            self.central.answers[action] = self._killer(step in ANSWERED_STEPS)
        try:
            async with asyncio.timeout(8.0):
                await self.borne.processes["station"].wait()
        except TimeoutError:
            return  # the cut is an ordinary one
        finally:
            self.central.answers.clear()

    def _killer(self, answered: bool) -> Callable[[Payload], Any]:
        station = self.borne.processes["station"]

        def kill() -> None:
            if station.returncode is None:
                os.kill(station.pid, signal.SIGKILL)

        def script(_: Payload) -> None:
            """None: the usual answer."""
            if answered:
                asyncio.get_running_loop().call_later(self.random.uniform(0.0, 0.02), kill)
            else:
                kill()

        return script

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

    async def _operator(self) -> None:
        """Changes a setting, and remembers whether it was answered."""
        await asyncio.sleep(self.random.uniform(0.0, 2.0))
        value = str(1 - int(self._setting))
        self._maybe.add(value)
        try:
            answer = await self.central.call(
                "ChangeConfiguration", {"key": KEPT_KEY, "value": value}, self._name, timeout_s=3.0
            )
        except (LookupError, TimeoutError, CallFailed, ConnectionClosed):
            return  # not answered: either value may be there
        if answer["status"] == "Accepted":
            self.account.settings_changed += 1
            self._setting, self._maybe = value, {value}

    @property
    def _name(self) -> str:
        return next(iter(self.central.connections), "nobody")

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
                self.account.notes.append(str(stuck).partition("\n")[0])
        await self.borne.until(self._delivered, 90, "the outbox to be delivered")
        await self._check_setting()
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

    async def _check_setting(self) -> None:
        answer = await self.central.call("GetConfiguration", {"key": [KEPT_KEY]}, self._name)
        found = answer["configurationKey"][0]["value"]
        if found not in self._maybe:
            self.account.settings_lost += 1
            self.account.notes.append(f"{KEPT_KEY} is {found}, not one of {sorted(self._maybe)}")

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
                account.notes.append(f"not closed once: {key} {[stops[b.id] for b in booked]}")
                continue
            evse = key[0]
            account.reasons[ended[0].reason or "Local"] += 1
            account.order_broken += key[3] < at[evse]
            if key[3] != at[evse]:
                account.notes.append(f"point {evse}: begins with {key[3]} Wh, the one before ended with {at[evse]}")
            at[evse] = ended[0].meter_stop
            billed[evse] += ended[0].energy_wh
        for evse, register in last.items():
            missing = register - self.first[evse] - billed[evse]
            account.energy_wh += register - self.first[evse]
            account.energy_missing_wh += abs(missing)
            if missing:
                account.notes.append(f"point {evse}: register {self.first[evse]} to {register}, billed {billed[evse]}")


async def campaign(cuts: int, seed: int, limit_s: float = 7200.0) -> Account:
    """At least as many power cuts as asked for, or as the time allows; then the account."""
    async with CentralSystem(tags=list(BADGES.values())) as central:
        borne = Borne(central.url, QUICK)
        work = Campaign(borne, central, seed)
        end = time.monotonic() + limit_s
        try:
            await work.begin()
            while sum(work.account.cuts.values()) < cuts and time.monotonic() < end:
                await work.cut()
            await work.settle()
        finally:
            await borne.stop()
            if work.account.sound and sys.exc_info()[0] is None:
                borne.remove()
            else:
                print(f"kept for a look: {borne.root}")
        if central.violations:
            raise AssertionError(f"bad frames: {central.violations[:3]}")
    return work.account


class Ledger:
    """All accounts so far: in memory, and in a file when there is one."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.accounts: list[dict[str, Any]] = []
        if path is not None and path.exists():
            self.accounts = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    @property
    def cuts(self) -> int:
        return sum(sum(account["cuts"].values()) for account in self.accounts)

    def add(self, account: Account) -> None:
        line = json.dumps({f.name: getattr(account, f.name) for f in fields(Account)})
        self.accounts.append(json.loads(line))
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    def total(self) -> dict[str, Any]:
        """Every number added up, every count by name too."""
        whole: dict[str, Any] = {"bornes": len(self.accounts)}
        for name in (f.name for f in fields(Account) if f.name not in ("seed", "notes")):
            values = [account[name] for account in self.accounts]
            whole[name] = dict(sum(map(Counter, values), Counter())) if isinstance(values[0], dict) else sum(values)
        return whole


async def many(ledger: Ledger, cuts: int, seed: int, bornes: int, end: float) -> None:
    """Borne after borne, so many at once, until there are enough cuts or it is time to begin no more."""
    seeds = iter(range(seed + len(ledger.accounts), 1 << 31))
    under_way = 0

    async def one() -> None:
        nonlocal under_way
        while time.monotonic() < end and (missing := cuts - ledger.cuts - under_way) > 0:
            share = min(PER_BORNE, missing)
            under_way += share
            mine = next(seeds)
            try:
                account = await campaign(share, mine)
            except BENCH_ERRORS as error:  # its own account alone is spoilt, and says so
                account = Account(mine, stuck=1, notes=[f"the campaign did not end: {error!r}"])
            under_way -= share
            ledger.add(account)
            for note in account.notes:
                print(f"seed {account.seed}: {note}", flush=True)

    async with asyncio.TaskGroup() as group:
        for _ in range(bornes):
            group.create_task(one())


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cuts", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1, help="of the first borne; each further one has the next")
    parser.add_argument("--bornes", type=int, default=4, help="so many at once")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no further borne after so long")
    parser.add_argument("--into", type=Path, help="keep every borne's account here, and go on from what is there")
    options = parser.parse_args()
    ledger = Ledger(options.into)
    end = time.monotonic() + options.minutes * 60
    asyncio.run(many(ledger, options.cuts, options.seed, options.bornes, end))
    whole = ledger.total()
    counts = {name: value for name, value in whole.items() if not isinstance(value, dict)}
    table("Power cuts", [{"cuts": ledger.cuts, **counts}])
    print(whole["cuts"], whole["reasons"])
    save("power_cuts", [whole, *ledger.accounts])
    wrong = ("never_stopped", "energy_missing_wh", "order_broken", "settings_lost", "stuck")
    return 1 if any(counts[name] for name in wrong) else 0


if __name__ == "__main__":
    sys.exit(main())
