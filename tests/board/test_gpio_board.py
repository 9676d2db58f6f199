"""The board over gpiozero devices: safe first, failing safe, and recognising a machine that is not the board."""

import time
from pathlib import Path
from typing import Any

import pytest

from chargepoint.board import make_board
from chargepoint.board.chips import BoardMismatch, find_gpio_chips
from chargepoint.board.pins import load_pins
from chargepoint.board.pwm import PwmError
from chargepoint.board.raspberry_pi import GpioBoard
from chargepoint.board.simulated import SimulatedHardware
from chargepoint.board.types import LockDrive, PointOutputs
from chargepoint.board.wires import Wires, line_index
from chargepoint.config import (
    BoardSection,
    BuzzerSection,
    Config,
    DomesticSection,
    EvseSection,
    StationSection,
    SupplySection,
)


def make_config(
    run_dir: Path, kind: Any = "simulated", pins: dict[str, str] | None = None, buzzer: bool = False
) -> Config:
    return Config(
        station=StationSection(id="T", run_dir=run_dir),
        supply=SupplySection(max_current=52),
        board=BoardSection(kind=kind, pins=pins or {}),
        evse=(
            EvseSection(id=1, max_current=32, domestic=DomesticSection()),
            EvseSection(id=2, max_current=32, socket=False),
        ),
        buzzer=BuzzerSection(enabled=buzzer),
    )


class Lines:
    """The wires by the names of their signals, and a record of what was driven."""

    def __init__(self, config: Config) -> None:
        self.pins = load_pins(config)
        self.wires = Wires(config.station.run_dir / "sim-wires")
        self.driven: list[tuple[str, int]] = []

    def level(self, name: str, point: int | None = None) -> int:
        return self.wires.levels[line_index(self.pins.line(name, point))]

    def put(self, name: str, point: int | None, level: int) -> None:
        self.wires.levels[line_index(self.pins.line(name, point))] = level

    def record(self, monkeypatch: pytest.MonkeyPatch) -> None:
        names = {
            line_index(self.pins.line(name)): name
            for name, text in self.pins.items()
            if text.startswith(("GPIO", "EXP"))
        }
        real = Wires.drive

        def drive(wires: Wires, index: int, level: int) -> None:
            self.driven.append((names[index], level))
            real(wires, index, level)

        monkeypatch.setattr(Wires, "drive", drive)


def test_a_contactor_left_on_by_a_dead_process_is_off_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(tmp_path)
    lines = Lines(config)
    for point in (1, 2):
        lines.put("contactor", point, 1)
    lines.record(monkeypatch)
    make_board(config).close()
    contactors = [step for step in lines.driven if step[0].startswith("contactor")]
    assert contactors[0] == ("contactor_1", 0)
    assert lines.driven.index(("contactor_2", 0)) <= 2
    assert all(level == 0 for _, level in contactors)


def test_outputs_are_off_and_pilots_steady_after_close(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    board = make_board(config)
    board.write_point(1, PointOutputs(contactor=True, duty=50, lock=LockDrive.CLOSE, domestic_contactor=False))
    lines = Lines(config)
    assert (lines.level("contactor", 1), lines.level("lock_close", 1)) == (1, 1)
    board.close()
    assert (lines.level("contactor", 1), lines.level("lock_close", 1)) == (0, 0)
    assert (tmp_path / "sim-pwm/pwmchip0/pwm0/duty_cycle").read_text().startswith("1000000\n")


def test_the_contactor_opens_first_and_closes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config(tmp_path)
    board = make_board(config)
    lines = Lines(config)
    lines.record(monkeypatch)
    board.write_point(1, PointOutputs(contactor=True, duty=50, lock=LockDrive.CLOSE))
    assert [name for name, _ in lines.driven][-1] == "contactor_1"
    lines.driven.clear()
    board.write_point(1, PointOutputs(duty=100, lock=LockDrive.OPEN))
    assert lines.driven == [("contactor_1", 0), ("lock_close_1", 0), ("lock_open_1", 1)]
    board.close()


def test_nothing_is_written_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config(tmp_path)
    board = make_board(config)
    lines = Lines(config)
    board.write_point(1, PointOutputs(contactor=True, duty=50))
    lines.record(monkeypatch)
    board.write_point(1, PointOutputs(contactor=True, duty=50))
    board.write_point(1, PointOutputs(contactor=True, duty=40))
    assert lines.driven == []
    board.close()


def test_output_changes_carry_the_monotonic_time(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    board = make_board(config)
    lines = Lines(config)
    before = time.monotonic_ns()
    board.write_point(1, PointOutputs(contactor=True))
    stamp = lines.wires.stamps[line_index(lines.pins.line("contactor", 1))]
    assert before <= stamp <= time.monotonic_ns()
    board.close()


def test_before_the_simulator_speaks_nothing_is_tripped_and_the_adc_is_silent(tmp_path: Path) -> None:
    board = make_board(make_config(tmp_path))
    seen = board.read_point(1)
    assert (seen.rcd_tripped, seen.rdc_tripped, seen.contactor_closed, seen.reference_v) == (False, False, False, 0)
    assert not board.read_borne().coil_watchdog_armed
    board.close()


def test_dead_lines_read_as_danger(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    board = make_board(config)
    lines = Lines(config)
    for index in range(len(lines.wires.levels)):
        lines.wires.levels[index] = 0
    for _ in range(10):
        seen = board.read_point(1)
    assert seen.contactor_closed and seen.rcd_tripped and seen.rdc_tripped and seen.domestic_closed
    assert not (seen.pe_ok or seen.lock_closed)
    assert seen.reference_v == 0
    borne = board.read_borne()
    assert borne.emergency_stop and borne.door_open and not borne.coil_watchdog_armed
    board.close()


class _Broken:
    def exchange(self) -> bytes:
        raise OSError(5, "no answer")

    def close(self) -> None:
        pass


def test_a_failing_adc_and_a_failing_line_never_raise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config(tmp_path)
    hardware = SimulatedHardware(tmp_path, load_pins(config))
    monkeypatch.setattr(hardware, "spi", lambda device, frames: _Broken())
    board = GpioBoard(config.evse, load_pins(config), hardware)
    lines = Lines(config)
    lines.put("pe", 1, 1)
    assert board.read_point(1).pe_ok
    pin = hardware.factory(0).pin("GPIO5")
    monkeypatch.setattr(type(pin), "_get_state", _fail)
    seen = board.read_point(1)
    assert (seen.reference_v, seen.pe_ok, seen.contactor_closed) == (0, False, True)
    assert board.read_borne().emergency_stop
    monkeypatch.undo()
    board.close()


def _fail(pin: Any) -> int:
    raise OSError(121, "remote I/O")


def test_a_domestic_contactor_follows_its_command(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    board = make_board(config)
    lines = Lines(config)
    board.write_point(1, PointOutputs(domestic_contactor=True))
    assert lines.level("domestic_contactor", 1) == 1
    board.make_safe()
    assert lines.level("domestic_contactor", 1) == 0
    board.close()


class Bus:
    """The I2C bus of the expanders: does not answer for a line, or for so many writes of it."""

    def __init__(self, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
        self.failures: dict[int, int] = {}
        self._lines = lines
        real = Wires.drive

        def drive(wires: Wires, index: int, level: int) -> None:
            if self.failures.get(index, 0) > 0:
                self.failures[index] -= 1
                raise OSError(121, "Remote I/O error")
            real(wires, index, level)

        monkeypatch.setattr(Wires, "drive", drive)

    def fail(self, name: str, point: int | None, writes: int) -> None:
        self.failures[line_index(self._lines.pins.line(name, point))] = writes


def test_both_sides_of_a_locks_bridge_are_never_on_although_the_bus_misses_a_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(tmp_path)
    board, lines = make_board(config), Lines(config)
    bus = Bus(lines, monkeypatch)
    board.write_point(1, PointOutputs(lock=LockDrive.CLOSE))
    bus.fail("lock_close", 1, 2)
    for drive in (LockDrive.OFF, LockDrive.OPEN):
        board.write_point(1, PointOutputs(lock=drive))
        assert (lines.level("lock_close", 1), lines.level("lock_open", 1)) == (1, 0)
    board.write_point(1, PointOutputs(lock=LockDrive.OPEN))
    assert (lines.level("lock_close", 1), lines.level("lock_open", 1)) == (0, 1)
    board.close()


def test_a_lamp_or_a_buzzer_that_the_bus_missed_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(tmp_path, buzzer=True)
    board, lines = make_board(config), Lines(config)
    bus = Bus(lines, monkeypatch)
    board.write_buzzer(True)
    board.write_lamps(1, False, True, False)
    bus.fail("buzzer", None, 2)
    bus.fail("lamp_green", 1, 2)
    board.write_buzzer(False)
    board.write_lamps(1, True, False, False)
    assert (lines.level("buzzer"), lines.level("lamp_green", 1)) == (1, 1)
    for _ in range(2):
        board.write_point(1, PointOutputs())
    assert (lines.level("buzzer"), lines.level("lamp_green", 1)) == (0, 0)
    board.close()


def test_one_missed_write_of_a_domestic_contactor_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config(tmp_path)
    board, lines = make_board(config), Lines(config)
    bus = Bus(lines, monkeypatch)
    bus.fail("domestic_contactor", 1, 3)
    for level in (0, 0, 0, 1):
        board.write_point(1, PointOutputs(domestic_contactor=True))
        assert lines.level("domestic_contactor", 1) == level
    bus.fail("domestic_contactor", 1, 1)
    board.write_point(1, PointOutputs())
    assert lines.level("domestic_contactor", 1) == 0
    board.close()


def test_a_domestic_contactor_that_cannot_be_opened_ends_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the coil watchdog can open it then."""
    config = make_config(tmp_path)
    board, lines = make_board(config), Lines(config)
    bus = Bus(lines, monkeypatch)
    board.write_point(1, PointOutputs(domestic_contactor=True))
    bus.fail("domestic_contactor", 1, 2)
    with pytest.raises(OSError, match="Remote I/O"):
        board.write_point(1, PointOutputs())
    board.close()


def test_every_contactor_is_opened_before_anything_else_is_made_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(tmp_path)
    board, lines = make_board(config), Lines(config)
    board.write_point(1, PointOutputs(contactor=True, lock=LockDrive.CLOSE, rcd_test=True))
    board.write_point(2, PointOutputs(contactor=True, rcd_test=True))
    lines.record(monkeypatch)
    board.make_safe()
    assert {name for name, _ in lines.driven[:2]} == {"contactor_1", "contactor_2"}
    board.close()


def test_the_heartbeat_toggles_its_line(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    board = make_board(config)
    lines = Lines(config)
    seen = []
    for _ in range(4):
        board.heartbeat()
        seen.append(lines.level("heartbeat"))
    assert seen == [1, 0, 1, 0]
    board.close()


def test_lamps_follow(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    board = make_board(config)
    lines = Lines(config)
    board.write_lamps(2, True, False, True)
    assert [lines.level(f"lamp_{colour}", 2) for colour in ("red", "green", "blue")] == [1, 0, 1]
    board.close()


def test_the_buzzer_follows_and_is_silent_at_the_end(tmp_path: Path) -> None:
    config = make_config(tmp_path, buzzer=True)
    board = make_board(config)
    lines = Lines(config)
    board.write_buzzer(True)
    assert lines.level("buzzer") == 1
    board.make_safe()
    assert lines.level("buzzer") == 0
    board.close()


def test_a_borne_without_a_buzzer_leaves_its_line_alone(tmp_path: Path) -> None:
    board = make_board(make_config(tmp_path))
    board.write_buzzer(True)
    assert not load_pins(make_config(tmp_path)).has("buzzer")
    board.close()


def test_two_pilots_on_one_channel_are_refused(tmp_path: Path) -> None:
    config = make_config(tmp_path, pins={"pilot_2": "GPIO18", "rcd_2": "GPIO13"})
    with pytest.raises(PwmError, match="pilot_2"):
        make_board(config)


def test_another_machine_is_told_from_the_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chargepoint.board.patience.PATIENCE_S", 0.0)
    if Path("/proc/device-tree/model").exists():
        pytest.skip("this machine may be the board")
    with pytest.raises(BoardMismatch, match="raspberry-pi"):
        make_board(make_config(tmp_path, kind="raspberry-pi"))


def gpio_tree(root: Path, chips: dict[str, str]) -> Path:
    for chip, device in chips.items():
        home = root / "devices" / device / chip
        home.mkdir(parents=True)
        (root / "bus").mkdir(exist_ok=True)
        (root / "bus" / chip).symlink_to(home)
    return root / "bus"


def test_gpio_chips_are_found_by_their_devices(tmp_path: Path) -> None:
    root = gpio_tree(
        tmp_path,
        {
            "gpiochip0": "soc/107d508500.gpio",
            "gpiochip4": "pcie/1f000d0000.gpio",
            "gpiochip11": "i2c-1/1-0021",
            "gpiochip10": "i2c-1/1-0020",
        },
    )
    numbers = find_gpio_chips(root, expanders=2)
    assert (numbers.header, numbers.expanders) == (4, (10, 11))


def test_a_missing_expander_is_named(tmp_path: Path) -> None:
    root = gpio_tree(tmp_path, {"gpiochip0": "soc/fe200000.gpio", "gpiochip2": "i2c-1/1-0020"})
    assert find_gpio_chips(root, expanders=1).expanders == (2,)
    with pytest.raises(BoardMismatch, match="0x21"):
        find_gpio_chips(root, expanders=2)
