"""`chargepoint check` reads the very pin map that the board is made from, and prints each of its mistakes on a line."""

from pathlib import Path

import pytest

from chargepoint.console import check

BORNE = """
[station]
id = "X"
[supply]
max_current = 52
[board]
kind = "raspberry-pi"
[[evse]]
id = 1
max_current = 32
[evse.domestic]
[[evse]]
id = 2
max_current = 32
[evse.domestic]
"""


def said(tmp_path: Path, capsys: pytest.CaptureFixture[str], more: str = "") -> tuple[int, str]:
    file = tmp_path / "c.toml"
    file.write_text(BORNE + more, encoding="utf-8")
    return check.run(file), capsys.readouterr().err


def test_the_reference_carrier_has_no_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(tmp_path, capsys) == (0, "")


@pytest.mark.parametrize(
    ("pins", "mistake"),
    [
        ('contactor_1 = "GPIO17"', "GPIO17 is used by contactor_1 and contactor_2"),
        ('door = "GPIO3"', "board.pins.door: GPIO3 belongs to the I2C bus"),
        ('contactor_1 = "GPIO4"', "board.pins.contactor_1: GPIO4 is pulled up until the kernel runs"),
        ('pilot_2 = "GPIO5"', "board.pins.pilot_2: GPIO5 has no hardware PWM"),
        ('rcd_1 = "EXP30"', "board.pins.rcd_1: EXP30 is behind an expander"),
        ('door = "EXP31"', "board.pins.door: EXP31 can only be an output"),
        ('door = "EXP30"', "board.pins.door: EXP30 has no pull on the carrier"),
        ('contactor_1 = "GPIO14"', "board.pins.contactor_1: GPIO14 is held up on the carrier"),
    ],
)
def test_double_use_a_wrong_function_and_a_missing_pull_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pins: str, mistake: str
) -> None:
    status, text = said(tmp_path, capsys, f"[board.pins]\n{pins}\n")
    assert status == 2 and any(line.strip().startswith(mistake) for line in text.splitlines()), text


def test_every_mistake_has_a_line_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, text = said(tmp_path, capsys, '[board.pins]\npilot_2 = "GPIO5"\nrcd_1 = "EXP30"\n')
    assert status == 2 and "2 mistakes" in text and len(text.strip().splitlines()) == 3
