"""What a meter says. No I/O, no clock."""

from dataclasses import dataclass

BUILDING = 0
"""The number under which the building's meter is reported: the whole supply, no point."""

Phases = tuple[float | None, float | None, float | None]
"""L1..L3 of the meter; None where the meter has no such phase or gave no value."""

NO_PHASES: Phases = (None, None, None)


@dataclass(frozen=True, slots=True)
class Reading:
    """One complete reading. The register is the truth for energy: nothing is integrated in software."""

    at: float
    """Monotonic seconds at which it was asked for: no current and no import register is older. The answer may have been
    on its way when something happened; it is not taken for a reading of after that. Where several slow meters share a
    line, power and voltages may be some rounds old (`meter.plan`), as frequency, factor and export always may."""
    energy_wh: int
    """Import register, Wh, as the meter shows it."""
    power_w: float | None = None
    voltage_v: Phases = NO_PHASES
    current_a: Phases = NO_PHASES
    power_phases_w: Phases = NO_PHASES
    frequency_hz: float | None = None
    power_factor: float | None = None
    export_wh: int | None = None
