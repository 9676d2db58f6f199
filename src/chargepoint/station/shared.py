"""What the points of a station have in common: handed to each of them, owned by the station."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from chargepoint.journal.journal import Journal
from chargepoint.meter.reading import Reading
from chargepoint.station.api import Backend
from chargepoint.station.clock import Clock
from chargepoint.station.evse_link import Link
from chargepoint.station.indicators import Indicators
from chargepoint.station.settings import Settings


class Meters(Protocol):
    """The meters of the station, as `meter.bus.MeterBus` gives them."""

    @property
    def counters(self) -> Any:
        """A dataclass of what happened on the line (requests, time-outs, malformed frames...), or None."""

    def frames(self) -> list[tuple[float, bool, bytes]]:
        """The last frames on the line: monotonic seconds, sent (else heard), bytes."""

    @property
    def turns(self) -> int:
        """Changes whenever the loop gets round."""

    def last(self, evse: int) -> Reading | None: ...
    def lost(self, evse: int) -> bool: ...
    async def read_fresh(self, evse: int, after: float, timeout_s: float) -> Reading | None: ...
    async def run(self) -> None: ...


class Signed(Protocol):
    """A transaction as the meter signed it."""

    @property
    def text(self) -> str:
        """What the customer's transparency software reads."""


class Signer(Protocol):
    """The meters that sign transactions, as `meter.signing.Signing` gives them. No call raises or waits for ever."""

    async def begin(self, evse: int, token: str, utc: float) -> bool: ...
    async def end(self, evse: int) -> Signed | None: ...


@dataclass(slots=True)
class Shared:
    """Services, and three ways back to the station."""

    clock: Clock
    journal: Journal
    link: Link
    settings: Settings
    backend: Backend
    meters: Meters
    spawn: Callable[[Coroutine[Any, Any, None]], None]
    """Run this in the station's task group: an exception in it ends the process visibly."""
    changed: Callable[[], None]
    """Something changed: permissions, lamps and statuses are worked out anew."""
    step: Callable[[str], None]
    """A named step of a transaction has been reached (tests stop the process here)."""
    indicators: Indicators
    """What the lamps show."""
    signer: Signer | None = None
    """None: no meter of this station signs."""


class NoMeters:
    """A station whose points have no meter."""

    counters = None
    turns = 0

    def frames(self) -> list[tuple[float, bool, bytes]]:
        return []

    def last(self, evse: int) -> Reading | None:
        return None

    def lost(self, evse: int) -> bool:
        return False

    async def read_fresh(self, evse: int, after: float, timeout_s: float) -> Reading | None:
        return None

    async def run(self) -> None:
        while True:
            await asyncio.sleep(5.0)
            self.turns += 1
