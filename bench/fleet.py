"""The whole fleet on one bench: 149 bornes, 298 points, one central system, a day of sessions, links that drop.

    ./dev run python bench/fleet.py [--bornes 149] [--minutes 12] [--seed 1] [--plot docs/fleet.svg]

Each borne's business process is the product's, a process of its own with its journal; its safety loop is the
product's code at a slower pace, some fifty bornes to a process (see `fleet_yard.py`). Energy, and the day with it, runs
faster than the clock. In the end the central system's account is settled against every meter's register: each session
once, each watt-hour billed.
"""

import argparse
import asyncio
import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from common import percentiles, save, table

from chargepoint.console.picture import Event, Picture, Series, Track
from chargepoint.jsonrpc import Client, RpcError
from chargepoint.sim.central_system import CentralSystem

DAY_S = 24 * 3600.0
YARD_OF = 50
HOURS = (1, 1, 1, 1, 1, 2, 4, 7, 9, 8, 7, 7, 8, 7, 6, 6, 8, 10, 10, 8, 5, 3, 2, 1)
"""Arrivals by hour of the day, relative: errands in the morning, homecoming in the evening."""
VISITS = 2.4
"""Sessions per point and day."""
DWELL_MEDIAN_S, DWELL_LEAST_S = 100 * 60.0, 30 * 60.0
GAP_S = 20 * 60.0
CARS = ((32.0, 3), (16.0, 3), (32.0, 1), (16.0, 1), (14.0, 1))
OUTAGE = (13.0, 14.0)
"""Hours of the day in which the central system is away."""
DROPS = 3.0
"""Lost connections per borne and day, beside that."""
CONFIG = """
[station]
id = "FR-ARD-{number:04}"
serial = "ARD-{number:04}"
state_dir = "{root}/state"
run_dir = "{root}/run"
[supply]
max_current = 52
[board]
kind = "simulated"
[meter_bus]
interval = 3
[[evse]]
id = 1
max_current = 32
phase_rotation = "RST"
meter = {{ model = "eastron-sdm630", unit = 1 }}
[[evse]]
id = 2
max_current = 32
phase_rotation = "STR"
meter = {{ model = "eastron-sdm630", unit = 2 }}
[[reader]]
id = 1
kind = "rdm6300"
evses = [1]
[[reader]]
id = 2
kind = "rdm6300"
evses = [2]
[ocpp]
url = "{url}"
security_profile = 0
[ocpp.configuration]
MeterValueSampleInterval = 30
HeartbeatInterval = 300
[log]
level = "warning"
"""


@dataclass
class Visit:
    """One car at one point."""

    at: float
    """Seconds of the day."""
    dwell: float
    car: tuple[float, int]
    uid: str
    leaves: str
    """`badge`, or `car`: the cable is pulled at the car."""
    charged: bool = False
    wait_s: float = 0.0
    """Real seconds from the badge to the contactor."""
    note: str = ""


@dataclass
class Account:
    """What was seen in the whole day."""

    visits: list[Visit] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    """Seconds from a business process's start to its BootNotification."""
    drops: int = 0
    power: list[tuple[float, float]] = field(default_factory=list)
    links: list[tuple[float, float]] = field(default_factory=list)
    sessions: list[tuple[float, float]] = field(default_factory=list)


def plan(rng: random.Random) -> list[Visit]:
    """The cars of one point, in order."""
    visits: list[Visit] = []
    free = 0.0
    for at in sorted(
        rng.choices(range(24), HOURS)[0] * 3600 + rng.uniform(0, 3600) for _ in range(rng.choice((1, 2, 2, 3, 4)))
    ):
        begin = max(at, free)
        dwell = max(DWELL_LEAST_S, rng.lognormvariate(0, 0.6) * DWELL_MEDIAN_S)
        if begin + dwell > DAY_S:
            break
        uid = f"{rng.randrange(1 << 40):010X}"
        visits.append(Visit(begin, dwell, rng.choice(CARS), uid, rng.choice(("badge", "badge", "car"))))
        free = begin + dwell + GAP_S
    return visits


class Fleet:
    """The processes of the bench, and the day."""

    def __init__(self, root: Path, central: CentralSystem, count: int, faster: float) -> None:
        self.root = root
        self.central = central
        self.faster = faster
        self.account = Account()
        self.names = [f"{number:04}" for number in range(1, count + 1)]
        self.stations: dict[str, asyncio.subprocess.Process] = {}
        self.yards: list[asyncio.subprocess.Process] = []
        self.yard_of: dict[str, Client] = {}
        self.began = 0.0

    async def begin(self) -> None:
        for name in self.names:
            folder = self.root / name
            for part in ("state", "run"):
                (folder / part).mkdir(parents=True)
            text = CONFIG.format(number=int(name), root=folder, url=self.central.url)
            (folder / "chargepoint.toml").write_text(text)
        for first in range(0, len(self.names), YARD_OF):
            await self._yard(self.names[first : first + YARD_OF], self.root / f"yard{first}.sock")
        two = asyncio.Semaphore(2)
        await asyncio.gather(*(self._station(name, two) for name in self.names))

    async def _station(self, name: str, turn: asyncio.Semaphore) -> None:
        async with turn:
            started = time.monotonic()
            self.stations[name] = await self._spawn("-m", "chargepoint.console.cli", "station", "-c", self._toml(name))
            await self.central.wait_until(lambda: self._booted(name), 120)
            self.account.starts.append(time.monotonic() - started)

    def _booted(self, name: str) -> bool:
        calls = self.central.received
        return any(call.action == "BootNotification" and call.charge_point.endswith(name) for call in calls)

    def _toml(self, name: str) -> str:
        return str(self.root / name / "chargepoint.toml")

    async def _spawn(self, *words: str) -> asyncio.subprocess.Process:
        with (self.root / "log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable, *words, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
            )

    async def _yard(self, names: list[str], socket: Path) -> None:
        folders = [str(self.root / name) for name in names]
        process = await self._spawn(
            str(Path(__file__).with_name("fleet_yard.py")), str(socket), str(self.faster), *folders
        )
        self.yards.append(process)
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, process.pid, -10)  # the electrons do not wait for the programs
        end = time.monotonic() + 120
        while time.monotonic() < end:
            try:
                client = await Client.connect(socket)
            except OSError:
                await asyncio.sleep(0.2)
                continue
            self.yard_of |= dict.fromkeys(names, client)
            return
        raise RuntimeError(f"the yard does not start; see {self.root / 'log'}")

    async def do(self, method: str, name: str, **words: Any) -> Any:
        return await self.yard_of[name].call(method, borne=name, **words)

    @property
    def clock(self) -> float:
        """Seconds of the day."""
        return (time.monotonic() - self.began) * self.faster

    async def until(self, of_day: float) -> None:
        await asyncio.sleep(max(0.0, (of_day - self.clock) / self.faster))

    async def day(self, seed: int) -> None:
        self.began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for number, name in enumerate(self.names):
                for evse in (1, 2):
                    visits = plan(random.Random(f"{seed}:{number}:{evse}"))
                    self.account.visits += visits
                    tasks.create_task(self._point(name, evse, visits))
            others = [tasks.create_task(self._watch()), tasks.create_task(self._links(random.Random(seed)))]
            await self.until(DAY_S)
            for other in others:
                other.cancel()

    async def _point(self, name: str, evse: int, visits: list[Visit]) -> None:
        for visit in visits:
            await self.until(visit.at)
            await self._visit(name, evse, visit)

    async def _visit(self, name: str, evse: int, visit: Visit) -> None:
        try:
            await self.do("plug", name, evse=evse, max_current=visit.car[0], phases=visit.car[1])
        except RpcError as error:
            visit.note = f"could not plug: {error}"
            return
        await asyncio.sleep(1.0)
        shown_at = time.monotonic()
        await self.do("badge", name, reader=evse, uid=visit.uid)
        visit.charged = await self._holds(name, evse, "contactor", True, 20)
        visit.wait_s = time.monotonic() - shown_at
        if not visit.charged:
            visit.note = await self._why(name, evse)
        left = visit.dwell / self.faster - (time.monotonic() - shown_at)
        await asyncio.sleep(max(1.0, left))
        if visit.leaves == "car":
            await self.do("unplug", name, evse=evse, side="car")
            await asyncio.sleep(1.0)
        else:
            await self.do("badge", name, reader=evse, uid=visit.uid)
        if not await self._unplugged(name, evse):
            visit.note = "the plug stayed locked"

    async def _why(self, name: str, evse: int) -> str:
        """As the station itself says."""
        station = await Client.connect(self.root / name / "run" / "station.sock")
        try:
            return str(await station.call("why", evse=evse, lang="en"))
        finally:
            await station.close()

    async def _holds(self, name: str, evse: int, what: str, value: object, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if (await self.do("show", name))[str(evse)][what] == value:
                return True
            await asyncio.sleep(0.2)
        return False

    async def _unplugged(self, name: str, evse: int) -> bool:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                await self.do("unplug", name, evse=evse, side="socket")
            except RpcError:
                await asyncio.sleep(0.5)  # the lock still holds it
                continue
            return await self._holds(name, evse, "plugged", False, 5)
        return False

    async def _watch(self) -> None:
        while True:
            powers = [await yard.call("power") for yard in dict.fromkeys(self.yard_of.values())]
            now = self.clock
            self.account.power.append((now, sum(sum(p.values()) for p in powers) / 1000))
            self.account.links.append((now, float(len(self.central.connections))))
            going = sum(t.meter_stop is None for t in self.central.transactions)
            self.account.sessions.append((now, float(going)))
            await asyncio.sleep(1.0)

    async def _links(self, rng: random.Random) -> None:
        outage_done = False
        pause = DAY_S / self.faster / (DROPS * len(self.names))
        while True:
            await asyncio.sleep(rng.expovariate(1 / pause))
            if not outage_done and self.clock >= OUTAGE[0] * 3600:
                outage_done = True
                await self.central.close()
                await self.until(OUTAGE[1] * 3600)
                await self.central.start()
            elif self.central.connections:
                self.account.drops += 1
                await self.central.drop(rng.choice(sorted(self.central.connections)))

    async def settle(self) -> dict[str, Any]:
        """Everything told, everything closed; then the account against the registers."""
        with contextlib.suppress(TimeoutError):
            await self.central.wait_until(
                lambda: (
                    len(self.central.connections) == len(self.names)
                    and all(t.meter_stop is not None for t in self.central.transactions)
                ),
                180,
            )
        await asyncio.sleep(5)
        visits, account = self.account.visits, self.central.transactions
        billed = Counter[str]()
        for transaction in account:
            billed[transaction.charge_point[-4:]] += transaction.energy_wh or 0
        wrong = 0
        total = 0
        for name in self.names:
            points = await self.do("show", name)
            register = sum(p["energy"] for p in points.values())
            total += register
            wrong += register != billed[name]
        tags = Counter(t.id_tag for t in account)
        charged = [v for v in visits if v.charged]
        return {
            "bornes": len(self.names),
            "cars": len(visits),
            "charged at the first try": len(charged),
            "transactions": len(account),
            "never ended": sum(t.meter_stop is None for t in account),
            "cars without a transaction": sum(tags[v.uid] == 0 for v in charged),
            "cars with two": sum(tags[v.uid] > 1 for v in visits),
            "kWh by the registers": round(total / 1000, 3),
            "kWh billed": round(sum(billed.values()) / 1000, 3),
            "bornes billed wrongly": wrong,
            "links dropped": self.account.drops,
            "frames refused": len(self.central.violations),
            "plugs kept": sum(v.note == "the plug stayed locked" for v in visits),
        }

    async def end(self) -> None:
        for process in (*self.stations.values(), *self.yards):
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
        for process in (*self.stations.values(), *self.yards):
            try:
                async with asyncio.timeout(60):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()

    def costs(self) -> list[dict[str, Any]]:
        """Memory (PSS) and processor since the start, of each business process and each yard."""
        rows = []
        for what, processes in (("station", list(self.stations.values())), ("yard", self.yards)):
            memory = percentiles([_pss_mb(p.pid) for p in processes])
            cpu = percentiles([_cpu_s(p.pid) for p in processes])
            rows.append({"process": what, "n": len(processes), "PSS MB p50": memory["p50"], "PSS MB max": memory["max"],
                         "CPU s p50": cpu["p50"], "CPU s max": cpu["max"]})  # fmt: skip
        return rows


def _pss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def picture(account: Account, title: str) -> str:
    most = max(links for _, links in account.links)
    return Picture(
        title,
        (
            Track("power of the fleet", "kW", (Series("all points", account.power),), low=0),
            Track("open transactions at the central system", "", (Series("open", account.sessions),), low=0),
            Track("bornes connected", "", (Series("connected", account.links, step=True),), low=0, high=most),
        ),
        (Event(OUTAGE[0] * 3600, "central system away"), Event(OUTAGE[1] * 3600, "back")),
    ).svg()


async def run(arguments: argparse.Namespace, root: Path) -> bool:
    faster = DAY_S / (arguments.minutes * 60)
    async with CentralSystem(heartbeat_interval=300) as central:
        fleet = Fleet(root, central, arguments.bornes, faster)
        try:
            began = time.monotonic()
            await fleet.begin()
            print(f"{arguments.bornes} bornes ready after {time.monotonic() - began:.0f} s; {faster:.0f} times faster", flush=True)  # fmt: skip  # noqa: E501
            await fleet.day(arguments.seed)
            result = await fleet.settle()
            costs = fleet.costs()
        finally:
            await fleet.end()
    rows = [{"what": key, "value": value} for key, value in result.items()]
    table("a day of the fleet", rows)
    waits = percentiles([v.wait_s for v in fleet.account.visits if v.charged])
    starts = percentiles(fleet.account.starts)
    table("seconds", [{"from": "badge to contactor", **waits}, {"from": "start to BootNotification", **starts}])
    table("costs", costs)
    for note, count in Counter(v.note for v in fleet.account.visits if v.note).items():
        print(f"{count} x {note}")
    save("fleet", [*rows, waits, starts, *costs])
    if arguments.plot:
        arguments.plot.write_text(picture(fleet.account, f"{arguments.bornes} bornes, one day (seed {arguments.seed})"))
    bad = ("never ended", "cars without a transaction", "cars with two", "bornes billed wrongly", "frames refused")
    return not any(result[name] for name in bad)


def main() -> int:
    parser = argparse.ArgumentParser(description="A day of the whole fleet.")
    parser.add_argument("--bornes", type=int, default=149)
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--keep", type=Path, help="folder for all files of all bornes")
    arguments = parser.parse_args()
    root = arguments.keep or Path(tempfile.mkdtemp(prefix="fleet-"))
    try:
        return 0 if asyncio.run(run(arguments, root)) else 1
    finally:
        if arguments.keep is None:
            shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
