"""The proximity contact, debounced and remembered from plug-in to unplug."""

from chargepoint.iec61851.proximity import Proximity, coding_of

RESULTS_TO_CHANGE = 2
"""Results that must agree, as for the pilot: both see a plug come and go in the same pass."""

STRAYED = 3
"""Results in a row outside the present coding that leave it although no two agreed: a contact between two codings."""

NEAR_OHM = 0.02
"""A reading within 2 % of the last one is the same coding: spares the table in the common pass."""


class ProximityWatch:
    """What is in the socket."""

    __slots__ = ("_count", "_high", "_low", "_pending", "_strays", "cable_a", "coding", "since")

    def __init__(self, now: float) -> None:
        self.coding = Proximity.OPEN
        self.since = now
        self.cable_a: float | None = None
        """What the cable may carry, A, as read at plug-in; None without a cable."""
        self._pending = Proximity.OPEN
        self._count = 0
        self._strays = 0
        self._low = self._high = -1.0

    @property
    def cable(self) -> bool:
        return self.coding.is_cable

    def step(self, ohm: float, now: float) -> bool:
        """One result. True when the coding changed."""
        if self._low <= ohm <= self._high:
            self._count = self._strays = 0
            return False
        raw = coding_of(ohm)
        if raw is self.coding:
            self._count = self._strays = 0
            self._low, self._high = ohm * (1 - NEAR_OHM), ohm * (1 + NEAR_OHM)
            if coding_of(self._low) is not raw or coding_of(self._high) is not raw:
                self._low = self._high = -1.0
            return False
        agree = self._count + 1 if raw is self._pending and self._count else 1
        self._strays += 1
        if agree < RESULTS_TO_CHANGE and self._strays < STRAYED:
            self._pending = raw
            self._count = agree
            return False
        self._count = self._strays = 0
        self.coding = raw
        self.since = now
        self._low = self._high = -1.0
        return True

    def remember(self) -> None:
        """Take the present coding as the cable's, or forget it when there is none."""
        self.cable_a = self.coding.current_a if self.coding.is_cable else None
