"""The software's limits that the circuit must serve, taken from the software itself."""

from chargepoint.board.frontend import CP_GAIN, CP_ZERO_V
from chargepoint.iec61851.pilot import DIODE_SEEN_V, Band, keeps

C_KEEPS_V = keeps(Band.C)
"""The positive peak leaves state C below the first or above the second, V."""

DIODE_V = DIODE_SEEN_V


def to_u(volts: float) -> float:
    """Voltage at the ADC for a pilot voltage."""
    return CP_GAIN * volts + CP_ZERO_V
