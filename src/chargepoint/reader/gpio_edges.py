"""Falling edges of GPIO lines, from the kernel's character device (linux/gpio.h, version 2 of its interface).

The kernel gives a line to one process at a time: lines that the safety process drives or watches are refused here, and
these are refused there. Every edge carries its CLOCK_MONOTONIC time, so a busy event loop loses nothing.
"""

import fcntl
import os
import struct

from chargepoint.serial_line import ByteLine

EVENT = struct.Struct("=QIIII24x")
"""`struct gpio_v2_line_event`: time in ns, kind of edge, line offset, number in the request, number on the line."""
GAP = 1 << 32
"""Events are counted from 1, modulo this."""
_GET_LINE = 0xC250B407
"""GPIO_V2_GET_LINE_IOCTL: read and write, 592 bytes, type 0xB4, number 7."""
_REQUEST = struct.Struct("=64I32s QI20x240x II20xi")
"""`struct gpio_v2_line_request`: offsets, consumer, flags without attributes, lines, events kept, descriptor."""
_INPUT, _EDGE_FALLING = 1 << 2, 1 << 5
EVENTS_KEPT = 1024
"""The kernel's most: seven frames of 58 bits on two lines, and the oldest go first."""


def request_edges(chip: int, offsets: tuple[int, ...]) -> int:
    """Claim lines of an open chip; a descriptor that gives an `EVENT` for each falling edge. OSError when taken."""
    padded = offsets + (0,) * (64 - len(offsets))
    flags = _INPUT | _EDGE_FALLING
    asked = bytearray(_REQUEST.pack(*padded, b"chargepoint reader", flags, 0, len(offsets), EVENTS_KEPT, 0))
    fcntl.ioctl(chip, _GET_LINE, asked)
    return int(_REQUEST.unpack(asked)[-1])


class GpioEdges(ByteLine):
    """Lines of one chip. `port`: device and offsets, `/dev/gpiochip0:14,15`."""

    def __init__(self, port: str) -> None:
        super().__init__(port)
        self._device, _, offsets = port.rpartition(":")
        self.offsets = tuple(int(offset) for offset in offsets.split(","))
        self._lines = -1

    def _open_device(self) -> int:
        chip = os.open(self._device, os.O_RDWR | os.O_CLOEXEC)
        try:
            self._lines = request_edges(chip, self.offsets)
        finally:
            os.close(chip)
        os.set_blocking(self._lines, False)
        return self._lines

    def _read_device(self) -> bytes:
        data = os.read(self._lines, EVENT.size * EVENTS_KEPT)  # all there are, so that no frame is cut in two
        if not data:
            raise OSError("the GPIO chip ended")
        return data

    def _write_device(self, data: bytes) -> None:
        raise OSError("these lines are only listened to")

    def _close_device(self) -> None:
        os.close(self._lines)
