"""The detectors and the register of faults alone, at each of their bounds."""

from dataclasses import replace
from typing import Any

import pytest

from chargepoint.board.types import BorneInputs, PointInputs
from chargepoint.evse.register import FaultRegister
from chargepoint.evse.watch import GAP_RESULTS, CoilWatchdogWatch, ConverterWatch, DutyWatch, VoltageWatch, nominal
from chargepoint.faults import FAULTS
from chargepoint.iec61851.pilot import Band

EMPTY = PointInputs(
    cp_high_v=12.0, cp_low_v=12.0, pp_ohm=1e9, contactor_closed=False, load_live=False, lock_closed=False,
    lock_open=True, rcd_tripped=False, rdc_tripped=False, pe_ok=True, temperature_c=20.0, reference_v=2.5,
    duty_measured=100.0,
)  # fmt: skip
BORNE = BorneInputs(emergency_stop=False, door_open=False, coil_watchdog_armed=True)


def test_what_an_empty_sound_point_shows_is_nominal() -> None:
    assert nominal(EMPTY, BORNE, True)
    assert nominal(replace(EMPTY, lock_open=False, pp_ohm=220.0), BORNE, False), "a tethered point has neither"


@pytest.mark.parametrize(
    "seen",
    [
        {"cp_high_v": 11.0}, {"cp_high_v": 13.1}, {"cp_low_v": 11.0}, {"reference_v": 2.39}, {"reference_v": 2.61},
        {"temperature_c": -46.0}, {"temperature_c": 62.1}, {"duty_measured": 96.9}, {"duty_measured": 103.1},
        {"pe_ok": False}, {"rcd_tripped": True}, {"rdc_tripped": True}, {"contactor_closed": True}, {"load_live": True},
        {"lock_closed": True}, {"domestic_plug": True}, {"domestic_closed": True}, {"lock_open": False},
        {"pp_ohm": 1500.0},
    ],
)  # fmt: skip
def test_anything_else_at_the_point_is_looked_at(seen: dict[str, Any]) -> None:
    assert not nominal(replace(EMPTY, **seen), BORNE, True)


@pytest.mark.parametrize(
    "seen", [{"emergency_stop": True}, {"door_open": True}, {"coil_watchdog_armed": False}, {"missing": "bay-1"}]
)
def test_anything_else_at_the_borne_is_looked_at(seen: dict[str, Any]) -> None:
    assert not nominal(EMPTY, replace(BORNE, **seen), True)


@pytest.mark.parametrize("high_low", [(13.1, 12.0), (12.0, -13.1), (13.1, -13.1)])
def test_a_pilot_beyond_thirteen_volts_on_either_side_is_wrong_after_three_results(
    high_low: tuple[float, float],
) -> None:
    watch, seen = VoltageWatch(), replace(EMPTY, cp_high_v=high_low[0], cp_low_v=high_low[1])
    assert [watch.step(seen, Band.C, 53.0) for _ in range(4)] == [False, False, True, True]
    assert not watch.step(EMPTY, Band.C, 53.0)
    assert not watch.step(seen, Band.C, 53.0), "it counts anew"


def test_thirteen_volts_are_still_a_generators() -> None:
    watch, seen = VoltageWatch(), replace(EMPTY, cp_high_v=13.0, cp_low_v=-13.0)
    assert not any(watch.step(seen, Band.C, 53.0) for _ in range(10))


def test_a_weak_generator_is_seen_only_without_a_car_and_at_x1_after_half_a_second() -> None:
    weak = replace(EMPTY, cp_high_v=10.7)
    for band, duty in ((Band.B, 100.0), (Band.A, 53.0)):
        watch = VoltageWatch()
        assert not any(watch.step(weak, band, duty) for _ in range(2 * GAP_RESULTS))
    watch = VoltageWatch()
    told = [watch.step(weak, Band.A, 100.0) for _ in range(GAP_RESULTS + 1)]
    assert told == [False] * (GAP_RESULTS - 1) + [True, True]
    assert not watch.step(replace(weak, cp_high_v=11.0), Band.A, 100.0)
    assert not watch.step(weak, Band.A, 100.0), "it counts anew"


def test_a_converter_is_trusted_within_a_tenth_of_a_volt_and_from_the_first_sound_result_half_a_second_old() -> None:
    watch = ConverterWatch(0.0)
    assert not watch.step(2.601, 0.0) and not watch.trusted
    assert not watch.step(2.599, 0.1) and watch.trusted and not watch.settled
    assert not watch.step(2.399, 0.2) and not watch.trusted
    assert not watch.step(2.401, 0.3) and watch.trusted
    assert not watch.step(2.5, 0.7) and not watch.settled, "the wrong one began it anew"
    assert not watch.step(2.5, 0.8) and watch.settled
    assert [watch.step(0.0, 0.9) for _ in range(3)] == [False, False, True]
    assert not watch.trusted and watch.settled
    assert not watch.step(2.5, 1.0)


def test_a_converter_that_never_was_sound_is_at_fault_after_five_seconds() -> None:
    watch = ConverterWatch(0.0)
    assert not watch.step(0.0, 4.99)
    assert watch.step(0.0, 5.0) and not watch.settled


def test_a_read_back_that_was_wrong_for_a_moment_begins_anew() -> None:
    watch = DutyWatch(0.0)
    assert not watch.step(90.0, 100.0, 1.0)
    assert not watch.step(103.0, 100.0, 1.1), "three percent are within"
    assert not watch.step(97.0, 100.0, 1.15)
    assert not watch.step(90.0, 100.0, 1.25)
    assert not watch.step(90.0, 100.0, 1.44)
    assert watch.step(90.0, 100.0, 1.46)
    assert not watch.step(90.0, 53.0, 1.47), "a change has its time to settle"
    assert not watch.step(90.0, 53.0, 1.76)
    assert not watch.step(90.0, 53.0, 1.78)
    assert watch.step(90.0, 53.0, 1.99)


def test_a_coil_watchdog_that_was_armed_has_its_second_again() -> None:
    watch = CoilWatchdogWatch(0.0)
    assert not watch.step(False, 0.9)
    assert not watch.step(True, 0.95)
    assert not watch.step(False, 1.94)
    assert watch.step(False, 1.95)


# --- the register ------------------------------------------------------------------------------------------------


def test_a_fault_that_only_tells_or_derates_neither_opens_nor_stops() -> None:
    faults = FaultRegister()
    faults.set("temperature-derating", True, 0.0)
    faults.set("memory-damaged", True, 0.0)
    assert (faults.opens, faults.stops, faults.trips, faults.changes) == (False, False, 0, 2)
    faults.set("lease-ended", True, 0.0)
    assert (faults.opens, faults.stops, faults.trips, faults.changes) == (False, True, 1, 3)
    faults.set("pe-lost", True, 0.0)
    assert (faults.opens, faults.stops, faults.trips, faults.changes) == (True, True, 2, 4)


def test_the_quiet_time_runs_from_when_the_cause_was_last_there() -> None:
    faults = FaultRegister()
    faults.set("pe-lost", True, 0.0, "first")
    faults.set("pe-lost", True, 3.0, "second")
    faults.set("pe-lost", False, 4.0)
    assert faults.active["pe-lost"].detail == "first" and faults.active["pe-lost"].since == 0.0
    assert not faults.step(7.99, vacant=False) and "pe-lost" in faults.active
    assert faults.step(8.0, vacant=False) and not faults.active
    assert (faults.opens, faults.stops, faults.changes) == (False, False, 2)


def test_a_cause_that_is_there_keeps_its_fault_and_one_that_never_was_makes_none() -> None:
    faults = FaultRegister()
    faults.set("pe-lost", False, 0.0)
    assert not faults.active and not faults.changes
    faults.set("pe-lost", True, 0.0)
    assert not faults.step(1000.0, vacant=True) and faults.active


def test_only_the_end_of_a_fault_that_made_the_point_faulted_is_told() -> None:
    faults = FaultRegister()
    for name in ("temperature-derating", "over-temperature"):
        faults.set(name, True, 0.0)
        faults.set(name, False, 1.0)
    assert faults.step(2.0, vacant=False)
    faults.set("temperature-derating", True, 3.0)
    faults.set("temperature-derating", False, 4.0)
    assert not faults.step(5.0, vacant=False) and not faults.active


def recovers(faults: FaultRegister, name: str, now: float, vacant: bool = False) -> bool:
    faults.set(name, True, now)
    faults.set(name, False, now)
    faults.step(now + FAULTS[name].after_s, vacant)
    return name not in faults.active


def test_a_fault_goes_by_itself_three_times_in_one_plug_in_then_waits_for_the_unplug() -> None:
    faults = FaultRegister()
    assert [recovers(faults, "pe-lost", 100.0 * n) for n in range(4)] == [True, True, True, False]
    assert recovers(faults, "pilot-short", 500.0), "each fault has its own"
    faults.step(600.0, vacant=True)
    assert not faults.active
    faults.unplugged()
    assert [recovers(faults, "pe-lost", 1000.0 + 100.0 * n) for n in range(4)] == [True, True, True, False]


def test_a_fault_without_a_count_goes_as_often_as_it_comes() -> None:
    faults = FaultRegister()
    assert all(recovers(faults, "door-open", 100.0 * n) for n in range(10))


def test_a_fault_that_waits_for_the_unplug_or_a_technician_does_not_go_before() -> None:
    faults = FaultRegister()
    for name in ("diode", "contactor-welded"):
        faults.set(name, True, 0.0)
        faults.set(name, False, 0.0)
    faults.step(1e6, vacant=False)
    assert set(faults.active) == {"diode", "contactor-welded"}
    assert faults.step(1e6, vacant=True)
    assert set(faults.active) == {"contactor-welded"} and faults.stops


def test_what_is_latched_is_told_with_its_detail_and_comes_back_without_its_cause() -> None:
    faults = FaultRegister()
    faults.set("contactor-welded", True, 0.0, "phase 2")
    faults.set("pe-lost", True, 0.0)
    assert faults.latched() == {"contactor-welded": "phase 2"}
    after = FaultRegister()
    after.restore("contactor-welded", 0.0, "phase 2")
    after.restore("contactor-welded", 1.0, "other")
    assert after.latched() == {"contactor-welded": "phase 2"} and after.opens
    assert after.trips == 0, "it tripped before the restart, and was counted then"
    assert not after.active["contactor-welded"].present
    assert after.acknowledge("contactor-welded", vacant=True) == "" and not after.opens and after.changes == 2


@pytest.mark.parametrize(
    ("name", "present", "vacant", "refused"),
    [
        ("diode", False, True, "'diode' goes by itself when its cause does; it takes no acknowledgement"),
        ("door-open", False, True, "there is no active fault 'door-open' on this point"),
        ("contactor-welded", True, True, "the cause of 'contactor-welded' is still present: why"),
        ("contactor-welded", False, False, "a plug is in the socket: unplug first"),
    ],
)
def test_an_acknowledgement_is_refused_with_the_reason(name: str, present: bool, vacant: bool, refused: str) -> None:
    faults = FaultRegister()
    for known in ("diode", "contactor-welded"):
        faults.set(known, True, 0.0, "why")
        faults.set(known, present, 0.0)
    assert faults.acknowledge(name, vacant) == refused
    assert set(faults.active) == {"diode", "contactor-welded"}


def test_a_refusal_without_a_detail_points_at_the_point() -> None:
    faults = FaultRegister()
    faults.set("contactor-welded", True, 0.0)
    assert faults.acknowledge("contactor-welded", True).endswith("is still present: see the point")
