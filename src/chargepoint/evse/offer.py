"""What the pilot offers: the duty, its pace, and what the socket's temperature leaves of the current."""

from chargepoint.iec61851.pilot import STEADY_HIGH_DUTY, duty_for, offered_a
from chargepoint.iec61851.timing import DUTY_SPACING_S

DERATE_STEPS: tuple[tuple[float, float], ...] = ((65.0, 0.5), (68.0, 0.25), (71.0, 0.0))
"""From this temperature at the contacts, deg C, this fraction of the current (design decision)."""
RESTORE_C = 62.0
SENSOR_MIN_C, SENSOR_MAX_C = -45.0, 125.0
"""Outside, the sensor is broken or shorted."""


RESULTS = 3
"""Results in a row that make a broken sensor, or one step down: 30 ms. One spoilt result stops no car."""


class Derating:
    """Steps down as the socket warms, back to the whole only when it is cool."""

    __slots__ = ("_broken", "_hot", "factor", "sensor_bad")

    def __init__(self) -> None:
        self.factor = 1.0
        self.sensor_bad = False
        self._broken = 0
        self._hot = 0
        """Results in a row that ask for the next step down; a broken one among them proves no cool socket."""

    def step(self, temperature_c: float) -> None:
        """One result."""
        if not SENSOR_MIN_C <= temperature_c <= SENSOR_MAX_C:
            self._broken += 1
            self.sensor_bad = self._broken >= RESULTS
            return
        self._broken = 0
        self.sensor_bad = False
        if temperature_c <= RESTORE_C:
            self.factor = 1.0
        for limit, factor in DERATE_STEPS:
            if temperature_c >= limit and factor < self.factor:
                self._hot += 1
                if self._hot >= RESULTS:
                    self._hot = 0
                    self.factor = factor
                return
        self._hot = 0


class Offer:
    """The generator's duty. Less goes at once, for the supply or the socket may need it; more waits until 5 s after the
    last change. Whoever lowers by choice keeps those 5 s itself."""

    __slots__ = ("_changed", "_limit", "_target", "duty")

    def __init__(self) -> None:
        self.duty = STEADY_HIGH_DUTY
        self._changed = float("-inf")
        self._limit = 0.0
        self._target = STEADY_HIGH_DUTY

    @property
    def current_a(self) -> float:
        """What the duty offers, A."""
        return offered_a(self.duty)

    @property
    def on(self) -> bool:
        """PWM is (to be) on the pilot."""
        return self.duty < STEADY_HIGH_DUTY

    def step(self, now: float, limit_a: float) -> bool:
        """Follow the limit. True when the duty changed."""
        if limit_a != self._limit:
            self._limit = limit_a
            self._target = duty_for(limit_a)
        target = self._target
        if target == self.duty:
            return False
        lower = target == STEADY_HIGH_DUTY or target < self.duty < STEADY_HIGH_DUTY
        if not lower and now - self._changed < DUTY_SPACING_S:
            return False
        self.duty = target
        self._changed = now
        return True
