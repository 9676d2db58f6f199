"""The MCP3208, a 12-bit ADC of eight channels on SPI: its command frames and its answers."""

import struct

BITS = 12
FULL_SCALE = 1 << BITS

_START_SINGLE_ENDED = 0b110_0000_0000
"""Start bit and single-ended bit, 24 clocks a conversion (data sheet, "Using the MCP3204/3208 with MCU SPI ports")."""


def frame(channel: int) -> bytes:
    """The three bytes that start one conversion."""
    if not 0 <= channel <= 7:
        raise ValueError(f"channel {channel} is not within 0..7")
    return (_START_SINGLE_ENDED | channel << 6).to_bytes(2, "big") + b"\0"


def channel_of(command: bytes) -> int:
    """The channel a command asks for: what the simulated chip decodes. Raises `ValueError`."""
    word = int.from_bytes(command[:2], "big")
    if len(command) != 3 or word & 0b110_0000_0000 != _START_SINGLE_ENDED:
        raise ValueError(f"{command.hex()} is not a single-ended conversion")
    return word >> 6 & 7


class Answers:
    """Counts from the answers to `count` conversions."""

    def __init__(self, count: int) -> None:
        self._unpack = struct.Struct(">" + "xH" * count).unpack
        self._pack = struct.Struct(">" + "xH" * count).pack

    def counts(self, received: bytes) -> tuple[int, ...]:
        """0..4095 each; the bits before a conversion's twelve are undefined and masked."""
        return tuple([word & 0xFFF for word in self._unpack(received)])

    def received(self, counts: tuple[int, ...]) -> bytes:
        """The bytes a chip with these counts sends."""
        return self._pack(*counts)
