"""The Raspberry Pi's settings say what the pin map says."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hardware.carrier import netlist

from chargepoint.board.chips import EXPANDER_ADDRESSES

PI = netlist.HERE.parent / "pi"


def settings(name: str = "chargepoint.txt") -> list[str]:
    return [line for line in (PI / name).read_text(encoding="utf-8").splitlines() if line and line[0] not in "#["]


def lines_of(option: str) -> set[int]:
    found: set[int] = set()
    for line in settings():
        if line.startswith("gpio=") and line.endswith(option):
            for span in line.split("=")[1].split(","):
                first, _, last = span.partition("-")
                found |= set(range(int(first), int(last or first) + 1))
    return found


def test_every_output_of_the_header_is_low_and_every_input_without_pull() -> None:
    rows = [row for row in netlist.line_states(netlist.board()) if row["line"].startswith("GPIO")]
    outputs = {int(row["line"][4:]) for row in rows if row["kind"] in ("output", "pwm")}
    inputs = {int(row["line"][4:]) for row in rows if row["kind"] == "input"}
    assert lines_of("op,dl") == outputs
    assert lines_of("ip,pn") == inputs


def test_the_pwm_overlay_drives_the_pilots() -> None:
    overlay = next(line for line in settings() if "pwm-2chan" in line)
    wanted = [int(line[4:]) for name, line in netlist.pin_map().items() if name.startswith("pilot_")]
    assert [int(pin) for pin in re.findall(r"pin2?=(\d+)", overlay)] == wanted


def test_the_overlay_names_the_expanders_lines_as_the_pin_map_does() -> None:
    text = (PI / "chargepoint-carrier.dts").read_text(encoding="utf-8")
    chips = dict(re.findall(r"gpio@(\d+) \{.*?gpio-line-names =(.*?);", text, re.DOTALL))
    assert [f"00{address}" for address in chips] == list(EXPANDER_ADDRESSES)
    for base, names in enumerate(chips.values()):
        named = {f"EXP{base * 16 + i}": name for i, name in enumerate(re.findall(r'"(\w*)"', names)) if name}
        assert named == {
            line: signal
            for signal, line in netlist.pin_map().items()
            if line.startswith("EXP") and int(line[3:]) // 16 == base
        }


@pytest.mark.skipif(shutil.which("dtc") is None, reason="dtc is not installed (apt-get install device-tree-compiler)")
def test_the_overlay_compiles(tmp_path: Path) -> None:
    source, out = PI / "chargepoint-carrier.dts", tmp_path / "carrier.dtbo"
    done = subprocess.run(
        ["dtc", "-@", "-I", "dts", "-O", "dtb", "-o", str(out), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr, done.stderr
    assert out.stat().st_size > 500


@pytest.mark.skipif(shutil.which("udevadm") is None, reason="udevadm is not installed")
def test_the_udev_rules_are_understood() -> None:
    rules = PI / "61-chargepoint.rules"
    done = subprocess.run(["udevadm", "verify", str(rules)], capture_output=True, text=True, check=False)
    if "Unknown command" in done.stderr or "Unknown operation" in done.stderr:
        pytest.skip("this udevadm cannot verify rules (systemd 254 and later can)")
    assert done.returncode == 0, done.stderr


def test_the_udev_rules_are_read_after_those_that_look_up_what_they_ask_for() -> None:
    rules = [file.name for file in PI.glob("*.rules")]
    assert rules == ["61-chargepoint.rules"]
    assert sorted(["60-serial.rules", *rules]) == ["60-serial.rules", *rules]


def test_no_later_rule_takes_the_pins_away() -> None:
    rules = (PI / "61-chargepoint.rules").read_text(encoding="utf-8")
    pins = [line for line in rules.splitlines() if line.startswith(('SUBSYSTEM=="gpio"', 'SUBSYSTEM=="spidev"'))]
    assert len(pins) == 2
    assert all('GROUP:="chargepoint-pins", MODE:="0660"' in line for line in pins)


def test_every_serial_port_has_one_name_for_each_interface() -> None:
    rules = (PI / "61-chargepoint.rules").read_text(encoding="utf-8")
    named = re.findall(r'INTERFACE_NUM\}=="(\d+)", SYMLINK\+="([\w-]+)"', rules)
    assert dict(named) == {
        "00": "chargepoint-meters",
        "01": "chargepoint-reader",
        "02": "chargepoint-tic",
        "03": "chargepoint-console",
    }
