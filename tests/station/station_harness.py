"""A station around a fake safety process, fake meters and a fake central system, on a clock of its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from chargepoint.config import Config
from chargepoint.evse.messages import Buzz, Done, Fault, Lamps, Permit, PointReport, Sample, Trace
from chargepoint.journal import outbox
from chargepoint.journal.journal import Journal
from chargepoint.meter.reading import Reading
from chargepoint.reader.badge import Badge
from chargepoint.station.api import Authorization, AuthStatus, BackendUnreachable, DomainEvent, StatusChanged
from chargepoint.station.clock import Clock
from chargepoint.station.evse_link import Listener
from chargepoint.station.settings import Settings
from chargepoint.station.station import Station

UTC0 = 1_800_000_000.0


class FakeTime:
    def __init__(self, mono: float = 1000.0) -> None:
        self.mono = mono
        self.utc_shift = 0.0
        self.ntp = True
        self.battery = False
        """The clock ran on while the power was off."""

    def monotonic(self) -> float:
        return self.mono

    def utc(self) -> float:
        return UTC0 + self.mono + self.utc_shift

    def disciplined(self) -> bool:
        return self.ntp

    def ran_on(self) -> bool:
        return self.battery


@dataclass
class Car:
    """A point's pins as the fake safety process sees them."""

    plugged: bool = False
    connected: bool = False
    wants: bool = True
    count: int = 0
    closed: bool = False
    closed_at: float | None = None
    opened_at: float | None = None
    faults: tuple[Fault, ...] = ()
    wh: int = 10_000
    before: bool = False
    """It stands before the point, as the bay's sensor has it."""
    permit: Permit | None = None
    domestic_plug: bool = False
    domestic_count: int = 0
    domestic_load: float = 8.0
    domestic_closed: bool = False

    @property
    def amps(self) -> float:
        """What it draws on each phase: 16 A at most, and never more than it is offered."""
        return min(16.0, self.permit.current_a) if self.closed and self.permit is not None else 0.0

    @property
    def currents(self) -> tuple[float, float, float]:
        """Through the point's meter; the domestic socket is on its first conductor."""
        own, second = self.amps, self.domestic_load if self.domestic_closed else 0.0
        return own + second, own, own


class FakeLink:
    """A safety process that closes and opens at once as permitted."""

    def __init__(self, time: FakeTime, evses: tuple[int, ...]) -> None:
        self.time = time
        self.boot = "boot-1"
        self.cars = {evse: Car() for evse in evses}
        self.listener: Listener | None = None
        self.shown: dict[int, Lamps] = {}
        self.heard: list[tuple[int, tuple[int, ...]]] = []
        self.unlocked: list[int] = []
        self.recorded: list[tuple[int, str]] = []
        self.stuck = False
        self._turns = 0
        self.frozen = False

    @property
    def turns(self) -> int:
        self._turns += not self.frozen
        return self._turns

    def attach(self, listener: Listener) -> None:
        self.listener = listener

    async def run(self) -> None:
        assert self.listener is not None
        self.listener.evse_found()
        for evse in self.cars:
            self.report(evse)
        await asyncio.Event().wait()

    def permit(self, permit: Permit) -> None:
        car = self.cars[permit.evse]
        if car.permit != permit:
            car.permit = permit
            asyncio.get_running_loop().call_soon(self.obey, permit.evse)

    def obey(self, evse: int) -> None:
        car = self.cars[evse]
        permit = car.permit
        allowed = permit is not None and permit.allowed and not car.faults
        second = allowed and car.domestic_plug and permit is not None and permit.connector == 2
        if second != car.domestic_closed:
            car.domestic_closed = second
            car.closed_at, car.opened_at = (self.time.mono, car.opened_at) if second else (None, self.time.mono)
            self.report(evse)
        close = car.connected and car.wants and allowed and permit is not None and permit.connector == 1
        if close == car.closed or (self.stuck and car.closed):
            return
        car.closed = close
        if close:
            car.closed_at = self.time.mono
        else:
            car.opened_at = self.time.mono
        self.report(evse)

    def lamps(self, lamps: Lamps) -> None:
        self.shown[lamps.evse] = lamps

    def buzz(self, buzz: Buzz) -> None:
        self.heard.append((buzz.evse, buzz.steps))

    async def unlock(self, evse: int, timeout_s: float) -> Done:
        self.unlocked.append(evse)
        return Done(1, evse, True)

    async def self_test(self, evse: int, what: str, timeout_s: float) -> Done:
        return Done(1, evse, True)

    async def acknowledge(self, evse: int, fault: str, timeout_s: float) -> Done:
        return Done(1, evse, True)

    def record(self, evse: int, fault: str) -> None:
        self.recorded.append((evse, fault))

    async def dump(self, evse: int, timeout_s: float) -> Done:
        return Done(1, evse, True, "x.jsonl")

    def trace(self, trace: Trace, listener: Callable[[Sample], None]) -> None:
        listener(Sample(trace.evse, self.time.mono, 12.0, 12.0, None, 100.0, "A1", False, 20.0))

    def report(self, evse: int) -> None:
        car = self.cars[evse]
        permit = car.permit
        allowed = permit is not None and permit.allowed and permit.connector == 1
        letter = ("C" if car.wants and allowed else "B") if car.connected else "A"
        assert self.listener is not None
        self.listener.point_reported(
            PointReport(
                evse=evse,
                t=self.time.mono,
                boot=self.boot,
                state=letter + ("2" if allowed else "1"),
                plugged=car.plugged,
                plug_count=car.count,
                cable_a=32.0 if car.plugged else None,
                duty=50.0,
                offered_a=permit.current_a if permit is not None and allowed else 0.0,
                contactor_commanded=car.closed,
                contactor_closed=car.closed,
                lock="locked" if permit is not None and permit.hold_lock else "unlocked",
                permitted=allowed,
                closed_at=car.closed_at if car.closed else None,
                opened_at=car.opened_at,
                waiting="" if car.closed else "no-permission",
                cp_high_v=6.0,
                cp_low_v=-12.0,
                temperature_c=25.0,
                derate=1.0,
                wake_ups=0,
                faults=car.faults,
                bay_occupied=car.before,
                domestic_plug=car.domestic_plug,
                domestic_count=car.domestic_count,
                domestic_commanded=car.domestic_closed,
                domestic_closed=car.domestic_closed,
            )
        )


class FakeMeters:
    """Meters that answer from the fake cars' registers."""

    counters = None

    def __init__(self, time: FakeTime, link: FakeLink) -> None:
        self.time = time
        self.link = link
        self.silent: set[int] = set()
        self.kept: dict[int, Reading] = {}
        self.station: Station | None = None

    def _read(self, evse: int) -> Reading:
        car = self.link.cars[evse]
        amps = car.currents
        reading = Reading(self.time.mono, car.wh, sum(amps) * 230, (230.0,) * 3, amps)
        self.kept[evse] = reading
        return reading

    def poll(self, evse: int) -> None:
        assert self.station is not None
        if evse not in self.silent:
            self.station.meter_read(evse, self._read(evse))

    def last(self, evse: int) -> Reading | None:
        return self.kept.get(evse)

    def lost(self, evse: int) -> bool:
        return evse in self.silent

    async def read_fresh(self, evse: int, after: float, timeout_s: float) -> Reading | None:
        await asyncio.sleep(0)
        return None if evse in self.silent else replace(self._read(evse), at=max(after, self.time.mono))

    async def run(self) -> None:
        await asyncio.Event().wait()


@dataclass
class FakeBackend:
    """A central system that knows some tokens."""

    online: bool = True
    tokens: dict[str, Authorization] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    events: list[DomainEvent] = field(default_factory=list)
    changes: int = 0
    url: str = ""
    registered: bool = True

    @property
    def reachable(self) -> bool:
        return self.online or not self.registered

    settings_of_the_operator: Callable[[], None] = lambda: None

    async def load(self) -> None:
        self.settings_of_the_operator()

    async def authorize(self, token: str) -> Authorization:
        self.asked.append(token)
        if not self.online:
            raise BackendUnreachable("no link")
        await asyncio.sleep(0)
        return self.tokens.get(token, Authorization(AuthStatus.INVALID))

    def notify(self, event: DomainEvent) -> None:
        self.events.append(event)

    def outbox_changed(self) -> None:
        self.changes += 1

    def status(self) -> dict[str, Any]:
        return {"connected": self.online, "version": "1.6", "url": self.url}

    def messages(self, count: int) -> list[dict[str, str]]:
        return []

    def connect(self) -> None:
        self.online = True

    async def disconnect(self) -> None:
        self.online = False

    def statuses(self, evse: int, connector: int = 1) -> list[str]:
        """Statuses told of a connector, repeats left out."""
        told = [
            e.status.value
            for e in self.events
            if isinstance(e, StatusChanged) and (e.evse, e.connector) == (evse, connector)
        ]
        return [s for i, s in enumerate(told) if i == 0 or told[i - 1] != s]


class Harness:
    """Drives one station. `advance` moves its time."""

    def __init__(self, config: Config, journal: Journal, time: FakeTime, settings: Settings) -> None:
        self.time = time
        self.journal = journal
        self.settings = settings
        self.clock = Clock(journal.boot, time.monotonic, time.utc, time.disciplined, time.ran_on)
        self.link = FakeLink(time, tuple(e.id for e in config.evse))
        self.meters = FakeMeters(time, self.link)
        self.backend = FakeBackend(tokens={t: Authorization(AuthStatus.ACCEPTED) for t in ("TAG", "TAG2")})
        self.steps: list[str] = []
        self.station = Station(config, journal, self.clock, settings, self.link, self.steps.append)
        self.meters.station = self.station
        self.station.attach(self.backend, self.meters)

    async def until(self, what: Callable[[], object], seconds: float = 3.0) -> None:
        for _ in range(int(seconds / 0.002)):
            if what():
                return
            await asyncio.sleep(0.002)
        raise AssertionError(
            f"not within {seconds:g} s: {[(p.session.state, p.status) for p in self.station.points.values()]}"
        )

    def state(self, evse: int = 1) -> str:
        return self.station.points[evse].session.state

    def status(self, evse: int = 1) -> str:
        return self.station.points[evse].status.value

    async def until_state(self, state: str, evse: int = 1) -> None:
        await self.until(lambda: self.state(evse) == state)

    async def until_status(self, status: str, evse: int = 1) -> None:
        await self.until(lambda: self.status(evse) == status)

    def plug(self, evse: int = 1) -> None:
        car = self.link.cars[evse]
        car.plugged = car.connected = True
        car.count += 1
        self.link.report(evse)

    def plug_domestic(self, evse: int = 1, load: float = 8.0) -> None:
        car = self.link.cars[evse]
        car.domestic_plug, car.domestic_load = True, load
        car.domestic_count += 1
        self.link.report(evse)

    def unplug_domestic(self, evse: int = 1) -> None:
        self.link.cars[evse].domestic_plug = False
        self.link.obey(evse)
        self.link.report(evse)

    def shown(self, connector: int, evse: int = 1) -> str:
        return self.station.points[evse].connectors[connector].status.value

    def unplug(self, evse: int = 1) -> None:
        car = self.link.cars[evse]
        car.plugged = car.connected = False
        if car.closed:
            car.closed, car.opened_at = False, self.time.mono
        self.link.report(evse)

    def badge(self, token: str = "TAG") -> None:
        self.station.badge(Badge(token.encode(), token, 1, self.time.mono))

    def fault(self, evse: int, name: str, on: bool = True) -> None:
        car = self.link.cars[evse]
        car.faults = (Fault(name, self.time.mono, "because"),) if on else ()
        self.link.obey(evse)
        self.link.report(evse)

    def advance(self, seconds: float, wh: int = 0) -> None:
        """Time passes, the meters are read, and what charges gets its energy."""
        self.time.mono += seconds
        for evse, car in self.link.cars.items():
            if car.closed or car.domestic_closed:
                car.wh += wh
            self.link.report(evse)
            self.meters.poll(evse)
        self.station.tick()

    async def charge(self, token: str = "TAG", evse: int = 1) -> None:
        """Plug and badge, until current flows."""
        self.plug(evse)
        self.badge(token)
        await self.until_status("Charging", evse)

    async def entries(self) -> list[outbox.Entry]:
        return await self.journal.read(lambda db: outbox.upcoming(db, 0, 10_000))

    async def kinds(self) -> list[str]:
        return [e.kind for e in await self.entries()]


def config(tmp_path: Path, **more: Any) -> Config:
    """Two points of 32 A on a supply of 52 A."""
    evses = [
        {"id": 1, "max_current": 32, "meter": {"model": "eastron-sdm630", "unit": 1}},
        {"id": 2, "max_current": 32, "phase_rotation": "STR", "meter": {"model": "eastron-sdm630", "unit": 2}},
    ]
    tree = {
        "station": {"id": "CP", "state_dir": tmp_path, "run_dir": tmp_path},
        "supply": {"max_current": 52},
        "board": {"kind": "simulated"},
        "evse": evses,
        **more,
    }
    return msgspec.convert(tree, Config)


@contextlib.asynccontextmanager
async def station(
    tmp_path: Path,
    settings: Settings | None = None,
    time: FakeTime | None = None,
    prepare: Callable[[Harness], None] | None = None,
    boot_id: str = "boot-a",
    **more: Any,
) -> AsyncIterator[Harness]:
    """A running station; at the end it is stopped as by SIGTERM."""
    journal = Journal.open(tmp_path / "chargepoint.db", boot_id)
    harness = Harness(config(tmp_path, **more), journal, time or FakeTime(), settings or Settings())
    if prepare is not None:
        prepare(harness)
    running = asyncio.create_task(harness.station.run())
    try:
        await harness.until(
            lambda: all(p.report is not None for p in harness.station.points.values()) or running.done()
        )
        yield harness
    finally:
        harness.station.stop_running()
        try:
            await running
        finally:
            journal.close()
