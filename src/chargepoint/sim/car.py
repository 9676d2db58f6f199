"""The simulated car and the pilot circuit between it and the generator. Pure: time comes in as steps."""

from dataclasses import dataclass

RESISTANCE_B_OHM = 2740.0
"""S2 open (IEC 61851-1 Table A.9 nominal values, as seen at the pilot behind the diode)."""
RESISTANCE_C_OHM = 882.0
"""S2 closed, no ventilation: 1.3 kohm in parallel."""
RESISTANCE_D_OHM = 246.0
"""S2 closed, ventilation: 270 ohm in parallel."""
DIODE_V = 0.7
SOURCE_OHM = 1000.0
RAIL_V = 12.0
SHORT_OHM = 20.0

READY_AFTER_S = 0.3
"""From a valid PWM to S2 closed."""
STOPPED_AFTER_S = 0.2
"""From zero current to S2 open."""
START_AFTER_S = 0.5
"""From mains voltage to the first current."""
RAMP_A_PER_S = 40.0
OVER_FACTOR, OVER_A = 1.3, 3.0
"""What a car that ignores the pilot draws: 1.3 x the offer and 3 A more."""


def offered_a(duty: float) -> float:
    """Current a car reads from the duty in percent (IEC 61851-1 Table A.8); 0 when it may not charge."""
    if duty < 8.0 or duty > 97.0:
        return 0.0
    if duty < 10.0:
        return 6.0
    if duty <= 85.0:
        return duty * 0.6
    return min((duty - 64.0) * 2.5, 80.0)


@dataclass(slots=True)
class Car:
    """One car. `current_a` is per phase."""

    max_current: float = 32.0
    phases: int = 3
    wants_energy: bool = True
    diode: bool = True
    ventilation: bool = False
    over_current: bool = False
    s2_closed: bool = False
    current_a: float = 0.0
    _waited_s: float = 0.0
    _powered_s: float = 0.0

    @property
    def resistance_ohm(self) -> float:
        if not self.s2_closed:
            return RESISTANCE_B_OHM
        return RESISTANCE_D_OHM if self.ventilation else RESISTANCE_C_OHM

    def advance(self, step_s: float, duty: float, powered: bool) -> None:
        """`duty`: what the car sees on the pilot, 0 without PWM; `powered`: mains voltage at its inlet."""
        offer = offered_a(duty)
        wish = self.wants_energy and offer > 0.0
        self._move_current(step_s, offer if wish else 0.0, powered)
        if wish is self.s2_closed or (not wish and self.current_a > 0.0):
            self._waited_s = 0.0
            return
        self._waited_s += step_s
        if self._waited_s >= (READY_AFTER_S if wish else STOPPED_AFTER_S):
            self.s2_closed = wish
            self._waited_s = 0.0

    def leave(self) -> None:
        """Open S2 at once: the driver pulls the plug."""
        self.s2_closed = False

    @property
    def moving(self) -> bool:
        """Something of this car changes by itself at this moment."""
        return self._waited_s > 0.0 or 0.0 < self._powered_s < START_AFTER_S + 2.0

    def _move_current(self, step_s: float, offer: float, powered: bool) -> None:
        if not powered or not self.s2_closed:
            self.current_a = self._powered_s = 0.0
            return
        self._powered_s += step_s
        if self._powered_s < START_AFTER_S:
            return
        target = min(offer, self.max_current)
        if self.over_current and offer > 0.0:
            target = offer * OVER_FACTOR + OVER_A
        most = RAMP_A_PER_S * step_s
        self.current_a += max(-most, min(most, target - self.current_a))


def pilot_levels(duty: float, load_ohm: float | None, diode: bool) -> tuple[float, float]:
    """Positive and negative level of the pilot, V: equal when the generator is steady.

    `load_ohm` is what hangs between pilot and protective earth, None for nothing.
    """
    high, low = RAIL_V, -RAIL_V
    if load_ohm is not None:
        share = load_ohm / (SOURCE_OHM + load_ohm)
        high = (RAIL_V - DIODE_V) * share + DIODE_V if diode else RAIL_V * share
        low = -RAIL_V if diode else -RAIL_V * share
    if duty >= 100.0:
        return high, high
    return (low, low) if duty <= 0.0 else (high, low)
