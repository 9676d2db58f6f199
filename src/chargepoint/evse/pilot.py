"""The pilot as read: a band that counts once two results agree, and the diode in the car."""

from chargepoint.iec61851.pilot import DIODE_SEEN_V, Band, band_of, keeps
from chargepoint.iec61851.timing import RESULTS_TO_CHANGE

SETTLE_RESULTS = 3
"""Results to pass over after the generator changed between steady and PWM or F: the converter's are still old."""

STRAYED = 6
"""In C and D a result outside the band counts 2, one within takes 1 back. At so many the band is left although no two
results in a row agreed on where to: after 30 ms of a pilot that stands between two other bands, 90 ms of one that
chatters. Without it such a pilot would hold C for ever."""
CAR_DRAWS = frozenset({Band.C, Band.D})

DIODE_MISSING = 20
"""Under PWM a result without a diode counts 2, one with it takes 1 back. At so many the diode is missing for good:
after 100 ms without it, or 400 ms in which every second result is. One spoilt low half is no fault."""


class PilotFilter:
    """Debounces the positive peak with the hysteresis of the present band."""

    __slots__ = ("_count", "_high", "_low", "_pending", "_skip", "_strays", "announced", "band", "since")

    def __init__(self, now: float) -> None:
        self.band = Band.A
        self.since = now
        """When the band was last entered."""
        self.announced = False
        """The band has been read since the start, or since F was taken away."""
        self._pending = Band.A
        self._count = 0
        self._skip = 0
        self._strays = 0
        self._low, self._high = keeps(Band.A)

    @property
    def steady(self) -> bool:
        """The last result was of the present band, and a band counts."""
        return self.announced and not self._count

    def restart(self) -> None:
        """F is on the pilot: whatever is read then is not the car's. Begin anew after it."""
        self.announced = False
        self._skip = SETTLE_RESULTS
        self._count = self._strays = 0

    def step(self, high_v: float, now: float) -> bool:
        """One result. True when a band counts anew, be it the same one after `restart`."""
        if self._low < high_v <= self._high:
            if self.announced:
                self._count = 0
                if self._strays:
                    self._strays -= 1
                return False
            raw = self.band
        else:
            raw = band_of(high_v, self.band)
        if self._skip:
            self._skip -= 1
            return False
        agree = self._count + 1 if raw is self._pending and self._count else 1
        if raw is not self.band and self.band in CAR_DRAWS:
            self._strays += 2
        if agree < RESULTS_TO_CHANGE:
            if self._strays < STRAYED:
                self._pending = raw
                self._count = agree
                return False
            if raw in (Band.A, Band.D):
                raw = Band.B  # one result alone is no wish for ventilation, nor a car that has left
        self._count = self._strays = 0
        self.announced = True
        self.band = raw
        self.since = now
        self._low, self._high = keeps(raw)
        return True


class DiodeCheck:
    """Sees the car's diode in the low half of the PWM: it must be seen once before a contactor closes, and stay."""

    __slots__ = ("_bad", "_skip", "seen")

    def __init__(self) -> None:
        self.seen = False
        self._bad = 0
        self._skip = SETTLE_RESULTS

    @property
    def sound(self) -> bool:
        """Seen, and no result without it is left uncompensated."""
        return self.seen and not self._bad

    def forget(self) -> None:
        """The car left, or the PWM went off."""
        self.seen = False
        self._bad = 0
        self._skip = SETTLE_RESULTS

    def step(self, low_v: float) -> bool:
        """One result under PWM with a car. True when the diode is missing for good."""
        if self._skip:
            self._skip -= 1
            return False
        if low_v <= DIODE_SEEN_V:
            self.seen = True
            if self._bad:
                self._bad -= 1
            return False
        self._bad += 2
        return self._bad >= DIODE_MISSING
