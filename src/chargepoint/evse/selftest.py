"""Self-tests of a point: at the start, after each unplug, at the latest a day after the last ones, and on request.

In this order, each alone: the pilot generator's read-back (only in an empty socket: 6 A of PWM for a moment), the
lock's travel (only on request: each move wears it), the residual current devices (only with the contactor open), then
what can be judged by looking: the converter's reference, the mirror contact, the lock's end switches.
"""

from dataclasses import dataclass
from enum import Enum

from chargepoint.evse.watch import DUTY_TOLERANCE
from chargepoint.iec61851.timing import SELF_TEST_PERIOD_S

TRIP_S = 2.0
"""Both residual current devices must trip within so long of the test output. A 6 mA sensor takes its time: others have
measured 1.2 s with the RCM14-03 of the carrier's bill of materials."""
RELEASE_S = 1.0
"""Both must be quiet again within so long after it."""
RCD_TRIES = 2
"""A device that has just got its power may miss the first test."""
PILOT_DUTY = 10.0
PILOT_S = 0.6
"""The read-back needs 0.3 s to settle and 0.2 s to be judged (see `watch.DutyWatch`)."""
LOCK_S = 8.0
"""The lock's own tries end before that."""
RETRY_S = 60.0
"""A test that failed for another reason than a residual current device is repeated after so long."""

WHAT = ("rcd", "lock", "contactor", "pilot", "all")


class Phase(Enum):
    IDLE = "idle"
    PILOT = "pilot"
    LOCK_CLOSE = "lock-close"
    LOCK_OPEN = "lock-open"
    RCD_TRIP = "rcd-trip"
    RCD_RELEASE = "rcd-release"
    LOOK = "look"


@dataclass(slots=True)
class Seen:
    """What a pass of the self-test may look at."""

    vacant: bool
    contactor_open: bool
    """Confirmed."""
    rcd: bool
    rdc: bool
    reference_ok: bool
    board_whole: bool
    """All of it answers: the output that starts a test reaches the devices."""
    pilot_wrong: bool
    """The read-back has been judged wrong."""
    duty: float
    """The read-back itself, percent."""
    locked: bool
    unlocked: bool
    lock_failed: bool
    has_lock: bool


class SelfTests:
    """One point's."""

    __slots__ = (
        "_rcd_ms", "_rdc_ms", "_retry_at", "_since", "_tries", "_what", "detail", "due", "failed", "measured",
        "passed_at", "phase", "pilot_detail", "rcd_detail", "rcd_failed", "rcd_passed_at", "runs",
    )  # fmt: skip

    def __init__(self) -> None:
        self.phase = Phase.IDLE
        self.due = True
        self.failed = False
        """A test other than the residual current devices' has failed, and no whole run since then found all sound."""
        self.detail = ""
        """What failed then, or has failed so far in the run under way."""
        self.rcd_failed = False
        self.rcd_detail = ""
        self.rcd_passed_at: float | None = None
        self.passed_at: float | None = None
        """When everything was last found sound."""
        self.runs = 0
        self.measured: list[str] = []
        """What the last run measured, each with its bound."""
        self.pilot_detail = ""
        """What was wrong with the read-back when it was last tried: with a plug in the socket it cannot be."""
        self._rcd_ms = self._rdc_ms = 0.0
        self._what = "all"
        self._since = 0.0
        self._tries = 0
        self._retry_at = float("inf")

    @property
    def running(self) -> bool:
        return self.phase is not Phase.IDLE

    @property
    def tests_rcd(self) -> bool:
        """The trip lines tell about the test now, not about a residual current."""
        return self.phase in (Phase.RCD_TRIP, Phase.RCD_RELEASE)

    @property
    def rcd_output(self) -> bool:
        return self.phase is Phase.RCD_TRIP

    @property
    def duty(self) -> float | None:
        """The duty a test needs on the pilot; None when none does."""
        return PILOT_DUTY if self.phase is Phase.PILOT else None

    @property
    def lock_closed(self) -> bool:
        """A test wants the lock closed."""
        return self.phase is Phase.LOCK_CLOSE

    def in_date(self, now: float) -> bool:
        """The residual current devices passed within the last day."""
        return self.rcd_passed_at is not None and now - self.rcd_passed_at < SELF_TEST_PERIOD_S

    def request(self, what: str) -> None:
        """Run these tests as soon as may be. `what`: one of `WHAT`."""
        self.due = True
        self._what = what
        self.rcd_failed = False

    def outcome(self) -> tuple[bool, str]:
        """Whether the last run found everything sound, and what it found."""
        wrong = [self.detail if self.failed else "", self.rcd_detail if self.rcd_failed else ""]
        failed = [text for text in wrong if text]
        return not failed, "; ".join(failed or self.measured)

    def step(self, now: float, seen: Seen) -> None:
        """One pass."""
        match self.phase:
            case Phase.IDLE:
                self._idle(now, seen)
            case Phase.PILOT:
                self._pilot(now, seen)
            case Phase.LOCK_CLOSE | Phase.LOCK_OPEN:
                self._lock(now, seen)
            case Phase.RCD_TRIP:
                self._trip(now, seen)
            case Phase.RCD_RELEASE:
                self._release(now, seen)
            case Phase.LOOK:
                self._look(now, seen)

    def due_at(self) -> float:
        """When the next test is due, with none under way; minus infinity when it is."""
        if self.running or self.due or self.rcd_passed_at is None:
            return float("-inf")
        return min(self._retry_at, self.rcd_passed_at + SELF_TEST_PERIOD_S)

    def quiet(self, now: float) -> bool:
        """Idle with nothing due: the common pass."""
        return self.phase is Phase.IDLE and not self.due and now < self._retry_at and self.in_date(now)

    def _idle(self, now: float, seen: Seen) -> None:
        if not (self.due or now >= self._retry_at or not (self.in_date(now) or self.rcd_failed)):
            return
        if not (seen.contactor_open and seen.board_whole) or seen.rcd or seen.rdc:
            return
        self.due = False
        self._retry_at = float("inf")
        self._tries = 0
        self.detail = ""
        self.measured = []
        self._enter(Phase.PILOT if seen.vacant and self._wants("pilot") else self._after_pilot(seen), now)

    def _wants(self, what: str) -> bool:
        return self._what in (what, "all")

    def _after_pilot(self, seen: Seen) -> Phase:
        moves = seen.vacant and seen.has_lock and self._what == "lock"
        return Phase.LOCK_CLOSE if moves else self._after_lock()

    def _after_lock(self) -> Phase:
        return Phase.RCD_TRIP if self._wants("rcd") else Phase.LOOK

    def _enter(self, phase: Phase, now: float) -> None:
        self.phase = phase
        self._rcd_ms = self._rdc_ms = 0.0
        self._since = now

    def _pilot(self, now: float, seen: Seen) -> None:
        # A read-back that does not follow is a fault of its own (`pwm-wrong`), which goes with the duty that showed it.
        if not seen.pilot_wrong and seen.vacant and now - self._since < PILOT_S:
            return
        if seen.vacant:
            self.pilot_detail = ""
        if seen.pilot_wrong:
            self.pilot_detail = f"pilot: {seen.duty:.1f} % read back, {PILOT_DUTY:.0f} % commanded"
        elif seen.vacant:
            bound = f"{PILOT_DUTY:.0f} % commanded (within {DUTY_TOLERANCE:.0f} %)"
            self.measured.append(f"pilot: {seen.duty:.1f} % read back, {bound}")
        self._enter(self._after_pilot(seen), now)

    def _lock(self, now: float, seen: Seen) -> None:
        closing = self.phase is Phase.LOCK_CLOSE
        if seen.lock_failed or now - self._since >= LOCK_S:
            self._fail(f"lock: the {'closed' if closing else 'open'} end was not reached")
        elif not seen.vacant:
            pass  # somebody came: the lock now serves the plug
        elif not (seen.locked if closing else seen.unlocked):
            return
        else:
            end = "closed" if closing else "open"
            self.measured.append(f"lock: {end} after {now - self._since:.1f} s (at most {LOCK_S:.0f} s)")
        self._enter(Phase.LOCK_OPEN if closing and not self.detail else self._after_lock(), now)

    def _trip(self, now: float, seen: Seen) -> None:
        after_ms = (now - self._since) * 1000
        self._rcd_ms = (self._rcd_ms or after_ms) if seen.rcd else 0.0
        self._rdc_ms = (self._rdc_ms or after_ms) if seen.rdc else 0.0
        if seen.rcd and seen.rdc:
            self._tries = 0
            self._measured_rcd()
            self._enter(Phase.RCD_RELEASE, now)
        elif not seen.board_whole:  # the devices were perhaps never asked: once more, when all answers
            self._tries = 1
            self._enter(Phase.RCD_RELEASE, now)
        elif now - self._since >= TRIP_S:
            self._rcd_failed(f"under test the 30 mA device {_word(seen.rcd)}, the 6 mA device {_word(seen.rdc)}", now)

    def _release(self, now: float, seen: Seen) -> None:
        if not seen.board_whole:
            self._since = now  # the output may not be off yet; a board that stays so is a fault of its own
        elif self._tries >= RCD_TRIES:  # failed; a device that still releases is not to be taken for a trip
            if not (seen.rcd or seen.rdc) or now - self._since >= RELEASE_S:
                self._enter(Phase.LOOK, now)
        elif not (seen.rcd or seen.rdc):
            if self._tries:
                self._enter(Phase.RCD_TRIP, now)
                return
            self.rcd_failed = False
            self.rcd_passed_at = now
            after_ms = (now - self._since) * 1000
            self.measured.append(f"both quiet after {after_ms:.0f} ms (at most {RELEASE_S * 1000:.0f} ms)")
            self._enter(Phase.LOOK, now)
        elif now - self._since >= RELEASE_S:
            self._tries = RCD_TRIES - 1
            self._rcd_failed("the devices stayed tripped after the test", now)
            self._enter(Phase.LOOK, now)

    def _measured_rcd(self) -> None:
        most = f"(at most {TRIP_S * 1000:.0f} ms)"
        self.measured.append(
            f"30 mA device tripped after {self._rcd_ms:.0f} ms, 6 mA detection after {self._rdc_ms:.0f} ms {most}"
        )

    def _rcd_failed(self, detail: str, now: float) -> None:
        self._tries += 1
        if self._tries >= RCD_TRIES:
            self.rcd_failed = True
            self.rcd_passed_at = None
            self.rcd_detail = detail
        self._enter(Phase.RCD_RELEASE, now)

    def _look(self, now: float, seen: Seen) -> None:
        unclear = seen.has_lock and seen.vacant and seen.locked == seen.unlocked
        if unclear and now - self._since < LOCK_S:
            return  # it may be moving; its own supervision ends that
        if self.pilot_detail:
            self._fail(self.pilot_detail)
        if not seen.reference_ok:
            self._fail("converter: the reference is not 2.5 V")
        if not seen.contactor_open:
            self._fail("contactor: mirror contact or load side tell that it is not open")
        if unclear:
            self._fail("lock: both end switches tell the same")
        if seen.contactor_open:
            self.measured.append("contactor: mirror contact and load side tell that it is open")
        self.failed = bool(self.detail)
        if self.failed:
            self._retry_at = now + RETRY_S
        elif not self.rcd_failed:
            self.passed_at = now
        self._what = "all"
        self.runs += 1
        self._enter(Phase.IDLE, now)

    def _fail(self, detail: str) -> None:
        self.failed = True
        self.detail = f"{self.detail}; {detail}" if self.detail else detail


def _word(tripped: bool) -> str:
    return "tripped" if tripped else "did not trip"
