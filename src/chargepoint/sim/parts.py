"""Contactor, lock and peak detector of the simulated borne. Pure: time comes in as steps."""

import math
from dataclasses import dataclass

CLOSE_S = 0.025
"""Coil on to main contacts closed."""
OPEN_S = 0.015
"""Coil off to main contacts open."""
DROP_S = 0.3
"""How long a contactor that does not hold stays closed."""
LOCK_TRAVEL_S = 0.4
"""End to end of the lock's motor."""
LOCK_END = 0.03
"""An end switch acts within so much of its end."""
LOCK_JAM = 0.4
"""Where a jammed lock stops."""
LOCK_HOLDS = 0.5
ATTACK_S = 0.0003
DECAY_S = 0.003
"""Time constants of the front end's peak detectors."""


@dataclass(slots=True)
class Contactor:
    """Main contacts behind a coil."""

    closed: bool = False
    welded: bool = False
    stuck_open: bool = False
    drops: bool = False
    _moving_s: float = 0.0
    _held_s: float = 0.0
    _dropped: bool = False

    def advance(self, step_s: float, coil: bool) -> None:
        if not coil:
            self._dropped = False
        wanted = coil and not self.stuck_open and not self._dropped
        if self.welded:
            self.closed, self._moving_s = True, 0.0
            return
        if wanted is self.closed:
            self._moving_s = 0.0
        else:
            self._moving_s += step_s
            if self._moving_s >= (CLOSE_S if wanted else OPEN_S):
                self.closed, self._moving_s = wanted, 0.0
        self._held_s = self._held_s + step_s if self.closed else 0.0
        if self.drops and self._held_s >= DROP_S:
            self.closed, self._dropped, self._held_s = False, True, 0.0

    @property
    def moving(self) -> bool:
        return self._moving_s > 0.0


@dataclass(slots=True)
class Lock:
    """A motor lock with two end switches. `position`: 0 open, 1 closed."""

    position: float = 0.0
    jam: bool = False
    stuck: bool = False
    opens: bool = False

    def advance(self, step_s: float, drive: int) -> None:
        """`drive`: -1 opens, 1 closes."""
        if self.opens:
            drive = -1
        move = step_s / LOCK_TRAVEL_S
        if drive > 0:
            end = 1.0 if not self.jam else max(LOCK_JAM, self.position)
            self.position = min(end, self.position + move)
        elif drive < 0 and not self.stuck:
            self.position = max(0.0, self.position - move)

    @property
    def holds(self) -> bool:
        """The bolt stands far enough out to hold a plug, or to keep one from going in."""
        return self.position >= LOCK_HOLDS

    @property
    def is_closed(self) -> bool:
        return self.position >= 1.0 - LOCK_END

    @property
    def is_open(self) -> bool:
        return self.position <= LOCK_END


class PeakDetector:
    """Follows rises (or falls, when `negative`) at once and lets go slowly."""

    __slots__ = ("_sign", "value")

    def __init__(self, negative: bool, value: float) -> None:
        self._sign = -1.0 if negative else 1.0
        self.value = value

    def advance(self, step_s: float, level: float) -> None:
        difference = level - self.value
        if abs(difference) < 0.002:
            self.value = level
            return
        constant = ATTACK_S if difference * self._sign > 0 else DECAY_S
        self.value += difference * (1.0 - math.exp(-step_s / constant))
