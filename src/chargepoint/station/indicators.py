"""What a point's lamps show, from the table `[lamps]` of the configuration.

The safety process plays the steps over and over.
"""

from dataclasses import dataclass
from typing import Final

from chargepoint.config import BuzzerSection, LampsSection
from chargepoint.station.api import ConnectorStatus

Step = tuple[bool, bool, bool, int]
"""Red, green, blue, and for how many milliseconds."""

COLOURS: Final = {
    "red": (True, False, False),
    "green": (False, True, False),
    "blue": (False, False, True),
    "yellow": (True, True, False),
    "cyan": (False, True, True),
    "magenta": (True, False, True),
    "white": (True, True, True),
    "off": (False, False, False),
}
ROWS: Final[dict[ConnectorStatus, str]] = {
    ConnectorStatus.AVAILABLE: "available",
    ConnectorStatus.PREPARING: "preparing",
    ConnectorStatus.CHARGING: "charging",
    ConnectorStatus.SUSPENDED_EV: "waiting_car",
    ConnectorStatus.SUSPENDED_EVSE: "waiting_current",
    ConnectorStatus.FINISHING: "finishing",
    ConnectorStatus.RESERVED: "reserved",
    ConnectorStatus.UNAVAILABLE: "unavailable",
    ConnectorStatus.FAULTED: "faulted",
}
"""The row of the table for each status."""
WAITING: Final = ("waiting_grid", "waiting_temperature", "waiting_schedule", "waiting_authorisation")
"""Rows for why a point waits; who leaves one out sees the row of the status."""
_GRID: Final = frozenset({"tic", "building-meter", "overload", "safe-share", "grid-signal"})
_SCHEDULE: Final = frozenset({"ocpp-max", "ocpp-default", "ocpp-transaction", "operator", "technician", "tariff"})
MOMENTS: Final = ("asking", "accepted", "refused", "understood")
"""Rows shown for a moment after a badge."""
ASKING_S: Final = 2.0
"""An answer takes no longer, as a rule."""
TEST: Final[tuple[Step, ...]] = tuple((*COLOURS[name], 1000) for name in ("red", "green", "blue", "white", "off"))
"""Every lamp alone, then all, then none: what a technician looks at."""
TEST_S: Final = 15.0
BETWEEN_TONES_MS: Final = 800


def steps(row: str) -> tuple[Step, ...]:
    """A row of the table, `blue 200 250 200 1350`, as steps."""
    colour, *times = row.split()
    lit, dark = COLOURS[colour], COLOURS["off"]
    if not times:
        return ((*lit, 1000),)
    return tuple((*(dark if index % 2 else lit), int(ms)) for index, ms in enumerate(times))


def waits_for(limit: str) -> str:
    """The row of `WAITING` for the name of the limit that gives no current; empty for the supply and its sharing."""
    name = limit.partition("#")[0]
    if name == "temperature":
        return "waiting_temperature"
    return "waiting_grid" if name in _GRID else "waiting_schedule" if name in _SCHEDULE else ""


def _tones(buzzer: BuzzerSection) -> dict[str, tuple[int, ...]]:
    if not buzzer.enabled:
        return {}
    rows = {name: tuple(int(ms) for ms in getattr(buzzer, name).split()) for name in ("accepted", "refused", "fault")}
    heard = [row for row in rows.values() if row]
    every = tuple(ms for row in heard for ms in (*row, BETWEEN_TONES_MS))[:-1]
    return {**rows, "understood": rows["accepted"], "all": every}


@dataclass(frozen=True, slots=True)
class Indicators:
    """The table, ready to be shown."""

    by_status: dict[ConnectorStatus, tuple[Step, ...]]
    moments: dict[str, tuple[Step, ...]]
    waiting: dict[str, tuple[Step, ...]]
    """Those rows of `WAITING` that the configuration has."""
    tones: dict[str, tuple[int, ...]]
    """What the buzzer sounds at a moment (of `MOMENTS`), at a `fault`, or for a technician to hear (`all`):
    milliseconds on, off, on. Empty without a buzzer."""

    def shown(self, status: ConnectorStatus, row: str) -> tuple[Step, ...]:
        """The steps of a status; `row` of `WAITING` says more about it, or is empty."""
        return self.waiting.get(row) or self.by_status[status]

    @classmethod
    def of(cls, section: LampsSection, buzzer: BuzzerSection | None = None) -> "Indicators":
        by_status = {status: steps(getattr(section, name)) for status, name in ROWS.items()}
        moments = {name: steps(getattr(section, name)) for name in MOMENTS}
        rows = {name: getattr(section, name) for name in WAITING}
        waiting = {name: steps(row) for name, row in rows.items() if row is not None}
        return cls(by_status, {**moments, "test": TEST}, waiting, _tones(buzzer or BuzzerSection()))

    def moment_s(self, kind: str, repeat: int) -> float:
        """How long a moment is shown: it blinks `repeat` times; while an answer is awaited, as long as that takes."""
        if kind in ("asking", "test"):
            return ASKING_S if kind == "asking" else TEST_S
        return repeat * sum(step[3] for step in self.moments[kind]) / 1000
