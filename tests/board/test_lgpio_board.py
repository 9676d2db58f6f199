"""The real board's path through gpiozero and lgpio, down to lgpio's own calls, on chips that are a table."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chargepoint.board import frontend
from chargepoint.board.chips import BoardMismatch
from chargepoint.board.hardware import KernelHardware
from chargepoint.board.mcp3208 import Answers
from chargepoint.board.pins import PinMap, load_pins
from chargepoint.board.raspberry_pi import GpioBoard
from chargepoint.board.types import LockDrive, PointOutputs
from chargepoint.config import (
    BoardSection,
    BuzzerSection,
    Config,
    DomesticSection,
    EvseSection,
    StationSection,
    SupplySection,
)

CONFIG = Config(
    station=StationSection(id="T", run_dir=Path("/nowhere")),
    supply=SupplySection(max_current=52),
    board=BoardSection(kind="raspberry-pi"),
    evse=(EvseSection(id=1, max_current=32, domestic=DomesticSection()), EvseSection(id=2, max_current=32)),
    buzzer=BuzzerSection(enabled=True),
)
HEADER, FIRST, SECOND = 4, 10, 11
"""Numbers of the chips, as a Raspberry Pi 5 with two expanders has them."""


class Chips:
    """Levels and modes of every line of every chip, and the order of what was asked of them.

    An expander is as under the driver mcp23s08 of Linux 6.6 and 6.12: a write that the bus misses raises nothing and
    stays in the driver's copy of the latches; a level that the copy has already is not sent; whatever is sent carries
    the whole copy.
    """

    def __init__(self) -> None:
        self.levels: dict[tuple[int, int], int] = {}
        self.outputs: set[tuple[int, int]] = set()
        self.calls: list[tuple[str, int, int, int]] = []
        self.broken: set[tuple[int, int]] = set()
        """Lines that cannot be written or read."""
        self.losing = 0
        """Writes to an expander that the bus will miss; readings succeed."""
        self.reads = 0
        """Readings of an expander's outputs."""
        self.seen: list[tuple[tuple[int, int], int]] = []
        """Every change of level at an expander's output."""
        self._copy: dict[tuple[int, int], int] = {}

    def claim_input(self, chip: int, line: int, flags: int = 0) -> int:
        self.calls.append(("input", chip, line, flags))
        self.outputs.discard((chip, line))
        return 0

    def claim_output(self, chip: int, line: int, level: int = 0, flags: int = 0) -> int:
        self.calls.append(("output", chip, line, level))
        self.outputs.add((chip, line))
        self.levels.setdefault((chip, line), 0)
        self._drive(chip, line, level)
        return 0

    def write(self, chip: int, line: int, level: int) -> int:
        assert (chip, line) in self.outputs
        if chip == HEADER and (chip, line) in self.broken:
            raise OSError(121, "remote I/O")
        self.calls.append(("write", chip, line, int(level)))
        self._drive(chip, line, int(level))
        return 0

    def read(self, chip: int, line: int) -> int:
        self.reads += chip != HEADER and (chip, line) in self.outputs
        if (chip, line) in self.broken:
            raise OSError(121, "remote I/O")
        return self.levels.get((chip, line), 0)

    def _drive(self, chip: int, line: int, level: int) -> None:
        if chip == HEADER:
            self.levels[chip, line] = level
            return
        if self._copy.get((chip, line), 0) == level:
            return
        self._copy[chip, line] = level
        if self.losing:
            self.losing -= 1
            return
        for place, wanted in self._copy.items():
            if place[0] == chip and place not in self.broken and self.levels.get(place, 0) != wanted:
                self.levels[place] = wanted
                self.seen.append((place, wanted))

    def mode(self, chip: int, line: int) -> int:
        return 2 if (chip, line) in self.outputs else 0


class _Adc:
    """Answers as a sound front end without a car."""

    def exchange(self) -> bytes:
        quiet = frontend.pilot_count(12.0)
        return Answers(6).received((quiet, quiet, 4095, 2048, frontend.volt_count(2.5), frontend.duty_count(100)))

    def close(self) -> None:
        pass


@pytest.fixture
def chips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Chips:
    monkeypatch.chdir(tmp_path)  # importing lgpio leaves a FIFO in the working directory
    lgpio = pytest.importorskip("lgpio")
    table = Chips()
    monkeypatch.setattr(lgpio, "gpiochip_open", lambda number: number)
    monkeypatch.setattr(lgpio, "gpiochip_close", lambda handle: 0)
    monkeypatch.setattr(lgpio, "gpio_free", lambda handle, line: 0)
    monkeypatch.setattr(lgpio, "gpio_claim_input", table.claim_input)
    monkeypatch.setattr(lgpio, "gpio_claim_output", table.claim_output)
    monkeypatch.setattr(lgpio, "gpio_write", table.write)
    monkeypatch.setattr(lgpio, "gpio_read", table.read)
    monkeypatch.setattr(lgpio, "gpio_get_mode", table.mode)
    return table


def sysfs(root: Path) -> tuple[Path, Path]:
    """/sys/bus/gpio/devices and /sys/class/pwm of a Raspberry Pi 5 with both expanders."""
    for name, device in ((HEADER, "1f000d0000.gpio"), (FIRST, "1-0020"), (SECOND, "1-0021")):
        home = root / "devices" / device / f"gpiochip{name}"
        home.mkdir(parents=True)
        (root / "gpio").mkdir(exist_ok=True)
        (root / "gpio" / home.name).symlink_to(home)
    chip = root / "pwm" / "pwmchip0"
    (root / "1f00098000.pwm").mkdir()
    for number in (0, 1):
        (chip / f"pwm{number}").mkdir(parents=True)
        for name in ("period", "duty_cycle", "enable"):
            (chip / f"pwm{number}" / name).write_text("0\n")
    (chip / "device").symlink_to(root / "1f00098000.pwm")
    return root / "gpio", root / "pwm"


@pytest.fixture
def board(chips: Chips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GpioBoard]:
    gpio, pwm = sysfs(tmp_path)
    pins = load_pins(CONFIG)
    hardware = KernelHardware(pins, gpio, pwm)
    monkeypatch.setattr(hardware, "spi", lambda device, frames: _Adc())
    made = GpioBoard(CONFIG.evse, pins, hardware)
    yield made
    made.close()


def where(pins: PinMap, name: str, point: int | None = None) -> tuple[int, int]:
    line = pins.line(name, point)
    return (HEADER, FIRST, SECOND)[line.chip], line.offset


def test_contactors_are_the_first_lines_claimed_and_never_high(chips: Chips, board: GpioBoard) -> None:
    pins = load_pins(CONFIG)
    contactors = {where(pins, "contactor", point) for point in (1, 2)}
    contactors.add(where(pins, "domestic_contactor", 1))
    outputs = [(chip, line) for what, chip, line, _ in chips.calls if what == "output"]
    assert set(outputs[:3]) == contactors
    assert all(level == 0 for what, chip, line, level in chips.calls if (chip, line) in contactors and what != "input")


def test_signals_go_to_the_lines_and_chips_of_the_map(chips: Chips, board: GpioBoard) -> None:
    pins = load_pins(CONFIG)
    board.write_point(1, PointOutputs(contactor=True, rcd_test=True))
    board.write_lamps(2, True, False, False)
    assert chips.levels[where(pins, "contactor", 1)] == 1
    assert chips.levels[where(pins, "rcd_test", 1)] == 1
    assert chips.levels[where(pins, "lamp_red", 2)] == 1
    assert where(pins, "lamp_red", 2)[0] == FIRST
    chips.levels[where(pins, "door")] = 1
    chips.levels[where(pins, "emergency_stop")] = 1
    borne = board.read_borne()
    assert not borne.door_open and not borne.emergency_stop
    assert where(pins, "door")[0] == SECOND


def test_no_line_asks_for_a_pull(chips: Chips, board: GpioBoard) -> None:
    lgpio: Any = sys.modules["lgpio"]
    flags = {level for what, _, _, level in chips.calls if what == "input"}
    assert flags <= {0, lgpio.SET_PULL_NONE}


def test_an_expander_that_fails_reads_as_danger_and_does_not_stop_the_loop(chips: Chips, board: GpioBoard) -> None:
    pins = load_pins(CONFIG)
    chips.levels[where(pins, "lock_is_closed", 1)] = 1
    for _ in range(5):
        seen = board.read_point(1)
    assert seen.lock_closed
    chips.broken.add(where(pins, "lock_is_closed", 1))
    for _ in range(5):
        seen = board.read_point(1)
    assert seen.lock_closed, "one failed reading is a disturbance"
    for _ in range(5):
        seen = board.read_point(1)
    assert not seen.lock_closed


def test_an_input_that_no_longer_answers_is_named_within_a_second(chips: Chips, board: GpioBoard) -> None:
    pins = load_pins(CONFIG)
    chips.broken |= {where(pins, "bay", 1), where(pins, "door")}
    for _ in range(100):
        board.read_point(1)
        seen = board.read_borne()
    assert seen.missing == "bay_1" and seen.door_open
    chips.broken.clear()
    for _ in range(10):
        board.read_point(1)
        seen = board.read_borne()
    assert seen.missing == ""


def test_one_failed_reading_of_the_door_is_no_open_door(chips: Chips, board: GpioBoard) -> None:
    pins = load_pins(CONFIG)
    chips.levels[where(pins, "door")] = 1
    for _ in range(11):
        board.read_borne()
    chips.broken.add(where(pins, "door"))
    assert not any(board.read_borne().door_open for _ in range(10))
    assert any(board.read_borne().door_open for _ in range(10))


def test_a_lamp_or_lock_that_cannot_be_written_is_written_again_and_holds_up_nothing(
    chips: Chips, board: GpioBoard
) -> None:
    pins = load_pins(CONFIG)
    lock = where(pins, "lock_close", 1)
    chips.broken |= {lock, where(pins, "lamp_red", 1)}
    board.write_lamps(1, True, True, False)
    assert chips.levels[where(pins, "lamp_green", 1)] == 1
    wanted = PointOutputs(contactor=True, lock=LockDrive.CLOSE)
    board.write_point(1, wanted)
    assert chips.levels[where(pins, "contactor", 1)] == 1
    chips.broken.clear()
    board.write_point(1, wanted)
    assert chips.levels[lock] == 1


def test_one_output_that_fails_keeps_no_other_from_being_made_safe(chips: Chips, board: GpioBoard) -> None:
    pins = load_pins(CONFIG)
    for point in (1, 2):
        board.write_point(point, PointOutputs(contactor=True, rcd_test=True))
    chips.broken.add(where(pins, "contactor", 1))
    with pytest.raises(OSError, match="remote"):
        board.make_safe()
    assert chips.levels[where(pins, "contactor", 2)] == 0
    assert chips.levels[where(pins, "rcd_test", 1)] == 0
    chips.broken.clear()


LOST = "lost"
"""The bus misses one write, and answers again at once."""
OUT = "out"
"""Nor can the line be read, until the next pass."""


def disturb(chips: Chips, line: tuple[int, int], how: str) -> None:
    if how == LOST:
        chips.losing = 1
    else:
        chips.broken.add(line)


@pytest.mark.parametrize("how", [LOST, OUT])
@pytest.mark.parametrize(
    ("name", "on"),
    [
        ("rcd_test", PointOutputs(rcd_test=True)),
        ("lock_close", PointOutputs(lock=LockDrive.CLOSE)),
        ("domestic_contactor", PointOutputs(domestic_contactor=True)),
    ],
)
def test_a_switching_on_that_the_bus_missed_in_silence_is_repeated_until_the_line_shows_it(
    chips: Chips, board: GpioBoard, name: str, on: PointOutputs, how: str
) -> None:
    line = where(load_pins(CONFIG), name, 1)
    board.write_point(1, PointOutputs())
    disturb(chips, line, how)
    board.write_point(1, on)
    chips.broken.clear()
    board.write_point(1, on)
    assert chips.levels[line] == 1
    assert [level for place, level in chips.seen if place == line] == [1], "the line was pulsed"


@pytest.mark.parametrize("how", [LOST, OUT])
@pytest.mark.parametrize(
    ("name", "on"), [("rcd_test", PointOutputs(rcd_test=True)), ("lock_open", PointOutputs(lock=LockDrive.OPEN))]
)
def test_a_switching_off_that_the_bus_missed_in_silence_is_repeated_until_the_line_shows_it(
    chips: Chips, board: GpioBoard, name: str, on: PointOutputs, how: str
) -> None:
    line = where(load_pins(CONFIG), name, 1)
    board.write_point(1, on)
    disturb(chips, line, how)
    board.write_point(1, PointOutputs())
    chips.broken.clear()
    board.write_point(1, PointOutputs())
    assert chips.levels[line] == 0
    assert [level for place, level in chips.seen if place == line] == [1, 0], "the line was pulsed"


@pytest.mark.parametrize("how", [LOST, OUT])
def test_a_buzzer_or_a_lamp_that_the_bus_missed_in_silence_is_written_again(
    chips: Chips, board: GpioBoard, how: str
) -> None:
    pins = load_pins(CONFIG)
    buzzer, lamp = where(pins, "buzzer"), where(pins, "lamp_red", 1)
    board.write_point(1, PointOutputs())
    for line, write in (
        (buzzer, lambda: board.write_buzzer(True)),
        (lamp, lambda: board.write_lamps(1, True, False, False)),
    ):
        disturb(chips, line, how)
        write()
        chips.broken.clear()
        board.write_point(1, PointOutputs())
        assert chips.levels[line] == 1


def test_a_domestic_contactor_opens_although_the_bus_misses_the_command_in_silence(
    chips: Chips, board: GpioBoard
) -> None:
    line = where(load_pins(CONFIG), "domestic_contactor", 1)
    board.write_point(1, PointOutputs(domestic_contactor=True))
    chips.losing = 1
    board.write_point(1, PointOutputs())
    assert chips.levels[line] == 0


def test_a_domestic_contactor_whose_line_stays_on_in_silence_ends_the_process(chips: Chips, board: GpioBoard) -> None:
    line = where(load_pins(CONFIG), "domestic_contactor", 1)
    board.write_point(1, PointOutputs(domestic_contactor=True))
    chips.losing = 99
    with pytest.raises(OSError, match=r"domestic_contactor_1 \(EXP6\) reads as on after it was switched off"):
        board.write_point(1, PointOutputs())
    chips.losing = 0
    board.make_safe()
    assert chips.levels[line] == 0


def test_a_domestic_contactor_whose_opening_cannot_be_read_back_ends_the_process(
    chips: Chips, board: GpioBoard
) -> None:
    board.write_point(1, PointOutputs(domestic_contactor=True))
    chips.broken.add(where(load_pins(CONFIG), "domestic_contactor", 1))
    with pytest.raises(OSError, match="remote"):
        board.write_point(1, PointOutputs())
    chips.broken.clear()


def test_one_side_of_a_lock_stays_off_until_the_other_is_seen_off(chips: Chips, board: GpioBoard) -> None:
    pins = load_pins(CONFIG)
    close, open_ = where(pins, "lock_close", 1), where(pins, "lock_open", 1)
    board.write_point(1, PointOutputs(lock=LockDrive.OPEN))
    for how in (LOST, OUT):
        chips.losing = 99 if how == LOST else 0
        chips.broken = {open_} if how == OUT else set()
        for _ in range(3):
            board.write_point(1, PointOutputs(lock=LockDrive.CLOSE))
            assert (chips.levels[open_], chips.levels[close]) == (1, 0)
    chips.broken.clear()
    board.write_point(1, PointOutputs(lock=LockDrive.CLOSE))
    assert (chips.levels[open_], chips.levels[close]) == (0, 1)
    assert chips.seen[-2:] == [(open_, 0), (close, 1)]


def test_a_reading_that_fails_after_a_good_write_never_pulses_the_line(
    chips: Chips, board: GpioBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    lgpio: Any = sys.modules["lgpio"]
    line = where(load_pins(CONFIG), "domestic_contactor", 1)
    on = PointOutputs(domestic_contactor=True)
    with monkeypatch.context() as deaf:
        deaf.setattr(lgpio, "gpio_read", lambda chip, line: _no_answer())
        for _ in range(3):
            board.write_point(1, on)
    board.write_point(1, on)
    assert [level for place, level in chips.seen if place == line] == [1]
    reads = chips.reads
    board.write_point(1, on)
    assert chips.reads == reads, "once it was seen, it is not read again"


def test_one_wrong_reading_after_a_good_write_never_pulses_the_line(
    chips: Chips, board: GpioBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    lgpio: Any = sys.modules["lgpio"]
    line = where(load_pins(CONFIG), "domestic_contactor", 1)
    answers = [0]
    monkeypatch.setattr(
        lgpio, "gpio_read", lambda *place: answers.pop() if place == line and answers else chips.read(*place)
    )
    board.write_point(1, PointOutputs(domestic_contactor=True))
    assert not answers
    assert [level for place, level in chips.seen if place == line] == [1]


def _no_answer() -> int:
    raise OSError(121, "remote I/O")


def test_one_disturbance_of_the_bus_while_everything_is_made_safe_ends_nothing(
    chips: Chips, board: GpioBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    lgpio: Any = sys.modules["lgpio"]
    line = where(load_pins(CONFIG), "domestic_contactor", 1)
    board.write_point(1, PointOutputs(domestic_contactor=True))
    failures = [121]

    def read(*place: int) -> int:
        if place == line and failures:
            raise OSError(failures.pop(), "remote I/O")
        return chips.read(*place)

    chips.losing = 1
    monkeypatch.setattr(lgpio, "gpio_read", read)
    board.make_safe()
    assert chips.levels[line] == 0 and not failures


def test_a_pass_that_writes_nothing_reads_no_output_back(chips: Chips, board: GpioBoard) -> None:
    wanted = PointOutputs(contactor=True, lock=LockDrive.CLOSE)
    board.write_point(1, wanted)
    board.write_lamps(1, False, True, False)
    reads = chips.reads
    for _ in range(20):
        board.write_point(1, wanted)
        board.write_lamps(1, False, True, False)
    assert chips.reads == reads


def test_a_domestic_contactor_that_a_dead_process_left_on_unknown_to_the_driver_is_off_after_the_start(
    chips: Chips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last opening was lost on the bus: the driver's copy has the latch low, and claiming it low sends nothing."""
    gpio, pwm = sysfs(tmp_path)
    pins = load_pins(CONFIG)
    line = where(pins, "domestic_contactor", 1)
    chips.levels[line] = 1
    hardware = KernelHardware(pins, gpio, pwm)
    monkeypatch.setattr(hardware, "spi", lambda device, frames: _Adc())
    made = GpioBoard(CONFIG.evse, pins, hardware)
    assert chips.levels[line] == 0
    made.close()


def test_closing_gives_every_output_back_at_its_low_level(
    chips: Chips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpio, pwm = sysfs(tmp_path)
    pins = load_pins(CONFIG)
    hardware = KernelHardware(pins, gpio, pwm)
    monkeypatch.setattr(hardware, "spi", lambda device, frames: _Adc())
    made = GpioBoard(CONFIG.evse, pins, hardware)
    made.write_point(1, PointOutputs(contactor=True, duty=50))
    made.close()
    assert chips.levels[where(pins, "contactor", 1)] == 0
    assert chips.outputs == set()


def test_a_chip_that_may_not_be_opened_is_said_with_the_remedy(
    chips: Chips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chargepoint.board.patience.PATIENCE_S", 0.0)
    lgpio: Any = sys.modules["lgpio"]

    def refused(number: int) -> int:
        raise lgpio.error("can not open gpiochip")

    monkeypatch.setattr(lgpio, "gpiochip_open", refused)
    gpio, pwm = sysfs(tmp_path)
    with pytest.raises(BoardMismatch, match="group gpio"):
        KernelHardware(load_pins(CONFIG), gpio, pwm)


def test_chips_that_the_kernel_has_not_made_yet_are_waited_for(
    chips: Chips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At boot the expanders' driver is a module that may come after the program."""
    monkeypatch.setattr("chargepoint.board.patience.time.sleep", lambda seconds: sysfs(tmp_path))
    hardware = KernelHardware(load_pins(CONFIG), tmp_path / "gpio", tmp_path / "pwm")
    hardware.close()
