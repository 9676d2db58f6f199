"""The self-tests of a point alone: their order, what each measures, and what each calls wrong."""

import re
from typing import Any

import pytest

from chargepoint.evse.selftest import PILOT_DUTY, Phase, Seen, SelfTests
from chargepoint.iec61851.timing import SELF_TEST_PERIOD_S


class Bench:
    """An empty, sound point whose lock obeys at once; each device trips its own time after the output, in seconds."""

    def __init__(self, **world: Any) -> None:
        self.tests = SelfTests()
        self.now = 100.0
        self.world: dict[str, Any] = {
            "vacant": True, "contactor_open": True, "rcd": False, "rdc": False, "reference_ok": True,
            "board_whole": True, "pilot_wrong": False, "duty": PILOT_DUTY, "locked": False, "unlocked": True,
            "lock_failed": False, "has_lock": True,
        } | world  # fmt: skip
        self.rcd_after: float = 0.05
        self.rdc_after: float = 0.2
        self.release_after = 0.1
        self.lock_obeys = True
        self.phases: list[Phase] = []

    def step(self) -> Phase:
        """One pass of 10 ms."""
        tests, world = self.tests, self.world
        if tests.tests_rcd:
            since = round(self.now - tests._since, 3)
            if tests.rcd_output:
                world["rcd"], world["rdc"] = since >= self.rcd_after, since >= self.rdc_after
            elif since >= self.release_after:
                world["rcd"] = world["rdc"] = False
        if self.lock_obeys and tests.phase in (Phase.LOCK_CLOSE, Phase.LOCK_OPEN):
            world["locked"], world["unlocked"] = tests.lock_closed, not tests.lock_closed
        tests.step(self.now, Seen(**world))
        if not self.phases or self.phases[-1] is not tests.phase:
            self.phases.append(tests.phase)
        self.now += 0.01
        return tests.phase

    def run(self, seconds: float = 30.0) -> "Bench":
        """Until the tests under way have ended."""
        self.phases = []
        for _ in range(round(seconds * 100)):
            if self.step() is Phase.IDLE and len(self.phases) > 1:
                break
        return self

    def second_try(self) -> "Bench":
        """The 30 mA device has missed the first test, and is asked again."""
        self.rcd_after = 9.0
        self.tests.request("rcd")
        return self.until(Phase.RCD_RELEASE).until(Phase.RCD_TRIP)

    def until(self, phase: Phase) -> "Bench":
        for _ in range(3000):
            if self.step() is phase:
                return self
        raise AssertionError(f"{phase} was not reached")


RCD = [Phase.RCD_TRIP, Phase.RCD_RELEASE]
END = [Phase.LOOK, Phase.IDLE]


@pytest.mark.parametrize(
    ("what", "phases"),
    [
        ("all", [Phase.PILOT, *RCD, *END]),
        ("rcd", [*RCD, *END]),
        ("pilot", [Phase.PILOT, *END]),
        ("lock", [Phase.LOCK_CLOSE, Phase.LOCK_OPEN, *END]),
        ("contactor", END),
    ],
)
def test_each_request_runs_its_own_tests_in_their_order(what: str, phases: list[Phase]) -> None:
    bench = Bench()
    bench.tests.request(what)
    assert bench.run().phases == phases
    assert bench.tests.outcome()[0] and bench.tests.runs == 1
    bench.tests.request("all")
    assert bench.run().phases == [Phase.PILOT, *RCD, *END]


@pytest.mark.parametrize("what", ["all", "lock", "pilot"])
def test_with_a_plug_in_the_socket_neither_pilot_nor_lock_is_moved(what: str) -> None:
    bench = Bench(vacant=False)
    bench.tests.request(what)
    assert bench.run().phases == ([*RCD, *END] if what == "all" else END)


def test_a_point_without_a_lock_has_none_to_test() -> None:
    bench = Bench(has_lock=False, unlocked=False)
    bench.tests.request("lock")
    assert bench.run(1.0).phases == END
    assert bench.tests.outcome()[0]


@pytest.mark.parametrize("wrong", [{"contactor_open": False}, {"rcd": True}, {"rdc": True}, {"board_whole": False}])
def test_nothing_begins_unless_the_contactor_is_open_no_device_tripped_and_the_board_whole(
    wrong: dict[str, bool],
) -> None:
    bench = Bench(**wrong)
    assert bench.run(1.0).phases == [Phase.IDLE]
    assert bench.tests.due and bench.tests.due_at() == float("-inf")


def test_the_next_tests_are_due_a_day_after_the_last() -> None:
    bench = Bench()
    assert bench.tests.due_at() == float("-inf") and not bench.tests.quiet(bench.now)
    bench.run()
    passed = bench.tests.rcd_passed_at
    assert passed is not None and bench.tests.passed_at is not None
    assert bench.tests.due_at() == passed + SELF_TEST_PERIOD_S and bench.tests.quiet(bench.now)
    assert bench.run(1.0).phases == [Phase.IDLE]
    bench.now = passed + SELF_TEST_PERIOD_S
    assert bench.run().phases == [Phase.PILOT, *RCD, *END]
    bench.tests.request("rcd")
    assert bench.tests.due_at() == float("-inf")


def test_the_generator_is_at_ten_percent_for_long_enough_to_be_judged() -> None:
    bench = Bench().until(Phase.PILOT)
    begun = bench.now
    assert bench.tests.duty == PILOT_DUTY
    bench.until(Phase.RCD_TRIP)
    assert 0.55 < bench.now - begun < 0.65
    assert bench.tests.duty is None
    assert bench.tests.measured == ["pilot: 10.0 % read back, 10 % commanded (within 3 %)"]


def test_a_read_back_that_is_wrong_ends_the_pilots_test_at_once_and_is_told() -> None:
    bench = Bench().until(Phase.PILOT)
    bench.world |= {"pilot_wrong": True, "duty": 30.0}
    assert bench.step() is Phase.RCD_TRIP
    bench.run()
    assert bench.tests.outcome() == (False, "pilot: 30.0 % read back, 10 % commanded")
    bench.world |= {"pilot_wrong": False, "duty": 10.0, "vacant": False}
    bench.tests.request("all")
    assert bench.run().tests.failed, "with a plug in the socket the generator was not tried again"
    bench.world["vacant"] = True
    assert bench.run(70.0).phases[1] is Phase.PILOT
    assert bench.tests.outcome()[0] and not bench.tests.failed


@pytest.mark.parametrize("phase", [Phase.RCD_TRIP, Phase.RCD_RELEASE])
def test_a_board_that_stops_answering_during_the_residual_current_test_is_no_failed_test(phase: Phase) -> None:
    """The output that starts the test stands behind the bus."""
    bench = Bench().until(phase)
    bench.rcd_after = bench.rdc_after = bench.release_after = 9.0
    bench.world["board_whole"] = False
    for _ in range(600):
        assert bench.step() in (Phase.RCD_TRIP, Phase.RCD_RELEASE)
    bench.rcd_after, bench.rdc_after, bench.release_after = 0.05, 0.2, 0.1
    bench.world["board_whole"] = True
    assert bench.run().tests.outcome()[0] and bench.tests.in_date(bench.now)


def test_a_car_that_comes_ends_the_pilots_test_without_a_verdict() -> None:
    bench = Bench().until(Phase.PILOT)
    bench.world["vacant"] = False
    assert bench.step() is Phase.RCD_TRIP
    assert bench.tests.measured == [] and bench.tests.pilot_detail == ""


def test_the_locks_travel_is_measured_to_both_ends() -> None:
    bench = Bench()
    bench.tests.request("lock")
    bench.lock_obeys = False
    bench.until(Phase.LOCK_CLOSE)
    for _ in range(50):
        assert bench.step() is Phase.LOCK_CLOSE and bench.tests.lock_closed
    bench.world |= {"locked": True, "unlocked": False}
    assert bench.step() is Phase.LOCK_OPEN and not bench.tests.lock_closed
    for _ in range(20):
        assert bench.step() is Phase.LOCK_OPEN
    bench.world |= {"locked": False, "unlocked": True}
    assert bench.step() is Phase.LOOK
    first, second = bench.tests.measured
    assert first == "lock: closed after 0.5 s (at most 8 s)" and second == "lock: open after 0.2 s (at most 8 s)"


def test_a_lock_that_reaches_no_end_fails_by_time_or_by_its_own_word() -> None:
    bench = Bench()
    bench.tests.request("lock")
    bench.lock_obeys = False
    bench.until(Phase.LOCK_CLOSE)
    begun = bench.now
    while bench.step() is Phase.LOCK_CLOSE:
        assert bench.now - begun < 9.0
    assert bench.tests.phase is Phase.LOOK, "it is not opened when it did not close"
    assert 7.9 < bench.now - begun < 8.1
    assert bench.tests.detail == "lock: the closed end was not reached"
    bench.until(Phase.IDLE)
    assert bench.tests.detail == "lock: the closed end was not reached"
    bench.tests.request("lock")
    bench.until(Phase.LOCK_CLOSE)
    bench.world |= {"locked": True, "unlocked": False}
    assert bench.step() is Phase.LOCK_OPEN
    bench.world["lock_failed"] = True
    assert bench.step() is Phase.LOOK
    assert bench.tests.detail == "lock: the open end was not reached"


def test_somebody_who_comes_while_the_lock_moves_has_it() -> None:
    bench = Bench()
    bench.tests.request("lock")
    bench.lock_obeys = False
    bench.until(Phase.LOCK_CLOSE)
    bench.world["vacant"] = False
    assert bench.step() is Phase.LOCK_OPEN
    assert bench.step() is Phase.LOOK
    assert bench.tests.measured == [] and not bench.tests.failed


def tripped_ms(bench: Bench) -> list[int]:
    """What the first line of the measurements tells of both devices, to one pass."""
    found = re.fullmatch(
        r"30 mA device tripped after (\d+) ms, 6 mA detection after (\d+) ms \(at most 2000 ms\)",
        bench.tests.measured[0],
    )
    assert found
    return [int(number) for number in found.groups()]


def test_each_device_is_timed_by_its_own_line() -> None:
    bench = Bench()
    bench.tests.request("rcd")
    bench.run()
    assert tripped_ms(bench) == [50, 200]
    assert bench.tests.measured[1] == "both quiet after 100 ms (at most 1000 ms)"
    bench.rcd_after, bench.rdc_after = 0.3, 0.1
    bench.tests.request("rcd")
    bench.run()
    assert tripped_ms(bench) == [300, 100]
    bench.rcd_after = bench.rdc_after = 0.0
    bench.tests.request("rcd")
    bench.run()
    assert tripped_ms(bench) == [10, 10], "the pass after the output is the first that can see it"


def test_a_six_milliampere_sensor_may_take_more_than_a_second() -> None:
    bench = Bench()
    bench.rdc_after = 1.2
    bench.tests.request("rcd")
    assert bench.run().tests.outcome()[0]
    assert tripped_ms(bench) == [50, 1200]


@pytest.mark.parametrize(
    ("rcd", "rdc", "told"),
    [
        (9.0, 0.1, "under test the 30 mA device did not trip, the 6 mA device tripped"),
        (0.1, 9.0, "under test the 30 mA device tripped, the 6 mA device did not trip"),
    ],
)
def test_a_device_that_does_not_trip_has_a_second_try_and_is_named(rcd: float, rdc: float, told: str) -> None:
    bench = Bench()
    bench.run()
    bench.rcd_after, bench.rdc_after = rcd, rdc
    bench.tests.request("rcd")
    passed_at = bench.tests.passed_at
    begun = bench.now
    assert bench.run().phases == [*RCD, *RCD, *END]
    assert 4.2 < bench.now - begun < 4.5
    assert bench.tests.rcd_failed and bench.tests.rcd_passed_at is None and bench.tests.passed_at == passed_at
    assert bench.tests.outcome() == (False, told)
    bench.world |= {"rcd": False, "rdc": False}
    assert bench.run(90.0).phases == [Phase.IDLE], "not tried again by itself"
    assert bench.tests.due_at() == float("-inf")
    bench.rcd_after = bench.rdc_after = 0.1
    bench.tests.request("rcd")
    assert bench.run().tests.outcome()[0] and not bench.tests.rcd_failed


def test_a_board_that_stops_answering_during_the_second_try_is_no_failed_test_either() -> None:
    bench = Bench().second_try()
    bench.world["board_whole"] = False
    for _ in range(300):
        bench.step()
    bench.world["board_whole"], bench.rcd_after = True, 0.1
    assert bench.run().tests.outcome()[0] and not bench.tests.rcd_failed


def test_a_device_that_does_not_release_after_the_second_failure_ends_the_test_all_the_same() -> None:
    bench = Bench().second_try()
    bench.release_after = 99.0
    bench.until(Phase.RCD_RELEASE)
    begun = bench.now
    bench.until(Phase.LOOK)
    assert 0.9 < bench.now - begun < 1.1 and bench.tests.rcd_failed


def test_a_car_that_comes_during_the_generators_test_does_not_make_it_sound() -> None:
    bench = Bench().until(Phase.PILOT)
    bench.world |= {"pilot_wrong": True, "duty": 30.0}
    bench.run()
    bench.world |= {"pilot_wrong": False, "duty": 10.0}
    bench.tests.request("all")
    bench.until(Phase.PILOT)
    bench.world["vacant"] = False
    bench.run()
    assert bench.tests.failed and bench.tests.detail == "pilot: 30.0 % read back, 10 % commanded"


def test_a_device_that_trips_at_the_second_try_has_passed() -> None:
    bench = Bench()
    bench.rcd_after = 9.0
    bench.tests.request("rcd")
    bench.until(Phase.RCD_RELEASE)
    assert not bench.tests.rcd_failed, "one try is no verdict"
    bench.rcd_after = 0.1
    bench.until(Phase.IDLE)
    assert bench.tests.outcome()[0] and bench.tests.rcd_passed_at is not None


@pytest.mark.parametrize("stuck", ["rcd", "rdc"])
def test_a_device_that_stays_tripped_after_the_test_fails_after_a_second(stuck: str) -> None:
    bench = Bench()
    bench.tests.request("rcd")
    bench.release_after = 99.0
    bench.until(Phase.RCD_RELEASE)
    bench.world |= {"rcd": False, "rdc": False, stuck: True}
    begun = bench.now
    bench.until(Phase.LOOK)
    assert 0.95 < bench.now - begun < 1.05
    bench.until(Phase.IDLE)
    assert bench.tests.outcome() == (False, "the devices stayed tripped after the test")


def test_what_is_wrong_to_the_eye_is_all_told_and_tried_again_in_a_minute() -> None:
    bench = Bench()
    bench.tests.request("contactor")
    bench.step()
    bench.world |= {"reference_ok": False, "contactor_open": False}
    bench.until(Phase.IDLE)
    ended = bench.now - 0.01
    reference, contactor = (
        "converter: the reference is not 2.5 V",
        "contactor: mirror contact or load side tell that it is not open",
    )
    assert bench.tests.outcome() == (False, f"{reference}; {contactor}")
    assert bench.tests.measured == [] and bench.tests.passed_at is None and bench.tests.runs == 1
    bench.tests.rcd_passed_at = ended  # so that only the repetition is due
    assert bench.tests.due_at() == pytest.approx(ended + 60.0)
    bench.world |= {"reference_ok": True, "contactor_open": True}
    bench.now = ended + 59.9
    assert bench.step() is Phase.IDLE
    bench.now = ended + 60.01
    assert bench.run().phases[0] is Phase.PILOT
    assert bench.tests.outcome()[0] and bench.tests.passed_at is not None
    assert bench.tests.measured[-1] == "contactor: mirror contact and load side tell that it is open"


@pytest.mark.parametrize("both", [True, False])
def test_end_switches_that_tell_the_same_have_the_time_of_a_travel(both: bool) -> None:
    bench = Bench(locked=both, unlocked=both)
    bench.tests.request("contactor")
    bench.until(Phase.LOOK)
    begun = bench.now
    bench.until(Phase.IDLE)
    assert 7.9 < bench.now - begun < 8.1
    assert bench.tests.outcome() == (False, "lock: both end switches tell the same")
    bench = Bench(locked=both, unlocked=both, vacant=False)
    bench.tests.request("contactor")
    assert bench.run(1.0).phases == END and bench.tests.outcome()[0], "with a plug the lock is judged by its own rules"
