"""The small parts alone, at their bounds."""

import pytest
from evse_rig import Rig

from chargepoint import connectors
from chargepoint.evse import contactor, domestic, lateness, lock, offer, pilot, point, proximity, selftest, watch
from chargepoint.evse.buzzer import BuzzPlayer
from chargepoint.evse.contactor import Contactor, Trouble
from chargepoint.evse.lamps import LampPlayer
from chargepoint.evse.lateness import Lateness
from chargepoint.evse.lease import Lease
from chargepoint.evse.messages import LEASE_S, Permit
from chargepoint.evse.offer import Derating, Offer
from chargepoint.evse.pilot import PilotFilter
from chargepoint.evse.proximity import ProximityWatch
from chargepoint.evse.selftest import SelfTests
from chargepoint.evse.wakeup import WakeUp
from chargepoint.evse.watch import CoilWatchdogDrop, CoilWatchdogWatch, ConverterWatch, DutyWatch
from chargepoint.iec61851 import timing
from chargepoint.iec61851.pilot import Band
from chargepoint.iec61851.proximity import Proximity


def test_the_numbers_are_the_chosen_ones() -> None:
    assert timing.RESULTS_TO_CHANGE == 2
    assert timing.STABLE_C_S == 0.5
    assert timing.STOP_S == 6.0
    assert timing.RECLOSE_S == 5.0
    assert timing.RECLOSE_AFTER_FAULT_S == 30.0
    assert timing.DUTY_SPACING_S == 5.0
    assert (timing.WAKE_UP_AFTER_S, timing.WAKE_UP_PULSE_S) == (30.0, 4.0)
    assert timing.CONTACTOR_FEEDBACK_S == 1.0
    assert (timing.LOCK_TRIES, timing.LOCK_PAUSE_S, timing.LOCK_MOVE_S) == (3, 1.0, 1.0)
    assert (timing.LOCK_MOVES, timing.LOCK_MOVES_WINDOW_S) == (10, 60.0)
    assert timing.SELF_TEST_PERIOD_S == 86400.0
    assert (timing.OPEN_LIMIT_S, timing.CLOSE_LIMIT_S) == (0.1, 3.0)
    assert LEASE_S == 10.0
    assert (point.SHORT_S, point.MATING_S, point.TORN_S, point.LOCK_LOST_RESULTS) == (0.1, 0.5, 1.0, 8)
    assert (contactor.CLOSE_TRIES, contactor.SETTLED_RESULTS, contactor.BAD) == (2, 3, 2)
    assert (contactor.WELD_COUNT, contactor.DROP_COUNT) == (200, 20)
    assert (lock.RETRY_STUCK_S, lock.KEPT_FOR_OPENING) == (60.0, 3)
    assert (pilot.SETTLE_RESULTS, pilot.DIODE_MISSING, pilot.STRAYED) == (3, 20, 6)
    assert (proximity.RESULTS_TO_CHANGE, proximity.STRAYED, proximity.NEAR_OHM) == (2, 3, 0.02)
    assert (offer.RESTORE_C, offer.SENSOR_MIN_C, offer.SENSOR_MAX_C) == (62.0, -45.0, 125.0)
    assert offer.DERATE_STEPS == ((65.0, 0.5), (68.0, 0.25), (71.0, 0.0))
    assert (watch.REFERENCE_V, watch.REFERENCE_TOLERANCE_V, watch.ADC_BAD_RESULTS) == (2.5, 0.1, 3)
    assert (watch.START_S, watch.START_LIMIT_S, watch.OVER_RESULTS, watch.GAP_RESULTS) == (0.5, 5.0, 3, 50)
    assert (watch.DUTY_TOLERANCE, watch.DUTY_SETTLE_S, watch.DUTY_BAD_S, watch.WATCHDOG_GRACE_S) == (3.0, 0.3, 0.2, 1.0)
    assert watch.WATCHDOG_DROP_S == 1.0
    assert (lateness.PERIOD_S, lateness.OVERRUN_S, lateness.LATE_S) == (0.01, 0.25, 0.03)
    assert (lateness.LATE_COSTS, lateness.LATE_SUM) == (2, 10)
    assert (selftest.TRIP_S, selftest.RELEASE_S, selftest.RCD_TRIES, selftest.PILOT_DUTY) == (2.0, 1.0, 2, 10.0)
    assert (selftest.PILOT_S, selftest.LOCK_S, selftest.RETRY_S) == (0.6, 8.0, 60.0)
    assert (connectors.TYPE_2, connectors.DOMESTIC, domestic.PLUG_S, domestic.SETTLED_PASSES) == (1, 2, 0.5, 15)


def test_a_lease_lives_ten_seconds_and_tells_once_that_it_ran_out() -> None:
    lease = Lease()
    assert lease.ran_out and not lease.allows(0.0)
    lease.grant(Permit(1, True, 16.0, hold_lock=True), 100.0)
    assert lease.allows(109.99) and lease.holds(109.99) and not lease.ran_out
    assert not lease.allows(109.99, connector=2)
    assert not lease.step(109.99)
    assert not lease.allows(110.0) and not lease.holds(110.0)
    assert lease.step(110.0)
    assert not lease.step(110.01)
    assert lease.ran_out and lease.current_a == 0.0


def test_a_lease_that_only_holds_the_lock_runs_out_without_a_fault() -> None:
    lease = Lease()
    lease.grant(Permit(1, False, 0.0, hold_lock=True), 0.0)
    assert lease.holds(9.9)
    assert not lease.step(10.0)
    assert lease.ran_out and not lease.holds(10.0)


def test_a_revoked_lease_did_not_run_out() -> None:
    lease = Lease()
    lease.grant(Permit(1, True, 16.0, hold_lock=True), 0.0)
    lease.revoke()
    assert not (lease.allows(0.1) or lease.holds(0.1) or lease.ran_out or lease.step(0.1))
    assert not lease.ran_out


def test_less_than_six_amperes_are_no_permission() -> None:
    lease = Lease()
    lease.grant(Permit(1, True, 5.9), 0.0)
    assert not lease.allows(0.1)
    lease.grant(Permit(1, True, 6.0), 0.0)
    assert lease.allows(0.1)


@pytest.mark.parametrize(("mirror", "live"), [(True, False), (False, True), (True, True)])
def test_any_sign_of_a_closed_contact_against_the_command_is_a_weld_after_one_second(mirror: bool, live: bool) -> None:
    contactor = Contactor(0.0)
    for tick in range(99):
        contactor.step(tick / 100, False, mirror, live)
        assert contactor.trouble is Trouble.NONE
    for tick in range(99, 102):
        contactor.step(tick / 100, False, mirror, live)
    assert contactor.trouble is Trouble.WELDED
    assert contactor.detail == (
        f"commanded open; mirror contact {'closed' if mirror else 'open'}, load side {'live' if live else 'dead'}"
    )
    assert not contactor.open_confirmed


def test_an_opening_is_confirmed_after_three_quiet_results() -> None:
    contactor = Contactor(0.0)
    confirmed = []
    for tick in range(4):
        contactor.step(tick / 100, False, False, False)
        confirmed.append(contactor.open_confirmed)
    assert confirmed == [False, False, True, True]
    contactor.step(0.05, False, False, True)
    assert not contactor.open_confirmed


@pytest.mark.parametrize(("mirror", "live"), [(True, False), (False, True), (False, False)])
def test_half_a_feedback_is_no_closing(mirror: bool, live: bool) -> None:
    contactor = _open(0.0)
    contactor.step(1.0, True, False, False)
    assert contactor.commanded
    for tick in range(1, 100):
        contactor.step(1.0 + tick / 100, False, mirror, live)
        assert contactor.commanded and not contactor.confirmed
    contactor.step(2.005, False, mirror, live)
    assert not contactor.commanded
    assert contactor.trouble is Trouble.NONE
    assert contactor.may_close_at() == pytest.approx(2.005 + 5.0)


def _open(now: float) -> Contactor:
    contactor = Contactor(now)
    for tick in range(5):
        contactor.step(now + tick / 100, False, False, False)
    return contactor


def test_times_of_closing_and_opening_are_told() -> None:
    contactor = _open(0.0)
    contactor.step(1.0, True, False, False)
    contactor.step(1.1, False, True, True)
    assert contactor.closed_at == 1.1 and contactor.opened_at is None
    contactor.open(2.0, under_load=True)
    assert contactor.openings_under_load == 1
    for tick in range(1, 5):
        contactor.step(2.0 + tick / 100, False, False, False)
    assert contactor.closed_at is None and contactor.opened_at == pytest.approx(2.03)


def test_the_pilot_filter_needs_two_equal_results_and_begins_anew_after_f() -> None:
    pilot = PilotFilter(0.0)
    assert [pilot.step(12.0, 0.0), pilot.step(12.0, 0.01)] == [False, True]
    assert [pilot.step(v, 1.0) for v in (9.0, 6.0, 9.0, 6.0)] == [False] * 4
    assert not pilot.steady
    assert pilot.step(6.0, 1.1) and pilot.band is Band.C and pilot.since == 1.1 and pilot.steady
    pilot.restart()
    assert not pilot.steady
    assert [pilot.step(6.0, 2.0) for _ in range(5)] == [False, False, False, False, True]


def test_the_proximity_watch_remembers_what_it_was_told_to() -> None:
    watch = ProximityWatch(0.0)
    assert [watch.step(220.0, 0.0), watch.step(680.0, 0.0), watch.step(220.0, 0.0), watch.step(221.0, 0.1)] == [
        False, False, True, False,
    ]  # fmt: skip
    assert watch.coding is Proximity.CABLE_32
    watch.remember()
    assert watch.cable_a == 32.0
    for _ in range(5):
        assert not watch.step(222.0, 0.2)
    assert [watch.step(330.0, 0.3), watch.step(330.0, 0.3)] == [False, True]
    assert watch.cable_a == 32.0


@pytest.mark.parametrize(
    ("temperatures", "factor"),
    [([64.9], 1.0), ([65.0], 0.5), ([65.0, 62.1], 0.5), ([65.0, 62.0], 1.0), ([68.0], 0.25), ([68.0, 66.0], 0.25),
     ([71.0], 0.0), ([71.0, 69.0], 0.0), ([75.0, 61.0], 1.0)],
)  # fmt: skip
def test_derating_goes_down_in_steps_and_up_when_cool(temperatures: list[float], factor: float) -> None:
    derating = Derating()
    for temperature in temperatures:
        for _ in range(9):
            derating.step(temperature)
    assert derating.factor == factor


def factors(*temperatures: float) -> list[float]:
    derating = Derating()
    made = []
    for temperature in temperatures:
        derating.step(temperature)
        made.append(derating.factor)
    return made


def test_each_step_down_takes_three_hot_results_in_a_row() -> None:
    assert factors(*[80.0] * 9) == [1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.0]
    assert factors(66.0, 66.0, 80.0, 66.0, 66.0) == [1.0, 1.0, 0.5, 0.5, 0.5]
    assert factors(80.0, 80.0, 64.0, 80.0, 80.0, 20.0) == [1.0] * 6
    assert factors(80.0, -200.0, 80.0, -200.0, 80.0)[-1] == 0.5, "a broken result proves no cool socket"


def test_one_wrong_temperature_changes_nothing() -> None:
    rig = Rig().charging()
    for wrong in (-200.0, 200.0, 80.0, -200.0, 80.0, 200.0):
        for _ in range(2):
            rig.world.temperature_c = wrong
            rig.step()
        rig.world.temperature_c = 20.0
        rig.run(0.05)
        assert rig.out.duty < 100.0 and rig.faults == set()
    assert rig.out.contactor and rig.point.faults.trips == 0


def test_a_sensor_is_broken_after_three_results_in_a_row_and_whole_after_one() -> None:
    derating = Derating()
    told = []
    for temperature in (-200.0, -200.0, 20.0, -200.0, 200.0, -200.0, -200.0, 20.0, -200.0):
        derating.step(temperature)
        told.append(derating.sensor_bad)
    assert told == [False, False, False, False, False, True, True, False, False]


@pytest.mark.parametrize(
    ("temperature", "bad"), [(-46.0, True), (-44.0, False), (124.0, False), (126.0, True), (63.0, False)]
)
def test_a_broken_sensor_is_told_from_a_hot_socket(temperature: float, bad: bool) -> None:
    derating = Derating()
    for _ in range(3):
        derating.step(temperature)
    assert derating.sensor_bad is bad


def test_a_broken_sensor_stops_the_car_and_goes_when_it_is_whole() -> None:
    rig = Rig().charging()
    rig.world.temperature_c = 200.0
    rig.run(6.2)
    assert not rig.out.contactor and rig.faults == {"temperature-sensor"}
    rig.world.temperature_c = 20.0
    rig.run(10.2)
    assert rig.faults == set()


def test_an_offer_is_raised_five_seconds_after_the_last_change() -> None:
    offer = Offer()
    assert offer.step(0.0, 10.0) and offer.current_a == 10.0
    assert not offer.step(4.99, 20.0)
    assert offer.step(5.0, 20.0)
    assert offer.step(5.1, 8.0) and offer.on
    assert offer.step(5.2, 0.0) and not offer.on
    assert not offer.step(10.1, 6.0) and offer.step(10.21, 6.0)


def test_a_wake_up_needs_an_offer_thirty_seconds_and_leave() -> None:
    wake = WakeUp()
    assert not wake.step(100.0, True)
    wake.offered(0.0)
    assert not wake.step(29.99, True)
    assert not wake.step(30.0, False)
    assert wake.step(30.0, True) and wake.pulsing
    wake.offered(31.0)
    assert wake.step(33.99, False)
    assert not wake.step(34.0, True) and not wake.pulsing
    wake.offered(40.0)
    assert not wake.step(90.0, True)
    wake.new_car()
    wake.offered(100.0)
    wake.cancel()
    assert not wake.step(200.0, True)


def test_the_converter_is_judged_after_it_settled() -> None:
    watch = ConverterWatch(0.0)
    assert not watch.step(2.5, 0.0) and watch.trusted and not watch.settled
    watch.step(2.39, 0.1)
    watch.step(2.5, 0.2)
    watch.step(2.61, 0.3)
    assert not watch.trusted
    watch.step(2.5, 0.4)
    watch.step(2.5, 0.89)
    assert not watch.settled
    watch.step(2.5, 0.9)
    assert watch.settled
    assert [watch.step(0.0, 1.0) for _ in range(3)] == [False, False, True]


def test_the_read_back_is_judged_after_it_settled_and_for_a_while() -> None:
    watch = DutyWatch(0.0)
    assert not watch.step(96.9, 100.0, 1.0)
    assert not watch.step(97.1, 100.0, 1.1)
    assert not watch.step(96.9, 100.0, 1.29)
    assert not watch.step(103.1, 100.0, 1.48)
    assert watch.step(103.1, 100.0, 1.5)
    assert not watch.step(100.0, 50.0, 2.0)
    assert not watch.step(100.0, 50.0, 2.29)
    assert not watch.step(100.0, 50.0, 2.31)
    assert not watch.step(100.0, 50.0, 2.5)
    assert watch.step(100.0, 50.0, 2.52)
    assert not watch.step(50.0, 50.0, 2.6)


def test_the_coil_watchdog_has_a_second_to_arm() -> None:
    watch = CoilWatchdogWatch(0.0)
    assert not watch.step(False, 0.99)
    assert watch.step(False, 1.0)
    assert not watch.step(True, 1.1)
    assert not watch.step(False, 2.0)
    assert watch.step(False, 2.1)


def test_the_self_tests_are_repeated_daily_after_an_unplug_and_on_request() -> None:
    rig = Rig().run(4.0)
    assert rig.point.self_tests.runs == 1
    rig.now += 86400.0
    assert not rig.point.self_tests.in_date(rig.now)
    rig.run(4.0)
    assert rig.point.self_tests.runs == 2 and rig.point.self_tests.in_date(rig.now)
    rig.plug().run(1.0).unplug().run(4.0)
    assert rig.point.self_tests.runs == 3
    assert rig.point.request_self_test("rcd") == ""
    rig.run(4.0)
    assert rig.point.self_tests.runs == 4
    assert "no self-test" in rig.point.request_self_test("nonsense")
    assert "plug" in rig.plug().run(1.0).point.request_self_test("rcd")


def test_an_rcd_test_that_is_overdue_keeps_the_contactor_open_until_it_passed() -> None:
    tests = SelfTests()
    assert not tests.in_date(0.0)
    tests.rcd_passed_at = 0.0
    assert tests.in_date(86399.0) and not tests.in_date(86400.0)


def test_devices_that_stay_tripped_after_the_test_fail_it() -> None:
    rig = Rig()
    rig.run(0.55)
    rig.until(lambda: rig.out.rcd_test, 3.0)
    rig.world.rcd = True
    rig.run(2.5)
    assert "rcd-test-fails" in rig.faults
    assert "stayed" in rig.point.self_tests.rcd_detail


def test_the_lock_is_moved_on_request_only() -> None:
    rig = Rig().run(4.0)
    assert rig.point.lock.moves == 0
    rig.point.request_self_test("lock")
    rig.run(4.0)
    assert rig.point.lock.moves == 2 and rig.world.lock_at == 0.0 and rig.faults == set()
    rig.world.lock_moves = False
    rig.point.request_self_test("lock")
    rig.run(12.0)
    assert rig.point.self_tests.failed and "lock" in rig.point.self_tests.detail


def test_a_new_row_of_tones_takes_the_place_of_the_old_one() -> None:
    player = BuzzPlayer()
    assert player.step(0.0) is None
    player.play((500, 100, 500), 0.0)
    assert (player.step(0.0), player.step(0.4)) == (True, None)
    player.play((50,), 0.45)
    assert (player.step(0.46), player.step(0.5), player.step(0.51), player.step(9.0)) == (None, False, None, None)


def test_lamps_play_their_pattern() -> None:
    player = LampPlayer()
    assert player.step(0.0) == (False, False, False)
    player.play(((True, False, False, 500), (False, True, False, 500)), 10.0)
    shown = [player.step(10.0 + n / 4) for n in range(5)]
    assert shown == [(True, False, False), None, (False, True, False), None, (True, False, False)]


def test_lamps_say_out_of_service_once_the_station_is_silent_and_go_on_when_it_is_back() -> None:
    player = LampPlayer()
    free = ((False, True, False, 1000),)
    player.play(free, 0.0)
    player.heard(5.0)
    assert [player.step(t) for t in (5.0, 14.9)] == [(False, True, False), None]
    assert [player.step(t) for t in (15.1, 15.5)] == [(True, False, False), (False, False, False)]
    player.heard(20.0)
    assert player.step(20.0) == (False, True, False)


def test_opening_what_is_open_costs_no_pause() -> None:
    made = _open(0.0)
    made.open(1.0, under_load=True)
    assert made.may_close_at() == float("-inf")
    assert made.openings_under_load == 0
    made.step(1.01, True, False, False)
    assert made.commanded


def test_five_late_passes_in_a_row_are_too_many_and_as_many_in_time_as_cost_make_up_for_them() -> None:
    judge, bad = Lateness(), []
    for late in (0.031, 0.031, 0.031, 0.031, 0.031):
        judge.begins(late)
        bad.append(judge.bad)
    assert bad == [False, False, False, False, True] and judge.worst_s == 0.031
    for _ in range(9):
        judge.begins(0.03)
        assert judge.bad
    judge.begins(0.0)
    assert not judge.bad
    judge.begins(0.0)
    for _ in range(4):
        judge.begins(0.1)
    assert not judge.bad, "nothing is saved up"


def test_one_pass_far_too_late_is_enough_and_so_is_one_that_skipped_its_heartbeat() -> None:
    judge = Lateness()
    judge.begins(0.249)
    assert not judge.bad and judge.may_beat(0.249)
    judge.begins(0.25)
    assert judge.bad and judge.may_beat(0.3), "a pass that has opened itself may beat"
    judge = Lateness()
    judge.begins(0.0)
    assert not judge.may_beat(0.25)
    judge.begins(0.0)
    assert judge.bad and judge.may_beat(0.0)
    for _ in range(10):
        assert judge.bad
        judge.begins(0.0)
    assert not judge.bad and judge.may_beat(0.0)


def test_a_coil_watchdog_must_be_seen_to_drop_within_a_second() -> None:
    drop = CoilWatchdogDrop(10.0)
    assert not drop.step(True, 10.99) and not drop.seen
    assert drop.step(True, 11.0) and drop.step(True, 99.0)
    assert not drop.step(False, 100.0) and drop.seen
    assert not drop.step(True, 200.0) and drop.seen
