"""The simulated circuit and the software's limits agree."""

import csv
import math

import pytest
from hardware.carrier import netlist
from hardware.spice import car, deck, drops, engine, margins, tables, values

from chargepoint.board import frontend
from chargepoint.evse.lateness import OVERRUN_S, PERIOD_S
from chargepoint.evse.watch import DUTY_SETTLE_S, DUTY_TOLERANCE, WATCHDOG_GRACE_S
from chargepoint.iec61851.pilot import GENERATOR_MAX_V, GENERATOR_MIN_V
from chargepoint.iec61851.proximity import CODED_OHM, Proximity, coding_of
from chargepoint.iec61851.timing import CONTACTOR_FEEDBACK_S, LOCK_MOVE_S, OPEN_LIMIT_S


def test_every_load_reads_as_its_state_from_every_other_state() -> None:
    negative = [m for m in margins.margins() if m.volts <= 0]
    assert not negative, "\n".join(f"{m.load}: {m.volts:.3f} V {m.limit}" for m in negative)


def test_a_car_without_diode_is_told_from_one_with_a_diode_by_a_volt() -> None:
    for margin in margins.margins():
        if "diode limit" in margin.limit:
            assert margin.volts > 1.0, margin


def test_every_way_out_of_state_c_reaches_the_pin_within_thirty_milliseconds() -> None:
    for row in margins.latencies():
        assert margins.reaction_s(float(row["detector_ms"])) <= margins.BUDGET_S, row


def test_the_tables_hold_every_load_and_duty() -> None:
    made = {(row["state"], row["corner"], float(row["duty"])) for row in margins.counts()}
    wanted = {
        (load.state, load.corner, duty) for load in car.loads() for duty in ((0.0,) if load.steady_low else car.DUTIES)
    }
    assert made == wanted


def test_the_duty_read_back_stays_well_within_what_the_software_tolerates() -> None:
    assert margins.duty_error() < DUTY_TOLERANCE / 2


def test_the_generator_s_mean_settles_in_the_time_the_software_grants() -> None:
    mean = values.limits()["mean"]
    source = car.parallel(mean["R_A"][2], mean["R_B"][2], mean["R_C"][2])
    slowest = source * mean["C_1"][2] + mean["R_2"][2] * mean["C_2"][2]
    # Two poles in a row: six times their sum leaves less than 1 % of the largest step.
    assert 6 * slowest < DUTY_SETTLE_S


def test_a_sound_generator_is_never_called_weak_or_too_strong() -> None:
    for row in margins.counts():
        if row["state"] == "A":
            assert frontend.pilot_v(int(row["high_max"])) < GENERATOR_MAX_V - 0.5
            assert frontend.pilot_v(int(row["high_min"])) > GENERATOR_MIN_V + 0.3
        assert frontend.pilot_v(int(row["low_min"])) > -GENERATOR_MAX_V + 0.5


def ohms(name: str) -> float:
    """`R_1k82_01` is 1820 ohm."""
    whole, part = name.split("_")[1].split("k")
    return float(f"{whole}.{part or 0}") * 1e3


@pytest.mark.parametrize("coding", list(CODED_OHM))
def test_a_cable_is_read_as_what_it_is(coding: Proximity) -> None:
    for ohm in (CODED_OHM[coding][1] * 0.97, CODED_OHM[coding][1], CODED_OHM[coding][1] * 1.03):
        for reading in margins.proximity_reading_ohm(ohm):
            assert coding_of(reading) is coding, f"{ohm:.0f} ohm reads {reading:.0f}"


def test_the_hardware_lets_go_in_time_by_itself() -> None:
    with drops.OUT.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            low, high = row["limit"].split("..")
            assert not low or float(row["least"]) >= float(low), row
            assert not high or float(row["most"]) <= float(high), row


def test_the_watchdog_s_row_holds_one_shots_that_err_wholly_to_one_side() -> None:
    with drops.OUT.open(encoding="utf-8", newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["quantity"].startswith("coil watchdog"))
    parts = values.limits()["watchdog"].values()
    least, most = (1000 * math.prod(part[side] for part in parts) for side in (0, 2))
    assert (float(row["least"]), float(row["most"])) == pytest.approx((least, most), rel=0.005)


def test_the_lock_s_worst_board_has_every_part_at_its_worse_limit() -> None:
    bounds = values.limits()
    nominal = values.nominal(bounds)["lock"]
    for board in drops.corners(bounds):
        assert board["rails"]["supply_24_v"] == bounds["rails"]["supply_24_v"][0]
        for name, value in board["lock"].items():
            assert (value < nominal[name]) == (name in drops.LESS_IS_WORSE), name


def test_the_window_of_the_interlock_lets_c_and_d_through_and_nothing_else() -> None:
    """In hardware alone: the held peak of every load against the comparators' limits, ADC errors taken for ripple."""
    low, high = values.limits()["interlock"]["low_v"], values.limits()["interlock"]["high_v"]
    for row in margins.counts():
        least, most = frontend.volt(int(row["high_min"])), frontend.volt(int(row["high_max"]))
        if row["state"] in ("C", "D"):
            assert low[2] < least and most < high[0], row
        elif row["state"] in ("A", "B"):
            assert least > high[2], row
        elif row["state"] != "C-no-diode":  # its peak is a sound C's: the diode is the software's to see
            assert most < low[0], row


def test_the_parts_of_the_window_have_its_values() -> None:
    fitted = {part.ref: part.part.name for part in netlist.board()}
    top, middle, bottom = (ohms(fitted[f"R_T{n}_1"]) for n in (1, 2, 3))
    reference = 3.3 / (top + middle + bottom)
    window = values.limits()["interlock"]
    assert reference * bottom == pytest.approx(window["low_v"][1], abs=0.001)
    assert reference * (middle + bottom) == pytest.approx(window["high_v"][1], abs=0.001)


def test_the_drop_times_fit_the_software_s_own() -> None:
    with drops.OUT.open(encoding="utf-8", newline="") as file:
        found = {row["quantity"]: (float(row["least"]), float(row["most"])) for row in csv.DictReader(file)}
    least, most = found["coil watchdog after the last heartbeat"]
    # A late pass is the software's fault before the coils drop; a fed watchdog never drops them between two edges.
    assert least > 1000 * OVERRUN_S + 1000 * PERIOD_S
    assert most < 1000 * WATCHDOG_GRACE_S
    assert least / 10 > 2 * 1000 * PERIOD_S
    release = found["contactor release, coil off to open contacts"][1]
    assert release < 1000 * CONTACTOR_FEEDBACK_S
    # The order within 30 ms and the release after it: within the 100 ms of the standard.
    assert 1000 * margins.BUDGET_S + release < 1000 * OPEN_LIMIT_S
    interlock = found["pilot leaves C/D at 10 % duty to open contacts, by the interlock alone"][1]
    assert interlock < 1000 * OPEN_LIMIT_S
    lock = values.limits()["lock"]
    assert lock["start_s"][2] + lock["travel_s"][2] < LOCK_MOVE_S


def test_the_report_names_the_worst_margin_of_every_load() -> None:
    text = margins.report()
    print(text)
    for load in car.loads():
        assert f"{load.state} {load.corner}" in text


def test_boards_are_drawn_alike_from_the_same_seed() -> None:
    bounds = values.limits()
    assert list(values.draws(bounds, 5, 7)) == list(values.draws(bounds, 5, 7))
    for board in values.draws(bounds, 20, 7):
        for section, parts in board.items():
            for name, value in parts.items():
                low, _, high = bounds[section][name]
                assert low <= value <= high


@pytest.mark.skipif(not engine.available(), reason=engine.MISSING)
@pytest.mark.parametrize("state", ["A", "B", "C", "D", "E"])
def test_a_fresh_simulation_stays_within_the_committed_counts(state: str) -> None:
    bounds = values.limits()
    board = values.nominal(bounds)
    load = next(load for load in car.loads() if load.state == state)
    got = engine.run(deck.pilot(board, load, 53.3, 0.0, tables.SETTLE_S, tables.MEASURES))
    row = next(
        row for row in margins.counts() if (row["state"], row["corner"], row["duty"]) == (state, load.corner, "53.3")
    )
    for column, node in (("high", "hi"), ("low", "lo"), ("mean", "gm")):
        for side, kind in ((-1, "min"), (1, "max")):
            count = tables.adc_counts(board, bounds, got[f"{node}_{kind}"], side)
            assert int(row[f"{column}_min"]) <= count <= int(row[f"{column}_max"])


@pytest.mark.skipif(not engine.available(), reason=engine.MISSING)
def test_ngspice_that_fails_is_named_with_its_words() -> None:
    with pytest.raises(engine.SpiceError, match="no measurement"):
        engine.run("* nothing\nR1 a 0 nonsense\n.end\n")


def test_the_readme_prints_the_margins_as_they_are() -> None:
    readme = (tables.HERE.parent / "README.md").read_text(encoding="utf-8")
    assert margins.report() in readme, "hardware/README.md: paste the output of python -m hardware.spice.margins"
