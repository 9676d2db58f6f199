"""Days of supply and arrivals, replayed in accelerated time through the code that decides on a borne.

A day is data: what the building draws, which meters speak, which cars come and go. `replay` runs it with a policy:
`ours` is `energy.supply` and `energy.allocator`; `equal` and `first` are what simple stations do, for comparison.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from chargepoint.energy.allocator import MINIMUM_A, Memory, Phases, Point, Supply, allocate, wiring
from chargepoint.energy.supply import Source, SourceRules
from chargepoint.energy.urgency import urgency

VOLT = 230.0
HOUR = 3600.0
FOLLOW_S = 3.0
"""How long the cars of these days take to follow their pilot."""


def at(clock: str) -> float:
    """Seconds since midnight of `"17:50"`."""
    hours, minutes = clock.split(":")
    return int(hours) * HOUR + int(minutes) * 60.0


@dataclass(frozen=True)
class Visit:
    """A car's stay at a point."""

    name: str
    point: int
    arrives: float
    leaves: float
    wants_wh: float
    max_a: float = 32.0
    phases: int = 3
    cable_a: float = 32.0
    departs: bool = False
    """The operator has told when it leaves and what it needs by then."""
    full_a: float | None = None
    """What it goes on drawing per phase when full (pre-heating, balancing); None: nothing."""


@dataclass(frozen=True)
class Day:
    """One day; what is not said is quiet."""

    name: str
    title: str
    begin: float
    end: float
    visits: tuple[Visit, ...]
    subscribed_a: float = 52.17
    base: Callable[[float, random.Random], Phases] = lambda now, chance: (2.0, 2.0, 2.0)
    """What the building draws at a time of day."""
    wirings: tuple[str, ...] = ("RST", "STR")
    safe_a: float = 12.0
    silent: tuple[tuple[float, float], ...] = ()
    """When the Linky says nothing."""
    meter_dead: tuple[tuple[int, float, float], ...] = ()
    """Point, from, to: its own meter says nothing."""
    derate: tuple[tuple[int, float, float, float], ...] = ()
    """Point, from, to, factor: what the socket's temperature leaves of 32 A."""
    static_a: float = 52.0


@dataclass
class Stay:
    """What became of a visit."""

    visit: Visit
    energy_wh: float = 0.0
    started: float | None = None
    longest_wait_s: float = 0.0
    changes: int = 0
    full_at: float | None = None


@dataclass
class Sample:
    """One instant, for the picture."""

    at: float
    limit: float
    base: Phases
    load: Phases
    """What the whole connection draws."""
    offered: tuple[float, ...]
    drawn: tuple[float, ...]
    reason: str


@dataclass
class Outcome:
    """A day under a policy."""

    day: Day
    policy: str
    stays: list[Stay]
    samples: list[Sample] = field(default_factory=list)
    worst_excess_a: float = 0.0
    """Most that a phase was above the subscribed current, after the time a car has to follow."""
    excess_s: float = 0.0
    """Seconds in which a phase was more than 0.5 A above it."""
    longest_excess_s: float = 0.0
    """The longest such stretch."""
    faults: set[str] = field(default_factory=set)
    """What the borne complained of."""

    @property
    def energy_kwh(self) -> float:
        return sum(stay.energy_wh for stay in self.stays) / 1000

    @property
    def worst_wait_s(self) -> float:
        return max((stay.longest_wait_s for stay in self.stays), default=0.0)


@dataclass
class _Post:
    """A point during a replay."""

    id: int
    wiring: tuple[int, ...]
    stay: Stay | None = None
    offered_a: float = 0.0
    drawn_a: float = 0.0
    since: float = 0.0
    measured: tuple[float, ...] = ()
    measured_at: float = -1.0
    waiting_s: float = 0.0
    steps: list[tuple[float, float]] = field(default_factory=list)

    def follow(self, now: float) -> None:
        """The car draws what its pilot said some seconds ago, when that was more."""
        self.steps = [
            s for i, s in enumerate(self.steps) if i == len(self.steps) - 1 or self.steps[i + 1][0] > now - FOLLOW_S
        ]
        stay = self.stay
        if stay is None:
            self.drawn_a = 0.0
            return
        visit = stay.visit
        allowed = max(amps for _, amps in self.steps) if self.steps else 0.0
        wanted = visit.max_a if stay.energy_wh < visit.wants_wh else (visit.full_a or 0.0)
        self.drawn_a = min(allowed, wanted)
        if stay.energy_wh >= visit.wants_wh and stay.full_at is None:
            stay.full_at = now

    @property
    def lines(self) -> tuple[int, ...]:
        return self.wiring[: self.stay.visit.phases] if self.stay is not None else ()


Policy = Callable[[Sequence[_Post], Sequence[float], Phases, float], list[float]]
"""Posts, their own limits, the room per phase and the time: an offer for each post."""


def equal() -> Policy:
    """Every point gets the same part of what is left, car or no car."""

    def decide(posts: Sequence[_Post], caps: Sequence[float], room: Phases, now: float) -> list[float]:
        part = min(room) / len(posts)
        offers = [min(cap, part) if post.stay is not None else 0.0 for post, cap in zip(posts, caps, strict=True)]
        return [amps if amps >= MINIMUM_A else 0.0 for amps in offers]

    return decide


def first() -> Policy:
    """Who came first gets all it may; who comes later what is left, if that is 6 A."""

    def decide(posts: Sequence[_Post], caps: Sequence[float], room: Phases, now: float) -> list[float]:
        left, offers = min(room), [0.0] * len(posts)
        for i in sorted(range(len(posts)), key=lambda i: posts[i].since):
            amps = min(caps[i], left)
            if posts[i].stay is not None and amps >= MINIMUM_A:
                offers[i] = amps
                left -= amps
        return offers

    return decide


def ours() -> Policy:
    """The allocator, with what it remembers."""
    memory: Memory = {}

    def decide(posts: Sequence[_Post], caps: Sequence[float], room: Phases, now: float) -> list[float]:
        nonlocal memory
        points = [
            Point(
                id=post.id,
                wiring=post.wiring,
                connected=post.stay is not None,
                wants=post.stay is not None,
                cap_a=cap,
                since=post.since,
                signalled_a=post.offered_a,
                measured_a=post.measured,
                measured_at=post.measured_at,
                energy_wh=post.stay.energy_wh if post.stay is not None else 0.0,
                weight=_weight(post, now),
            )
            for post, cap in zip(posts, caps, strict=True)
        ]
        allocation = allocate(Supply(room), points, now, memory)
        memory = allocation.memory
        return [allocation.offers[post.id].amps for post in posts]

    return decide


def _weight(post: _Post, now: float) -> float:
    stay = post.stay
    if stay is None or not stay.visit.departs:
        return 1.0
    return urgency(stay.visit.wants_wh - stay.energy_wh, stay.visit.leaves - now, 32.0 * 3 * VOLT)


POLICIES: dict[str, Callable[[], Policy]] = {"equal": equal, "first": first, "ours": ours}


def replay(day: Day, policy: str = "ours", step_s: float = 1.0, seed: int = 1, sample_s: float = 0.0) -> Outcome:
    """Run a day. `sample_s` above 0: keep a sample so often."""
    chance = random.Random(seed)
    posts = [_Post(i + 1, wiring(word)) for i, word in enumerate(day.wirings)]
    source = Source(SourceRules("tic", day.safe_a), day.begin)
    decide = POLICIES[policy]()
    outcome = Outcome(day, policy, [Stay(visit) for visit in day.visits])
    now, over_s, next_sample = day.begin, [0.0, 0.0, 0.0], day.begin
    while now < day.end:
        _come_and_go(posts, outcome.stays, now)
        base = day.base(now, chance)
        load = _load(posts, base)
        _measure(posts, source, day, load, now)
        room = source.room(now)
        free = tuple(min(day.static_a, amps) for amps in room.amps)
        caps = [_cap(day, post, now) for post in posts]
        offers = decide(posts, caps, (free[0], free[1], free[2]), now)
        for post, amps in zip(posts, offers, strict=True):
            _signal(post, amps, now)
            post.follow(now)
        load = _load(posts, base)
        _account(posts, outcome, load, over_s, now, step_s)
        if sample_s and now >= next_sample:
            next_sample += sample_s
            drawn = tuple(post.drawn_a for post in posts)
            outcome.samples.append(Sample(now, min(free), base, load, tuple(offers), drawn, room.reason))
        now += step_s
    return outcome


def _come_and_go(posts: Sequence[_Post], stays: Sequence[Stay], now: float) -> None:
    for post in posts:
        if post.stay is not None and now >= post.stay.visit.leaves:
            post.stay, post.offered_a, post.steps, post.measured = None, 0.0, [], ()
    for stay in stays:
        post = posts[stay.visit.point - 1]
        if stay.visit.arrives <= now < stay.visit.leaves and post.stay is None:
            post.stay, post.since, post.waiting_s = stay, now, 0.0


def _load(posts: Sequence[_Post], base: Phases) -> Phases:
    load = list(base)
    for post in posts:
        for line in post.lines:
            load[line] += post.drawn_a
    return (load[0], load[1], load[2])


def _measure(posts: Sequence[_Post], source: Source, day: Day, load: Phases, now: float) -> None:
    """The points' meters and the Linky, as far as they speak."""
    borne = [0.0, 0.0, 0.0]
    for post in posts:
        if any(post.id == id and a <= now < b for id, a, b in day.meter_dead):
            post.measured = ()
            continue
        count = len(post.lines)
        post.measured = tuple(post.drawn_a if i < count else 0.0 for i in range(3)) if post.stay else ()
        post.measured_at = now
        for line in post.lines:
            borne[line] += post.drawn_a
    source.borne(now, (borne[0], borne[1], borne[2]))
    if not any(a <= now < b for a, b in day.silent):
        most = day.subscribed_a
        overload = max(load) > most + 0.5
        # A Linky counts whole amperes.
        seen = (float(round(load[0])), float(round(load[1])), float(round(load[2])))
        source.reading(now, seen, (most, most, most), overload)


def _cap(day: Day, post: _Post, now: float) -> float:
    if post.stay is None:
        return 32.0
    cap = min(32.0, post.stay.visit.cable_a)
    for id, begin, end, factor in day.derate:
        if id == post.id and begin <= now < end:
            cap = min(cap, 32.0 * factor)
    return cap if cap >= MINIMUM_A else 0.0


def _signal(post: _Post, amps: float, now: float) -> None:
    if abs(amps - post.offered_a) > 1e-9 and post.stay is not None:
        post.stay.changes += 1
    if not post.steps or post.steps[-1][1] != amps:
        post.steps.append((now, amps))
    post.offered_a = amps


def _account(
    posts: Sequence[_Post], outcome: Outcome, load: Phases, over_s: list[float], now: float, step_s: float
) -> None:
    for post in posts:
        stay = post.stay
        if stay is None:
            continue
        stay.energy_wh += post.drawn_a * len(post.lines) * VOLT * step_s / HOUR
        if post.drawn_a > 0 and stay.started is None:
            stay.started = now
        if post.offered_a == 0 and stay.full_at is None:
            post.waiting_s += step_s
            stay.longest_wait_s = max(stay.longest_wait_s, post.waiting_s)
        else:
            post.waiting_s = 0.0
    for line in range(3):
        excess = load[line] - outcome.day.subscribed_a
        over_s[line] = over_s[line] + step_s if excess > 0.5 else 0.0
        if over_s[line] > 0:
            outcome.excess_s += step_s
        if over_s[line] > 6.0:
            outcome.worst_excess_a = max(outcome.worst_excess_a, excess)


# The days


def _market(now: float, chance: random.Random) -> Phases:
    """Stalls: ovens, cold cupboards and coffee machines, from seven to half past one, unevenly on the phases."""
    if not at("07:00") <= now < at("13:30"):
        return (3.0, 2.0, 2.5)
    oven = 12.0 if int(now / 240) % 3 == 0 else 0.0
    cold = 5.0 if int(now / 90) % 4 < 2 else 0.0
    return (14.0 + oven + chance.random(), 10.0 + cold + chance.random(), 18.0 + chance.random())


def _hall(now: float, chance: random.Random) -> Phases:
    """A village hall in the evening: heating and a kitchen on L1, lights on all."""
    if not at("17:00") <= now < at("23:00"):
        return (1.0, 1.0, 1.0)
    kitchen = 16.0 if at("18:30") <= now < at("19:30") else 0.0
    return (6.0 + kitchen, 8.0 + (9.0 if int(now / 600) % 2 else 0.0), 6.0)


def _overload(now: float, chance: random.Random) -> Phases:
    """A workshop with a compressor that starts without warning, on a small subscription."""
    compressor = 14.0 if int(now) % 1500 < 260 else 0.0
    heater = 9.0 if at("10:00") <= now < at("11:30") else 0.0
    return (3.0 + heater + compressor, 3.0 + compressor, 4.0 + compressor)


def _noise(level: float) -> Callable[[float, random.Random], Phases]:
    def base(now: float, chance: random.Random) -> Phases:
        return (level + 2 * chance.random(), level + 2 * chance.random(), level + 2 * chance.random())

    return base


ZOE = Visit("Zoe", 1, 0, 0, 25_000, max_a=32.0)
C_ZERO = Visit("C-Zero", 2, 0, 0, 9_000, max_a=14.0, phases=1, cable_a=20.0)
E_208 = Visit("e-208", 1, 0, 0, 30_000, max_a=16.0)
PLUG_IN = Visit("plug-in hybrid", 2, 0, 0, 7_000, max_a=16.0, phases=1, full_a=1.0)


def stay(car: Visit, point: int, arrives: str, leaves: str, **other: object) -> Visit:
    return replace(car, point=point, arrives=at(arrives), leaves=at(leaves), **other)  # type: ignore[arg-type]


DAYS: tuple[Day, ...] = (
    Day(
        "market",
        "Market day: stalls on the same 36 kVA, four visitors",
        at("07:30"),
        at("15:00"),
        (
            stay(ZOE, 1, "08:10", "10:40", wants_wh=22_000),
            stay(E_208, 2, "09:00", "12:15"),
            stay(PLUG_IN, 1, "11:00", "14:30"),
            stay(ZOE, 2, "12:40", "14:50", wants_wh=30_000),
        ),
        base=_market,
    ),
    Day(
        "car-share",
        "Two car-share returns; the Zoe leaves again at eight, and the operator has said so",
        at("17:30"),
        at("23:00"),
        (
            stay(ZOE, 1, "17:50", "20:00", wants_wh=32_000, departs=True),
            stay(C_ZERO, 2, "18:05", "22:50"),
            stay(E_208, 1, "20:20", "22:45"),
        ),
        base=_hall,
    ),
    Day(
        "heat-wave",
        "Heat wave: the first socket derates to half, then to a quarter, then pauses for four minutes",
        at("11:30"),
        at("17:30"),
        (
            stay(ZOE, 1, "12:00", "17:00", wants_wh=50_000),
            stay(ZOE, 2, "12:20", "16:30", wants_wh=45_000),
        ),
        base=_noise(4.0),
        derate=(
            (1, at("13:00"), at("14:34"), 0.5),
            (1, at("14:00"), at("14:34"), 0.25),
            (1, at("14:30"), at("14:34"), 0.0),
            (1, at("14:36"), at("15:20"), 0.5),
        ),
    ),
    Day(
        "overload",
        "A workshop on 18 kVA whose compressor starts without warning",
        at("08:00"),
        at("13:00"),
        (
            stay(ZOE, 1, "08:20", "12:30", wants_wh=40_000),
            stay(C_ZERO, 2, "09:10", "12:50"),
        ),
        base=_overload,
        subscribed_a=26.09,
        static_a=26.0,
        safe_a=6.0,
    ),
    Day(
        "dead-meter",
        "The Linky falls silent for half an hour; later a point's own meter dies",
        at("13:00"),
        at("18:00"),
        (
            stay(ZOE, 1, "13:10", "17:30", wants_wh=50_000),
            stay(E_208, 2, "13:30", "17:45"),
        ),
        base=_noise(8.0),
        silent=((at("14:10"), at("14:40")),),
        meter_dead=((2, at("15:30"), at("16:30")),),
    ),
    Day(
        "turns",
        "Two cars where nine kilovolt-amperes leave room for one at a time",
        at("09:00"),
        at("14:00"),
        (
            stay(E_208, 1, "09:15", "13:45"),
            stay(ZOE, 2, "09:50", "13:50", wants_wh=20_000),
        ),
        base=lambda now, chance: (2.0, 2.0, 2.0),
        wirings=("RST", "RST"),
        subscribed_a=13.04,
        static_a=13.0,
        safe_a=6.0,
    ),
)
