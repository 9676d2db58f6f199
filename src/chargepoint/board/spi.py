"""A SPI device of the kernel (spidev), several short transfers in one system call."""

import ctypes
import errno
import fcntl
import os
from pathlib import Path
from typing import Protocol

SPEED_HZ = 1_000_000
"""MCP3208: at most 1 MHz at 2.7 V, 2 MHz at 5 V (data sheet)."""


class SpiDevice(Protocol):
    """One prepared exchange, repeated: each frame is framed by its own chip select."""

    def exchange(self) -> bytes:
        """Send the prepared frames; the answers, one after the other. Raises `OSError`."""

    def close(self) -> None: ...


class _Transfer(ctypes.Structure):
    """struct spi_ioc_transfer of <linux/spi/spidev.h>."""

    _fields_ = (
        ("tx_buf", ctypes.c_uint64),
        ("rx_buf", ctypes.c_uint64),
        ("len", ctypes.c_uint32),
        ("speed_hz", ctypes.c_uint32),
        ("delay_usecs", ctypes.c_uint16),
        ("bits_per_word", ctypes.c_uint8),
        ("cs_change", ctypes.c_uint8),
        ("tx_nbits", ctypes.c_uint8),
        ("rx_nbits", ctypes.c_uint8),
        ("word_delay_usecs", ctypes.c_uint8),
        ("pad", ctypes.c_uint8),
    )


def message_request(count: int) -> int:
    """SPI_IOC_MESSAGE(count): _IOW('k', 0, char[count * 32])."""
    return 0x4000_0000 | (count * ctypes.sizeof(_Transfer)) << 16 | ord("k") << 8


class KernelSpi:
    """A `SpiDevice` on /dev/spidevB.C. The frames are given once and their buffers kept."""

    def __init__(self, path: Path, frames: tuple[bytes, ...], speed_hz: int = SPEED_HZ) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        sent = b"".join(frames)
        self._sent = ctypes.create_string_buffer(sent, len(sent))
        self._received = ctypes.create_string_buffer(len(sent))
        self._transfers = (_Transfer * len(frames))()
        at = 0
        for transfer, frame in zip(self._transfers, frames, strict=True):
            transfer.tx_buf = ctypes.addressof(self._sent) + at
            transfer.rx_buf = ctypes.addressof(self._received) + at
            transfer.len = len(frame)
            transfer.speed_hz = speed_hz
            transfer.bits_per_word = 8
            transfer.cs_change = 1
            at += len(frame)
        # On the last transfer the flag would mean "leave the chip selected".
        self._transfers[len(frames) - 1].cs_change = 0
        self._request = message_request(len(frames))

    def exchange(self) -> bytes:
        done = fcntl.ioctl(self._descriptor, self._request, self._transfers)
        if done < len(self._received):
            raise OSError(errno.EIO, f"SPI moved {done} bytes of {len(self._received)}")
        return self._received.raw

    def close(self) -> None:
        os.close(self._descriptor)
