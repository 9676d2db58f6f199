"""A station that agrees with everything, and a configuration for it: for benchmarks of the OCPP room alone."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from chargepoint.config import Config
from chargepoint.energy.composite import Composite, ScheduledPeriod
from chargepoint.energy.profiles import Profile, check
from chargepoint.station.api import ConnectorStatus, MeterSampled, Outcome, StatusChanged
from chargepoint.station.settings import Settings

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def stub_config(url: str, directory: Path) -> Config:
    """Two points, no waiting between attempts."""
    keys = {"RetryBackOffWaitMinimum": 0, "RetryBackOffRandomRange": 0, "TransactionMessageRetryInterval": 0}
    return msgspec.convert(
        {
            "station": {"id": "CP1", "state_dir": str(directory), "run_dir": str(directory)},
            "supply": {"max_current": 40},
            "board": {"kind": "simulated"},
            "evse": [{"id": 1, "max_current": 32}, {"id": 2, "max_current": 32}],
            "ocpp": {"url": url, "security_profile": 0, "configuration": keys},
        },
        Config,
        dec_hook=lambda kind, value: kind(value),
    )


class StubStation:
    """Implements what the protocol room asks of the core."""

    def __init__(self) -> None:
        self.settings = Settings()

    async def remote_start(self, *what: Any) -> Outcome:
        return Outcome.ACCEPTED

    async def set_profile(self, profile: Profile) -> Outcome:
        check(profile)
        return Outcome.ACCEPTED

    async def clear_profiles(self, **what: Any) -> Outcome:
        return Outcome.ACCEPTED

    remote_stop = stop = unlock = set_availability = reset = clear_cache = reserve = remote_start
    cancel_reservation = remote_start

    def composite(self, evse: int, duration: int, unit: str, connector: int = 1) -> Composite:
        return Composite(int(NOW.timestamp()), duration, unit, (ScheduledPeriod(0, 32.0, 3),))

    def evse_ids(self) -> tuple[int, ...]:
        return (1, 2)

    def in_service(self) -> tuple[tuple[int, int], ...]:
        return ((1, 1), (2, 1))

    def status_of(self, evse: int, connector: int = 1) -> StatusChanged:
        return StatusChanged(evse, ConnectorStatus.AVAILABLE, None, "", NOW, connector)

    def sample_now(self, evse: int, context: str, connector: int = 1) -> MeterSampled | None:
        return None

    def transaction_of(self, evse: int, connector: int | None = None) -> int | None:
        return None

    def key_figures(self) -> dict[str, Any]:
        return {}

    async def transaction_answered(self, *what: Any) -> None:
        pass

    token_learned = setting_changed = transaction_answered

    async def clock_kept(self) -> None:
        return

    def clock_offered(self, utc: datetime) -> None:
        pass
