"""What a point with an external pilot controller tells the station, and what it has the device permit."""

from dataclasses import replace

import pytest

from chargepoint.config import EvseSection
from chargepoint.controller.device import DeviceState
from chargepoint.controller.maps import load
from chargepoint.controller.point import DISOBEYS_AFTER, OPEN_S, SILENT_AFTER, UNLOCK_S, ControlledPoint
from chargepoint.evse.messages import LEASE_S, Permit

IDLE = DeviceState("A", False, 0.0, 0.0, False, None, False, ())
WAITS = replace(IDLE, letter="B", locked=True)
CHARGES = DeviceState("C", True, 16.0, 16.0, True, 32.0, True, ())


@pytest.fixture
def point():
    one = ControlledPoint(EvseSection(id=1, max_current=20), load("phoenix-em-cp-pp-eth"), 0.0)
    one.heard(IDLE, 0.0)
    return one


def permit(point, amps, now, **more):
    point.permit(Permit(1, amps > 0, amps, **more), now)


def faults(point):
    return set(point.faults)


def test_nothing_is_permitted_before_the_station_has_spoken(point):
    assert point.wanted_a(0.0) == 0.0 and point.report(0.0, "b").waiting == "no-permission"


@pytest.mark.parametrize(("given", "wanted"), [(16.9, 16.0), (32.0, 20.0), (5.9, 0.0), (6.0, 6.0)])
def test_the_device_gets_whole_amperes_within_the_point_s_bound(point, given, wanted):
    permit(point, given, 0.0)
    assert point.wanted_a(0.1) == wanted


def test_a_lease_that_is_not_renewed_withdraws_the_permission(point):
    permit(point, 16.0, 0.0)
    point.heard(CHARGES, 1.0)
    assert point.wanted_a(LEASE_S - 0.1) == 16.0
    point.step(LEASE_S + 0.1)
    assert point.wanted_a(LEASE_S + 0.1) == 0.0 and "lease-ended" in faults(point)
    permit(point, 16.0, LEASE_S + 1)
    point.step(LEASE_S + 1)
    assert "lease-ended" not in faults(point)


def test_a_session_is_told_in_the_words_of_the_safety_process(point):
    point.heard(WAITS, 1.0)
    waiting = point.report(1.0, "b")
    assert (waiting.state, waiting.plugged, waiting.plug_count, waiting.waiting) == ("B1", True, 1, "no-permission")
    permit(point, 16.0, 2.0)
    assert point.report(2.0, "b").waiting == "car"
    point.heard(replace(CHARGES, contactor=False), 3.0)
    assert point.report(3.0, "b").waiting == "controller"
    point.heard(CHARGES, 4.0)
    told = point.report(4.0, "b")
    assert (told.state, told.offered_a, told.cable_a, told.lock) == ("C2", 16.0, 32.0, "locked")
    assert told.contactor_closed and told.closed_at == 4.0 and told.waiting == ""
    assert told.duty == pytest.approx(16 / 0.6)
    assert told.temperature_c is None and told.cp_high_v is None
    permit(point, 0.0, 5.0)
    point.heard(replace(CHARGES, pwm=False, offered_a=0.0, permitted_a=0.0, contactor=False), 6.0)
    assert point.report(6.0, "b").opened_at == 6.0 and point.report(6.0, "b").closed_at is None
    point.heard(IDLE, 7.0)
    assert not point.report(7.0, "b").plugged
    point.heard(WAITS, 8.0)
    assert point.report(8.0, "b").plug_count == 2


def test_a_silent_controller_is_a_fault_that_keeps_the_last_known_state(point):
    point.heard(WAITS, 1.0)
    for n in range(SILENT_AFTER):
        assert "controller-silent" not in faults(point)
        point.missed("no answer", 2.0 + n)
    assert point.faults["controller-silent"].detail == "no answer" and not point.known
    assert point.report(9.0, "b").plugged and point.report(9.0, "b").waiting == "fault"
    point.heard(WAITS, 10.0)
    assert not faults(point)


def test_a_controller_that_holds_another_current_disobeys_after_a_while(point):
    permit(point, 16.0, 0.0)
    for n in range(DISOBEYS_AFTER):
        assert "controller-disobeys" not in faults(point)
        point.heard(WAITS, 1.0 + n)
    assert point.faults["controller-disobeys"].detail == "told 16 A, it holds 0 A"
    point.heard(CHARGES, 9.0)
    assert not faults(point)


def test_a_contactor_that_stays_closed_without_permission_is_a_fault(point):
    permit(point, 16.0, 0.0)
    point.step(0.0)
    point.heard(CHARGES, 1.0)
    permit(point, 0.0, 2.0)
    stuck = replace(CHARGES, permitted_a=0.0)
    point.heard(stuck, 2.0 + OPEN_S - 2.5)
    assert not faults(point)
    point.heard(stuck, 2.0 + OPEN_S)
    assert point.faults["controller-disobeys"].detail == "its contactor is closed without permission"


def test_a_car_that_closes_as_soon_as_it_may_is_no_disobedience(point):
    point.step(OPEN_S + 5)
    permit(point, 16.0, OPEN_S + 5.5)  # wakes the line at once
    point.heard(CHARGES, OPEN_S + 5.9)
    assert not faults(point)
    permit(point, 0.0, OPEN_S + 5.95)
    point.heard(replace(CHARGES, permitted_a=0.0), OPEN_S + 6.0)
    assert not faults(point)


def test_the_device_s_faults_come_and_go_with_it(point):
    point.heard(replace(WAITS, faults=(("diode", "no diode on the pilot"),)), 1.0)
    assert faults(point) == {"diode"} and point.report(1.0, "b").faults[0].since == 1.0
    point.heard(replace(IDLE, letter="E"), 2.0)
    assert faults(point) == {"controller-fault"} and point.report(2.0, "b").state == "E"
    point.heard(IDLE, 3.0)
    assert not faults(point)


def test_a_release_of_the_plug_withdraws_and_tells_what_became_of_it(point):
    permit(point, 16.0, 0.0)
    point.heard(CHARGES, 1.0)
    assert point.ask_unlock(5, 1.0) is None
    permit(point, 16.0, 1.5)  # a station that goes on permitting
    assert point.wanted_a(2.0) == 0.0 and point.unlocked(2.0) is None
    refused = point.unlocked(1.0 + UNLOCK_S)
    assert not refused.ok and "until the car lets go" in refused.detail
    assert point.ask_unlock(6, 20.0) is None
    point.heard(IDLE, 21.0)
    assert point.unlocked(21.0).ok


def test_a_controller_without_lock_contact_cannot_be_asked_for_the_plug():
    one = ControlledPoint(EvseSection(id=1, max_current=20), load("evse-din"), 0.0)
    one.heard(replace(IDLE, locked=None), 0.0)
    answer = one.ask_unlock(5, 1.0)
    assert answer is not None and not answer.ok and "its own rules" in answer.detail
    assert one.report(1.0, "b").lock == "none"
