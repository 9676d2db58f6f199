"""Devices that come later than the program, and those that do not come."""

import shutil
from pathlib import Path

import pytest

from chargepoint.board.patience import PATIENCE_S, patiently
from chargepoint.board.pins import load_pins
from chargepoint.board.pwm import PwmChannel, PwmError
from chargepoint.board.raspberry_pi import GpioBoard
from chargepoint.board.simulated import SimulatedHardware
from chargepoint.config import BoardSection, Config, EvseSection, StationSection, SupplySection


def test_what_does_not_come_is_told_after_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("chargepoint.board.patience.time.sleep", waited.append)

    def missing() -> None:
        raise PwmError("there is none")

    with pytest.raises(PwmError, match="there is none"):
        patiently(missing)
    assert sum(waited) == pytest.approx(PATIENCE_S)


def test_a_pilots_channel_that_udev_has_not_given_yet_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From its export until then it is root's."""
    config = Config(
        station=StationSection(id="T", run_dir=tmp_path),
        supply=SupplySection(max_current=32),
        board=BoardSection(kind="simulated"),
        evse=(EvseSection(id=1, max_current=32),),
    )
    pins = load_pins(config)
    hardware = SimulatedHardware(tmp_path, pins)
    chip = hardware.pwm_root / "pwmchip0"
    shutil.rmtree(chip / "pwm0")
    (chip / "export").write_text("")

    def given(seconds: float) -> None:
        shutil.copytree(chip / "pwm1", chip / "pwm0")

    monkeypatch.setattr("chargepoint.board.patience.time.sleep", given)
    GpioBoard(config.evse, pins, hardware).close()
    assert (chip / "export").read_text() == "0\n"
    PwmChannel(chip, 0).close()
