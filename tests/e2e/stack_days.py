"""The days of `tests/energy/energy_days.py` through the whole borne in one process (`one_process.py`).

Cars are plugged, badges shown, the building draws, the Linky and the meters speak or do not, the socket's surroundings
warm up; what comes out is what the simulated borne's meters and pilots showed. Like `replay`, but of everything.
"""

import json
import random
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "energy"))

from energy_days import Day, Outcome, Sample, Stay
from one_process import UTC0, WholeBorne

from chargepoint.energy.allocator import Allocation, Memory, Point, Supply, allocate
from chargepoint.energy.limits import MINIMUM_A
from chargepoint.energy.reasons import Offer
from chargepoint.sim.car import offered_a
from chargepoint.sim.central_system import CentralSystem

HOT_C = {0.0: 72.0, 0.25: 67.0, 0.5: 62.3, 1.0: 25.0}
"""Around the socket, for the part of the current that is to be left: its own warmth of up to 6 K comes on top."""
LEAVING_S = 20.0
"""From the badge to the free plug."""


def equal(supply: Supply, points: Sequence[Point], now: float, memory: Memory) -> Allocation:
    """Every point gets the same part of what is left, car or no car."""
    part = min(supply.free()) / len(points)
    return Allocation({p.id: _offer(min(p.most_a, part) if p.wants else 0.0) for p in points}, {})


def first(supply: Supply, points: Sequence[Point], now: float, memory: Memory) -> Allocation:
    """Who came first gets all it may; who comes later what is left, if that is 6 A."""
    left, offers = min(supply.free()), {}
    for point in sorted(points, key=lambda point: point.since):
        offers[point.id] = _offer(min(point.most_a, left) if point.wants else 0.0)
        left -= offers[point.id].amps
    return Allocation(offers, {})


def _offer(amps: float) -> Offer:
    given = int(amps * 10) / 10 if amps >= MINIMUM_A else 0.0
    return Offer(given, given, "full" if given else "no-room")


POLICIES = {"equal": equal, "first": first, "ours": allocate}


class _Stay:
    """A visit on its way through the day: plug, badge, charge, badge, unplug."""

    def __init__(self, borne: WholeBorne, stay: Stay, uid: str) -> None:
        self.borne, self.stay, self.visit, self.uid = borne, stay, stay.visit, uid
        self.stage = "away"
        self.begun_wh = 0
        self.waiting_s = 0.0
        self.offered = 0.0
        self.badge_at = 0.0

    @property
    def there(self) -> bool:
        return self.stage not in ("away", "gone")

    async def second(self, now: float) -> None:
        """What its driver does, and what is counted of it."""
        visit, borne = self.visit, self.borne
        point, sim = borne.point(visit.point), borne.sim.points[visit.point]
        match self.stage:
            case "away" if visit.arrives <= now and sim.cable is None and not sim.lock.holds:
                borne.plug(visit.point, int(visit.cable_a), visit.max_a, visit.phases)
                self.begun_wh = sim.register_wh
                self.stage = "plugged"
            case "plugged" if point.session.state == "waiting_auth":
                borne.badge(self.uid)
                self.stage = "badge"
            case "badge" if point.session.state == "running":
                if visit.departs:
                    await self._tell_departure()
                self.stage = "charging"
            case "charging" if now >= visit.leaves:
                borne.badge(self.uid)
                self.badge_at, self.stage = now, "leaving"
            case "leaving" if not sim.lock.holds:
                borne.unplug(visit.point)
                self.stage = "gone"
            case "leaving":
                assert now - self.badge_at < LEAVING_S, f"{visit.name} cannot leave: {borne.states()}"
        if self.stage == "charging":
            self._count(now)

    async def _tell_departure(self) -> None:
        leaves = datetime.fromtimestamp(UTC0 + self.visit.leaves, UTC).isoformat()
        data = json.dumps({"connectorId": self.visit.point, "departure": leaves, "energyWh": int(self.visit.wants_wh)})
        told = {"vendorId": "chargepoint", "messageId": "Departure", "data": data}
        answer = await self.borne.central.call("DataTransfer", told)
        assert answer["status"] == "Accepted", answer

    def _count(self, now: float) -> None:
        stay, visit = self.stay, self.visit
        sim = self.borne.sim.points[visit.point]
        stay.energy_wh = sim.register_wh - self.begun_wh
        car = sim.car
        assert car is not None
        if stay.full_at is None and stay.energy_wh >= visit.wants_wh:
            stay.full_at = now
            car.wants_energy, car.max_current = visit.full_a is not None, visit.full_a or visit.max_a
        if stay.started is None and car.current_a > 0:
            stay.started = now
        offered = offered_a(sim.commands.duty)
        stay.changes += abs(offered - self.offered) > 0.05
        self.offered = offered
        self.waiting_s = self.waiting_s + 1 if offered == 0 and stay.full_at is None else 0.0
        stay.longest_wait_s = max(stay.longest_wait_s, self.waiting_s)


async def replay_whole(day: Day, policy: str = "ours", seed: int = 1, sample_s: float = 0.0) -> Outcome:
    """Run a day through the whole borne. Raises AssertionError when the central system's books are not the meters'."""
    uids = [f"00C0FFEE{number:02X}" for number in range(len(day.visits))]
    extra = f"[tic]\n[sharing]\nsafe_current = {day.safe_a}\n"
    outcome = Outcome(day, policy, [Stay(visit) for visit in day.visits])
    with tempfile.TemporaryDirectory(prefix="day-", dir=_memory_disk()) as root:
        async with (
            CentralSystem(tags=uids, heartbeat_interval=3600) as central,
            WholeBorne(Path(root), central, extra, day.begin, day.static_a, (day.wirings[0], day.wirings[1])) as borne,
        ):
            with patch("chargepoint.energy.allocator.allocate", POLICIES[policy]):
                stays = [_Stay(borne, *each) for each in zip(outcome.stays, uids, strict=True)]
                await _run(borne, day, stays, outcome, random.Random(seed), sample_s)
            _check_books(central, borne, outcome)
    return outcome


def _memory_disk() -> str | None:
    """The journal syncs at every transaction; in memory a day is not the disk's measure."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


async def _run(
    borne: WholeBorne, day: Day, stays: list[_Stay], outcome: Outcome, chance: random.Random, sample_s: float
) -> None:
    borne.sim.subscribed_kva = round(day.subscribed_a * 3 * 230 / 1000)
    over_s, next_sample = [0.0, 0.0, 0.0], day.begin
    told: set[tuple[str, int | None]] = set()
    while borne.now < day.end:
        now = borne.now
        base = day.base(now, chance)
        borne.sim.building_a = base
        _disturb(borne, day, now, told)
        for stay in stays:
            await stay.second(now)
        await borne.run(1.0)
        outcome.faults |= {fault.name for fault in borne.station.faults}
        outcome.faults |= {fault.name for point in borne.station.points.values() for fault in point.faults}
        load = borne.sim.grid_current_a
        _excess(outcome, load, over_s)
        if sample_s and now >= next_sample:
            next_sample += sample_s
            points = borne.sim.points.values()
            drawn = tuple(max(point.current_a) for point in points)
            offered = tuple(offered_a(point.commands.duty) for point in points)
            room = borne.station.supply.supply.free()
            reason = next((r.reason for r in borne.station.supply.rooms.values()), "")
            outcome.samples.append(Sample(now, min(room), base, load, offered, drawn, reason))
    while any(stay.there for stay in stays):
        for stay in stays:
            await stay.second(max(borne.now, day.end))
        await borne.run(1.0)
    await borne.until(lambda: all(t.stopped is not None for t in borne.central.transactions), 30)


def _disturb(borne: WholeBorne, day: Day, now: float, told: set[tuple[str, int | None]]) -> None:
    """Silent meters and hot sockets of this second."""
    wanted: set[tuple[str, int | None]] = set()
    if any(begin <= now < end for begin, end in day.silent):
        wanted.add(("tic-silent", None))
    wanted |= {("meter-silent", id) for id, begin, end in day.meter_dead if begin <= now < end}
    for name, id in wanted ^ told:
        borne.fault(name, id, (name, id) in wanted)
    told.clear()
    told.update(wanted)
    for id, point in borne.sim.points.items():
        left = min((f for who, begin, end, f in day.derate if who == id and begin <= now < end), default=1.0)
        point.ambient_c = HOT_C[left]


def _excess(outcome: Outcome, load: tuple[float, ...], over_s: list[float]) -> None:
    for line in range(3):
        excess = load[line] - outcome.day.subscribed_a
        over_s[line] = over_s[line] + 1 if excess > 0.5 else 0.0
        outcome.excess_s += over_s[line] > 0
        outcome.longest_excess_s = max(outcome.longest_excess_s, over_s[line])
        if over_s[line] > 6.0:
            outcome.worst_excess_a = max(outcome.worst_excess_a, excess)


def _check_books(central: CentralSystem, borne: WholeBorne, outcome: Outcome) -> None:
    """Every visit is one transaction, billed as its meter counted."""
    assert central.violations == []
    assert len(central.transactions) == len(outcome.stays)
    billed = sum(transaction.energy_wh or 0 for transaction in central.transactions)
    assert billed == sum(point.register_wh for point in borne.sim.points.values())


def figures(outcome: Outcome) -> dict[str, dict[str, object]]:
    """What is kept of a day, per car."""
    return {
        f"{i + 1} {stay.visit.name}": {
            "kwh": round(stay.energy_wh / 1000, 2),
            "start_s": None if stay.started is None else round(stay.started - stay.visit.arrives),
            "longest_wait_s": round(stay.longest_wait_s),
            "pilot_changes": stay.changes,
        }
        for i, stay in enumerate(outcome.stays)
    }
