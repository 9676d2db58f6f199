"""Faults that only the meter can see: too much current, voltage out of its band, a missing phase. Pure.

A value must stay wrong for a while before a fault is raised, and right for the row's quiet time before it is gone. A
meter that says nothing proves nothing: its silence neither raises nor clears one of these.
"""

from dataclasses import dataclass
from typing import Final

from chargepoint.faults import fault
from chargepoint.meter.reading import Reading

OVER_FACTOR: Final = 1.10
OVER_MARGIN_A: Final = 0.5
"""OC-01: more than 1.10 times what the pilot signals, plus 0.5 A."""
OVER_GRACE_S: Final = 6.0
"""After a change of the signal the car has 5 s to follow (IEC 61851-1, A.5.2); one more for the meter."""
OVER_FOR_S: Final = 4.0
HIGH_FACTOR: Final = 1.15
LOW_FACTOR: Final = 0.80
LOST_FACTOR: Final = 0.50
"""Of the nominal voltage: EN 50160 has +10 % and -15 % as the bounds of normal operation; these lie outside them."""
VOLTAGE_FOR_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class News:
    """A fault to raise (`on`) or to clear."""

    name: str
    on: bool
    detail: str = ""


class _Watch:
    """One fault: wrong for long enough raises it, right for long enough clears it."""

    def __init__(self, name: str, raise_after_s: float) -> None:
        self.name = name
        self.active = False
        self._raise_after_s = raise_after_s
        self._since: float | None = None

    def see(self, wrong: bool, now: float, detail: str) -> News | None:
        if wrong == self.active:
            self._since = None
            return None
        if self._since is None:
            self._since = now
        wait = self._raise_after_s if wrong else fault(self.name).after_s
        if now - self._since < wait:
            return None
        self._since = None
        self.active = wrong
        return News(self.name, wrong, detail if wrong else "")

    def clear(self) -> News | None:
        self._since = None
        if not self.active:
            return None
        self.active = False
        return News(self.name, False)


class MeterGuard:
    """Watches one point's readings."""

    def __init__(self, nominal_v: float, phases: int) -> None:
        self._nominal_v = nominal_v
        self._phases = phases
        self._current = _Watch("over-current", OVER_FOR_S)
        self._high = _Watch("over-voltage", VOLTAGE_FOR_S)
        self._low = _Watch("under-voltage", VOLTAGE_FOR_S)
        self._lost = _Watch("phase-lost", VOLTAGE_FOR_S)
        self._signal_a = 0.0
        self._offered_at = float("-inf")
        """When there was an offer again after none."""
        self._earlier: list[tuple[float, float]] = []
        """When an earlier signal ended, and its A, as long as the car may still follow it."""

    def signalled(self, amps: float, now: float) -> None:
        """What the pilot signals now, A; 0 when it offers nothing."""
        if amps == self._signal_a:
            return
        if self._signal_a == 0:
            self._offered_at = now
        self._earlier = [(at, a) for at, a in self._earlier if now - at < OVER_GRACE_S]
        self._earlier.append((now, self._signal_a))
        self._signal_a = amps

    def unplugged(self) -> list[News]:
        """The car and its cable have left: an over-current is over."""
        news = self._current.clear()
        return [] if news is None else [news]

    def read(self, reading: Reading, contactor_closed: bool, now: float) -> list[News]:
        """A fresh reading; what it raises or clears."""
        found = [self._see_current(reading, contactor_closed, now), *self._see_voltage(reading, now)]
        return [news for news in found if news is not None]

    def _see_current(self, reading: Reading, contactor_closed: bool, now: float) -> News | None:
        if self._current.active:
            return None  # stays until the car leaves
        drawn = max((a for a in reading.current_a if a is not None), default=0.0)
        # The highest of the last seconds, not one that has settled: a car that draws too much makes sharing move it.
        offered = max((self._signal_a, *(a for at, a in self._earlier if now - at < OVER_GRACE_S)))
        settled = now - self._offered_at >= OVER_GRACE_S
        wrong = contactor_closed and settled and self._signal_a > 0 and drawn > OVER_FACTOR * offered + OVER_MARGIN_A
        return self._current.see(wrong, now, f"{drawn:.1f} A drawn, {offered:.1f} A offered")

    def _see_voltage(self, reading: Reading, now: float) -> list[News | None]:
        by_line = {n: v for n, v in enumerate(reading.voltage_v[: self._phases], 1) if v is not None}
        if not by_line:
            return []
        volts = by_line.values()
        high, lowest = max(volts), min(by_line, key=by_line.__getitem__)
        low = by_line[lowest]
        gone = low < LOST_FACTOR * self._nominal_v
        live = [v for v in volts if v >= LOST_FACTOR * self._nominal_v]
        return [
            self._high.see(high > HIGH_FACTOR * self._nominal_v, now, f"{high:.0f} V"),
            self._low.see(bool(live) and min(live) < LOW_FACTOR * self._nominal_v, now, f"{low:.0f} V"),
            self._lost.see(gone, now, f"L{lowest}: {low:.0f} V"),
        ]
