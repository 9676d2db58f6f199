"""What a point's lamps show, as a table. Never colour alone: every situation has a rhythm of its own.

The safety process plays the steps over and over; its own faults take the lamps whatever is asked for here.
"""

from typing import Final

from chargepoint.station.api import ConnectorStatus

Step = tuple[bool, bool, bool, int]
"""Red, green, blue, and for how many milliseconds."""

_GREEN, _BLUE, _RED = (False, True, False), (False, False, True), (True, False, False)
_YELLOW, _WHITE, _OFF = (True, True, False), (True, True, True), (False, False, False)


def _on(colour: tuple[bool, bool, bool]) -> tuple[Step, ...]:
    return ((*colour, 1000),)


def _blink(colour: tuple[bool, bool, bool], on_ms: int, off_ms: int) -> tuple[Step, ...]:
    return ((*colour, on_ms), (*_OFF, off_ms))


BY_STATUS: Final[dict[ConnectorStatus, tuple[Step, ...]]] = {
    ConnectorStatus.AVAILABLE: _on(_GREEN),
    ConnectorStatus.PREPARING: _blink(_GREEN, 500, 500),
    ConnectorStatus.CHARGING: _on(_BLUE),
    ConnectorStatus.SUSPENDED_EV: _blink(_BLUE, 1500, 500),
    ConnectorStatus.SUSPENDED_EVSE: _blink(_BLUE, 300, 1700),
    ConnectorStatus.FINISHING: _blink(_GREEN, 1500, 500),
    ConnectorStatus.RESERVED: _blink(_YELLOW, 1500, 500),
    ConnectorStatus.UNAVAILABLE: _blink(_RED, 200, 2800),
    ConnectorStatus.FAULTED: _blink(_RED, 500, 500),
}

MOMENTS: Final[dict[str, tuple[Step, ...]]] = {
    "asking": _blink(_WHITE, 200, 200),
    "accepted": _blink(_GREEN, 150, 150),
    "refused": _blink(_RED, 150, 150),
    "understood": _blink(_BLUE, 150, 150),
}
"""Shown for a moment after a badge."""

MOMENT_S: Final = 2.0
