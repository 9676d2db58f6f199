"""Waiting for devices that the kernel or udev is still making when the program starts.

At boot the I2C, SPI and PWM drivers are modules that come while services start already; and a PWM channel belongs to
root from its export until udev has given it to the program's group, a few milliseconds later.
"""

import time
from collections.abc import Callable
from typing import TypeVar

from chargepoint.board.types import BoardError

PATIENCE_S = 5.0
PAUSE_S = 0.05

T = TypeVar("T")


def patiently(open_it: Callable[[], T]) -> T:
    """What `open_it` answers. While it raises `BoardError` it is tried again for `PATIENCE_S`; then it may raise."""
    for _ in range(round(PATIENCE_S / PAUSE_S)):
        try:
            return open_it()
        except BoardError:
            time.sleep(PAUSE_S)
    return open_it()
