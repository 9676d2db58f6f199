"""A fleet of cars in accelerated time, for the tests of sharing: what each draws when its pilot says so much."""

from collections import deque
from dataclasses import dataclass, field

from chargepoint.energy.allocator import Allocation, Memory, Phases, Point, Supply, allocate

VOLT = 230.0


@dataclass
class Car:
    """A car on a point: it follows a changed pilot only after `lag_s`, both ways the slowest the standard allows."""

    phases: int = 3
    max_a: float = 32.0
    lag_s: float = 2.0
    need_wh: float = 1e9
    idle: tuple[tuple[float, float], ...] = ()
    """Times (from, to) in which it draws nothing though it may."""
    signals: deque[tuple[float, float]] = field(default_factory=deque)
    energy_wh: float = 0.0

    def draws(self, now: float, signal: float) -> float:
        """The current per phase it uses: the highest signal of the last `lag_s` seconds."""
        self.signals.append((now, signal))
        while len(self.signals) > 1 and self.signals[1][0] <= now - self.lag_s:
            self.signals.popleft()
        if self.energy_wh >= self.need_wh or any(a <= now < b for a, b in self.idle):
            return 0.0
        return min(self.max_a, max(amps for _, amps in self.signals))


@dataclass
class Slot:
    """A point of the simulated borne."""

    id: int
    wiring: tuple[int, ...] = (0, 1, 2)
    cap_a: float = 32.0
    weight: float = 1.0
    metered: bool = True
    fixed_a: float | None = None
    """A domestic socket: this current or none."""
    car: Car | None = None
    since: float = 0.0
    drawn: tuple[float, ...] = ()
    measured_at: float = -1.0
    offered_a: float = 0.0
    changes: list[float] = field(default_factory=list)

    def plug(self, car: Car, now: float) -> None:
        self.car, self.since = car, now

    def unplug(self) -> None:
        self.car, self.drawn, self.offered_a = None, (), 0.0

    def point(self) -> Point:
        car = self.car
        return Point(
            id=self.id,
            wiring=self.wiring,
            connected=car is not None,
            wants=car is not None,
            cap_a=self.cap_a,
            since=self.since,
            signalled_a=self.offered_a,
            measured_a=self.drawn if self.metered else (),
            measured_at=self.measured_at,
            energy_wh=car.energy_wh if car else 0.0,
            weight=self.weight,
            fixed_a=self.fixed_a,
        )


@dataclass
class Site:
    """Points on one supply, stepped second by second."""

    slots: list[Slot]
    limit_a: Phases = (52.0, 52.0, 52.0)
    now: float = 0.0
    memory: Memory = field(default_factory=dict)
    recent: deque[tuple[float, Phases]] = field(default_factory=deque)
    last: Allocation | None = None

    def step(self, dt: float = 1.0) -> list[float]:
        """One call of the allocator, then the cars; returns the current on each phase of the supply."""
        self.recent.append((self.now, self.limit_a))
        while self.recent[0][0] < self.now - 5.0:
            self.recent.popleft()
        self.last = allocate(Supply(self.limit_a), [slot.point() for slot in self.slots], self.now, self.memory)
        self.memory = self.last.memory
        load = [0.0, 0.0, 0.0]
        for slot in self.slots:
            amps = self.last.offers[slot.id].amps
            if amps != slot.offered_a:
                slot.changes.append(self.now)
            slot.offered_a = amps
            if slot.car is None:
                continue
            used = slot.car.draws(self.now, amps)
            count = min(slot.car.phases, len(slot.wiring))
            slot.drawn = tuple(used if i < count else 0.0 for i in range(len(slot.wiring)))
            slot.measured_at = self.now + 0.01
            slot.car.energy_wh += used * count * VOLT * dt / 3600
            for line, drawn in zip(slot.wiring, slot.drawn, strict=True):
                load[line] += drawn
        self.now += dt
        return load

    def run(self, seconds: float, dt: float = 1.0) -> list[list[float]]:
        return [self.step(dt) for _ in range(int(seconds / dt))]

    def allowed(self) -> Phases:
        """The highest limit of the last five seconds: what cars that may still be following are measured against."""
        return tuple(max(limit[i] for _, limit in self.recent) for i in range(3))  # type: ignore[return-value]

    def offers(self) -> list[float]:
        return [slot.offered_a for slot in self.slots]
