"""The electrical model alone, in its own time: a sound charge, and what each fault does to what can be measured."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargepoint.sim.car import Car, offered_a, pilot_levels
from chargepoint.sim.electrics import Borne, PointSetup, Refused
from chargepoint.sim.fault_names import BORNE_FAULTS, POINT_FAULTS
from chargepoint.sim.parts import PeakDetector

STEP_S = 0.002


class Stage:
    """A borne of one point and a clock."""

    def __init__(self, **setup: object) -> None:
        self.borne = Borne([PointSetup(1, **setup)])  # type: ignore[arg-type]
        self.point = self.borne.points[1]
        self.now = 0.0
        self.beating = True
        self.beat_at = 0.0
        self.run(0.01)

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end - 1e-9:
            self.now += STEP_S
            self.beat_at = self.now if self.beating else self.beat_at
            self.borne.advance(self.now, self.beat_at)

    def until(self, holds: Callable[[], bool], within: float) -> float:
        """Seconds until it held."""
        start = self.now
        while not holds():
            assert self.now - start < within, "it never held"
            self.run(STEP_S)
        return self.now - start

    def charging(self, **car: object) -> "Stage":
        point = self.point
        point.plug(32, Car(**car))  # type: ignore[arg-type]
        point.commands.duty = 53.3
        if point.setup.socket:
            point.commands.lock = 1
            self.until(lambda: point.lock.is_closed, 1)
            point.commands.lock = 0
        self.until(lambda: point.state in "CD", 2)
        point.commands.contactor = True
        self.run(2.0)
        return self

    def fault(self, name: str, on: bool = True) -> None:
        self.point.set_fault(name, on)


def test_a_sound_car_follows_the_offer_within_five_seconds() -> None:
    stage = Stage().charging()
    assert stage.point.current_a == (pytest.approx(31.98), pytest.approx(31.98), pytest.approx(31.98))
    stage.point.commands.duty = 20.0
    assert stage.until(lambda: stage.point.current_a[0] <= 12.01, 5) < 5


def test_a_car_never_draws_more_than_its_cable_of_phases() -> None:
    stage = Stage().charging(phases=1, max_current=16)
    assert stage.point.current_a == (pytest.approx(16), 0, 0)
    assert Stage(phases=1).charging().point.current_a[1:] == (0, 0)


@given(st.floats(0, 100))
def test_a_car_reads_the_duty_as_table_a8_says(duty: float) -> None:
    amps = offered_a(duty)
    assert amps == 0 or 6 <= amps <= 80
    if duty < 8 or duty > 97:
        assert amps == 0


@pytest.mark.parametrize(("duty", "amps"), [(5, 0), (8, 6), (10, 6), (26.7, 16.02), (53.3, 31.98), (85, 51), (96, 80)])
def test_known_duties(duty: float, amps: float) -> None:
    assert offered_a(duty) == pytest.approx(amps)


def test_a_stopped_car_drops_its_current_and_opens_s2_within_three_seconds() -> None:
    stage = Stage().charging()
    stage.point.commands.duty = 100.0
    assert stage.until(lambda: stage.point.state == "B", 3) < 3
    assert stage.point.current_a == (0, 0, 0)


def test_energy_is_power_times_time() -> None:
    stage = Stage().charging()
    before = stage.point.energy_wh
    stage.run(3.6)
    assert stage.point.energy_wh - before == pytest.approx(stage.point.power_w / 1000, rel=0.01)


def test_speed_multiplies_energy_only() -> None:
    stage = Stage().charging()
    stage.borne.speed = 1000
    before = stage.point.energy_wh
    stage.run(3.6)
    assert stage.point.energy_wh - before == pytest.approx(stage.point.power_w, rel=0.01)


def test_the_register_shows_whole_watt_hours() -> None:
    stage = Stage()
    stage.point.energy_wh = 73.9
    assert stage.point.register_wh == 73


def test_phase_rotation_maps_the_sockets_phases_to_the_supplys() -> None:
    stage = Stage(rotation="STR").charging(phases=1, max_current=10)
    assert stage.point.current_a == (pytest.approx(10), 0, 0)
    assert stage.point.supply_current_a == (0, pytest.approx(10), 0)


@pytest.mark.parametrize(
    ("duty", "load", "diode", "levels"),
    [
        (100, None, True, (12, 12)),
        (0, None, True, (-12, -12)),
        (50, None, True, (12, -12)),
        (50, 2740, True, (9, -12)),
        (50, 882, True, (6, -12)),
        (50, 246, True, (3, -12)),
        (50, 2740, False, (8.8, -8.8)),
        (0, 2740, True, (-12, -12)),
    ],
)
def test_the_pilots_levels(duty: float, load: float | None, diode: bool, levels: tuple[float, float]) -> None:
    assert pilot_levels(duty, load, diode) == (pytest.approx(levels[0], abs=0.1), pytest.approx(levels[1], abs=0.1))


def test_a_peak_detector_rises_at_once_and_lets_go_slowly() -> None:
    detector = PeakDetector(False, 6.0)
    detector.advance(0.001, 9.0)
    assert detector.value > 8.8
    detector.advance(0.003, 0.0)
    assert 2.5 < detector.value < 4.0


def test_the_coils_drop_400_ms_after_the_last_heartbeat() -> None:
    stage = Stage().charging()
    stage.beating = False
    assert 0.4 <= stage.until(lambda: not stage.point.contactor.closed, 1) < 0.45


def test_the_lock_takes_its_time_and_shows_neither_end_on_its_way() -> None:
    stage = Stage()
    stage.point.plug(32, Car())
    stage.point.commands.lock = 1
    stage.run(0.1)
    assert not stage.point.lock.is_open and not stage.point.lock.is_closed
    assert 0.2 < stage.until(lambda: stage.point.lock.is_closed, 1) < 0.5


def test_a_locked_plug_is_not_given_away() -> None:
    stage = Stage().charging()
    with pytest.raises(Refused, match="lock holds"):
        stage.point.unplug("socket", False)
    stage.point.unplug("socket", True)
    stage.run(0.02)
    assert (stage.point.state, stage.point.cable) == ("A", None)


def test_a_tethered_point_has_neither_lock_nor_proximity_contact() -> None:
    stage = Stage(socket=False).charging()
    assert math.isinf(stage.point.pp_ohm)
    stage.point.unplug("socket", False)
    stage.until(lambda: stage.point.state == "A", 1)


# --- the faults ------------------------------------------------------------------------------------------


def test_diode() -> None:
    stage = Stage().charging()
    stage.fault("diode")
    stage.run(0.05)
    assert stage.point.low.value == pytest.approx(-stage.point.high.value, abs=0.1)


def test_pilot_short() -> None:
    stage = Stage().charging()
    stage.fault("pilot-short")
    stage.run(0.05)
    assert abs(stage.point.high.value) < 1 and abs(stage.point.low.value) < 1
    assert stage.point.state == "E"


@pytest.mark.parametrize("plugged", [True, False])
def test_pilot_voltage(plugged: bool) -> None:
    stage = Stage().charging() if plugged else Stage()
    stage.fault("pilot-voltage")
    stage.run(0.05)
    assert stage.point.high.value > 13


def test_pp_open_and_pp_short() -> None:
    stage = Stage().charging()
    assert stage.point.pp_ohm == 220
    stage.fault("pp-open")
    assert math.isinf(stage.point.pp_ohm)
    stage.fault("pp-short")
    assert stage.point.pp_ohm == 0


def test_pe_lost() -> None:
    stage = Stage().charging()
    stage.fault("pe-lost")
    stage.run(0.05)
    assert (stage.point.pe_ok, stage.point.state) == (False, "A")


@pytest.mark.parametrize(
    ("name", "attribute"), [("residual-current", "rcd_tripped"), ("residual-current-dc", "rdc_tripped")]
)
def test_residual_current(name: str, attribute: str) -> None:
    stage = Stage().charging()
    assert not getattr(stage.point, attribute)
    stage.fault(name)
    assert getattr(stage.point, attribute)
    stage.fault(name, False)
    assert not getattr(stage.point, attribute)


def test_the_residual_current_devices_answer_their_test_unless_it_fails() -> None:
    stage = Stage()
    point = stage.point
    point.commands.rcd_test = True
    assert stage.until(lambda: point.rcd_tripped and point.rdc_tripped, 0.15) < 0.15
    point.commands.rcd_test = False
    stage.until(lambda: not point.rcd_tripped, 0.3)
    stage.fault("rcd-test-fails")
    point.commands.rcd_test = True
    stage.run(0.5)
    assert not point.rcd_tripped and not point.rdc_tripped


def test_contactor_welded() -> None:
    stage = Stage().charging()
    stage.fault("contactor-welded")
    stage.point.commands.contactor = False
    stage.run(1.0)
    assert stage.point.contactor.closed and stage.point.load_live
    stage.fault("contactor-welded", False)
    stage.until(lambda: not stage.point.contactor.closed, 0.1)


def test_contactor_stuck_open() -> None:
    stage = Stage()
    stage.fault("contactor-stuck-open")
    stage.charging()
    assert not stage.point.contactor.closed and stage.point.current_a == (0, 0, 0)


def test_contactor_drops() -> None:
    stage = Stage().charging()
    stage.fault("contactor-drops")
    stage.run(0.1)
    assert not stage.point.contactor.closed and stage.point.commands.contactor


def test_lock_jam() -> None:
    stage = Stage()
    stage.fault("lock-jam")
    stage.point.plug(32, Car())
    stage.point.commands.lock = 1
    stage.run(2)
    assert not stage.point.lock.is_closed


def test_lock_stuck() -> None:
    stage = Stage().charging()
    stage.fault("lock-stuck")
    stage.point.commands.lock = -1
    stage.run(2)
    assert stage.point.lock.is_closed


def test_lock_opens() -> None:
    stage = Stage().charging()
    stage.fault("lock-opens")
    stage.until(lambda: stage.point.lock.is_open, 1)


def test_over_temperature() -> None:
    stage = Stage()
    stage.fault("over-temperature")
    assert stage.until(lambda: stage.point.temperature_c > 71, 10) < 5
    stage.fault("over-temperature", False)
    stage.until(lambda: stage.point.temperature_c < 62, 10)


def test_over_current() -> None:
    stage = Stage().charging(max_current=16)
    stage.fault("over-current")
    stage.run(2)
    assert stage.point.current_a[0] > 1.1 * 32 + 0.5


@pytest.mark.parametrize(
    ("name", "volts"),
    [("over-voltage", (270, 270, 270)), ("under-voltage", (180, 180, 180)), ("phase-lost", (230, 230, 0))],
)
def test_voltages(name: str, volts: tuple[float, float, float]) -> None:
    stage = Stage().charging()
    stage.fault(name)
    assert stage.point.voltage_v == volts
    stage.run(0.01)
    assert (stage.point.current_a[2] == 0) == (name == "phase-lost")


def test_the_lost_phase_of_a_single_phase_point_is_its_only_one() -> None:
    stage = Stage(phases=1).charging()
    stage.fault("phase-lost")
    assert stage.point.voltage_v == (0, 0, 0)
    assert not stage.point.load_live


@pytest.mark.parametrize("duty", [0.0, 26.7, 53.3, 96.0, 100.0])
def test_pwm_wrong(duty: float) -> None:
    stage = Stage()
    stage.point.commands.duty = duty
    stage.fault("pwm-wrong")
    stage.run(0.01)
    assert abs(stage.point.generator_duty - duty) > 10


def test_cable_cut() -> None:
    stage = Stage().charging()
    stage.fault("cable-cut")
    stage.run(0.01)
    assert (stage.point.state, stage.point.pp_ohm, stage.point.current_a) == ("A", 220, (0, 0, 0))


def test_emergency_stop_and_door() -> None:
    stage = Stage()
    assert not stage.borne.emergency_stop and not stage.borne.door_open
    stage.borne.faults |= {"emergency-stop", "door-open"}
    assert stage.borne.emergency_stop and stage.borne.door_open


def test_pp_changed() -> None:
    stage = Stage().charging()
    stage.fault("pp-changed")
    assert stage.point.pp_ohm == 1500


def test_temperature_sensor() -> None:
    stage = Stage()
    assert stage.point.sensor_c == 20
    stage.fault("temperature-sensor")
    assert stage.point.sensor_c == -math.inf


def test_domestic_socket_and_its_welded_contactor() -> None:
    stage = Stage(rotation="STR", domestic_phase="R")
    stage.point.plug_domestic(8.0)
    stage.point.commands.domestic_contactor = True
    stage.run(0.1)
    assert stage.point.current_a == (0, 0, 8) and stage.point.supply_current_a == (8, 0, 0)
    stage.run(1.0)
    assert stage.point.energy_wh == pytest.approx(8 * 230 / 3600, rel=0.1)
    with pytest.raises(Refused, match="already"):
        stage.point.plug_domestic(8.0)
    stage.fault("domestic-welded")
    stage.point.commands.domestic_contactor = False
    stage.run(0.1)
    assert stage.point.domestic_contactor.closed
    stage.point.unplug_domestic()
    assert stage.point.current_a == (0, 0, 0)


def test_a_point_without_a_domestic_socket_has_none() -> None:
    with pytest.raises(Refused, match="no domestic socket"):
        Stage().point.plug_domestic(8.0)


def test_coil_watchdog() -> None:
    stage = Stage().charging()
    stage.borne.faults.add("coil-watchdog")
    stage.until(lambda: not stage.point.contactor.closed, 0.1)
    assert not stage.borne.coils_armed


def test_a_coil_watchdog_that_is_stuck_holds_the_coils_without_a_heartbeat() -> None:
    stage = Stage().charging()
    stage.borne.faults.add("coil-watchdog-stuck")
    stage.borne.advance(stage.now + 1.0, stage.now)
    assert stage.borne.coils_armed and stage.point.contactor.closed
    stage.borne.faults.clear()
    stage.borne.advance(stage.now + 1.1, stage.now)
    assert not stage.borne.coils_armed


def test_the_documented_faults_are_all_here() -> None:
    per_point = (
        "diode pilot-short pilot-voltage pp-open pp-short pe-lost residual-current residual-current-dc rcd-test-fails "
        "contactor-welded contactor-stuck-open contactor-drops lock-jam lock-stuck lock-opens over-temperature "
        "over-current over-voltage under-voltage phase-lost pwm-wrong meter-silent meter-noise cable-cut"
    )
    assert set(POINT_FAULTS) >= set(per_point.split())
    borne = "adc-silent reader-silent reader-noise tic-silent emergency-stop door-open"
    assert set(BORNE_FAULTS) >= set(borne.split())
