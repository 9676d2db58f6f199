"""Waking a sleeping car: state F for 4 s, once per plug-in (IEC 61851-1, A.5.3).

A car that does not draw within 30 s of the offer may be asleep. One pulse, then it is left alone.
The clock starts with an offer and stops for good when the car goes to C: a full car is not asleep.
"""

from chargepoint.iec61851.timing import WAKE_UP_AFTER_S, WAKE_UP_PULSE_S


class WakeUp:
    """One point's wake-up."""

    __slots__ = ("_offered_at", "_pulse_at", "count", "used")

    def __init__(self) -> None:
        self._offered_at: float | None = None
        self._pulse_at: float | None = None
        self.used = False
        self.count = 0
        """In this plug-in."""

    @property
    def pulsing(self) -> bool:
        return self._pulse_at is not None

    def new_car(self) -> None:
        self._offered_at = self._pulse_at = None
        self.used = False
        self.count = 0

    def offered(self, now: float) -> None:
        """The PWM came on with a car in B."""
        if not self.pulsing:
            self._offered_at = now

    def cancel(self) -> None:
        """The car went to C, or the offer ended."""
        self._offered_at = self._pulse_at = None

    def step(self, now: float, allowed: bool) -> bool:
        """True while F shall be on the pilot. `allowed`: the point offers current to a car in B, and may pulse."""
        if self._pulse_at is not None:
            if now - self._pulse_at < WAKE_UP_PULSE_S:
                return True
            self._pulse_at = self._offered_at = None
            return False
        if self._offered_at is None or self.used or not allowed or now - self._offered_at < WAKE_UP_AFTER_S:
            return False
        self._pulse_at = now
        self.used = True
        self.count += 1
        return True
