"""A station that only remembers what it was asked, and a backend of it on a real WebSocket."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest_asyncio

from chargepoint.config import Config
from chargepoint.energy.composite import Composite, ScheduledPeriod
from chargepoint.energy.profiles import Profile, check
from chargepoint.journal.journal import Journal
from chargepoint.ocpp.v16.backend import Backend
from chargepoint.sim.central_system import CentralSystem
from chargepoint.station.api import (
    Authorization,
    ConnectorStatus,
    MeterSampled,
    MeterValue,
    Outcome,
    Reservation,
    StatusChanged,
    StopReason,
)
from chargepoint.station.clock import Clock
from chargepoint.station.settings import Settings

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def config(url: str, state_dir: Path, **ocpp: Any) -> Config:
    """A two-point borne, quick to reconnect."""
    keys = {"RetryBackOffWaitMinimum": 0, "RetryBackOffRandomRange": 0, "TransactionMessageRetryInterval": 0}
    return msgspec.convert(
        {
            "station": {"id": "CP 1/é", "state_dir": str(state_dir), "run_dir": str(state_dir), "vendor": "Vendor"},
            "supply": {"max_current": 40},
            "board": {"kind": "simulated"},
            "evse": [
                {"id": 1, "max_current": 32, "meter": {"model": "eastron-sdm630", "unit": 1}},
                {"id": 2, "max_current": 32, "phase_rotation": "STR"},
            ],
            "ocpp": {
                "url": url,
                "security_profile": 0,
                "configuration": {**keys, **ocpp.pop("configuration", {})},
                **ocpp,
            },
        },
        Config,
        dec_hook=lambda kind, value: kind(value),
    )


def _second(connector: int | None) -> tuple[int, ...]:
    """What a request names beside the point: only the connector that is not its first."""
    return () if connector in (None, 1) else (connector,)


@dataclass
class FakeStation:
    """Answers with `outcome` (or with what `outcomes` has for the method) and notes every request in `asked`."""

    outcome: Outcome = Outcome.ACCEPTED
    settings: Settings = field(default_factory=Settings)
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    statuses: dict[int, StatusChanged] = field(default_factory=dict)
    answered: list[tuple[int, str | None, Authorization]] = field(default_factory=list)
    clocks: list[datetime] = field(default_factory=list)
    keep_clock: Callable[[], Awaitable[None]] | None = None

    def __post_init__(self) -> None:
        self.statuses = {evse: StatusChanged(evse, ConnectorStatus.AVAILABLE, None, "", NOW) for evse in (0, 1, 2)}

    def _ask(self, *what: Any) -> Outcome:
        self.asked.append(what)
        return self.outcome

    async def remote_start(
        self, token: str, evse: int | None, profile: Any | None = None, connector: int | None = None
    ) -> Outcome:
        return self._ask("remote_start", token, evse, profile, *_second(connector))

    async def remote_stop(self, backend_tx_id: str) -> Outcome:
        return self._ask("remote_stop", backend_tx_id)

    async def stop(self, evse: int, reason: StopReason) -> Outcome:
        return self._ask("stop", evse, reason)

    async def departure(self, evse: int, at: datetime, energy_wh: int) -> Outcome:
        return self._ask("departure", evse, at, energy_wh)

    async def unlock(self, evse: int, connector: int = 1) -> Outcome:
        return self._ask("unlock", evse, *_second(connector))

    async def set_availability(
        self, evse: int, operative: bool, connector: int | None = None, for_update: bool = False
    ) -> Outcome:
        return self._ask("set_availability", evse, operative, *_second(connector), *(("update",) if for_update else ()))

    async def reset(self, hard: bool) -> Outcome:
        return self._ask("reset", hard)

    async def clear_cache(self) -> Outcome:
        return self._ask("clear_cache")

    async def reserve(self, reservation: Reservation) -> Outcome:
        return self._ask("reserve", reservation)

    async def cancel_reservation(self, reservation_id: int) -> Outcome:
        return self._ask("cancel_reservation", reservation_id)

    async def set_profile(self, profile: Profile) -> Outcome:
        check(profile)
        return self._ask("set_profile", profile)

    async def clear_profiles(self, id=None, evse=None, purpose=None, stack=None, connector=None) -> Outcome:
        return self._ask("clear_profiles", id, evse, purpose, stack, *_second(connector))

    def composite(self, evse: int, duration: int, unit: str, connector: int = 1) -> Composite | None:
        self.asked.append(("composite", evse, duration, unit, *_second(connector)))
        begin = int(NOW.timestamp())
        return Composite(begin, duration, unit, (ScheduledPeriod(0, 32.0, 3), ScheduledPeriod(60, 10.1, None)))

    def evse_ids(self) -> tuple[int, ...]:
        return (1, 2)

    def in_service(self) -> tuple[tuple[int, int], ...]:
        return tuple((e, 1) for e in (1, 2) if self.statuses[e].status is not ConnectorStatus.UNAVAILABLE)

    def status_of(self, evse: int, connector: int = 1) -> StatusChanged:
        return replace(self.statuses[evse], connector=connector)

    def sample_now(self, evse: int, context: str, connector: int = 1) -> MeterSampled | None:
        value = MeterValue("Energy.Active.Import.Register", 1234.0, "Wh", None, "Outlet", context)
        return MeterSampled(evse, NOW, (value,), connector)

    def transaction_of(self, evse: int, connector: int | None = None) -> int | None:
        return None

    def key_figures(self) -> dict[str, Any]:
        return {"figures": {"sessions_total": 3.0}, "days": {}}

    async def transaction_answered(self, tx: int, backend_id: str | None, authorization: Authorization) -> None:
        self.answered.append((tx, backend_id, authorization))

    async def token_learned(self, token: str, authorization: Authorization) -> None:
        self.asked.append(("token_learned", token, authorization))

    async def setting_changed(self, name: str) -> None:
        self.asked.append(("setting_changed", name))

    async def clock_kept(self) -> None:
        if self.keep_clock is not None:
            await self.keep_clock()

    def clock_offered(self, utc: datetime) -> None:
        self.clocks.append(utc)


@dataclass
class Borne:
    """A backend at work, its station and its central system."""

    central: CentralSystem
    station: FakeStation
    journal: Journal
    backend: Backend
    task: asyncio.Task[None]

    async def accepted(self) -> None:
        """Wait until the three connectors and the start of the device were told."""
        await self.central.wait_for("StatusNotification", lambda p: p["connectorId"] == 2)
        await self.central.wait_for("SecurityEventNotification")


Start = Callable[..., Any]


@pytest_asyncio.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Start a backend against a central system: `await start(central, configuration={...})`."""
    stack = contextlib.AsyncExitStack()

    async def start_one(
        central: CentralSystem, station: FakeStation | None = None, installer: Any = None, **ocpp: Any
    ) -> Borne:
        journal = Journal.open(tmp_path / "chargepoint.db", "boot-1")
        stack.callback(journal.close)
        station = station or FakeStation()
        backend = Backend(config(central.url, tmp_path, **ocpp), journal, Clock(journal.boot), station, installer)
        task = asyncio.create_task(backend.run())

        async def stop() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        stack.push_async_callback(stop)
        return Borne(central, station, journal, backend, task)

    async with stack:
        yield start_one


@pytest_asyncio.fixture
async def central() -> AsyncIterator[CentralSystem]:
    async with CentralSystem(tags=["TAG1"]) as system:
        yield system
        assert system.violations == []  # whatever a test does, nothing leaves that the schemas forbid


@pytest_asyncio.fixture
async def borne(start: Start, central: CentralSystem) -> Borne:
    """Connected, accepted, statuses told."""
    one: Borne = await start(central)
    await one.accepted()
    return one
