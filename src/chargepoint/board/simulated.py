"""The simulated borne's side of the board: a pin factory, a SPI device and a PWM directory on files.

Everything above them is the real board's code.
"""

import errno
import tempfile
from pathlib import Path
from typing import Any

from gpiozero.exc import PinInvalidFunction, PinSetInput
from gpiozero.pins.pi import PiFactory, PiPin

from chargepoint.board import mcp3208
from chargepoint.board.hardware import isolate, plain_board
from chargepoint.board.pins import (
    EXPANDER_LINES,
    EXPANDERS,
    HEADER_LINES,
    SIGNALS,
    Kind,
    Line,
    PinMap,
    parse_line,
)
from chargepoint.board.pwm import PWM_DEVICES
from chargepoint.board.wires import ADC_CHANNELS, FILE_NAME, SHARED, Wires, line_index

PWM_NAME = "sim-pwm"
PWM_CHANNELS = 4


class SimulatedPin(PiPin):  # type: ignore[misc]  # gpiozero has no types
    """A line of the wires file. As on the real chip, a closed output becomes an input and its pull-down wins."""

    def __init__(self, factory: "SimulatedPinFactory", info: Any) -> None:
        super().__init__(factory, info)
        self._wires = factory.wires
        self._levels = factory.wires.levels
        self._absent = factory.wires.absent
        self._index = line_index(Line(factory.chip, self._number))
        self._output = False

    def close(self) -> None:
        self._set_function("input")

    def _get_function(self) -> str:
        return "output" if self._output else "input"

    def _set_function(self, value: str) -> None:
        if value not in ("input", "output"):
            raise PinInvalidFunction(f"a simulated line is an input or an output, not {value!r}")
        if value == "input" and self._output:
            self._wires.drive(self._index, 0)
        self._output = value == "output"

    def _get_state(self) -> int:
        self._answer()
        return self._levels[self._index]

    def _set_state(self, value: bool) -> None:
        if not self._output:
            raise PinSetInput(f"{self!r} is an input")
        self._answer()
        self._wires.drive(self._index, 1 if value else 0)

    def _answer(self) -> None:
        """As the kernel does when nobody acknowledges on the I2C bus."""
        if self._absent[self._index]:
            raise OSError(errno.EREMOTEIO, "no answer from the expander")

    def _get_pull(self) -> str:
        return "floating"

    def _set_pull(self, value: str) -> None:
        pass  # the front end's own resistors pull


class SimulatedPinFactory(PiFactory):  # type: ignore[misc]  # gpiozero has no types
    """gpiozero's factory for one simulated chip."""

    def __init__(self, wires: Wires, chip: int) -> None:
        super().__init__()
        isolate(self)
        self.wires = wires
        self.chip = chip
        self.pin_class = SimulatedPin
        self._info = plain_board(HEADER_LINES if chip == 0 else EXPANDER_LINES)

    def ticks(self) -> float:
        raise NotImplementedError("the board reads lines; it waits for no edges")

    def ticks_diff(self, later: float, earlier: float) -> float:
        return later - earlier


class SimulatedSpi:
    """An MCP3208 whose counts are in the wires file. Decodes the command frames as the chip does."""

    def __init__(self, wires: Wires, device: str, frames: tuple[bytes, ...]) -> None:
        self._counts = wires.counts
        base = int(device.rpartition(".")[2]) * ADC_CHANNELS
        self._places = [base + mcp3208.channel_of(command) for command in frames]
        self._answers = mcp3208.Answers(len(frames))

    def exchange(self) -> bytes:
        counts = self._counts
        return self._answers.received(tuple([counts[place] for place in self._places]))

    def close(self) -> None:
        pass


def make_pwm_tree(root: Path) -> Path:
    """A directory like /sys/class/pwm with one Raspberry Pi 4 chip, all channels exported; returns the chip.

    What is already there is kept: like the real one, a pilot goes on when its process has died. The simulator and the
    safety process make it, whichever is first, as users of one group: the other finds it whole, and may write to it.
    """
    if root.exists():
        return root / "pwmchip0"
    with tempfile.TemporaryDirectory(prefix=root.name, dir=root.parent) as temporary:
        made = Path(temporary) / "pwm"
        device, chip = made / "devices" / PWM_DEVICES[1].device, made / "pwmchip0"
        device.mkdir(parents=True)
        chip.mkdir()
        (chip / "device").symlink_to(Path("..") / "devices" / device.name)
        for number in range(PWM_CHANNELS):
            (chip / f"pwm{number}").mkdir()
            for name in ("period", "duty_cycle", "enable"):
                file = chip / f"pwm{number}" / name
                file.write_text("0\n")
                file.chmod(SHARED)
        try:
            made.rename(root)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
    return root / "pwmchip0"


def rest(wires: Wires, pins: PinMap) -> None:
    """The levels of a sound front end before the simulator has said anything: watched lines high, ADCs silent.

    The silent ADC keeps every contactor open; a low line would look like a residual current that has to be latched.
    """
    for name, text in pins.items():
        signal = SIGNALS[name.rpartition("_")[0] if name[-1].isdigit() else name]
        if signal.kind is Kind.INPUT and not signal.active_high:
            wires.levels[line_index(parse_line(text))] = 1


class SimulatedHardware:
    """The three things the simulated borne replaces."""

    errors: tuple[type[Exception], ...] = (OSError,)

    def __init__(self, run_dir: Path, pins: PinMap) -> None:
        self.wires = Wires(run_dir / FILE_NAME)
        if self.wires.fresh:
            rest(self.wires, pins)
        self.pwm_root = run_dir / PWM_NAME
        make_pwm_tree(self.pwm_root)
        self._factories = [SimulatedPinFactory(self.wires, chip) for chip in range(1 + EXPANDERS)]

    def factory(self, chip: int) -> Any:
        return self._factories[chip]

    def spi(self, device: str, frames: tuple[bytes, ...]) -> SimulatedSpi:
        if not device.startswith("SPI0."):
            raise OSError(errno.ENODEV, f"there is no simulated SPI device {device}")
        return SimulatedSpi(self.wires, device, frames)

    def close(self) -> None:
        for factory in self._factories:
            factory.close()
