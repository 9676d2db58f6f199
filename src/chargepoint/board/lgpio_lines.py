"""gpiozero's lgpio factory for one GPIO chip, whichever it is: the header or an I2C expander."""

from typing import Any

from gpiozero.pins.lgpio import LGPIOFactory

from chargepoint.board.hardware import isolate, plain_board
from chargepoint.board.pins import HEADER_LINES


class _LineFactory(LGPIOFactory):  # type: ignore[misc]  # gpiozero has no types
    """Does not ask which Raspberry Pi it runs on: the chip has been found by its device."""

    def __init__(self, chip: int) -> None:
        super().__init__(chip=chip)
        isolate(self)
        self._info = plain_board(HEADER_LINES)


def line_factory(chip: int) -> Any:
    """The factory of /dev/gpiochip`chip`. Raises lgpio's error when it cannot be opened."""
    return _LineFactory(chip)
