"""The analogue front end: what a count of the ADC means, and back. One table of constants; no I/O."""

import math

from chargepoint.board.mcp3208 import FULL_SCALE

CHANNELS = ("cp_high", "cp_low", "pp", "temperature", "reference", "generator")
"""What stands on channels 0..5 of each point's ADC; 6 and 7 are spare."""

ADC_REFERENCE_V = 3.3
CP_ZERO_V = 1.65
"""At the ADC for 0 V of pilot."""
CP_GAIN = 0.11
"""V at the ADC per V of pilot: -15..+15 V fill the range."""
PP_PULL_UP_OHM = 1000.0
PP_OPEN_OHM = 100_000.0
"""More than this is an open contact."""
NTC_PULL_UP_OHM = 10_000.0
NTC_R25_OHM = 10_000.0
NTC_B_K = 3950.0
KELVIN = 273.15
OPEN_C, SHORTED_C = -KELVIN, 999.0
"""What a broken sensor reads as: outside what any sensor can show, and numbers all the same."""
REFERENCE_V = 2.5
GENERATOR_HIGH_V = 12.0
"""The pilot generator's rails are +-12 V; its mean tells the duty."""

_VOLT_PER_COUNT = ADC_REFERENCE_V / FULL_SCALE


def pilot_v(count: int) -> float:
    return (count * _VOLT_PER_COUNT - CP_ZERO_V) / CP_GAIN


def pilot_count(volt: float) -> int:
    return _clamp((CP_ZERO_V + CP_GAIN * volt) / _VOLT_PER_COUNT)


def pp_ohm(count: int) -> float:
    """Proximity resistance to PE; `math.inf` when open."""
    if count >= FULL_SCALE - 1:
        return math.inf
    ohm = PP_PULL_UP_OHM * count / (FULL_SCALE - count)
    return ohm if ohm < PP_OPEN_OHM else math.inf


def pp_count(ohm: float) -> int:
    return FULL_SCALE - 1 if math.isinf(ohm) else _clamp(FULL_SCALE * ohm / (PP_PULL_UP_OHM + ohm))


def temperature_c(count: int) -> float:
    """Socket temperature by the Beta formula; an open or shorted sensor gives `OPEN_C` or `SHORTED_C`."""
    if count >= FULL_SCALE - 1:
        return OPEN_C
    if count <= 0:
        return SHORTED_C
    ohm = NTC_PULL_UP_OHM * count / (FULL_SCALE - count)
    return 1.0 / (1.0 / (25.0 + KELVIN) + math.log(ohm / NTC_R25_OHM) / NTC_B_K) - KELVIN


def temperature_count(celsius: float) -> int:
    if celsius <= OPEN_C:
        return FULL_SCALE - 1
    ohm = NTC_R25_OHM * math.exp(NTC_B_K * (1.0 / (celsius + KELVIN) - 1.0 / (25.0 + KELVIN)))
    return _clamp(FULL_SCALE * ohm / (NTC_PULL_UP_OHM + ohm))


def volt(count: int) -> float:
    return count * _VOLT_PER_COUNT


def volt_count(value: float) -> int:
    return _clamp(value / _VOLT_PER_COUNT)


def duty_percent(count: int) -> float:
    """Duty of the generator from its mean voltage, percent; never outside 0..100 but by noise and offset."""
    return (pilot_v(count) + GENERATOR_HIGH_V) / (2 * GENERATOR_HIGH_V) * 100.0


def duty_count(percent: float) -> int:
    return pilot_count(percent / 100.0 * 2 * GENERATOR_HIGH_V - GENERATOR_HIGH_V)


def _clamp(count: float) -> int:
    return max(0, min(FULL_SCALE - 1, round(count)))
