"""Whether a vehicle stands before a point: the sensor's word, once it has kept to it for a while."""

from typing import Final

SETTLE_S: Final = 2.0
"""People and trolleys pass sooner than this."""


class Bay:
    """One point's bay. Without a sensor nothing is ever seen there, and nothing told."""

    def __init__(self) -> None:
        self.occupied = False
        self._since: float | None = None

    def see(self, occupied: bool, now: float) -> bool:
        """What the sensor says at a monotonic instant; True when `occupied` has become another by it."""
        if occupied == self.occupied:
            self._since = None
            return False
        if self._since is None:
            self._since = now
        if now - self._since < SETTLE_S:
            return False
        self.occupied, self._since = occupied, None
        return True
