"""The software's limits that the circuit must serve, taken from the software itself."""

from chargepoint.iec61851.pilot import DIODE_SEEN_V, Band, keeps

C_KEEPS_V = keeps(Band.C)
"""The positive peak leaves state C below the first or above the second, V."""

DIODE_V = DIODE_SEEN_V

FULL_SCALE = 4096
V_REF = 3.3
GAIN = 0.11
MID_V = 1.65


def to_u(volts: float) -> float:
    """Voltage at the ADC for a pilot voltage."""
    return GAIN * volts + MID_V


def to_volts(counts: float) -> float:
    """Pilot voltage that the front end's scale makes of ADC counts."""
    return (counts * V_REF / FULL_SCALE - MID_V) / GAIN
