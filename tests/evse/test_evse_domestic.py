"""The domestic socket of a point: when it is live, when it is not, and what the two connectors owe each other."""

import pytest
from evse_invariants import Invariants
from evse_rig import Rig

from chargepoint.board.types import PointInputs
from chargepoint.evse.domestic import Domestic
from chargepoint.evse.messages import Permit
from chargepoint.evse.report import report


def live(**permit: object) -> Rig:
    """A rig whose domestic socket has been on for a second and more; every pass is held against the invariants."""
    rig = watched().run(4.0).permit(10.0, connector=2, **permit)
    rig.world.domestic_plug = True
    return rig.run(2.0)


def watched() -> Rig:
    rig, invariants = Rig(domestic=True), Invariants()
    rig.watch = lambda seen: invariants.check(seen, seen.now - 0.010)  # type: ignore[assignment]
    return rig


def told(rig: Rig) -> object:
    assert isinstance(rig.seen, PointInputs)
    return report(rig.point, rig.seen, rig.now, "boot", {})


def test_a_domestic_socket_is_live_only_with_plug_lease_and_the_other_open() -> None:
    rig = Rig(domestic=True).run(4.0)
    rig.permit(10.0, connector=2).run(1.0)
    assert not rig.out.domestic_contactor
    rig.world.domestic_plug = True
    assert 0.45 < rig.until(lambda: rig.out.domestic_contactor, 2.0) < 0.55
    rig.plug(pilot="C").run(3.0)
    assert rig.out.duty == 100.0 and not rig.out.contactor
    rig.world.rcd = True
    rig.run(0.02)
    assert not rig.out.domestic_contactor


@pytest.mark.parametrize("how", ["unplug", "withdraw", "silence", "emergency"])
def test_a_domestic_socket_opens_at_once(how: str) -> None:
    rig = Rig(domestic=True).run(4.0).permit(10.0, connector=2)
    rig.world.domestic_plug = True
    rig.run(2.0)
    assert rig.out.domestic_contactor
    if how == "unplug":
        rig.world.domestic_plug = False
    elif how == "withdraw":
        rig.permit(0.0, allowed=False)
    elif how == "silence":
        rig.silence().run(10.0)
    else:
        rig.borne(emergency_stop=True)
    rig.run(0.02)
    assert not rig.out.domestic_contactor


def test_a_welded_domestic_contactor_blocks_the_point_and_latches() -> None:
    rig = Rig(domestic=True).run(4.0)
    rig.world.domestic_welded = True
    rig.run(1.2)
    assert "domestic-contactor" in rig.faults and "domestic-contactor" in rig.point.faults.latched()
    rig.permit().plug(pilot="C").run(5.0)
    assert rig.point.contactor.closings == 0


def test_a_bouncing_plug_switch_closes_nothing_and_is_told_once() -> None:
    rig = watched().run(4.0).permit(10.0, connector=2)
    for _ in range(20):
        rig.world.domestic_plug = not rig.world.domestic_plug
        rig.run(0.2)
    assert rig.point.domestic is not None
    assert rig.point.domestic.contactor.closings == 0 and rig.point.domestic.plug_count == 0
    rig.world.domestic_plug = True
    rig.run(1.0)
    assert rig.out.domestic_contactor and rig.point.domestic.plug_count == 1


def test_a_blip_of_the_switch_opens_at_once_and_is_no_unplugging() -> None:
    rig = live()
    assert rig.point.domestic is not None
    rig.world.domestic_plug = False
    rig.step()
    assert not rig.out.domestic_contactor and rig.point.domestic.plugged
    rig.world.domestic_plug = True
    assert 4.9 < rig.until(lambda: rig.out.domestic_contactor, 8.0) < 5.1
    assert rig.point.domestic.plug_count == 1


def test_a_bouncing_switch_gives_a_contactor_that_does_not_close_no_further_tries() -> None:
    rig = watched().run(4.0).permit(10.0, connector=2)
    rig.world.domestic_follows = False
    rig.world.domestic_plug = True
    for _ in range(20):
        rig.run(7.0)
        rig.world.domestic_plug = False
        rig.step()
        rig.world.domestic_plug = True
    assert "contactor-stuck-open" in rig.faults
    assert rig.point.domestic is not None and rig.point.domestic.contactor.closings <= 3
    assert rig.point.faults.active["contactor-stuck-open"].detail.startswith("domestic socket")
    rig.world.domestic_follows, rig.world.domestic_plug = True, False
    rig.run(1.0)
    assert rig.faults == set()


def test_less_than_its_current_is_nothing() -> None:
    rig = watched().run(4.0).permit(9.9, connector=2)
    rig.world.domestic_plug = True
    rig.run(3.0)
    assert not rig.out.domestic_contactor and told(rig).waiting == "current"  # type: ignore[attr-defined]


def test_a_permission_that_moves_to_the_domestic_socket_waits_until_the_car_is_off() -> None:
    rig = watched().charging()
    rig.world.domestic_plug = True
    rig.permit(10.0, connector=2)
    rig.run(5.0)
    assert rig.out.contactor and rig.out.duty == 100.0 and not rig.out.domestic_contactor
    rig.until(lambda: not rig.out.contactor, 2.0)
    rig.until(lambda: rig.out.domestic_contactor, 1.0)
    assert rig.point.contactor.open_confirmed


def test_a_permission_that_moves_to_the_car_opens_the_domestic_socket_first() -> None:
    rig = live().plug(pilot="C")
    rig.permit()
    rig.run(0.03)
    assert not rig.out.domestic_contactor and not rig.out.contactor
    rig.until(lambda: rig.out.contactor, 5.0)


def test_a_welded_type_2_contactor_keeps_the_domestic_socket_off() -> None:
    rig = live()
    rig.world.welded = True
    rig.run(0.02)
    assert not rig.out.domestic_contactor
    rig.run(2.0)
    assert "contactor-welded" in rig.faults and not rig.out.domestic_contactor


def test_the_residual_current_test_runs_with_a_plug_in_and_nothing_live() -> None:
    rig = watched()
    rig.world.domestic_plug = True
    rig.permit(10.0, connector=2)
    rig.until(lambda: rig.out.rcd_test, 5.0)
    assert not rig.out.domestic_contactor
    rig.until(lambda: rig.out.domestic_contactor, 5.0)
    assert not rig.point.self_tests.running


def test_unplugging_the_domestic_socket_tests_the_residual_current_devices_again() -> None:
    rig = live()
    passed = rig.point.self_tests.rcd_passed_at
    rig.world.domestic_plug = False
    rig.run(4.0)
    assert rig.point.self_tests.rcd_passed_at != passed


def test_releasing_the_type_2_plug_leaves_the_domestic_socket_on() -> None:
    rig = live()
    rig.point.request_unlock()
    rig.run(5.0)
    assert rig.out.domestic_contactor
    assert rig.point.domestic is not None and rig.point.domestic.contactor.closings == 1


@pytest.mark.parametrize(("field", "bad"), [("rcd", True), ("rdc", True), ("pe_ok", False)])
def test_a_domestic_socket_does_not_go_on_while_a_single_trip_is_not_made_up_for(field: str, bad: bool) -> None:
    rig = Rig(domestic=True).run(4.0).permit(10.0, connector=2)
    rig.world.domestic_plug = True
    for number in range(90):
        setattr(rig.world, field, bad if not number % 3 else not bad)
        rig.step()
        if rig.out.domestic_contactor:
            break
    assert rig.out.domestic_contactor and number % 3 == 2 and rig.faults == set()


def test_a_permission_for_the_domestic_socket_locks_nobody_elses_cable() -> None:
    rig = live(hold_lock=True).plug()
    rig.run(3.0)
    assert not rig.point.locked and rig.world.lock_at == 0.0


def test_a_fault_that_goes_keeps_the_domestic_socket_off_for_half_a_minute() -> None:
    rig = live()
    rig.world.pe_ok = False
    rig.run(1.0)
    rig.world.pe_ok = True
    assert 34.0 < rig.until(lambda: rig.out.domestic_contactor, 60.0) < 36.0


def test_a_fault_of_the_car_goes_with_it_whatever_is_in_the_domestic_socket() -> None:
    rig = live()
    rig.world.diode = False
    rig.permit().plug(pilot="C").run(10.0)
    assert rig.faults == {"diode"}
    rig.unplug().run(0.1)
    assert rig.faults == set() and rig.point.domestic is not None and rig.point.domestic.plugged
    rig.permit(10.0, connector=2).until(lambda: rig.out.domestic_contactor, 40.0)


def test_a_dead_station_opens_and_the_plug_waits_for_its_return() -> None:
    rig = live().silence()
    rig.until(lambda: not rig.out.domestic_contactor, 11.0)
    assert "lease-ended" in rig.faults
    rig.permit(10.0, connector=2).run(6.0)
    assert rig.out.domestic_contactor and rig.faults == set()


def test_a_plug_that_was_in_at_the_start_is_told_at_once() -> None:
    rig = watched()
    rig.world.domestic_plug = True
    rig.step()
    assert told(rig).domestic_plug and told(rig).domestic_count == 1  # type: ignore[attr-defined]


def test_an_empty_domestic_socket_spares_the_passes_of_an_empty_point() -> None:
    rig = watched().run(10.0)
    assert rig.point._calm_until > rig.now
    rig.world.domestic_plug = True
    rig.run(0.6)
    assert rig.point.domestic is not None and rig.point.domestic.plugged


def test_a_permission_that_leaves_the_domestic_socket_ends_it_also_during_a_release() -> None:
    rig = live()
    rig.world.lock_at, rig.world.lock_moves = 0.5, False  # a release that takes its time
    rig.point.request_unlock()
    rig.run(0.1)
    assert rig.point.unlock_wanted and rig.out.domestic_contactor
    rig.permission = None
    rig.point.permit(Permit(1, False, 0.0), rig.now)
    rig.run(0.02)
    assert not rig.out.domestic_contactor


def test_the_domestic_contactor_is_open_after_three_readings_of_its_mirror_contact_not_of_one() -> None:
    rig = live()
    assert rig.point.domestic is not None
    made = rig.point.domestic.contactor
    rig.world.domestic_plug = False
    took = rig.until(lambda: made.open_confirmed, 1.0)
    assert 0.145 < took < 0.165
    rig.world.domestic_welded = True
    rig.step()
    rig.world.domestic_welded = False
    assert 0.145 < rig.until(lambda: made.open_confirmed, 1.0) < 0.165


def quiet(now: float = 0.0) -> Domestic:
    """An empty socket whose contactor is confirmed open."""
    socket = Domestic(now)
    for number in range(20):
        socket.see(False, now + number / 100)
        socket.step(now + number / 100, False, False)
    assert socket.calm and not socket.live
    return socket


def test_a_socket_is_live_until_its_contactor_is_confirmed_open_and_calm_after_that() -> None:
    socket = quiet()
    socket.step(1.0, True, False)
    assert socket.live and not socket.calm
    for number in range(14):
        socket.step(1.01 + number / 100, False, False)
        assert socket.live and not socket.calm
    socket.step(1.2, False, False)
    assert not socket.live and socket.calm


def test_a_socket_is_not_calm_while_its_switch_changes() -> None:
    socket = quiet()
    assert not socket.see(True, 1.0)
    assert not socket.calm and not socket.plugged
    assert not socket.see(True, 1.49) and socket.see(True, 1.51)
    assert socket.plugged and not socket.calm
    assert not socket.see(False, 2.0)
    assert socket.plugged and not socket.calm, "gone for good only after half a second"
    assert not socket.see(False, 2.49) and socket.see(False, 2.51)
    assert socket.calm and socket.plug_count == 1
    assert not socket.see(False, 9.0), "told once"


def test_a_plug_must_stay_half_a_second_each_time_before_the_socket_goes_on() -> None:
    socket = quiet()
    socket.see(True, 1.0)
    assert not socket.stable(1.49) and socket.stable(1.5)
    socket.see(False, 2.0)
    assert not socket.stable(9.0)
    socket.see(True, 9.0)
    assert not socket.stable(9.49)
    socket.step(9.49, False, True)
    assert not socket.contactor.commanded
    socket.step(9.5, False, True)
    assert socket.contactor.commanded
    socket.step(9.51, False, False)
    assert not socket.contactor.commanded, "everything else allows it no longer"


def test_a_socket_that_was_empty_at_the_start_waits_for_its_plug_as_ever() -> None:
    socket = Domestic(0.0)
    assert not socket.see(False, 0.0)
    assert not socket.see(True, 0.01) and not socket.plugged


def test_a_plug_that_is_pulled_while_its_contactor_has_not_closed_has_its_tries_back_with_the_next() -> None:
    socket = quiet()
    socket.contactor._tries = 1
    socket.see(True, 1.0)
    assert socket.see(True, 1.6) and socket.contactor._tries == 0


def test_a_plug_without_a_permission_comes_and_goes() -> None:
    rig = watched().run(10.0)
    assert rig.point.domestic is not None
    for count in (1, 2):
        rig.world.domestic_plug = True
        rig.run(2.0)
        assert rig.point.domestic.plugged and rig.point.domestic.plug_count == count
        assert not rig.point.vacant
        rig.world.domestic_plug = False
        rig.run(4.0)
        assert not rig.point.domestic.plugged and rig.point.vacant


def test_the_socket_itself_opens_when_its_switch_does_whatever_else_is_allowed() -> None:
    socket = quiet()
    socket.see(True, 1.0)
    socket.step(1.6, False, True)
    assert socket.contactor.commanded
    socket.see(False, 1.61)
    socket.step(1.61, True, True)
    assert not socket.contactor.commanded


def test_a_socket_opens_in_the_pass_in_which_the_coil_watchdog_is_not_armed() -> None:
    rig = live()
    rig.borne(coil_watchdog_armed=False)
    rig.step()
    assert not rig.out.domestic_contactor and rig.faults == set() and rig.point.blocked == "board"


def test_what_the_recorder_is_told_is_about_the_connector_that_the_permission_is_for() -> None:
    rig = watched().run(4.0).permit(10.0, connector=2).run(1.0)
    assert rig.point.blocked == "", "no plug, nobody asks"
    rig.world.domestic_plug = True
    rig.run(0.6)
    assert rig.point.blocked == ""
    rig.permit(9.0, connector=2).run(0.1)
    assert rig.point.blocked == "current"
    rig = watched().charging()
    rig.world.domestic_plug = True
    rig.run(1.0)
    assert rig.out.contactor and rig.point.blocked == ""


def test_a_socket_whose_contactor_is_not_confirmed_open_says_so() -> None:
    rig = Rig(domestic=True).run(4.0).permit(16.0, connector=2)
    rig.world.domestic_welded = rig.world.domestic_plug = True
    rig.run(0.7)
    assert rig.point.blocked == "contactor" and rig.faults == set()


def test_the_test_after_a_car_has_left_waits_for_a_socket_that_is_on() -> None:
    rig = live()
    rig.plug(pilot="B").run(1.0)
    rig.unplug()
    for _ in range(100):
        assert not rig.step().rcd_test and rig.out.domestic_contactor
    assert rig.point.self_tests.due
    rig.world.domestic_plug = False
    rig.run(3.0)
    assert not rig.point.self_tests.due and rig.point.self_tests.in_date(rig.now)


def test_a_socket_waits_for_a_test_that_runs_although_the_last_one_is_in_date() -> None:
    rig = watched().run(4.0).permit(10.0, connector=2)
    rig.world.rcd_test_works = False
    assert rig.point.request_self_test("rcd") == ""
    rig.world.domestic_plug = True
    for _ in range(600):
        rig.step()
        assert not rig.out.domestic_contactor
    assert rig.faults == {"rcd-test-fails"}


def test_what_a_socket_waits_for_is_told() -> None:
    rig = watched().run(4.0).permit(10.0, connector=2)
    rig.world.domestic_plug = True
    rig.run(0.2)
    assert told(rig).waiting == "plug"  # type: ignore[attr-defined]
    rig.run(1.0)
    assert told(rig).waiting == ""  # type: ignore[attr-defined]
    rig.world.domestic_plug = False
    rig.step()
    assert rig.point.blocked == "plug"
    rig.world.domestic_plug = True
    rig.run(1.0)
    assert told(rig).waiting == "reclose-delay"  # type: ignore[attr-defined]


def test_a_socket_waits_for_the_front_end_to_settle_at_the_start() -> None:
    rig = watched().permit(10.0, connector=2)
    rig.world.domestic_plug = True
    rig.run(0.3)
    assert told(rig).waiting == "board"  # type: ignore[attr-defined]
    rig.until(lambda: rig.out.rcd_test, 2.0)
    assert told(rig).waiting == "self-test"  # type: ignore[attr-defined]


def test_a_lease_that_ran_out_is_no_fault_any_more_when_the_plug_is_gone() -> None:
    rig = live().silence()
    rig.until(lambda: "lease-ended" in rig.faults, 11.0)
    rig.run(5.0)
    assert rig.faults == {"lease-ended"}
    rig.world.domestic_plug = False
    rig.run(1.0)
    assert rig.faults == set()


def test_the_residual_current_devices_are_tested_when_the_domestic_plug_goes_not_when_it_comes() -> None:
    rig = watched().run(10.0)
    runs = rig.point.self_tests.runs
    rig.world.domestic_plug = True
    rig.run(4.0)
    assert rig.point.self_tests.runs == runs
    rig.world.domestic_plug = False
    rig.run(4.0)
    assert rig.point.self_tests.runs == runs + 1
