"""Each fault of the safety process: detected, its effect in time, and how it goes."""

import pytest
from evse_rig import Rig

from chargepoint.evse.messages import LEASE_S
from chargepoint.faults import FAULTS, Effect, Owner, Recover
from chargepoint.iec61851.timing import RECLOSE_AFTER_FAULT_S
from chargepoint.station.faultlist import GRACE_S

OPENING = {
    "residual-current": {"rcd": True},
    "residual-current-dc": {"rdc": True},
    "pe-lost": {"pe_ok": False},
}


@pytest.mark.parametrize("name", OPENING)
def test_residual_current_and_lost_earth_open_with_the_second_result(name: str) -> None:
    rig = Rig().charging()
    for field, value in OPENING[name].items():
        setattr(rig.world, field, value)
    rig.step()
    assert rig.out.contactor and rig.faults == set()
    rig.step()
    assert not rig.out.contactor
    assert rig.faults == {name}
    assert rig.out.duty == 100.0


@pytest.mark.parametrize("name", OPENING)
def test_residual_current_and_lost_earth_in_two_of_three_results_open(name: str) -> None:
    rig = Rig().charging()
    assert glitch(rig, 0.01, **OPENING[name]) == set()
    rig.run(0.1)
    before = {field: getattr(rig.world, field) for field in OPENING[name]}
    for values in (OPENING[name], before, OPENING[name]):
        assert rig.out.contactor
        for field, value in values.items():
            setattr(rig.world, field, value)
        rig.step()
    assert not rig.out.contactor and rig.faults == {name}


@pytest.mark.parametrize("name", OPENING)
@pytest.mark.parametrize("charges", [True, False])
def test_single_results_of_a_residual_current_or_a_lost_earth_are_nothing_however_many(
    name: str, charges: bool
) -> None:
    rig = Rig().charging() if charges else Rig().run(10.0)
    for _ in range(5):
        assert glitch(rig, 0.01, **OPENING[name]) == set()
        rig.run(0.05)
    assert rig.out.contactor is charges and rig.point.faults.trips == 0


@pytest.mark.parametrize("name", OPENING)
def test_no_contactor_closes_while_a_single_result_is_not_made_up_for(name: str) -> None:
    rig = Rig().run(4.0).permit().plug(pilot="C")
    before = {field: getattr(rig.world, field) for field in OPENING[name]}
    closed = 0
    for number in range(300):
        for field, value in (before if number % 3 else OPENING[name]).items():
            setattr(rig.world, field, value)
        rig.step()
        closed += rig.out.contactor and not number % 3
        if rig.out.contactor:
            break
    assert rig.out.contactor and not closed and number % 3 == 2


@pytest.mark.parametrize(("field", "name"), [("emergency_stop", "emergency-stop"), ("door_open", "door-open")])
def test_emergency_stop_and_door_open_in_the_same_pass_and_go_by_themselves(field: str, name: str) -> None:
    rig = Rig().charging()
    rig.borne(**{field: True})
    rig.step()
    assert not rig.out.contactor
    assert name in rig.faults
    rig.borne(**{field: False})
    rig.world.pilot = "B"
    rig.run(FAULTS[name].after_s + 1.0)
    assert rig.faults == set()
    rig.world.pilot = "C"
    assert 20.0 < rig.until(lambda: rig.out.contactor, 40.0) < 31.0


def test_an_emergency_stop_however_short_outlasts_every_permission_that_was_given() -> None:
    rig = Rig().charging()
    rig.borne(emergency_stop=True)
    rig.run(0.2)
    rig.borne(emergency_stop=False)
    rig.silence().run(14.0)
    assert rig.faults >= {"emergency-stop"}
    assert FAULTS["emergency-stop"].after_s > LEASE_S


def test_a_residual_current_latches_until_a_technician_acknowledges_without_a_plug() -> None:
    rig = Rig().charging()
    rig.world.rdc = True
    rig.run(0.02)
    assert "still present" in rig.point.acknowledge("residual-current-dc", rig.now)
    rig.world.rdc = False
    rig.run(60.0)
    assert "plug" in rig.point.acknowledge("residual-current-dc", rig.now)
    rig.unplug().permit(allowed=False).run(60.0)
    assert rig.faults == {"residual-current-dc"}
    assert rig.point.state == "F"
    assert rig.point.acknowledge("residual-current-dc", rig.now) == ""
    rig.run(1.0)
    assert rig.point.state == "A1"


def test_a_test_pulse_left_by_the_process_before_is_no_trip_but_a_trip_that_stays_is_one() -> None:
    rig = Rig()
    rig.world.rcd = rig.world.rdc = True
    rig.run(0.3)
    rig.world.rcd = rig.world.rdc = False
    rig.run(1.0)
    assert rig.faults == set()
    rig = Rig()
    rig.world.rdc = True
    rig.run(1.0)
    assert rig.faults == {"residual-current-dc"}


def test_devices_that_stay_tripped_for_a_while_after_their_test_have_not_seen_a_residual_current() -> None:
    rig = Rig()
    rig.until(lambda: rig.point.self_tests.rcd_output, 5.0)
    rig.world.rcd = rig.world.rdc = True
    rig.run(0.3)
    rig.world.rcd = rig.world.rdc = False
    rig.run(0.1)
    assert rig.point.faults.trips == 0 and rig.point.self_tests.in_date(rig.now)


def test_a_device_that_releases_slowly_after_a_failed_test_has_not_seen_a_residual_current() -> None:
    rig = Rig()
    rig.world.rcd_test_works = False
    asked = float("-inf")
    for _ in range(1000):
        if rig.step().rcd_test:
            asked = rig.now
        rig.world.rdc = rig.now - asked < 0.3
    assert rig.point.self_tests.rcd_failed and rig.faults == {"rcd-test-fails"}


def test_a_weld_is_seen_within_a_second_or_so_and_latches() -> None:
    rig = Rig().charging()
    rig.world.welded = True
    rig.world.pilot = "B"
    assert rig.until(lambda: "contactor-welded" in rig.faults, 3.0) < 1.2
    assert rig.point.faults.latched() == {"contactor-welded": rig.point.faults.active["contactor-welded"].detail}


def test_a_contactor_that_does_not_close_gets_one_retry() -> None:
    rig = Rig().run(1.0).permit().plug(pilot="C")
    rig.world.contactor_follows = False
    rig.until(lambda: "contactor-stuck-open" in rig.faults, 20.0)
    assert rig.point.contactor.closings == 2
    assert "mirror contact open, load side dead" in rig.point.faults.active["contactor-stuck-open"].detail
    rig.run(60.0)
    assert not rig.out.contactor
    rig.world.contactor_follows = True
    rig.unplug().run(1.0)
    assert rig.faults == set()


def test_a_car_is_charged_when_the_mains_behind_its_contactor_are_back() -> None:
    rig = Rig().charging()
    rig.world.mains = False
    rig.run(120.0)
    assert rig.faults == {"contactor-stuck-open"}
    rig.world.mains = True
    rig.until(lambda: rig.point.contactor.confirmed, 240.0)
    assert rig.faults == set() and rig.point.plug_count == 1


def test_a_contactor_that_never_closes_waits_for_the_unplug_in_the_end() -> None:
    rig = Rig().run(1.0).permit().plug(pilot="C")
    rig.world.contactor_follows = False
    rig.run(1800.0)
    closings = rig.point.contactor.closings
    rig.run(600.0)
    assert rig.faults == {"contactor-stuck-open"} and rig.point.contactor.closings == closings == 8
    rig.unplug().run(0.1)
    assert rig.faults == set(), "the next car is worth a try at once"


def test_a_session_waits_longer_for_a_contactor_than_the_contactor_for_its_next_try() -> None:
    assert FAULTS["contactor-stuck-open"].after_s + RECLOSE_AFTER_FAULT_S < GRACE_S


def test_a_contactor_that_opens_by_itself_is_not_left_commanded() -> None:
    rig = Rig().charging()
    rig.world.contactor_follows = False
    assert rig.until(lambda: not rig.out.contactor, 1.0) < 0.15
    rig.step()
    assert "contactor-drops" in rig.faults


def test_a_car_without_diode_never_gets_power() -> None:
    rig = Rig().run(1.0)
    rig.world.diode = False
    rig.permit().plug(pilot="C").run(5.0)
    assert rig.faults == {"diode"}
    assert rig.out.duty == 100.0
    assert rig.point.contactor.closings == 0
    rig.unplug().run(1.0)
    assert rig.faults == set()


def test_a_diode_that_fails_in_mid_charge_opens() -> None:
    rig = Rig().charging()
    rig.world.diode = False
    assert rig.until(lambda: not rig.out.contactor, 1.0) <= 0.12


def test_a_shorted_pilot_opens_and_is_told() -> None:
    rig = Rig().charging()
    rig.world.pilot = "E"
    assert rig.until(lambda: not rig.out.contactor, 1.0) <= 0.030
    rig.run(0.2)
    assert rig.point.state == "E"
    assert rig.faults == {"pilot-short"}


def test_a_pilot_voltage_above_the_generator_opens() -> None:
    rig = Rig().charging()
    rig.world.high_v = 14.0
    assert rig.until(lambda: not rig.out.contactor, 1.0) <= 0.06
    rig.run(0.2)
    assert "pilot-voltage" in rig.faults


def test_ventilation_is_refused_on_a_site_without() -> None:
    rig = Rig().run(1.0).permit().plug(pilot="D").run(1.0)
    assert "ventilation-required" in rig.faults
    assert not rig.out.contactor
    rig.world.pilot = "B"
    rig.run(11.0)
    assert rig.faults == set()


@pytest.mark.parametrize(("ohm", "name"), [(1e9, "pp-open"), (10.0, "pp-short"), (1500.0, "pp-changed")])
def test_proximity_faults_open_in_mid_charge(ohm: float, name: str) -> None:
    rig = Rig().charging()
    rig.world.pp_ohm = ohm
    assert rig.until(lambda: not rig.out.contactor, 1.0) <= 0.040
    assert rig.faults == {name}


def test_a_car_without_coding_resistor_gets_no_power() -> None:
    rig = Rig().run(1.0).permit().plug(cable=0).run(3.0)
    assert rig.faults == {"pp-open"}


def test_a_cut_cable_is_told_from_a_plug_torn_out() -> None:
    cut = Rig().charging()
    cut.world.pilot = "A"
    cut.run(1.5)
    assert cut.faults == {"cable-cut"}
    torn = Rig().charging()
    torn.unplug().run(1.5)
    assert torn.faults == set()


def flap(rig: Rig, times: int = 1) -> Rig:
    """The pilot's wire breaks for 0.3 s under power, and the car has its power again, if it gets any."""
    for _ in range(times):
        rig.world.pilot = "A"
        rig.run(0.3)
        rig.world.pilot = "C"
        rig.run(6.2)
    return rig


def test_a_pilot_that_breaks_under_power_again_and_again_is_a_cut_cable() -> None:
    rig = flap(Rig().charging())
    assert rig.out.contactor and rig.faults == set(), "once may be the car's doing"
    rig.world.pilot = "A"
    rig.run(0.03)
    assert not rig.out.contactor and rig.faults == {"cable-cut"}
    flap(rig, 90)
    assert rig.faults == {"cable-cut"} and rig.point.contactor.closings == 2
    rig.unplug().run(1.0)
    assert rig.faults == set()


@pytest.mark.parametrize("domestic", [False, True])
def test_a_pilot_that_breaks_once_in_each_plug_in_is_no_cut_cable(domestic: bool) -> None:
    rig = Rig(domestic=domestic)
    rig.world.domestic_plug = domestic
    for _ in range(3):
        flap(rig.charging())
        rig.world.pilot = "B"
        rig.run(0.1)
        rig.unplug().run(40.0)
    assert rig.point.faults.trips == 0 and rig.point.plug_count == 6


def test_a_silent_converter_opens() -> None:
    rig = Rig().charging()
    rig.world.reference_v = 0.0
    assert rig.until(lambda: not rig.out.contactor, 1.0) <= 0.040
    assert "adc-silent" in rig.faults


def test_a_generator_that_does_not_follow_opens() -> None:
    rig = Rig().charging()
    rig.world.duty_follows = False
    assert rig.until(lambda: not rig.out.contactor, 2.0) < 0.5
    assert "pwm-wrong" in rig.faults


def test_an_unarmed_coil_watchdog_keeps_the_point_from_charging() -> None:
    rig = Rig()
    rig.borne(coil_watchdog_armed=False)
    rig.run(2.0).permit().plug(pilot="C").run(3.0)
    assert "coil-watchdog" in rig.faults
    assert rig.point.contactor.closings == 0


def test_an_rcd_that_fails_its_test_takes_the_point_out_of_service() -> None:
    rig = Rig()
    rig.world.rcd_test_works = False
    rig.run(6.0)
    assert rig.faults == {"rcd-test-fails"}
    assert rig.point.state == "F"
    rig.permit().plug(pilot="C").run(5.0)
    assert rig.point.contactor.closings == 0


def test_temperature_derates_in_steps_and_restores_only_when_cool() -> None:
    rig = Rig().charging()
    offers = []
    for temperature in (64.9, 65.0, 68.0, 63.0, 61.9):
        rig.world.temperature_c = temperature
        rig.run(6.0)
        offers.append(rig.point.offer.current_a)
    assert offers == [32.0, 16.0, 8.0, 8.0, 32.0]


def test_too_hot_a_socket_stops_the_car() -> None:
    rig = Rig().charging()
    rig.world.temperature_c = 71.0
    rig.run(0.1)
    assert rig.out.duty == 100.0
    assert "over-temperature" in rig.faults
    rig.run(6.1)
    assert not rig.out.contactor


def test_the_wake_up_pulse_is_given_once_per_plug_in() -> None:
    rig = Rig().run(1.0).permit().plug()
    rig.until(lambda: rig.out.duty == 0.0, 35.0)
    assert rig.point.state == "F"
    assert rig.until(lambda: rig.out.duty != 0.0, 10.0) == pytest.approx(4.0, abs=0.05)
    rig.run(0.2)
    assert rig.point.state == "B2"
    assert rig.until(lambda: rig.point.state != "B2" or rig.passes > 20000, 400.0)
    assert rig.point.wake_up.count == 1
    assert rig.point.state == "B2"


def test_no_wake_up_for_a_car_that_has_drawn() -> None:
    rig = Rig().charging()
    rig.world.pilot = "B"
    rig.run(60.0)
    assert rig.point.wake_up.count == 0


def test_every_row_is_whole() -> None:
    for name, row in FAULTS.items():
        assert row.name == name
        assert row.en.endswith((".", "."))
        assert row.fr
        assert row.latching <= (row.recover is Recover.TECHNICIAN)
        if row.owner is Owner.EVSE and row.effect is Effect.OPEN:
            assert row.faulted


def test_a_front_end_that_settles_late_is_no_fault_at_the_start() -> None:
    rig = Rig()
    rig.world.reference_v = 0.0
    rig.world.high_v = -15.0
    rig.run(2.0)
    assert rig.faults == set()
    rig.world.reference_v = 2.5
    rig.run(0.3)
    rig.world.high_v = None
    rig.run(2.0)
    assert rig.faults == set()
    assert rig.point.state == "A1"


def test_a_converter_that_never_speaks_is_a_fault() -> None:
    rig = Rig()
    rig.world.reference_v = 0.0
    rig.run(5.1)
    assert rig.faults == {"adc-silent"}


def test_a_car_that_asks_for_ventilation_again_and_again_is_left_alone_until_it_leaves() -> None:
    rig = Rig().run(1.0).permit().plug()
    asked = 0
    for _ in range(8000):
        rig.world.pilot = "D" if rig.out.duty < 100 else "B"
        before = rig.faults
        rig.step()
        asked += rig.faults - before == {"ventilation-required"}
    assert asked == 4
    rig.unplug().run(11.0)
    assert rig.faults == set()


def test_an_acknowledged_test_failure_is_tested_again() -> None:
    rig = Rig()
    rig.world.rcd_test_works = False
    rig.run(6.0)
    assert rig.point.acknowledge("rcd-test-fails", rig.now) == ""
    rig.run(6.0)
    assert rig.faults == {"rcd-test-fails"}
    rig.world.rcd_test_works = True
    assert rig.point.acknowledge("rcd-test-fails", rig.now) == ""
    rig.run(6.0)
    assert rig.faults == set()
    assert rig.point.self_tests.in_date(rig.now)


def test_a_diode_missing_in_every_second_result_is_one_too() -> None:
    rig = Rig().charging()
    begun = rig.now
    while rig.out.contactor:
        rig.world.diode = not rig.world.diode
        rig.step()
        assert rig.now - begun < 0.5
    assert rig.now - begun > 0.35 and rig.faults == {"diode"}


def test_a_diode_missing_in_every_third_result_is_not_seen_as_gone() -> None:
    rig = Rig().charging()
    for number in range(300):
        rig.world.diode = bool(number % 3)
        rig.step()
    assert rig.out.contactor and rig.faults == set()


def test_a_contactor_waits_until_good_results_outweigh_the_diodes_last_bad_ones() -> None:
    rig = Rig().run(1.0).permit().plug(pilot="C")
    rig.until(lambda: rig.out.duty < 100.0, 1.0)
    begun = rig.now
    while not rig.out.contactor and rig.now - begun < 2.0:
        rig.world.diode = not rig.world.diode
        rig.step()
    assert not rig.out.contactor and rig.faults == {"diode"}


def glitch(rig: Rig, seconds: float, **world: object) -> set[str]:
    """The world is so for a while, then as before. Answers the faults that came meanwhile."""
    before = {name: getattr(rig.world, name) for name in world}
    came: set[str] = set()
    for values, passes in ((world, round(seconds * 100)), (before, 2)):
        for name, value in values.items():
            setattr(rig.world, name, value)
        for _ in range(passes):
            rig.step()
            came |= rig.faults
    return came


@pytest.mark.parametrize(
    ("name", "world"),
    [
        ("pilot-voltage", {"high_v": 14.0}), ("pilot-voltage", {"high_v": -12.0}), ("pilot-short", {"pilot": "E"}),
        ("pwm-wrong", {"duty_follows": False}), ("pp-short", {"pp_ohm": 10.0}),
        ("adc-silent", {"reference_v": 0.0}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("empty", [True, False])
def test_a_fault_of_the_pilot_or_the_front_end_goes_some_seconds_after_its_cause(
    name: str, world: dict[str, object], empty: bool
) -> None:
    rig = Rig().run(4.0)
    if not empty:
        rig.plug().run(2.0)
    assert name in glitch(rig, 1.0, **world)
    rig.run(FAULTS[name].after_s - 0.1)
    assert name in rig.faults
    rig.run(0.2)
    assert rig.faults == set()


@pytest.mark.parametrize("heals", [True, False])
def test_a_coding_that_changed_waits_for_the_unplug_whether_its_cause_goes_before_or_not(heals: bool) -> None:
    name = "pp-changed"
    rig = Rig().run(4.0).plug().run(2.0)
    rig.world.cable = 13
    rig.run(1.0)
    assert rig.faults == {name}
    if heals:
        rig.world.cable = 32
    rig.run(60.0)
    assert rig.faults == {name}
    rig.unplug().run(0.1)
    assert rig.faults == set()


def test_a_pilot_at_nothing_is_a_short_after_a_tenth_of_a_second() -> None:
    rig = Rig().run(4.0).plug().run(2.0)
    assert glitch(rig, 0.1, pilot="E") == set()
    assert glitch(rig, 0.13, pilot="E") == {"pilot-short"}


def test_a_voltage_that_no_pilot_can_have_is_no_car_that_leaves() -> None:
    rig = Rig().run(4.0).plug().run(2.0)
    assert glitch(rig, 0.5, high_v=14.0) == {"pilot-voltage"}
    assert rig.point.car and rig.point.plug_count == 1 and rig.point.state == "B1"


def test_minus_twelve_volts_that_nobody_commanded_are_told_as_a_wrong_voltage() -> None:
    rig = Rig().run(4.0).plug().run(2.0)
    assert glitch(rig, 0.05, high_v=-12.0) == {"pilot-voltage"}


def test_a_pilot_that_was_at_nothing_for_a_moment_asks_for_no_new_tests() -> None:
    rig = Rig().run(4.0)
    runs = rig.point.self_tests.runs
    assert glitch(rig, 0.05, pilot="E") == set()
    rig.run(4.0)
    assert rig.point.state == "A1" and rig.point.self_tests.runs == runs


def test_a_read_back_is_not_judged_before_the_front_end_has_settled() -> None:
    rig = Rig()
    rig.world.reference_v = 0.0
    rig.run(1.0)
    rig.world.reference_v, rig.world.duty_follows = 2.5, False
    rig.run(0.4)
    rig.world.duty_follows = True
    rig.run(1.0)
    assert rig.faults == set()


def test_a_car_end_that_is_pulled_without_power_is_no_cut_cable() -> None:
    for permission in (True, False):
        rig = Rig().run(4.0).permit(allowed=permission).plug(pilot="B" if permission else "C").run(3.0)
        assert not rig.out.contactor
        rig.world.pilot = "A"
        rig.run(3.0)
        assert rig.faults == set() and rig.point.faults.trips == 0


def test_a_plug_that_follows_within_a_second_was_torn_out_and_one_that_stays_longer_is_cut_off() -> None:
    for stays, cut in ((0.0, 0), (0.9, 0), (1.1, 1)):
        rig = Rig().charging()
        rig.world.pilot = "A"
        rig.run(stays)
        rig.unplug().run(3.0)
        assert rig.point.faults.trips == cut and rig.faults == set()


def test_a_plug_that_is_pulled_from_a_shorted_pilot_takes_its_car_with_it() -> None:
    rig = Rig().run(4.0).plug().run(2.0)
    rig.world.pilot = "E"
    rig.run(1.0)
    rig.world.cable = 13.0
    rig.run(1.0)
    assert rig.point.car and "pp-changed" in rig.faults, "another coding is no unplugging"
    rig.world.cable = 0.0
    rig.run(0.1)
    assert not rig.point.car and rig.point.vacant


def test_a_coding_that_comes_late_is_the_cables_and_the_car_is_charged() -> None:
    rig = Rig().run(4.0).permit().plug(cable=0, pilot="C").run(0.45)
    assert rig.faults == set()
    rig.run(0.25)
    assert rig.faults == {"pp-open"}
    rig.world.cable = 20
    rig.run(4.9)
    assert rig.faults == {"pp-open"} and rig.point.proximity.cable_a == 20.0
    rig.until(lambda: rig.out.contactor, 40.0)
    assert rig.faults == set() and rig.point.offer.current_a == 20.0


@pytest.mark.parametrize("before_s", [0.02, 0.2, 0.45])
def test_a_proximity_contact_that_breaks_before_the_pilot_at_unplugging_is_no_fault(before_s: float) -> None:
    rig = Rig().charging()
    rig.world.pilot = "B"
    rig.permit(allowed=False).run(2.0)
    rig.world.cable = 0.0
    rig.run(before_s)
    rig.unplug().run(1.0)
    assert rig.point.faults.trips == 0 and rig.point.vacant


def test_a_proximity_contact_that_is_gone_for_half_a_second_is_a_fault_without_power_too() -> None:
    rig = Rig().run(4.0).permit().plug().run(2.0)
    rig.world.cable = 0.0
    rig.run(0.04)
    assert rig.faults == set() and rig.out.duty == 100.0, "nothing is offered without a cable"
    rig.run(0.4)
    assert rig.faults == set()
    rig.run(0.1)
    assert rig.faults == {"pp-open"}


def test_no_contactor_closes_while_the_proximity_contact_is_gone() -> None:
    rig = Rig().run(4.0).permit().plug(pilot="C")
    rig.until(lambda: rig.point.locked, 2.0)
    rig.world.cable = 0.0
    for _ in range(45):
        assert not rig.step().contactor
    rig.world.cable = 32.0
    rig.until(lambda: rig.out.contactor, 6.0)  # the offer has changed: 5 s to the next
    assert rig.point.faults.trips == 0


def test_a_proximity_contact_that_keeps_breaking_waits_for_the_unplug_in_the_end() -> None:
    rig = Rig().run(4.0).permit().plug().run(2.0)
    for number in range(4):
        rig.world.cable = 0.0
        rig.run(1.0)
        rig.world.cable = 32.0
        rig.run(6.0)
        assert rig.faults == (set() if number < 3 else {"pp-open"})
    rig.unplug().run(6.0)
    assert rig.faults == set()


def test_faults_of_an_empty_socket_are_not_counted_against_the_next_plug_in() -> None:
    rig = Rig().run(4.0)
    for _ in range(4):
        rig.world.pe_ok = False
        rig.run(0.5)
        rig.world.pe_ok = True
        rig.run(6.0)
        assert rig.faults == set()
    rig.plug().run(1.0)
    rig.world.pe_ok = False
    rig.run(0.5)
    rig.world.pe_ok = True
    rig.run(6.0)
    assert rig.faults == set()
