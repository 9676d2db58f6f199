"""A serial device for asyncio: bytes as they come, or the time that came first. pyserial underneath."""

import asyncio
import time

import serial

REOPEN_MIN_S, REOPEN_MAX_S = 0.2, 5.0
"""Pauses between attempts to open a device that is not there."""


class LineLost(Exception):
    """The device cannot be opened or went away. The text names it and says why."""


class SerialLine:
    """One opened device, held exclusively. Use: `open`, then `read` and `write`, then `close`; again at will."""

    def __init__(self, port: str, baudrate: int, *, bits: int = 8, parity: str = "N") -> None:
        self.port = port
        self.baudrate = baudrate
        self._bits, self._parity = bits, parity
        self._device: serial.Serial | None = None
        self._arrived: asyncio.Queue[bytes | Exception] = asyncio.Queue()
        self._retry_s = REOPEN_MIN_S

    def open(self) -> None:
        """Raises LineLost."""
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
        except (serial.SerialException, OSError) as e:
            raise LineLost(f"{self.port} cannot be opened: {e}") from e
        self._retry_s = REOPEN_MIN_S
        self._arrived = asyncio.Queue(maxsize=256)
        asyncio.get_running_loop().add_reader(self._device.fileno(), self._readable)

    def close(self) -> None:
        if self._device is not None:
            asyncio.get_running_loop().remove_reader(self._device.fileno())
            self._device.close()
            self._device = None

    async def pause(self) -> None:
        """Wait before opening again, longer at every attempt that fails."""
        await asyncio.sleep(self._retry_s)
        self._retry_s = min(2 * self._retry_s, REOPEN_MAX_S)

    async def read(self, until: float | None) -> bytes:
        """What came; empty when `until` (monotonic) came first. Raises LineLost."""
        try:
            data = await asyncio.wait_for(
                self._arrived.get(), None if until is None else max(0.0, until - time.monotonic())
            )
        except TimeoutError:
            return b""
        if isinstance(data, Exception):
            raise LineLost(f"{self.port} went away: {data}") from data
        return data

    def write(self, data: bytes) -> None:
        """Send. Raises LineLost, also when the device takes nothing."""
        if not data or self._device is None:
            return
        try:
            self._device.write(data)
        except (serial.SerialException, OSError) as e:
            raise LineLost(f"{self.port} does not take bytes: {e}") from e

    def _readable(self) -> None:
        if self._device is None:
            return
        try:
            data: bytes | Exception = self._device.read(1024)
        except (serial.SerialException, OSError) as e:
            asyncio.get_running_loop().remove_reader(self._device.fileno())
            data = e
        if self._arrived.full():
            self._arrived.get_nowait()  # nobody reads: the oldest goes
        self._arrived.put_nowait(data)
