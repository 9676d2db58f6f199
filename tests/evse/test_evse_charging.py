"""A sound car on a sound point, and how it stops."""

import pytest
from evse_rig import Rig

from chargepoint.board.types import LockDrive


def test_idle_point_shows_steady_high_and_does_nothing() -> None:
    rig = Rig().run(2.0)
    assert rig.point.state == "A1"
    assert rig.out.duty == 100.0
    assert not rig.out.contactor
    assert rig.point.self_tests.in_date(rig.now)
    assert rig.faults == set()


def test_a_sound_car_with_permission_gets_power_within_three_seconds() -> None:
    rig = Rig().run(1.0).permit(32).plug()
    rig.until(lambda: rig.point.state == "B2", 1.0)
    rig.world.pilot = "C"
    assert rig.until(lambda: rig.out.contactor, 3.0) < 1.5
    assert rig.point.state == "C2"
    assert rig.out.duty == pytest.approx(53.33, abs=0.01)


def test_a_simplified_car_that_goes_from_a_to_c_gets_power() -> None:
    rig = Rig().run(1.0).permit(32).plug(pilot="C")
    assert rig.until(lambda: rig.out.contactor, 3.0) < 3.0


def test_nothing_closes_without_permission() -> None:
    rig = Rig().run(1.0).plug(pilot="C").run(20.0)
    assert not rig.out.contactor
    assert rig.out.duty == 100.0
    assert rig.point.blocked_by(rig.now) == "no-permission"


def test_the_contactor_waits_for_the_lock() -> None:
    rig = Rig().run(1.0)
    rig.world.lock_moves = False
    rig.permit().plug(pilot="C").run(0.9)
    assert not rig.out.contactor
    assert rig.point.blocked_by(rig.now) == "lock"


def test_the_contactor_waits_for_half_a_second_of_c() -> None:
    rig = Rig().run(1.0).permit().plug().run(1.0)
    rig.world.pilot = "C"
    rig.run(0.48)
    assert not rig.out.contactor
    rig.run(0.1)
    assert rig.out.contactor


@pytest.mark.parametrize("pilot", ["B", "A", "E", "D"])
def test_leaving_c_opens_within_thirty_milliseconds(pilot: str) -> None:
    rig = Rig().charging()
    rig.world.pilot = pilot
    assert rig.until(lambda: not rig.out.contactor, 1.0) <= 0.030 + 1e-9


def test_one_false_result_opens_nothing() -> None:
    rig = Rig().charging()
    rig.world.pilot = "B"
    rig.step()
    rig.world.pilot = "C"
    rig.run(1.0)
    assert rig.out.contactor


def test_a_withdrawn_permission_shows_x1_and_waits_for_the_car() -> None:
    rig = Rig().charging()
    rig.permit(allowed=False, hold_lock=True)
    rig.run(0.05)
    assert rig.point.state == "C1"
    assert rig.out.contactor
    rig.run(2.0)
    rig.world.pilot = "B"
    rig.run(0.05)
    assert not rig.out.contactor
    assert rig.point.contactor.openings_under_load == 0
    assert rig.point.locked


def test_a_car_that_ignores_x1_is_cut_off_after_six_seconds_and_counted() -> None:
    rig = Rig().charging()
    rig.permit(allowed=False)
    assert rig.until(lambda: not rig.out.contactor, 7.0) == pytest.approx(6.0, abs=0.05)
    assert rig.point.contactor.openings_under_load == 1


def test_pwm_back_within_the_six_seconds_keeps_the_contactor() -> None:
    rig = Rig().charging()
    rig.run(5.0).permit(allowed=False, hold_lock=True).run(5.5)
    assert rig.out.contactor
    rig.permit().run(10.0)
    assert rig.out.contactor
    assert rig.point.contactor.closings == 1


def test_the_car_that_comes_back_waits_five_seconds() -> None:
    rig = Rig().charging()
    rig.world.pilot = "B"
    rig.run(0.1)
    rig.world.pilot = "C"
    assert 4.8 < rig.until(lambda: rig.out.contactor, 10.0) < 5.3


def test_unplugging_unlocks_and_shows_a1() -> None:
    rig = Rig().charging()
    rig.world.pilot = "B"
    rig.run(0.1)
    rig.world.pilot = "A"
    rig.permit(allowed=False).run(1.0)
    assert rig.point.state == "A1"
    assert rig.world.lock_at == 0.0
    rig.unplug().run(2.0)
    assert rig.point.vacant
    assert rig.point.proximity.cable_a is None


def test_more_current_waits_five_seconds_after_the_last_change_and_less_does_not() -> None:
    rig = Rig().charging()
    rig.permit(16).run(0.1)
    assert rig.point.offer.current_a == 16.0
    rig.permit(10).run(0.1)
    assert rig.point.offer.current_a == 10.0
    rig.permit(20)
    assert rig.until(lambda: rig.point.offer.current_a == 20.0, 6.0) > 4.8


@pytest.mark.parametrize(("cable", "expected"), [(13, 13.0), (20, 20.0), (32, 32.0), (63, 32.0)])
def test_the_offer_is_never_more_than_cable_or_point(cable: float, expected: float) -> None:
    rig = Rig().run(1.0).permit(80).plug(cable).run(1.0)
    assert rig.point.offer.current_a == expected


def test_less_than_six_amperes_is_nothing() -> None:
    rig = Rig().run(1.0).permit(5.9).plug().run(1.0)
    assert rig.point.state == "B1"
    assert rig.out.duty == 100.0


def test_a_tethered_point_needs_neither_lock_nor_proximity() -> None:
    rig = Rig(socket=False).run(1.0).permit().plug(cable=0, pilot="C")
    rig.until(lambda: rig.out.contactor, 3.0)
    assert rig.point.plugged


def test_ventilated_site_serves_state_d() -> None:
    rig = Rig(ventilated=True).run(1.0).permit().plug(pilot="D")
    rig.until(lambda: rig.out.contactor, 3.0)
    assert rig.point.state == "D2"


def test_a_ventilated_point_opens_when_its_car_stops_drawing() -> None:
    rig = Rig(ventilated=True).charging()
    rig.world.pilot = "B"
    assert rig.until(lambda: not rig.out.contactor, 1.0) <= 0.030 + 1e-9


@pytest.mark.parametrize("socket", [True, False])
def test_nothing_is_offered_without_a_car(socket: bool) -> None:
    rig = Rig(socket=socket).run(1.0).permit().plug(pilot="A")
    for _ in range(200):
        rig.step()
        assert rig.out.duty in (100.0, 10.0) and not rig.point.offer.on
    assert rig.out.duty == 100.0


def test_nothing_is_offered_to_a_pilot_that_reads_nothing() -> None:
    rig = Rig().run(4.0).permit().plug().run(8.0)
    assert rig.point.state == "B2"
    rig.world.pilot = "E"
    rig.run(0.02)
    assert rig.point.state == "E" and rig.out.duty == 100.0 and rig.faults == set()


def test_nothing_is_offered_to_a_car_that_wants_ventilation_while_the_front_end_settles() -> None:
    rig = Rig(socket=False).permit().plug(cable=0, pilot="D")
    for _ in range(40):
        rig.step()
        assert rig.out.duty == 100.0 and rig.faults == set()
    assert rig.point.state == "D1"
    rig.run(0.2)
    assert rig.faults == {"ventilation-required"}


def test_the_diode_is_sought_anew_after_each_time_without_pwm_and_only_then() -> None:
    rig = Rig().run(4.0).permit().plug().run(6.0)
    assert rig.point.diode.seen
    rig.permit(20.0).run(0.02)
    assert rig.point.state == "B2" and rig.point.diode.seen, "another duty"
    rig.world.pilot = "C"
    rig.run(0.02)
    assert rig.point.state == "C2" and rig.point.diode.seen, "another state"
    rig.permit(allowed=False, hold_lock=True).step()
    assert rig.point.state == "C1" and not rig.point.diode.seen


def test_a_tethered_point_leaves_its_lock_driver_alone() -> None:
    rig = Rig(socket=False)
    rig.world.lock_at, rig.world.lock_moves = 0.5, False  # nothing is wired there: neither end is told
    rig.watch = lambda seen: moves.append(seen.out.lock)  # type: ignore[assignment]
    moves: list[LockDrive] = []
    rig.run(4.0).permit().plug(cable=0, pilot="C").run(4.0)
    assert rig.out.contactor and set(moves) == {LockDrive.OFF}


def test_a_tethered_point_is_plugged_and_not_vacant_while_its_car_is_there() -> None:
    rig = Rig(socket=False).run(4.0)
    assert rig.point.vacant and not rig.point.plugged
    rig.plug(cable=0).run(0.1)
    assert rig.point.plugged and not rig.point.vacant
    assert rig.point.request_self_test("all") == "a plug is in the socket: unplug first"


def test_a_socket_is_plugged_by_its_cable_with_or_without_a_car() -> None:
    rig = Rig().run(4.0).plug(pilot="A").run(0.1)
    assert rig.point.plugged and not rig.point.vacant and not rig.point.car


def test_a_tethered_point_is_calm_again_after_its_car_was_pulled_under_power() -> None:
    rig = Rig(socket=False).run(4.0).permit().plug(cable=0, pilot="C").run(4.0)
    assert rig.out.contactor
    rig.permit(allowed=False).unplug().run(6.0)
    assert rig.point._calm_until > rig.now


def pulse(**permit: object) -> Rig:
    """A car that is being woken up, since a second."""
    rig = Rig().run(1.0).permit(**permit).plug()  # type: ignore[arg-type]
    rig.until(lambda: rig.out.duty == 0.0, 40.0)
    return rig.run(1.0)


def test_a_wake_up_pulse_is_counted_once_and_a_point_out_of_service_is_none() -> None:
    rig = pulse()
    assert rig.point.wake_ups_ever == 1
    rig.run(10.0)
    assert rig.point.wake_ups_ever == 1
    rig = Rig()
    rig.world.rcd_test_works = False
    rig.run(6.0)
    assert rig.point.state == "F" and rig.point.wake_ups_ever == 0


@pytest.mark.parametrize("change", [{"allowed": False}, {"current_a": 5.0}])
def test_a_wake_up_pulse_ends_with_the_offer(change: dict[str, object]) -> None:
    rig = pulse()
    rig.permit(**change).step()  # type: ignore[arg-type]
    assert rig.out.duty == 100.0


def test_a_wake_up_pulse_ends_when_the_socket_gets_too_warm_for_six_amperes() -> None:
    rig = pulse(current_a=16.0)
    rig.world.temperature_c = 69.0
    rig.run(0.06)
    assert rig.point.limit_a(rig.now) == 8.0 and rig.out.duty == 0.0
    rig.world.temperature_c = 20.0
    rig = Rig(max_current_a=16.0).run(1.0).permit().plug()
    rig.until(lambda: rig.out.duty == 0.0, 40.0)
    rig.world.temperature_c = 69.0
    rig.run(0.06)
    assert rig.point.limit_a(rig.now) == 0.0 and rig.out.duty == 100.0


def test_a_car_that_the_station_does_not_want_woken_up_is_left_asleep() -> None:
    rig = Rig().run(1.0).permit(wake_up=False).plug()
    for _ in range(4000):
        rig.step()
        assert rig.out.duty > 0.0
    assert rig.point.state == "B2"


def test_a_car_that_draws_is_never_pulsed() -> None:
    rig = Rig().run(1.0).permit().plug(pilot="C").run(3.0)
    assert rig.point.state == "C2" and rig.point.wake_up._offered_at is None
    rig.point.wake_up._offered_at = rig.now - 60.0
    rig.run(1.0)
    assert rig.out.duty > 0.0 and rig.out.contactor
