"""All points of the borne and what is asked of them: between the loop, which has the time, and the points."""

import os
from collections.abc import Callable

from chargepoint.board.types import BorneInputs, LockDrive, PointInputs, PointOutputs
from chargepoint.config import Config
from chargepoint.evse.buzzer import BuzzPlayer
from chargepoint.evse.lamps import LampPlayer
from chargepoint.evse.lock import MotorArbiter
from chargepoint.evse.memory import PointMemory, Remembered
from chargepoint.evse.messages import (
    Acknowledge,
    BorneReport,
    Buzz,
    Done,
    Dump,
    Fault,
    Lamps,
    Permit,
    PointReport,
    SelfTest,
    ToEvse,
    Trace,
    Unlock,
)
from chargepoint.evse.point import Point
from chargepoint.evse.pointconfig import PointConfig
from chargepoint.evse.recorder import Recorder
from chargepoint.evse.report import changed_key, counters, report

Answer = Callable[[Done], None]

UNLOCK_LIMIT_S = 20.0
"""6 s for the car to stop, then the lock's tries; after that the answer is no."""


SELF_TEST_LIMIT_S = 30.0


class Pending:
    """A release of the plug, or a self-test, that somebody waits for."""

    __slots__ = ("answer", "id", "until")

    def __init__(self, request: int, until: float, answer: Answer) -> None:
        self.id = request
        self.until = until
        self.answer = answer


class Borne:
    """The points, the lock motors' arbiter, and the requests under way."""

    def __init__(self, config: Config, remembered: Remembered, now: float) -> None:
        arbiter = MotorArbiter()
        self.boot = os.urandom(6).hex()
        self.points = {section.id: Point(PointConfig.of(section), arbiter, now) for section in config.evse}
        self.recorders = {evse: Recorder() for evse in self.points}
        self.inputs: dict[int, PointInputs] = {}
        self.borne_inputs = BorneInputs(emergency_stop=False, door_open=False, coil_watchdog_armed=True)
        self.lamps = {evse: LampPlayer() for evse in self.points}
        self.buzzer = BuzzPlayer()
        self._unlocks: dict[int, Pending] = {}
        self._tests: dict[int, Pending] = {}
        self._keys: dict[int, tuple[object, ...]] = {}
        self._carried: dict[int, dict[str, int]] = {}
        self._absent = {evse: kept for evse, kept in remembered.points.items() if evse not in self.points}
        """What is remembered of points that the configuration does not have now: it may have them again."""
        for evse, point in self.points.items():
            memory = remembered.points.get(evse, PointMemory())
            self._carried[evse] = memory.counters
            for name, detail in memory.latched.items():
                point.faults.restore(name, now, detail)
            if remembered.lost:
                point.faults.restore("unknown-latch", now, remembered.damaged)
            if remembered.damaged:
                point.faults.set("memory-damaged", True, now, remembered.damaged)

    def step(self, evse: int, i: PointInputs, b: BorneInputs, now: float) -> PointOutputs:
        """One pass of one point."""
        self.inputs[evse] = i
        self.borne_inputs = b
        point = self.points[evse]
        outputs = point.step(i, b, now)
        self.recorders[evse].note(point, i, b, outputs, now)
        if self._unlocks:
            self._answer_unlock(evse, now)
        if self._tests:
            self._answer_test(evse, now)
        return outputs

    def late(self, present: bool, now: float, detail: str = "") -> None:
        """The loop ran late, or is on time again."""
        for point in self.points.values():
            if present or point.faults.active:
                point.faults.set("loop-overrun", present, now, detail)

    def does_not_drop(self, after_s: float, now: float) -> None:
        """The coil watchdog is armed without having been fed. When it drops, the fault goes as it does otherwise."""
        for point in self.points.values():
            detail = f"still armed {after_s:.0f} s after the start, without a heartbeat: it does not drop"
            point.faults.set("coil-watchdog", True, now, detail)

    def changed(self, evse: int, now: float) -> bool:
        """Something worth an immediate report has changed since the last call."""
        key = changed_key(self.points[evse], self.inputs[evse], now)
        if key == self._keys.get(evse):
            return False
        self._keys[evse] = key
        return True

    def report(self, evse: int, now: float) -> PointReport:
        return report(self.points[evse], self.inputs[evse], now, self.boot, self._carried[evse])

    def borne_report(self, now: float, ticks: int, late_max_s: float) -> BorneReport:
        """Faults whose cause belongs to no point are told here too, once."""
        faults: dict[str, Fault] = {}
        for point in self.points.values():
            for active in point.faults.active.values():
                if active.row.whole_borne:
                    faults.setdefault(active.row.name, Fault(active.row.name, active.since, active.detail))
        b = self.borne_inputs
        return BorneReport(
            now, self.boot, tuple(faults.values()), b.emergency_stop, b.door_open, ticks, round(late_max_s * 1000, 2),
            b.grid_closed,
        )  # fmt: skip

    def memory(self) -> dict[int, PointMemory]:
        """What must survive a restart."""
        return self._absent | {
            evse: PointMemory(point.faults.latched(), counters(point, self._carried[evse]))
            for evse, point in self.points.items()
        }

    def handle(self, message: ToEvse, answer: Answer, now: float) -> None:
        """A message of the station or the console, except `Trace` and `Dump`, which are the loop's."""
        point = self.points.get(message.evse)
        if point is None:
            request = getattr(message, "id", None)
            if request is not None:
                answer(Done(request, message.evse, False, f"there is no point {message.evse}"))
            return
        match message:
            case Permit():
                point.permit(message, now)
                self.lamps[message.evse].heard(now)
            case Unlock():
                self._unlock(point, message.id, answer, now)
            case Lamps():
                self.lamps[message.evse].play(message.steps, now)
            case Buzz():
                self.buzzer.play(message.steps, now)
            case SelfTest():
                self._self_test(point, message, answer, now)
            case Acknowledge():
                refused = point.acknowledge(message.fault, now)
                answer(Done(message.id, message.evse, not refused, refused))
            case Trace() | Dump():
                raise AssertionError("the loop handles these itself")

    def _unlock(self, point: Point, request: int, answer: Answer, now: float) -> None:
        evse = point.config.id
        if not point.config.socket:
            answer(Done(request, evse, False, "a tethered cable has no lock"))
            return
        before = self._unlocks.pop(evse, None)
        if before is not None:
            before.answer(Done(before.id, evse, False, "another release was asked for"))
        point.request_unlock()
        self._unlocks[evse] = Pending(request, now + UNLOCK_LIMIT_S, answer)

    def _self_test(self, point: Point, message: SelfTest, answer: Answer, now: float) -> None:
        refused = point.request_self_test(message.what)
        if not refused and message.evse in self._tests:
            refused = "a self-test is under way"
        if refused:
            answer(Done(message.id, message.evse, False, refused))
            return
        self._tests[message.evse] = Pending(message.id, now + SELF_TEST_LIMIT_S, answer)

    def _answer_test(self, evse: int, now: float) -> None:
        pending, tests = self._tests.get(evse), self.points[evse].self_tests
        if pending is None or (now < pending.until and (tests.due or tests.running)):
            return
        del self._tests[evse]
        if tests.due or tests.running:
            pending.answer(Done(pending.id, evse, False, "it could not run: the contactor is not confirmed open"))
            return
        pending.answer(Done(pending.id, evse, *tests.outcome()))

    def _answer_unlock(self, evse: int, now: float) -> None:
        pending = self._unlocks.get(evse)
        if pending is None:
            return
        point = self.points[evse]
        if not point.unlock_wanted:
            pending.answer(Done(pending.id, evse, True))
        elif point.lock.failed is LockDrive.OPEN or now >= pending.until:
            point.unlock_wanted = False
            why = (
                "the contactor is not confirmed open" if not point.contactor.open_confirmed else "the lock did not open"
            )
            pending.answer(Done(pending.id, evse, False, why))
        else:
            return
        del self._unlocks[evse]
