"""Devices that give bytes, for asyncio: what came, or the time that came first. Serial ports by pyserial."""

import asyncio
import termios
import time
from abc import ABC, abstractmethod

import serial

REOPEN_MIN_S, REOPEN_MAX_S = 0.2, 1.0
"""Pauses between attempts to open a device that is not there."""


class LineLost(Exception):
    """The device cannot be opened or went away. The text names it and says why."""


class ByteLine(ABC):
    """One device. Use: `open`, then `read` and `write`, then `close`; again at will."""

    def __init__(self, port: str) -> None:
        self.port = port
        self._fd: int | None = None
        self._arrived: asyncio.Queue[bytes | Exception] = asyncio.Queue()
        self._retry_s = REOPEN_MIN_S

    @abstractmethod
    def _open_device(self) -> int:
        """Open and return what to wait on. May raise OSError."""

    @abstractmethod
    def _read_device(self) -> bytes:
        """What is there, without waiting. May raise OSError."""

    @abstractmethod
    def _write_device(self, data: bytes) -> None:
        """May raise OSError."""

    @abstractmethod
    def _close_device(self) -> None:
        """Give it back."""

    def open(self) -> None:
        """Raises LineLost."""
        try:
            self._fd = self._open_device()
        except OSError as e:
            raise LineLost(f"{self.port} cannot be opened: {e}") from e
        self._retry_s = REOPEN_MIN_S
        self._arrived = asyncio.Queue(maxsize=256)
        asyncio.get_running_loop().add_reader(self._fd, self._readable)

    def close(self) -> None:
        if self._fd is not None:
            asyncio.get_running_loop().remove_reader(self._fd)
            self._fd = None
            self._close_device()

    async def pause(self) -> None:
        """Wait before opening again, longer at every attempt that fails."""
        await asyncio.sleep(self._retry_s)
        self._retry_s = min(2 * self._retry_s, REOPEN_MAX_S)

    async def read(self, until: float | None) -> bytes:
        """What came; empty when `until` (monotonic) came first. Raises LineLost."""
        left = None if until is None else max(0.0, until - time.monotonic())
        try:
            # Not wait_for: in Python 3.11 it loses a cancellation that comes together with the bytes.
            async with asyncio.timeout(left):
                data = await self._arrived.get()
        except TimeoutError:
            if self._arrived.empty():
                return b""
            data = self._arrived.get_nowait()  # it came in the very turn of the loop in which the time did
        if isinstance(data, Exception):
            raise LineLost(f"{self.port} went away: {data}") from data
        return data

    def write(self, data: bytes) -> None:
        """Send. Raises LineLost, also when the device takes nothing."""
        if not data or self._fd is None:
            return
        try:
            self._write_device(data)
        except OSError as e:
            raise LineLost(f"{self.port} does not take bytes: {e}") from e

    def _readable(self) -> None:
        if self._fd is None:
            return
        try:
            data: bytes | Exception = self._read_device()
        except OSError as e:
            asyncio.get_running_loop().remove_reader(self._fd)
            data = e
        if self._arrived.full():
            self._arrived.get_nowait()  # nobody reads: the oldest goes
        self._arrived.put_nowait(data)


class SerialLine(ByteLine):
    """A serial port, held exclusively. SerialException is an OSError."""

    def __init__(self, port: str, baudrate: int, *, bits: int = 8, parity: str = "N") -> None:
        super().__init__(port)
        self.baudrate = baudrate
        self._bits, self._parity = bits, parity
        self._device: serial.Serial | None = None

    def _open_device(self) -> int:
        try:
            self._device = serial.Serial(
                self.port,
                self.baudrate,
                bytesize=self._bits,
                parity=self._parity,
                timeout=0,
                write_timeout=0,
                exclusive=True,
            )
        except termios.error as error:  # no OSError: the device went away while it was being set up
            raise OSError(*error.args) from error
        return int(self._device.fileno())

    def _read_device(self) -> bytes:
        return bytes(self._device.read(1024)) if self._device else b""

    def _write_device(self, data: bytes) -> None:
        if self._device:
            self._device.write(data)

    def _close_device(self) -> None:
        if self._device:
            self._device.close()
            self._device = None
