"""The pilots on a tree like /sys/class/pwm: which chip is taken, and in which order it is written."""

import os
from pathlib import Path

import pytest

from chargepoint.board.pwm import PERIOD_NS, PwmChannel, PwmError, find_chip


def tree(root: Path, chips: dict[str, str]) -> Path:
    """A class directory of chips, each with the name of its platform device."""
    for chip, device in chips.items():
        home = root / "devices" / "platform" / device / "pwm" / chip
        home.mkdir(parents=True)
        (home / "device").symlink_to(Path("..") / "..")
        (root / "class").mkdir(exist_ok=True)
        (root / "class" / chip).symlink_to(home)
    return root / "class"


def channel(chip: Path, number: int, period: int = 0, duty: int = 0) -> Path:
    home = chip / f"pwm{number}"
    home.mkdir(parents=True)
    for name, value in (("period", period), ("duty_cycle", duty), ("enable", 0)):
        (home / name).write_text(f"{value}\n")
    return home


def value(path: Path) -> int:
    return int(path.read_text().split("\n")[0])


@pytest.mark.parametrize(
    ("chips", "found", "gpio13"),
    [
        ({"pwmchip0": "fe20c000.pwm"}, "pwmchip0", 1),
        ({"pwmchip0": "fe20c800.pwm", "pwmchip1": "fe20c000.pwm"}, "pwmchip1", 1),  # 4: the other block is the audio's
        ({"pwmchip0": "107d517a80.pwm", "pwmchip2": "1f00098000.pwm"}, "pwmchip2", 1),  # 5, kernel 6.6
        ({"pwmchip0": "1f00098000.pwm", "pwmchip4": "1f0009c000.pwm"}, "pwmchip0", 1),  # 5, kernel 6.12
        ({"pwmchip0": "3f20c000.pwm"}, "pwmchip0", 1),
    ],
)
def test_the_chip_is_found_by_its_device(tmp_path: Path, chips: dict[str, str], found: str, gpio13: int) -> None:
    chip, device = find_chip(tree(tmp_path, chips))
    assert chip.name == found
    assert device.channels[13] == gpio13


def test_gpio_18_is_another_channel_on_a_raspberry_pi_5(tmp_path: Path) -> None:
    assert find_chip(tree(tmp_path / "4", {"pwmchip0": "fe20c000.pwm"}))[1].channels[18] == 0
    assert find_chip(tree(tmp_path / "5", {"pwmchip0": "1f00098000.pwm"}))[1].channels[18] == 2


def test_no_pwm_is_said_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(PwmError, match="dtoverlay=pwm-2chan"):
        find_chip(tree(tmp_path, {"pwmchip0": "somebody.elses"}))
    with pytest.raises(PwmError):
        find_chip(tmp_path / "nothing")


def test_opening_makes_the_pilot_steady_high(tmp_path: Path) -> None:
    home = channel(tmp_path, 0)
    PwmChannel(tmp_path, 0)
    assert (value(home / "period"), value(home / "duty_cycle"), value(home / "enable")) == (PERIOD_NS, PERIOD_NS, 1)


@pytest.mark.parametrize(("period", "order"), [(0, ["period", "duty_cycle"]), (20_000_000, ["duty_cycle", "period"])])
def test_the_duty_is_never_above_the_period(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, period: int, order: list[str]
) -> None:
    home = channel(tmp_path, 0, period=period)
    opened: list[str] = []
    real_open = os.open

    def watched(path: Path, flags: int) -> int:
        opened.append(Path(path).name)
        return real_open(path, flags)

    monkeypatch.setattr("chargepoint.board.pwm.os.open", watched)
    PwmChannel(tmp_path, 0)
    assert opened[:3] == [*order, "enable"]
    assert home.exists()


def test_duty_is_written_in_nanoseconds_and_only_on_change(tmp_path: Path) -> None:
    home = channel(tmp_path, 1)
    pilot = PwmChannel(tmp_path, 1)
    pilot.set_duty(53.3)
    assert value(home / "duty_cycle") == 533_000
    (home / "duty_cycle").write_text("7\n")
    pilot.set_duty(53.3)
    assert value(home / "duty_cycle") == 7
    pilot.set_duty(0)
    assert value(home / "duty_cycle") == 0


def test_closing_leaves_the_pilot_steady_high_and_running(tmp_path: Path) -> None:
    home = channel(tmp_path, 0)
    pilot = PwmChannel(tmp_path, 0)
    pilot.set_duty(26.7)
    pilot.close()
    assert value(home / "duty_cycle") == PERIOD_NS
    assert value(home / "enable") == 1


@pytest.mark.parametrize("percent", [-0.1, 100.1])
def test_a_duty_outside_its_range_is_refused(tmp_path: Path, percent: float) -> None:
    channel(tmp_path, 0)
    with pytest.raises(ValueError, match="not within"):
        PwmChannel(tmp_path, 0).set_duty(percent)


def test_a_channel_that_does_not_appear_is_said(tmp_path: Path) -> None:
    (tmp_path / "export").write_text("")
    with pytest.raises(PwmError, match="did not appear"):
        PwmChannel(tmp_path, 0)
    assert (tmp_path / "export").read_text() == "0\n"


def test_a_refused_export_is_said(tmp_path: Path) -> None:
    with pytest.raises(PwmError, match="cannot be exported"):
        PwmChannel(tmp_path / "pwmchip7", 0)
