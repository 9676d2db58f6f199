"""Guards that stand behind other guards: each is tried alone."""

import pytest
from evse_rig import Rig

from chargepoint.board.types import LockDrive
from chargepoint.evse.contactor import Contactor, Trouble
from chargepoint.iec61851.pilot import Band
from chargepoint.iec61851.timing import SELF_TEST_PERIOD_S


def quiet(now: float = 0.0) -> Contactor:
    """A contactor that is confirmed open."""
    contactor = Contactor(now)
    for tick in range(5):
        contactor.step(now + tick / 100, False, False, False)
    return contactor


def closed(now: float = 0.0) -> Contactor:
    contactor = quiet(now)
    contactor.step(now + 1.0, True, False, False)
    contactor.step(now + 1.1, False, True, True)
    assert contactor.confirmed
    return contactor


@pytest.mark.parametrize(("mirror", "live"), [(True, False), (False, True)])
def test_it_never_closes_what_is_not_confirmed_open(mirror: bool, live: bool) -> None:
    contactor = quiet()
    contactor.step(1.0, True, mirror, live)
    assert not contactor.commanded
    fresh = Contactor(0.0)
    fresh.step(0.0, True, False, False)
    assert not fresh.commanded


def test_it_never_closes_with_a_trouble_that_was_not_told() -> None:
    contactor = quiet()
    contactor.trouble = Trouble.STUCK_OPEN
    contactor.step(1.0, True, False, False)
    assert not contactor.commanded


def test_it_keeps_its_own_pause() -> None:
    contactor = closed()
    contactor.open(10.0, under_load=False)
    for tick in range(499):
        contactor.step(10.01 + tick / 100, True, False, False)
        assert not contactor.commanded
    contactor.step(15.01, True, False, False)
    assert contactor.commanded


def test_an_opening_before_it_was_closed_is_not_under_load() -> None:
    contactor = quiet()
    contactor.step(1.0, True, False, False)
    contactor.open(1.05, under_load=True)
    assert contactor.openings_under_load == 0


def test_a_short_loss_of_feedback_opens_nothing() -> None:
    contactor = closed()
    for tick in range(9):
        contactor.step(5.0 + tick / 100, False, False, True)
    assert contactor.commanded and contactor.trouble is Trouble.NONE
    for tick in range(18):
        contactor.step(5.2 + tick / 100, False, True, True)
    assert contactor.closed_at == 1.1
    for tick in range(9):
        contactor.step(9.0 + tick / 100, False, False, False)
    assert contactor.commanded


@pytest.mark.parametrize(("wrong", "right", "within_s"), [(2, 2, 4.1), (6, 4, 2.6), (1, 1, 4.1), (9, 1, 1.2)])
def test_a_contact_that_chatters_against_an_open_command_is_a_weld_and_never_confirmed(
    wrong: int, right: int, within_s: float
) -> None:
    contactor, told = quiet(), None
    for tick in range(1000):
        live = tick % (wrong + right) < wrong
        contactor.step(1.0 + tick / 100, False, False, live)
        assert not contactor.open_confirmed
        if told is None and contactor.trouble is Trouble.WELDED:
            told = tick / 100
    assert told is not None and told <= within_s and contactor.trouble is Trouble.WELDED


@pytest.mark.parametrize(("lost", "there", "within_s"), [(5, 5, 0.45), (1, 1, 0.45), (3, 5, 1.6), (1, 2, None)])
def test_a_closed_contactor_that_chatters_opens(lost: int, there: int, within_s: float | None) -> None:
    contactor, opened = closed(), None
    for tick in range(500):
        live = tick % (lost + there) >= lost
        contactor.step(5.0 + tick / 100, False, live, live)
        if not contactor.commanded:
            opened = tick / 100
            break
    assert contactor.trouble is (Trouble.NONE if within_s is None else Trouble.DROPS)
    assert (opened is None) is (within_s is None) and (within_s is None or opened <= within_s)  # type: ignore[operator]


def test_a_socket_that_is_live_now_and_then_keeps_its_plug_and_says_why_nothing_closes() -> None:
    rig = Rig().charging()
    rig.world.pilot = "B"
    rig.run(0.1)
    rig.world.pilot = "C"
    waiting = set()
    for tick in range(600):
        rig.world.welded = tick % 10 < 5
        if tick == 300:
            rig.unplug().point.request_unlock()
        assert rig.step().lock is not LockDrive.OPEN and not rig.out.contactor
        waiting.add(rig.point.blocked)
    assert "contactor-welded" in rig.faults and "contactor" in waiting and rig.world.lock_at == 1.0


def test_nothing_stands_in_the_way_of_a_contactor_that_is_closed() -> None:
    rig = Rig().charging()
    assert rig.point.blocked_by(rig.now) == ""


def test_a_charge_of_more_than_a_day_pauses_for_the_residual_current_test() -> None:
    rig = Rig().charging()
    passed = rig.point.self_tests.rcd_passed_at
    assert passed is not None
    rig.point.self_tests.rcd_passed_at = rig.now - SELF_TEST_PERIOD_S + 1.0
    rig.run(0.9)
    assert rig.out.contactor and rig.point.state == "C2"
    rig.run(0.2)
    assert rig.point.state == "C1", "it asks the car to stop first"
    rig.world.pilot = "B"
    rig.run(0.1)
    assert not rig.out.contactor
    rig.world.pilot = "C"
    assert rig.until(lambda: rig.out.contactor, 15.0) > 4.0
    assert rig.point.self_tests.in_date(rig.now) and rig.faults == set()


def test_a_domestic_charge_of_more_than_a_day_pauses_for_the_residual_current_test() -> None:
    rig = Rig(domestic=True).run(2.0).permit(connector=2, current_a=16.0)
    rig.world.domestic_plug = True
    rig.until(lambda: rig.out.domestic_contactor, 10.0)
    rig.point.self_tests.rcd_passed_at = rig.now - SELF_TEST_PERIOD_S
    rig.step()
    assert not rig.out.domestic_contactor
    rig.until(lambda: rig.out.domestic_contactor, 15.0)
    assert rig.point.self_tests.in_date(rig.now) and rig.faults == set()


def test_a_pilot_generator_that_failed_its_test_keeps_the_point_out_of_service() -> None:
    rig = Rig()
    rig.world.duty_follows = False
    rig.run(30.0)
    assert "self-test-failed" in rig.faults
    rig.run(300.0)
    assert "self-test-failed" in rig.faults
    assert "pilot: 42.0 % read back" in rig.point.faults.active["self-test-failed"].detail
    rig.world.duty_follows = True
    rig.run(80.0)
    assert rig.faults == set()


def test_a_weld_that_came_loose_is_no_longer_present() -> None:
    contactor = quiet()
    for tick in range(120):
        contactor.step(1.0 + tick / 100, False, True, True)
    assert contactor.trouble is Trouble.WELDED
    for tick in range(199):
        contactor.step(3.0 + tick / 100, False, False, False)
        assert contactor.trouble is Trouble.WELDED and not contactor.open_confirmed
    contactor.step(5.0, False, False, False)
    assert contactor.trouble is Trouble.NONE and contactor.open_confirmed


def test_a_permit_given_during_a_release_is_void_after_it() -> None:
    rig = Rig().charging(hold_lock=True)
    permit = rig.permission
    assert permit is not None
    rig.permission = None
    rig.point.request_unlock()
    rig.run(0.1)
    rig.point.permit(permit, rig.now)
    rig.world.pilot = "B"
    rig.until(lambda: not rig.point.unlock_wanted, 3.0)
    rig.run(6.0)
    assert rig.point.state == "B1"
    assert rig.world.lock_at == 0.0


def test_a_refused_acknowledgement_changes_nothing() -> None:
    rig = Rig().run(3.0)
    assert rig.point.acknowledge("residual-current", rig.now)
    assert rig.point.contactor.may_close_at() < rig.now
    assert not rig.point.self_tests.due


def test_readings_of_a_converter_that_lies_are_not_believed() -> None:
    rig = Rig().charging()
    rig.world.reference_v, rig.world.high_v, rig.world.pp_ohm = 1.0, 12.0, 1e9
    rig.run(0.02)
    assert rig.point.state == "C2" and rig.out.contactor
    rig.world.reference_v, rig.world.high_v, rig.world.pp_ohm = 2.5, None, None
    rig.run(1.0)
    assert rig.out.contactor and rig.faults == set()


def test_a_fault_that_waits_for_the_unplug_waits_on_a_tethered_point_too() -> None:
    rig = Rig(socket=False).run(3.0).permit()
    rig.world.diode = False
    rig.plug(cable=0, pilot="C").run(1.0)
    rig.world.diode = True
    rig.run(60.0)
    assert rig.faults == {"diode"}
    rig.unplug().run(0.1)
    assert rig.faults == set()


def test_a_release_is_not_done_because_the_car_end_was_pulled() -> None:
    rig = Rig().charging()
    rig.permission = None
    rig.world.lock_moves = False
    rig.point.request_unlock()
    rig.run(0.1)
    rig.world.pilot = "B"
    rig.run(0.1)
    rig.world.pilot = "A"
    rig.run(1.0)
    assert rig.point.unlock_wanted
    rig.unplug().run(0.1)
    assert not rig.point.unlock_wanted


def test_the_next_plug_in_has_its_own_recoveries() -> None:
    rig = Rig().run(3.0).permit()
    for _ in range(2):
        raised = 0
        rig.plug().run(1.0)
        for _ in range(3):
            rig.borne(door_open=True)
            rig.world.pe_ok = False
            rig.run(0.1)
            raised += "pe-lost" in rig.faults
            rig.borne(door_open=False)
            rig.world.pe_ok = True
            rig.run(6.0)
            assert rig.faults == set()
        rig.unplug().run(2.0)
        assert raised == 3


def passes_until_open(rig: Rig, values: list[float], name: str = "high_v", most: int = 20) -> int:
    """Passes with these values in turn until the contactor opens."""
    for number in range(most):
        setattr(rig.world, name, values[number % len(values)])
        rig.step()
        if not rig.out.contactor:
            return number + 1
    raise AssertionError(f"still closed after {most} passes")


@pytest.mark.parametrize("values", [[10.6, 10.7], [1.4, 1.6], [9.0, 12.0], [3.0, 0.0, 9.0]])
def test_a_pilot_that_stands_between_two_other_bands_holds_no_charge(values: list[float]) -> None:
    assert passes_until_open(Rig().charging(), values) <= 3


@pytest.mark.parametrize("other", [9.0, 12.0])
def test_a_pilot_that_is_c_only_every_other_time_is_opened_within_a_tenth_of_a_second(other: float) -> None:
    assert passes_until_open(Rig().charging(), [other, 6.0]) <= 10


@pytest.mark.parametrize("values", [[12.0, 6.0], [9.0, 12.0], [0.0, 12.0]])
def test_a_pilot_that_chatters_does_not_make_the_car_leave(values: list[float]) -> None:
    rig = Rig().charging()
    seen = set()
    for number in range(100):
        rig.world.high_v = values[number % 2]
        rig.step()
        seen.add(rig.point.pilot.band)
    assert not rig.out.contactor
    assert Band.A not in seen and rig.point.car and rig.point.plug_count == 1
    rig.world.high_v = 12.0
    rig.run(0.02)
    assert rig.point.pilot.band is Band.A


def test_single_spoilt_results_of_the_pilot_open_nothing() -> None:
    rig = Rig().charging()
    for number in range(300):
        rig.world.high_v = 9.0 if number % 3 == 0 else 6.0
        rig.step()
    assert rig.out.contactor


@pytest.mark.parametrize("values", [[1500.0, 680.0], [1e9, 30.0, 1500.0]])
def test_a_proximity_contact_between_two_other_codings_is_not_the_cable(values: list[float]) -> None:
    rig = Rig().charging()
    assert passes_until_open(rig, values, "pp_ohm") <= 3
    assert rig.faults & {"pp-changed", "pp-open", "pp-short"}


def test_a_contact_that_bounces_while_the_plug_goes_in_is_no_fault() -> None:
    rig = Rig().run(3.0).permit().plug(cable=13, pilot="C").run(0.05)
    rig.world.cable = 0
    rig.run(0.1)
    rig.world.cable = 32
    rig.until(lambda: rig.point.contactor.confirmed, 6.0)  # the offer has changed: 5 s to the next
    assert rig.faults == set()
    assert rig.point.proximity.cable_a == 32


def test_a_cable_that_changes_when_the_plug_has_long_been_in_is_a_fault() -> None:
    rig = Rig().run(3.0).plug(cable=13).run(0.6)
    rig.world.cable = 32
    rig.run(0.05)
    assert rig.faults == {"pp-changed"}


def test_one_wrong_reading_of_the_lock_ends_no_charge() -> None:
    rig = Rig().charging()
    rig.world.lock_at = 0.5
    rig.run(0.07)  # what one reading of a slow input lasts in the inputs, and a little
    rig.world.lock_at = 1.0
    rig.run(1.0)
    assert rig.out.contactor and rig.faults == set()
    rig.world.lock_at = 0.5
    rig.run(0.08)
    assert not rig.out.contactor and rig.faults == {"lock-opens"}


def test_a_board_of_which_a_part_is_missing_opens_at_once_and_says_which() -> None:
    rig = Rig().charging()
    rig.borne(missing="lock_is_closed_1")
    rig.step()
    assert not rig.out.contactor
    assert rig.point.faults.active["board-mismatch"].detail == "no answer from lock_is_closed_1"
    rig.borne(missing="")
    rig.run(29.0)
    assert "board-mismatch" in rig.faults
    rig.run(1.5)
    assert rig.faults == set()


def test_a_free_point_notices_a_board_of_which_a_part_is_missing() -> None:
    rig = Rig().run(5.0)
    rig.borne(missing="door")
    rig.step()
    assert rig.faults == {"board-mismatch"}


@pytest.mark.parametrize(
    ("mirror", "live", "words"), [(True, False, ("closed", "dead")), (False, True, ("open", "live"))]
)
def test_a_contactor_says_what_its_feedback_told(mirror: bool, live: bool, words: tuple[str, str]) -> None:
    told = f"mirror contact {words[0]}, load side {words[1]}"
    dropped = closed()
    for tick in range(12):
        dropped.step(5.0 + tick / 100, False, mirror, live)
    assert dropped.trouble is Trouble.DROPS and dropped.detail == told
    stuck, now = quiet(), 1.0
    while stuck.trouble is Trouble.NONE:
        stuck.step(now, True, mirror and stuck.commanded, live and stuck.commanded)
        now += 0.01
        assert now < 30.0
    assert stuck.trouble is Trouble.STUCK_OPEN and stuck.detail == f"{told} after 2 tries"


def test_a_weld_that_is_acknowledged_asks_for_no_new_test_of_the_residual_current_devices() -> None:
    rig = Rig().run(5.0)
    rig.world.welded = True
    rig.run(1.5)
    rig.world.welded = False
    rig.run(65.0)
    assert rig.faults == {"contactor-welded"} and not rig.point.self_tests.due
    assert rig.point.acknowledge("contactor-welded", rig.now) == ""
    assert not rig.point.self_tests.due
