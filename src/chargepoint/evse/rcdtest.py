"""Self-test of the residual current devices, through their test output, while the contactor is open."""

from enum import Enum

from chargepoint.iec61851.timing import SELF_TEST_PERIOD_S

TRIP_S = 0.5
"""Both devices must trip within so long of the test output."""
RELEASE_S = 1.0
"""Both must be quiet again within so long after it."""


class RcdTest:
    """Runs when it is due: at the start, after each unplug, at the latest a day after the last one."""

    class Phase(Enum):
        IDLE = "idle"
        TRIP = "trip"
        RELEASE = "release"

    __slots__ = ("_since", "detail", "due", "failed", "passed_at", "phase")

    def __init__(self) -> None:
        self.phase = RcdTest.Phase.IDLE
        self.due = True
        self.failed = False
        self.detail = ""
        self.passed_at: float | None = None
        self._since = 0.0

    @property
    def running(self) -> bool:
        """The trip lines tell about the test now, not about a residual current."""
        return self.phase is not RcdTest.Phase.IDLE

    @property
    def output(self) -> bool:
        return self.phase is RcdTest.Phase.TRIP

    def in_date(self, now: float) -> bool:
        return not self.failed and self.passed_at is not None and now - self.passed_at < SELF_TEST_PERIOD_S

    def step(self, now: float, may_run: bool, rcd: bool, rdc: bool) -> None:
        """One pass. `may_run`: the contactor is confirmed open."""
        if self.phase is RcdTest.Phase.IDLE:
            if self.passed_at is not None and now - self.passed_at >= SELF_TEST_PERIOD_S:
                self.due = True
            if self.due and may_run and not (rcd or rdc):
                self.due = False
                self.phase, self._since = RcdTest.Phase.TRIP, now
        elif self.phase is RcdTest.Phase.TRIP:
            if rcd and rdc:
                self.phase, self._since = RcdTest.Phase.RELEASE, now
            elif now - self._since >= TRIP_S:
                self._fail(f"under test the 30 mA device {_word(rcd)}, the 6 mA device {_word(rdc)}")
        elif not (rcd or rdc):
            self.phase = RcdTest.Phase.IDLE
            self.failed = False
            self.passed_at = now
        elif now - self._since >= RELEASE_S:
            self._fail("the devices stayed tripped after the test")

    def _fail(self, detail: str) -> None:
        self.phase = RcdTest.Phase.IDLE
        self.failed = True
        self.passed_at = None
        self.detail = detail


def _word(tripped: bool) -> str:
    return "tripped" if tripped else "did not trip"
