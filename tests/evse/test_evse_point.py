"""What a point says it waits for, and what a calm point still notices."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from evse_rig import Rig

from chargepoint.board.types import LockDrive, PointInputs
from chargepoint.config import DomesticSection, EvseSection
from chargepoint.evse.point import Point
from chargepoint.evse.pointconfig import PointConfig
from chargepoint.evse.report import report
from chargepoint.evse.selftest import Seen, SelfTests
from chargepoint.iec61851.proximity import Proximity


def waiting(rig: Rig) -> str:
    assert isinstance(rig.seen, PointInputs) and not rig.out.contactor
    return report(rig.point, rig.seen, rig.now, "boot", {}).waiting


def ready(**config: object) -> Rig:
    """A sound point with a permission and a car in B, some seconds after the start."""
    rig = Rig(**config).run(4.0).permit().plug().run(3.0)
    assert rig.point.state == "B2"
    return rig


def test_a_point_without_a_car_or_without_a_permission_waits_for_it() -> None:
    rig = Rig().run(4.0)
    assert waiting(rig) == "no-permission"
    rig.permit().step()
    assert waiting(rig) == "car"
    rig.plug().run(3.0)
    assert waiting(rig) == "car", "it does not ask"
    rig.permit(allowed=False).step()
    assert waiting(rig) == "no-permission"


def test_a_car_waits_for_the_end_of_a_fault() -> None:
    rig = ready()
    rig.world.pe_ok = False
    rig.run(0.02)
    assert waiting(rig) == "fault"


def test_a_car_waits_for_more_than_six_amperes() -> None:
    rig = Rig(max_current_a=16.0).run(4.0)
    rig.world.temperature_c = 68.5
    rig.permit().plug(pilot="C").run(3.0)
    assert waiting(rig) == "current" and rig.out.duty == 100.0
    rig.world.temperature_c = 20.0
    rig.run(6.0)
    assert rig.out.contactor


def test_a_car_that_is_being_woken_up_is_said_to_be() -> None:
    rig = Rig().run(4.0).permit(wake_up=True).plug()
    rig.until(lambda: rig.out.duty == 0.0, 40.0)
    rig.run(1.0)
    assert waiting(rig) == "wake-up" and rig.point.state == "F"
    rig.run(5.0)
    assert waiting(rig) == "car"


def test_a_car_waits_for_its_lock() -> None:
    rig = Rig().run(4.0)
    rig.world.lock_moves = False
    rig.permit().plug(pilot="C").run(1.5)
    assert waiting(rig) == "lock" and rig.faults == set()
    rig.world.lock_at = 0.5
    rig.step()
    assert waiting(rig) == "lock"
    rig.world.lock_at = 1.0
    rig.run(2.0)
    assert rig.out.contactor


def test_a_car_that_is_there_at_the_start_waits_for_the_residual_current_test() -> None:
    rig = Rig().permit().plug(pilot="C")
    rig.world.lock_at = 1.0
    rig.until(lambda: rig.out.rcd_test, 3.0)
    assert waiting(rig) == "self-test"
    rig.run(3.0)
    assert rig.out.contactor


def test_a_car_waits_for_a_test_that_is_overdue_even_before_it_runs() -> None:
    rig = ready()
    rig.world.rcd = True
    rig.point.self_tests.rcd_passed_at = rig.now - 86400.0
    assert rig.point.blocked_by(rig.now) == "self-test"
    rig.point.self_tests.rcd_passed_at = rig.now - 86399.0
    assert rig.point.blocked_by(rig.now) == "car"


def test_a_car_waits_for_the_domestic_socket_to_be_off() -> None:
    rig = Rig(domestic=True, socket=False).run(4.0).permit(10.0, connector=2).plug()
    rig.world.domestic_plug = True
    rig.run(2.0)
    assert rig.out.domestic_contactor
    rig.permit().run(0.1)
    assert not rig.out.domestic_contactor and waiting(rig) == "other-connector"
    rig.run(0.1)
    assert waiting(rig) == "car"


def test_a_car_waits_until_its_diode_has_been_seen_in_this_very_pass() -> None:
    rig = ready()
    rig.world.pilot = "C"
    rig.run(0.3)
    rig.world.diode = False
    rig.step()
    assert waiting(rig) == "diode"
    rig.world.diode = True
    rig.step()
    assert waiting(rig) == "diode", "one good result does not make up for the bad one"
    rig.step()
    assert waiting(rig) == "car"


def test_a_car_waits_for_the_coil_watchdog() -> None:
    rig = ready()
    rig.world.pilot = "C"
    rig.borne(coil_watchdog_armed=False)
    rig.run(0.8)
    assert rig.point.blocked == "board" and not rig.out.contactor and rig.faults == set()
    rig.borne(coil_watchdog_armed=True)
    rig.step()
    assert rig.out.contactor and rig.point.blocked == ""


def test_a_car_waits_for_a_converter_that_is_right_in_this_very_pass() -> None:
    rig = ready()
    rig.world.pilot = "C"
    rig.run(0.48)
    rig.world.reference_v = 2.0
    rig.run(0.02)
    assert waiting(rig) == "board" and rig.faults == set()


def test_a_car_that_comes_back_waits_for_the_contactors_pause_then_for_half_a_second_of_c() -> None:
    rig = ready()
    rig.world.pilot = "C"
    rig.run(0.3)
    assert waiting(rig) == "car"
    rig.run(2.0)
    assert rig.out.contactor
    rig.world.pilot = "B"
    rig.run(1.0)
    rig.world.pilot = "C"
    rig.run(1.0)
    assert waiting(rig) == "reclose-delay"


def test_a_stray_result_of_the_pilot_keeps_the_contactor_open_for_that_pass() -> None:
    rig = ready()
    rig.world.pilot = "C"
    rig.run(0.1)
    rig.until(lambda: rig.now - rig.point.pilot.since >= 0.505, 2.0)
    rig.world.high_v = 9.0
    rig.step()
    assert waiting(rig) == "car"
    rig.world.high_v = None
    rig.step()
    assert rig.out.contactor


def test_a_calm_point_notices_what_the_borne_raises_for_it() -> None:
    rig = Rig().run(10.0)
    assert rig.point._calm_until > rig.now
    rig.point.faults.set("loop-overrun", True, rig.now)
    rig.point.faults.set("loop-overrun", False, rig.now)
    rig.run(61.0)
    assert rig.faults == set(), "its quiet time is over"


def test_a_calm_point_runs_its_daily_tests() -> None:
    rig = Rig().run(10.0)
    runs = rig.point.self_tests.runs
    rig.now += 86400.0
    rig.run(5.0)
    assert rig.point.self_tests.runs == runs + 1


def test_a_point_is_not_calm_while_somebody_holds_or_asks_for_anything() -> None:
    rig = Rig().run(10.0)
    for ask in (
        lambda: rig.permit(), lambda: rig.permit(allowed=False, hold_lock=True), lambda: rig.plug(pilot="A"),
        lambda: rig.unplug().plug(cable=0, pilot="B"),
    ):  # fmt: skip
        ask()
        rig.run(0.5)
        assert rig.point._calm_until < 0.0
        rig.unplug().permit(allowed=False).run(10.0)
        assert rig.point._calm_until > rig.now


def seeing(rig: Rig, passes: int = 1, **inputs: object) -> Rig:
    """Passes in which these inputs show this, whatever the world is."""
    sound = rig.inputs
    rig.inputs = lambda: replace(sound(), **inputs)  # type: ignore[method-assign]
    for _ in range(passes):
        rig.step()
    rig.inputs = sound  # type: ignore[method-assign]
    return rig


@pytest.mark.parametrize(
    ("stray", "often"),
    [
        ({"duty_measured": 42.0}, 3), ({"reference_v": 1.0}, 5), ({"cp_high_v": 14.0}, 5), ({"cp_low_v": -14.0}, 5),
        ({"cp_high_v": 10.7}, 60), ({"pp_ohm": 10.0}, 5), ({"pp_ohm": 220.0}, 5), ({"cp_high_v": 6.0}, 5),
        ({"rcd_tripped": True}, 5), ({"rdc_tripped": True}, 5), ({"pe_ok": False}, 5),
    ],
)  # fmt: skip
def test_single_stray_results_on_a_calm_point_never_add_up(stray: dict[str, object], often: int) -> None:
    rig = Rig().run(10.0)
    for _ in range(often):
        seeing(rig, **stray).run(0.5)
        assert rig.faults == set() and rig.point.vacant
        assert rig.point._calm_until > rig.now


SPOILT: dict[str, Callable[[Point], object]] = {
    "state": lambda p: setattr(p, "state", "E"),
    "duty": lambda p: setattr(p, "duty", 10.0),
    "car": lambda p: setattr(p, "car", True),
    "release": lambda p: setattr(p, "unlock_wanted", True),
    "fault": lambda p: p.faults.set("door-open", True, 0.0),
    "permission": lambda p: setattr(p.lease, "wants", True),
    "hold": lambda p: setattr(p.lease, "hold_lock", True),
    "domestic plug": lambda p: setattr(p.domestic, "plugged", True),
    "pilot": lambda p: setattr(p.pilot, "_count", 1),
    "proximity": lambda p: setattr(p.proximity, "coding", Proximity.SHORT),
    "temperature": lambda p: setattr(p.derating, "factor", 0.5),
    "front end": lambda p: setattr(p.converter, "settled", False),
    "torn": lambda p: setattr(p, "_torn_at", 0.0),
    "contactor": lambda p: setattr(p.contactor, "open_confirmed", False),
    "lock motor": lambda p: setattr(p.lock, "drive", LockDrive.OPEN),
    "lock": lambda p: setattr(p.lock, "failed", LockDrive.OPEN),
    "self-test": lambda p: p.self_tests.request("all"),
    "residual current": lambda p: setattr(p.rcd, "count", 1),
    "residual direct current": lambda p: setattr(p.rdc, "count", 1),
    "earth": lambda p: setattr(p.earth, "count", 1),
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_point_is_calm_only_when_each_of_its_parts_is(what: str) -> None:
    rig = Rig(domestic=True).run(10.0)
    point, seen, borne = rig.point, rig.inputs(), rig.world.borne
    assert point._calm(seen, borne) > rig.now
    SPOILT[what](point)
    assert point._calm(seen, borne) < 0.0


def test_a_point_is_not_calm_after_a_pass_that_showed_anything_else() -> None:
    rig = Rig().run(10.0)
    point, seen, borne = rig.point, rig.inputs(), rig.world.borne
    assert point._calm(replace(seen, duty_measured=42.0), borne) < 0.0
    assert point._calm(seen, replace(borne, door_open=True)) < 0.0


def test_a_self_test_that_fails_on_a_sound_point_is_a_fault_until_it_passes_a_minute_later() -> None:
    rig = Rig().run(10.0)
    assert rig.point.request_self_test("contactor") == ""
    rig.step()
    rig.world.welded = True
    rig.step()
    rig.world.welded = False
    rig.run(1.0)
    assert rig.faults == {"self-test-failed"}
    rig.run(55.0)
    assert rig.faults == {"self-test-failed"}
    rig.run(10.0)
    assert rig.faults == set()


def test_a_self_test_that_fails_again_is_one_fault_all_the_time_with_one_reason() -> None:
    rig = Rig().run(10.0)
    rig.point.request_self_test("contactor")
    rig.world.lock_at, rig.world.lock_moves = 0.5, False
    rig.until(lambda: "self-test-failed" in rig.faults, 12.0)
    raised = rig.point.faults.active["self-test-failed"].since
    for _ in range(15000):
        rig.step()
        assert rig.point.faults.active["self-test-failed"].since == raised
    assert rig.point.self_tests.detail == "lock: both end switches tell the same"


def test_a_self_test_that_waits_for_the_lock_tells_each_other_trouble_once() -> None:
    seen = Seen(
        vacant=True, contactor_open=True, rcd=False, rdc=False, reference_ok=True, board_whole=True,
        pilot_wrong=False, duty=100.0, locked=False, unlocked=False, lock_failed=False, has_lock=True,
    )  # fmt: skip
    tests, now = SelfTests(), 0.0
    tests.request("contactor")
    while not tests.failed:
        tests.step(now, replace(seen, reference_ok=not tests.running))
        now += 0.01
        assert now < 30.0
    assert tests.detail == "converter: the reference is not 2.5 V; lock: both end switches tell the same"


def test_a_contactor_that_does_not_close_is_not_called_the_domestic_sockets() -> None:
    for config in ({}, {"domestic": True}):
        rig = Rig(**config).run(4.0)
        rig.world.contactor_follows = False
        rig.permit().plug(pilot="C")
        rig.until(lambda rig=rig: "contactor-stuck-open" in rig.faults, 20.0)
        assert rig.point.faults.active["contactor-stuck-open"].detail.startswith("mirror contact open")


def test_a_point_is_what_its_section_says() -> None:
    plain = PointConfig.of(EvseSection(id=3, max_current=16, socket=False, ventilated=True))
    assert plain == PointConfig(3, 16.0, False, True)
    both = PointConfig.of(EvseSection(id=4, max_current=32, domestic=DomesticSection(max_current=8)))
    assert both == PointConfig(4, 32.0, domestic=True, domestic_a=8.0)
    assert Rig().point.domestic is None and Rig(domestic=True).point.domestic is not None


def test_a_permission_of_before_a_release_is_none_after_it() -> None:
    rig = ready()
    assert rig.point.locked
    rig.silence()
    rig.point.request_unlock()
    rig.run(3.0)
    assert not rig.point.unlock_wanted and not rig.point.locked
    assert waiting(rig) == "no-permission" and rig.out.duty == 100.0


def switches(rig: Rig, closed: bool, opened: bool) -> Rig:
    """The lock's end switches tell this from now on, whatever the lock does."""
    sound = rig.inputs
    rig.inputs = lambda: replace(sound(), lock_closed=closed, lock_open=opened)  # type: ignore[method-assign]
    return rig


@pytest.mark.parametrize("both", [True, False])
def test_end_switches_that_tell_the_same_close_no_contactor_and_fail_the_test(both: bool) -> None:
    rig = switches(ready(), both, both)
    rig.world.pilot = "C"
    for _ in range(300):
        rig.step()
        assert not rig.out.contactor and not rig.point.locked
    rig = switches(Rig(), both, both).run(12.0)
    assert "self-test-failed" in rig.faults
    assert "both end switches tell the same" in rig.point.faults.active["self-test-failed"].detail


def test_a_car_that_asks_before_the_next_offer_may_be_made_waits_as_a_car() -> None:
    rig = ready()
    rig.world.pilot = "C"
    rig.run(10.0)
    assert rig.out.contactor
    rig.permit(allowed=False, hold_lock=True)
    rig.world.pilot = "B"
    rig.run(0.5)
    rig.world.pilot = "C"
    rig.permit().run(0.3)
    assert rig.point.state == "C1" and waiting(rig) == "car"


def test_a_lock_without_a_cable_opens_even_if_the_station_holds_it() -> None:
    rig = Rig().run(4.0).permit(hold_lock=True).plug().run(2.0)
    assert rig.point.locked
    rig.unplug().run(2.0)
    assert not rig.point.locked and rig.world.lock_at == 0.0


def test_a_lock_under_test_stops_closing_in_the_pass_in_which_a_plug_is_seen() -> None:
    rig = Rig().run(10.0)
    rig.world.lock_seconds = 5.0
    assert rig.point.request_self_test("lock") == ""
    rig.until(lambda: rig.out.lock is LockDrive.CLOSE, 2.0)
    rig.plug(pilot="A")
    rig.until(lambda: not rig.point.vacant, 1.0)
    assert rig.out.lock is not LockDrive.CLOSE


def test_the_pilots_self_test_shows_six_amperes_to_an_empty_socket_and_never_to_a_car() -> None:
    rig = Rig().run(10.0)
    assert rig.point.request_self_test("pilot") == ""
    duties = {rig.step().duty for _ in range(200)}
    assert duties == {10.0, 100.0} and rig.point.self_tests.outcome()[0]
    assert rig.point.request_self_test("pilot") == ""
    rig.until(lambda: rig.out.duty == 10.0, 1.0)
    rig.plug()
    rig.until(lambda: rig.point.state == "B1", 0.1)
    assert rig.out.duty == 100.0
