"""The plug's lock: tries, limits of the actuator, and one motor at a time over the whole borne.

It is given what is wanted and whether it may unlock (contactor confirmed open); it never unlocks without.
"""

from chargepoint.board.types import LockDrive
from chargepoint.iec61851.timing import LOCK_MOVE_S, LOCK_MOVES, LOCK_MOVES_WINDOW_S, LOCK_PAUSE_S, LOCK_TRIES

KEPT_FOR_OPENING = LOCK_TRIES
RETRY_STUCK_S = 60.0
"""A lock that would not open is tried again after so long, for ever: nobody's cable stays for good."""


class MotorArbiter:
    """The lock motors share one supply: at most one of them moves."""

    __slots__ = ("owner",)

    def __init__(self) -> None:
        self.owner = 0
        """Id of the point whose motor may run; 0: none."""

    def acquire(self, evse: int) -> bool:
        if self.owner in (0, evse):
            self.owner = evse
            return True
        return False

    def release(self, evse: int) -> None:
        if self.owner == evse:
            self.owner = 0


class Lock:
    """One lock. `drive` is what its H-bridge shall do."""

    __slots__ = (
        "_again",
        "_arbiter",
        "_draw_back",
        "_evse",
        "_recent",
        "_since",
        "_tries",
        "_want",
        "drive",
        "failed",
        "moves",
    )

    def __init__(self, evse: int, arbiter: MotorArbiter) -> None:
        self._evse = evse
        self._arbiter = arbiter
        self._recent: list[float] = []
        """When the last moves began, at most `LOCK_MOVES` of them."""
        self._since = 0.0
        self._tries = 0
        self._draw_back = False
        """A try to close failed: the bolt is drawn back before the next one, it may sit on the plug's edge."""
        self._again = float("-inf")
        """No move before."""
        self._want = False
        self.drive = LockDrive.OFF
        self.failed = LockDrive.OFF
        """The direction that failed after all tries."""
        self.moves = 0

    def step(self, now: float, want: bool, may_unlock: bool, closed: bool, opened: bool) -> LockDrive:
        """One pass. `closed`, `opened`: the end switches; both or neither mean unknown."""
        if want is not self._want:
            self._want = want
            self.retry()
        locked, unlocked = closed and not opened, opened and not closed
        if self.drive is LockDrive.OFF:
            if locked if want else unlocked:
                self._settled()
            elif now >= self._again and not (want and self.failed is LockDrive.CLOSE):
                self._move(LockDrive.CLOSE if want and not self._draw_back else LockDrive.OPEN, may_unlock, now)
        elif self.drive is LockDrive.CLOSE:
            self._closing(now, want, locked)
        else:
            self._opening(now, want, may_unlock, unlocked)
        return self.drive

    def retry(self) -> None:
        """Tries begin anew, within the actuator's limit of moves."""
        self.failed = LockDrive.OFF
        self._tries = 0
        self._draw_back = False
        self._again = float("-inf")

    def _settled(self) -> None:
        self._tries = 0
        self._draw_back = False
        self.failed = LockDrive.OFF

    def _move(self, direction: LockDrive, may_unlock: bool, now: float) -> None:
        if direction is LockDrive.OPEN and not may_unlock:
            return
        recent = self._recent
        # The last moves of the actuator's duty are kept for setting the plug free.
        allowed = LOCK_MOVES if direction is LockDrive.OPEN else LOCK_MOVES - KEPT_FOR_OPENING
        if len(recent) >= allowed and now - recent[-allowed] < LOCK_MOVES_WINDOW_S:
            return
        if not self._arbiter.acquire(self._evse):
            return
        recent.append(now)
        del recent[:-LOCK_MOVES]
        self.moves += 1
        self.drive = direction
        self._since = now

    def _end(self, now: float, pause_s: float = 0.0) -> None:
        self.drive = LockDrive.OFF
        self._arbiter.release(self._evse)
        self._again = now + pause_s

    def _closing(self, now: float, want: bool, locked: bool) -> None:
        if locked:
            self._settled()
            self._end(now)
        elif not want:
            self._end(now)
        elif now - self._since >= LOCK_MOVE_S:
            self._tries += 1
            self._draw_back = self._tries < LOCK_TRIES
            if not self._draw_back:
                self.failed = LockDrive.CLOSE
            self._end(now)

    def _opening(self, now: float, want: bool, may_unlock: bool, unlocked: bool) -> None:
        expired = now - self._since >= LOCK_MOVE_S
        if not may_unlock or (want and not self._draw_back):
            self._end(now)
        elif want:
            if unlocked or expired:
                self._draw_back = False
                self._end(now, LOCK_PAUSE_S)
        elif unlocked:
            self._settled()
            self._end(now)
        elif expired:
            self._tries += 1
            if self._tries < LOCK_TRIES:
                self._end(now, LOCK_PAUSE_S)
            else:
                self._tries = 0
                self.failed = LockDrive.OPEN
                self._end(now, RETRY_STUCK_S)
