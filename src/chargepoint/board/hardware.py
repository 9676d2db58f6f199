"""What a `GpioBoard` stands on: pin factories, the SPI device and the PWM directory.

The simulated borne replaces exactly these three and nothing else (`simulated.py`).
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

from gpiozero.pins import BoardInfo, HeaderInfo, PinInfo

from chargepoint.board import pwm
from chargepoint.board.chips import GPIO_SYSFS, BoardMismatch, find_gpio_chips
from chargepoint.board.patience import patiently
from chargepoint.board.pins import Line, PinMap
from chargepoint.board.spi import KernelSpi, SpiDevice


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


class KernelHardware:
    """The controller board itself: lgpio on the kernel's GPIO chips, spidev, /sys/class/pwm."""

    def __init__(self, pins: PinMap, gpio_root: Path = GPIO_SYSFS, pwm_root: Path = pwm.SYSFS) -> None:
        """Raises `BoardMismatch`."""
        self.pwm_root = pwm_root
        expanders = max(line.chip for line in _digital_lines(pins))
        numbers = patiently(lambda: find_gpio_chips(gpio_root, expanders))
        # Imported here only: lgpio exists on the controller board, and its import writes into the working directory.
        try:
            import lgpio

            from chargepoint.board.lgpio_lines import line_factory
        except ImportError as error:
            raise BoardMismatch(
                f"lgpio cannot be loaded ({error}); install it (extra `pi`, or the package python3-lgpio)"
            ) from error
        self.errors: tuple[type[Exception], ...] = (OSError, lgpio.error)

        def opened(number: int) -> Any:
            try:
                return line_factory(number)
            except lgpio.error as error:
                raise BoardMismatch(
                    f"a GPIO chip cannot be opened ({error}); is this user in the group gpio?"
                ) from error

        self._factories = [patiently(partial(opened, number)) for number in (numbers.header, *numbers.expanders)]

    def factory(self, chip: int) -> Any:
        return self._factories[chip]

    def spi(self, device: str, frames: tuple[bytes, ...]) -> SpiDevice:
        path = Path("/dev/spidev" + device.removeprefix("SPI"))

        def opened() -> SpiDevice:
            try:
                return KernelSpi(path, frames)
            except OSError as error:
                raise BoardMismatch(f"{path} cannot be opened ({error}); is dtparam=spi=on in config.txt?") from error

        return patiently(opened)

    def close(self) -> None:
        for factory in self._factories:
            factory.close()


def _digital_lines(pins: PinMap) -> Sequence[Line]:
    return [pins.line(name) for name, text in pins.items() if text.startswith(("GPIO", "EXP"))]
