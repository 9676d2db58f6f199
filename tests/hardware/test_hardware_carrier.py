"""The carrier board contradicts neither itself nor the software's pin map."""

import csv
import re
import tomllib

import pytest
from hardware.carrier import netlist
from hardware.spice import values

from chargepoint.board.pins import parse_line


def rows(name: str) -> list[dict[str, str]]:
    with (netlist.HERE / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_electrical_rules_hold() -> None:
    assert netlist.mistakes(netlist.board()) == []


def test_the_committed_files_are_those_the_blocks_make() -> None:
    placed = netlist.board()
    assert (netlist.HERE / "netlist.txt").read_text(encoding="utf-8") == netlist.netlist_text(placed)
    assert rows("bom.csv") == netlist.bill(placed)
    assert rows("pins.csv") == netlist.line_states(placed)


def test_every_signal_of_the_software_has_a_line_and_a_resting_level() -> None:
    known = {row["signal"]: row for row in rows("pins.csv")}
    for signal in netlist.pin_map():
        assert known[signal]["until_the_software_runs"]
        assert "kohm" in known[signal]["pull"]


def test_a_contactor_takes_three_agreements_to_pull_in() -> None:
    nets = netlist.nets(netlist.board())
    for point in netlist.POINTS:
        assert (f"U_AND_{point}", "A") in nets[f"pilot_ok_{point}"]
        assert (f"U_AND_{point}", "B") in nets["WD_OK"]
        assert (f"U_HS_{point}", "IN") in nets[f"coil_on_{point}"]
        assert (f"Q_CON_{point}", "G") in nets[f"contactor_{point}"]
        assert set(nets[f"coil_p_{point}"]) == {(f"U_HS_{point}", "OUT"), (f"J_COIL_{point}", "1")}


def test_the_parts_on_the_board_have_the_simulated_values() -> None:
    limits = values.limits()
    wanted = {
        "R_CP_1": limits["pilot"]["R_CP"][1],
        "R_BLEED_1": limits["detector"]["R_BLEED"][1],
        "R_HI_1": limits["detector"]["R_ATTACK"][1],
        "R_KEEP_1": limits["detector"]["R_KEEP"][1],
        "R_RISE_1": limits["detector"]["R_RISE"][1],
        "R_A_1": limits["divider"]["R_A"][1],
        "R11": limits["watchdog"]["R_T"][1],
        "R_F_1": limits["interlock"]["R_FILTER"][1],
    }
    fitted = {part.ref: part.part.name for part in netlist.board()}
    for ref, ohm in wanted.items():
        assert ohms(fitted[ref]) == pytest.approx(ohm, rel=0.001), ref
    split = ohms(fitted["R_B1_1"]) + ohms(fitted["R_B2_1"]), ohms(fitted["R_C1_1"]) + ohms(fitted["R_C2_1"])
    assert split == pytest.approx((limits["divider"]["R_B"][1], limits["divider"]["R_C"][1]))


def ohms(name: str) -> float:
    """`R_1k82_01` is 1820 ohm."""
    text = name.split("_")[1]
    for letter, factor in (("k", 1e3), ("M", 1e6), ("R", 1.0)):
        if letter in text:
            whole, part = text.split(letter)
            return float(f"{whole}.{part or 0}") * factor
    return float(text)


def test_a_line_used_twice_is_named_with_both_signals() -> None:
    library = netlist.parts()
    lines = {**netlist.pin_map(), "door": "GPIO16"}
    with pytest.raises(netlist.BoardError, match=r"GPIO16 is used by .*(door|contactor_1)"):
        netlist._lines(library, lines)


def test_a_missing_pull_is_found() -> None:
    placed = [part for part in netlist.board() if part.ref != "R_CON_1"]
    assert any("contactor_1 on GPIO16 has no resistor" in text for text in netlist.mistakes(placed))


def test_a_pin_left_without_a_net_is_found() -> None:
    placed = [part for part in netlist.board() if part.ref != "R_CP_1"]
    assert any(text.startswith("net ") for text in netlist.mistakes([p for p in placed if p.ref != "U_DRV_1"]))


def test_the_sheets_are_those_the_netlist_draws() -> None:
    pytest.importorskip("schemdraw", reason="schemdraw is not installed (dependency group hardware)")
    from hardware.carrier import draw

    drawn = {path.name for path in draw.SHEETS.glob("*.svg")}
    made = draw.sheets()
    assert drawn == set(made)
    for name, text in made.items():
        assert (draw.SHEETS / name).read_text(encoding="utf-8") == text, f"{name}: run python -m hardware.carrier.draw"


def test_outputs_stay_off_the_lines_that_are_pulled_up_at_boot() -> None:
    for signal, text in netlist.pin_map().items():
        if signal.startswith(("contactor", "heartbeat", "pilot")):
            assert parse_line(text).offset > 8


def test_every_part_number_that_was_checked_is_on_the_board() -> None:
    checked = tomllib.loads((netlist.HERE / "checked.toml").read_text(encoding="utf-8"))
    assert set(checked) <= {row["part_number"] for row in rows("bom.csv")}
    for number, how in checked.items():
        assert how.split(":")[0].split()[0] in netlist.CHECKED, number


def test_the_parts_that_safety_rests_on_were_seen_in_public_documents() -> None:
    blocks = {"watchdog", "interlock", "residual", "inputs", "adc"}
    safety = {part.part.mpn for part in netlist.board() if part.block in blocks and part.part.kind != "two"}
    safety |= {
        "DRV8872DDAR",
        "TPS7A3901DSCR",
        "TMR 3-2423",
        "OPA4197IPWR",
        "SFH628A-3X016",
        "THVD1450DR",
        "HC1V229M35045HA",
    }
    doubtful = {
        row["part_number"]: row["checked"]
        for row in netlist.bill(netlist.board())
        if row["part_number"] in safety and row["checked"].startswith(("no", "coded"))
    }
    assert not doubtful


def test_the_readme_counts_the_checked_numbers_as_the_bill_does() -> None:
    bill = rows("bom.csv")
    text = (netlist.HERE.parent / "README.md").read_text(encoding="utf-8")
    assert f"each of the {len(bill)} ordering codes" in text
    for word in netlist.CHECKED:
        assert re.search(rf"\(`{word}`, {sum(row['checked'].startswith(word) for row in bill)}\b", text), word


def test_a_one_way_suppressor_blocks_what_it_protects() -> None:
    for part in netlist.board():
        if part.part.name in ("D_TVS_PP", "D_TVS_24", "D_39V"):
            assert part.pins["A"] == "GND" != part.pins["K"], part.ref


def test_a_residual_current_sensor_without_power_or_with_a_broken_wire_reads_tripped() -> None:
    # Its output conducts while all is well: left alone it rises by R_RD, and the inverter makes the line low.
    nets = netlist.nets(netlist.board())
    for point in netlist.POINTS:
        assert {(f"U_RDC_{point}", "FAULT"), (f"R_RD_{point}", "1")} <= set(nets[f"rdc_oc_{point}"])
        assert (f"R_RD_{point}", "2") in nets["V3V3"]
        assert {(f"R_RDI_{point}", "2"), (f"U_RD_{point}", "A")} <= set(nets[f"rdc_ok_n_{point}"])
        assert {(f"U_RD_{point}", "Y"), (f"R_RDS_{point}", "1")} == set(nets[f"rdc_y_{point}"])


def test_the_pilot_s_rails_are_twelve_volts() -> None:
    r = {part.ref: ohms(part.part.name) for part in netlist.board() if part.ref in ("R1", "R2", "R3", "R4", "R5", "R6")}
    rails = values.limits()["rails"]
    reference = rails["reference_v"][1] * r["R6"] / (r["R5"] + r["R6"])
    assert reference * (1 + r["R1"] / r["R2"]) == pytest.approx(rails["pilot_pos_v"][1], rel=0.003)
    assert -reference * r["R3"] / r["R4"] == pytest.approx(rails["pilot_neg_v"][1], rel=0.003)


def test_no_file_of_the_board_names_a_part_twice_under_two_numbers() -> None:
    numbers = [row["part_number"] for row in rows("bom.csv")]
    assert len(numbers) == len(set(numbers))
    assert all(numbers)
