"""From a meter's reading to the values OCPP names; and when they are due.

Per-phase values are values of their own (OCPP 1.6 errata 3.14.3). A value the meter did not give is left out,
never zero.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from chargepoint.meter.reading import Phases, Reading
from chargepoint.station.api import MeterValue

_LINES: Final = ("L1", "L2", "L3")
MEASURANDS: Final = (
    "Energy.Active.Import.Register",
    "Energy.Active.Export.Register",
    "Power.Active.Import",
    "Power.Offered",
    "Power.Factor",
    "Current.Import",
    "Current.Offered",
    "Voltage",
    "Frequency",
    "Temperature",
)
"""What a station can be asked for."""
_OF_PHASES: Final = ("Power.Active.Import", "Current.Import", "Voltage")
"""Those that may be asked for by phase: `.L1`, `.L2`, `.L3` at the end."""
AT_REST: Final = ("Energy.", "Voltage", "Frequency", "Temperature")
"""How measurands begin that say nothing of a current that flows now."""
_OFFERED_VOLTAGE: Final = 230.0


def supported(measurand: str) -> bool:
    """Whether this name, possibly with a phase at its end, can be sampled."""
    base, _, line = measurand.rpartition(".")
    return measurand in MEASURANDS or (line in _LINES and base in _OF_PHASES)


def values(
    reading: Reading,
    measurands: Iterable[str],
    context: str,
    offered_a: float,
    phases: int,
    temperature_c: float | None,
) -> list[MeterValue]:
    """The values asked for that the reading has."""
    found: list[MeterValue] = []
    for name in measurands:
        base, only = name, None
        if name.endswith(tuple(f".{line}" for line in _LINES)):
            base, only = name.rsplit(".", 1)
        found += [
            MeterValue(base, value, unit, phase, location, context)
            for value, unit, phase, location in _of(reading, base, offered_a, phases, temperature_c)
            if only is None or phase in (only, f"{only}-N")
        ]
    return found


_Value = tuple[float, str, str | None, str | None]


def _of(reading: Reading, base: str, offered_a: float, phases: int, temperature_c: float | None) -> list[_Value]:
    match base:
        case "Energy.Active.Import.Register":
            return [(reading.energy_wh, "Wh", None, "Outlet")]
        case "Energy.Active.Export.Register":
            return _one(reading.export_wh, "Wh")
        case "Power.Active.Import":
            return _one(reading.power_w, "W") + _each(reading.power_phases_w, "W", "")
        case "Power.Offered":
            return [(round(offered_a * phases * _OFFERED_VOLTAGE, 1), "W", None, "Outlet")]
        case "Power.Factor":
            return _one(reading.power_factor, "")  # a factor of 1 at most, not a hundred
        case "Current.Import":
            return _each(reading.current_a, "A", "")
        case "Current.Offered":
            return [(offered_a, "A", None, "Outlet")]
        case "Voltage":
            return _each(reading.voltage_v, "V", "-N")
        case "Frequency":
            return _one(reading.frequency_hz, "Hertz")
        case "Temperature":
            return [] if temperature_c is None else [(round(temperature_c, 1), "Celsius", None, "Outlet")]
    return []


def _one(value: float | None, unit: str) -> list[_Value]:
    return [] if value is None else [(value, unit, None, "Outlet")]


def _each(phases: Phases, unit: str, suffix: str) -> list[_Value]:
    return [
        (value, unit, f"{line}{suffix}", "Outlet")
        for line, value in zip(_LINES, phases, strict=True)
        if value is not None
    ]


def as_json(meter_values: Iterable[MeterValue]) -> list[dict[str, Any]]:
    """As the journal keeps them."""
    return [
        {
            "measurand": v.measurand,
            "value": v.value,
            "unit": v.unit,
            "phase": v.phase,
            "location": v.location,
            "context": v.context,
        }
        for v in meter_values
    ]


def aligned(utc: float, interval_s: int) -> float:
    """The first instant after `utc` that is a multiple of the interval since midnight UTC."""
    midnight = datetime.fromtimestamp(utc, UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
    due = midnight + (int(utc - midnight) // interval_s + 1) * interval_s
    return min(due, midnight + 86400.0)
