"""Proximity coding: what the resistor in the plug says about the cable (IEC 61851-1, table B.2)."""

from enum import StrEnum


class Proximity(StrEnum):
    """What is at the proximity contact of a socket."""

    OPEN = "open"
    """Above 4.5 kohm: no plug, or a broken contact."""
    SHORT = "short"
    """Below 60 ohm."""
    CABLE_13 = "13"
    CABLE_20 = "20"
    CABLE_32 = "32"
    CABLE_63 = "63"

    @property
    def current_a(self) -> float:
        """What the cable may carry, A; 0 for an error."""
        return _CURRENT[self]

    @property
    def is_cable(self) -> bool:
        return _CURRENT[self] > 0


_CURRENT: dict[Proximity, float] = {
    Proximity.OPEN: 0.0,
    Proximity.SHORT: 0.0,
    Proximity.CABLE_13: 13.0,
    Proximity.CABLE_20: 20.0,
    Proximity.CABLE_32: 32.0,
    Proximity.CABLE_63: 63.0,
}

CODED_OHM: dict[Proximity, tuple[float, float, float]] = {
    Proximity.CABLE_13: (1100.0, 1500.0, 2460.0),
    Proximity.CABLE_20: (400.0, 680.0, 936.0),
    Proximity.CABLE_32: (164.0, 220.0, 308.0),
    Proximity.CABLE_63: (80.0, 100.0, 140.0),
}
"""Lowest, nominal and highest resistance of each coding, ohm (table B.2)."""

READING_TOLERANCE = 1.02
"""The front end reads up to 0.8 % high: a sound resistor at the end of its band is not taken for a smaller cable."""

OPEN_OHM = 4500.0
SHORT_OHM = 60.0


def coding_of(ohm: float) -> Proximity:
    """The coding of a resistance. Between two bands the lower current counts (table B.2)."""
    if ohm > OPEN_OHM:
        return Proximity.OPEN
    if not ohm >= SHORT_OHM:
        return Proximity.SHORT
    if ohm > CODED_OHM[Proximity.CABLE_20][2] * READING_TOLERANCE:
        return Proximity.CABLE_13
    if ohm > CODED_OHM[Proximity.CABLE_32][2] * READING_TOLERANCE:
        return Proximity.CABLE_20
    if ohm > CODED_OHM[Proximity.CABLE_63][2] * READING_TOLERANCE:
        return Proximity.CABLE_32
    return Proximity.CABLE_63
