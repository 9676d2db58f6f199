"""The station's permission: a lease that ends unless it is renewed."""

from chargepoint.connectors import TYPE_2
from chargepoint.evse.messages import LEASE_S, Permit
from chargepoint.iec61851.pilot import MIN_CURRENT_A


class Lease:
    """One point's permission. Nothing here closes a contactor: a lease only permits."""

    __slots__ = ("_until", "connector", "current_a", "hold_lock", "ran_out", "wake_up", "wants")

    def __init__(self) -> None:
        self._until = float("-inf")
        self.wants = False
        """The last permit allowed charging; look at `allows` for whether it lives."""
        self.current_a = 0.0
        self.hold_lock = False
        self.wake_up = False
        self.connector = TYPE_2
        self.ran_out = True
        """It ended for want of renewal, not by the station's word. So also at the start: a station may have died."""

    def grant(self, permit: Permit, now: float) -> None:
        """A permit arrived: the lease runs anew from `now`."""
        self._until = now + LEASE_S
        self.wants = permit.allowed and permit.current_a >= MIN_CURRENT_A
        self.current_a = permit.current_a
        self.hold_lock = permit.hold_lock
        self.wake_up = permit.wake_up
        self.connector = permit.connector
        self.ran_out = False

    def revoke(self) -> None:
        """The station's word is void until it speaks again (unlock)."""
        self._until = float("-inf")
        self.wants = self.hold_lock = self.ran_out = False
        self.current_a = 0.0

    def step(self, now: float) -> bool:
        """True in the one pass in which a lease that permitted something runs out."""
        if now < self._until or not (self.wants or self.hold_lock):
            return False
        self.ran_out = True
        lost = self.wants
        self.wants = self.hold_lock = False
        self.current_a = 0.0
        return lost

    def allows(self, now: float, connector: int = TYPE_2) -> bool:
        """A live lease allows current on that connector."""
        return self.wants and now < self._until and self.connector == connector

    def holds(self, now: float) -> bool:
        """A live lease wants the plug kept: the Type 2 socket's, which alone has a lock."""
        return self.hold_lock and now < self._until and self.connector == TYPE_2
