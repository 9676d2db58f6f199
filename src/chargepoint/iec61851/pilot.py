"""Control pilot: voltage bands with hysteresis, and the PWM law in both directions.

Numbers: IEC 61851-1 ed. 3, Annex A, tables A.2, A.4, A.7 and A.8. The hysteresis is the
optional one that A.4.11 tests; it depends on the present band.
"""

from enum import IntEnum
from math import floor

MIN_CURRENT_A = 6.0
"""The least current that the pilot can offer (table A.7); below it the EVSE goes to x1."""
MAX_CURRENT_A = 80.0
LAW_CHANGES_A = 51.0
LAW_CHANGES_DUTY = 85.0
"""Above it a car takes (duty - 64) x 2.5 A instead of duty x 0.6 A."""
STEADY_HIGH_DUTY = 100.0
"""x1: EVSE not ready, no current."""
STEADY_LOW_DUTY = 0.0
"""F: EVSE not available."""


class Band(IntEnum):
    """What the positive peak of the pilot says (table A.4)."""

    A = 0
    B = 1
    C = 2
    D = 3
    E = 4
    F = 5


NOMINAL_V: dict[Band, float] = {Band.A: 12.0, Band.B: 9.0, Band.C: 6.0, Band.D: 3.0, Band.E: 0.0, Band.F: -12.0}
"""Nominal positive peak of each band, V (table A.4)."""

HYSTERESIS = 0.05
"""Fraction of the step between two neighbouring bands (A.4.11 allows the choice). The circuit's tolerances bring a
sound car in B (1870 ohm) down to 7.71 V: with 0.10 the way out of C would be at 7.80 V and such a car could be missed
when it opens S2; with 0.05 it is at 7.65 V."""

GENERATOR_MIN_V = 11.0
"""State A, seen at the EVSE's terminals: 11..13 V (table A.4)."""
GENERATOR_MAX_V = 13.0

DIODE_SEEN_V = -10.0
"""With a diode in the car the low half of the PWM stays at the generator's -12 V. Table A.4 gives -13..-11; one
volt more is granted to the front end. Without a diode the car pulls it to -9 or above."""


def _boundary(upper: Band, present: Band) -> float:
    """The voltage between `upper` and the band below it, moved away from the present band."""
    high, low = NOMINAL_V[upper], NOMINAL_V[Band(upper + 1)]
    shift = HYSTERESIS * (high - low)
    return (high + low) / 2 + (-shift if present <= upper else shift)


_BOUNDARIES: tuple[tuple[float, ...], ...] = tuple(
    tuple(_boundary(upper, present) for upper in list(Band)[:-1]) for present in Band
)


def keeps(present: Band) -> tuple[float, float]:
    """The voltages between which the present band holds: above the first, up to the second, V."""
    limits = _BOUNDARIES[present]
    low = limits[present] if present < Band.F else float("-inf")
    high = limits[present - 1] if present > Band.A else float("inf")
    return low, high


def band_of(high_v: float, present: Band) -> Band:
    """The band of a positive peak, given the present one: at 10.35 V a car leaves A, above 10.65 V it is back."""
    for upper, boundary in enumerate(_BOUNDARIES[present]):
        if high_v > boundary:
            return Band(upper)
    return Band.F


def round_down(current_a: float) -> float:
    """To 0.1 A downwards; a float's last bits do not cost a tenth."""
    return floor(current_a * 10 + 1e-6) / 10


def duty_for(current_a: float) -> float:
    """Duty in percent that offers `current_a`, rounded down to 0.1 A (table A.7).

    Under 6 A there is nothing to offer: 100 % (x1). Between 51 A and 52.5 A, where the second law would give a duty
    that a car reads by the first, 51 A are offered. Raises ValueError above 80 A: a wrong limit is not clipped.
    """
    current = round_down(current_a)
    if current < MIN_CURRENT_A:
        return STEADY_HIGH_DUTY
    if current > MAX_CURRENT_A:
        raise ValueError(f"{current_a} A cannot be signalled: the pilot ends at {MAX_CURRENT_A:g} A")
    if current <= LAW_CHANGES_A:
        return current / 0.6
    return max(current / 2.5 + 64.0, LAW_CHANGES_DUTY)


def offered_a(duty: float) -> float:
    """Current that the EVSE offers by `duty` percent, A (table A.7); 0 when none."""
    if 10.0 <= duty <= LAW_CHANGES_DUTY:
        return round_down(duty * 0.6)
    if LAW_CHANGES_DUTY < duty <= 96.0:
        return round_down((duty - 64.0) * 2.5)
    return 0.0


def car_reads_a(duty: float) -> float | None:
    """What a car takes from a measured duty, A (table A.8); None asks for digital communication."""
    if 3.0 <= duty <= 7.0:
        return None
    if 8.0 <= duty < 10.0:
        return MIN_CURRENT_A
    if 10.0 <= duty <= LAW_CHANGES_DUTY:
        return duty * 0.6
    if LAW_CHANGES_DUTY < duty <= 96.0:
        return (duty - 64.0) * 2.5
    if 96.0 < duty <= 97.0:
        return MAX_CURRENT_A
    return 0.0
