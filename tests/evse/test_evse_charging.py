"""A sound car on a sound point, and how it stops."""

import pytest
from evse_rig import Rig


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
