"""What a `GpioBoard` stands on: pin factories, the SPI device and the PWM directory.

The simulated borne replaces exactly these three and nothing else (`simulated.py`).
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

from gpiozero.pins import BoardInfo, HeaderInfo, PinInfo

from chargepoint.board import pwm
from chargepoint.board.pins import Line, PinMap
from chargepoint.board.spi import KernelSpi, SpiDevice
from chargepoint.board.types import BoardError

GPIO_CHIPS = ("1f000d0000.gpio", "fe200000.gpio", "3f200000.gpio", "20200000.gpio")
"""Platform devices of the 40-pin header: Raspberry Pi 5, 4, 2 and 3, 1 and Zero."""
EXPANDER_ADDRESSES = ("0020", "0021")
"""I2C addresses of the two MCP23017."""
GPIO_SYSFS = Path("/sys/bus/gpio/devices")


class BoardMismatch(BoardError):
    """The configuration names a board that this machine is not; the message says what is missing."""


class Hardware(Protocol):
    """The three things a board is made of."""

    pwm_root: Path
    errors: tuple[type[Exception], ...]
    """What reading a line may raise."""

    def factory(self, chip: int) -> Any:
        """gpiozero's pin factory of the header (0) or of an expander (1..); its pins are named GPIO0.."""

    def spi(self, device: str, frames: tuple[bytes, ...]) -> SpiDevice: ...

    def close(self) -> None: ...


def plain_board(lines: int) -> Any:
    """A gpiozero board description of `lines` pins without pulls or other functions, named GPIO0.."""
    pins = {
        number + 1: PinInfo(
            number + 1, f"GPIO{number}", frozenset({f"GPIO{number}", number}), "", number, 1, frozenset({"gpio"})
        )
        for number in range(lines)
    }
    header = HeaderInfo("lines", lines, 1, pins)
    unknown: dict[str, Any] = dict.fromkeys(BoardInfo._fields, "")
    return BoardInfo(**(unknown | {"model": "lines", "headers": {"lines": header}}))


def isolate(factory: Any) -> None:
    """Give a factory pins and reservations of its own: gpiozero shares them between all local chips."""
    factory.pins = {}
    factory._reservations = defaultdict(list)
    factory._res_lock = Lock()


@dataclass(frozen=True, slots=True)
class ChipNumbers:
    """Which /dev/gpiochipN is what."""

    header: int
    expanders: tuple[int, ...]


def find_gpio_chips(root: Path = GPIO_SYSFS, expanders: int = 0) -> ChipNumbers:
    """The header's chip and the first `expanders` expanders, by their devices. Raises `BoardMismatch`."""
    header: int | None = None
    found: dict[str, int] = {}
    for chip in sorted(root.glob("gpiochip*")):
        number = int(chip.name.removeprefix("gpiochip"))
        for part in chip.resolve().parts:
            if part in GPIO_CHIPS:
                header = number
            if part.partition("-")[2] in EXPANDER_ADDRESSES:
                found[part.partition("-")[2]] = number
    if header is None:
        raise BoardMismatch(
            f'board.kind is "raspberry-pi", but {root} shows no GPIO header of a Raspberry Pi; '
            'run on the controller board, or set board.kind = "simulated"'
        )
    missing = [address for address in EXPANDER_ADDRESSES[:expanders] if address not in found]
    if missing:
        raise BoardMismatch(
            f"no MCP23017 at I2C address 0x{missing[0][2:]} ({root}); is dtoverlay=mcp23017,addr=0x{missing[0][2:]} "
            "in config.txt, and is the expander board plugged?"
        )
    return ChipNumbers(header, tuple(found[address] for address in EXPANDER_ADDRESSES[:expanders]))


class KernelHardware:
    """The controller board itself: lgpio on the kernel's GPIO chips, spidev, /sys/class/pwm."""

    def __init__(self, pins: PinMap, gpio_root: Path = GPIO_SYSFS, pwm_root: Path = pwm.SYSFS) -> None:
        """Raises `BoardMismatch`."""
        self.pwm_root = pwm_root
        numbers = find_gpio_chips(gpio_root, max(line.chip for line in _digital_lines(pins)))
        # Imported here only: lgpio exists on the controller board, and its import writes into the working directory.
        try:
            import lgpio

            from chargepoint.board.lgpio_lines import line_factory
        except ImportError as error:
            raise BoardMismatch(
                f"lgpio cannot be loaded ({error}); install it (extra `pi`, or the package python3-lgpio)"
            ) from error
        self.errors: tuple[type[Exception], ...] = (OSError, lgpio.error)
        try:
            self._factories = [line_factory(number) for number in (numbers.header, *numbers.expanders)]
        except lgpio.error as error:
            raise BoardMismatch(f"a GPIO chip cannot be opened ({error}); is this user in the group gpio?") from error

    def factory(self, chip: int) -> Any:
        return self._factories[chip]

    def spi(self, device: str, frames: tuple[bytes, ...]) -> SpiDevice:
        path = Path("/dev/spidev" + device.removeprefix("SPI"))
        try:
            return KernelSpi(path, frames)
        except OSError as error:
            raise BoardMismatch(f"{path} cannot be opened ({error}); is dtparam=spi=on in config.txt?") from error

    def close(self) -> None:
        for factory in self._factories:
            factory.close()


def _digital_lines(pins: PinMap) -> Sequence[Line]:
    return [pins.line(name) for name, text in pins.items() if text.startswith(("GPIO", "EXP"))]
