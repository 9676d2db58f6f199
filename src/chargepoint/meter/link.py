"""One Modbus line (RTU on a serial device, or TCP) on which no answer is ever taken for another request's.

RTU has no transaction numbers: an answer that comes after its request was given up would be read as the answer to the
next one, and every answer after it would be one behind. So after every failure the line is left alone, its bytes
thrown away, until it has been silent for `quiet_s`; only then is anything asked again.
"""

import asyncio
import logging
import termios
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from pymodbus import FramerType
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU

from chargepoint.meter.plan import Block

log = structlog.get_logger()
# pymodbus writes a line of its own for every failure; here they are counted, and logged once per burst.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)

TIMEOUT_S = 0.4
"""How long a meter may take to begin its answer."""
QUIET_S = 0.6
"""Silence after a failure before the next request: longer than any meter's latest answer."""
QUIET_LIMIT_S = 3.0
"""A line that does not fall silent within this is closed and opened again."""
BURST_S = 10.0
"""Disturbances closer together than this are one burst, and one line in the log."""
RECONNECT_MAX_S = 1.0
FRAMES_KEPT, FRAME_MAX = 100, 300
"""For a technician: so many last frames, and of a babbling line so many bytes of each."""


def heed_cancellation() -> None:
    """Raise the cancellation of this task if it was lost.

    pymodbus waits with `wait_for`, which in Python 3.11 loses a cancellation that comes together with the answer.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class NoAnswer(Exception):
    """The request got no usable answer. The text says what came instead."""


class NoLine(NoAnswer):
    """The device cannot be opened: nobody on it can be asked."""


class Refused(Exception):
    """The meter answered with a Modbus exception: there is a meter, but not with this register."""


@dataclass(slots=True)
class Counters:
    """What happened on the line since the start."""

    requests: int = 0
    timeouts: int = 0
    """Nothing came."""
    malformed: int = 0
    """Something came that was no whole frame (CRC, length)."""
    refused: int = 0
    """Modbus exceptions."""
    implausible: int = 0
    """Whole frames with values no meter would show."""
    reconnects: int = 0


class ModbusLink:
    """One line, one request at a time, used by one task."""

    def __init__(
        self,
        port: str,
        baudrate: int = 9600,
        parity: str = "N",
        *,
        tcp_port: int | None = None,
        quiet_s: float = QUIET_S,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """`port`: serial device, or the host name when `tcp_port` is given. Opens nothing yet."""
        self.counters = Counters()
        self.name = port if tcp_port is None else f"{port}:{tcp_port}"
        self._port, self._tcp_port = port, tcp_port
        self._baudrate, self._parity = baudrate, parity
        self._quiet_s, self._timeout_s = quiet_s, timeout_s
        # 11 bits a character; the longest answer (125 registers) must fit into the wait at any speed.
        self._longest_s = 260 * 11 / baudrate if tcp_port is None and baudrate < 9600 else 0.1
        self._silence_s = 0.0 if tcp_port is not None else 3.5 * 11 / baudrate
        self._client: AsyncModbusSerialClient | AsyncModbusTcpClient | None = None
        self._heard_at = 0.0
        self._heard = 0
        self._burst_at = -BURST_S
        self._retry_at = 0.0
        self._retry_s = 0.1
        self._frames: deque[list[Any]] = deque(maxlen=FRAMES_KEPT)

    def frames(self) -> list[tuple[float, bool, bytes]]:
        """The last frames on the line, oldest first: monotonic seconds of its first byte, sent (else heard), bytes."""
        return [(at, sent, bytes(data)) for at, sent, data in self._frames]

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    async def read(self, unit: int, function: int, block: Block, gap_s: float = 0.0) -> list[int]:
        """Registers of a block. Raises NoAnswer after the line is quiet again, Refused at once.

        A call must not be cancelled and followed by another: the quiet time would be missing.
        """
        client = await self._connected()
        read = client.read_holding_registers if function == 3 else client.read_input_registers
        ask = partial(read, block.address, count=block.count, device_id=unit)
        answer = await self._exchange(unit, ask, f"registers {block.address}+{block.count}", gap_s)
        registers = list(answer.registers)
        if len(registers) != block.count:
            await self._failed(unit, f"{len(registers)} registers instead of {block.count}", None)
            raise NoAnswer(f"unit {unit} on {self.name} gave {len(registers)} registers, asked for {block.count}")
        return registers

    async def read_bits(self, unit: int, function: int, block: Block, gap_s: float = 0.0) -> list[bool]:
        """Coils (function 1) or discrete inputs (2) of a block. Raises like `read`."""
        client = await self._connected()
        read = client.read_coils if function == 1 else client.read_discrete_inputs
        ask = partial(read, block.address, count=block.count, device_id=unit)
        answer = await self._exchange(unit, ask, f"bits {block.address}+{block.count}", gap_s)
        bits = list(answer.bits)[: block.count]
        if len(bits) != block.count:
            await self._failed(unit, f"{len(bits)} bits instead of {block.count}", None)
            raise NoAnswer(f"unit {unit} on {self.name} gave {len(bits)} bits, asked for {block.count}")
        return bits

    async def write(self, unit: int, address: int, words: list[int], gap_s: float = 0.0, *, many: bool = False) -> None:
        """Write holding registers; a single one by function 16 too when `many`. Raises like `read`."""
        client = await self._connected()
        if len(words) == 1 and not many:
            ask = partial(client.write_register, address, words[0], device_id=unit)
        else:
            ask = partial(client.write_registers, address, words, device_id=unit)
        await self._exchange(unit, ask, f"writing {len(words)} registers from {address}", gap_s)

    async def write_bit(self, unit: int, address: int, on: bool, gap_s: float = 0.0) -> None:
        """Write a coil. Raises like `read`."""
        client = await self._connected()
        ask = partial(client.write_coil, address, on, device_id=unit)
        await self._exchange(unit, ask, f"writing coil {address}", gap_s)

    async def _exchange(self, unit: int, ask: Callable[[], Awaitable[ModbusPDU]], what: str, gap_s: float) -> ModbusPDU:
        """One request and its answer."""
        if (left := self._heard_at + max(self._silence_s, gap_s) - time.monotonic()) > 0:
            await asyncio.sleep(left)
        heed_cancellation()
        self._heard = 0
        self.counters.requests += 1
        try:
            answer = await ask()
        except ModbusException as e:
            await self._failed(unit, "a damaged answer" if self._heard else "no answer", e)
            raise NoAnswer(f"no usable answer from unit {unit} on {self.name}") from e
        if answer.isError():
            self.counters.refused += 1
            raise Refused(f"unit {unit} on {self.name} refused {what}: {answer}")
        return answer

    async def _connected(self) -> AsyncModbusSerialClient | AsyncModbusTcpClient:
        if self._client is None:
            self._client = self._make_client()
        if self._client.connected:
            return self._client
        await asyncio.sleep(max(0.0, self._retry_at - time.monotonic()))
        if not await self._opened(self._client):
            self._retry_at = time.monotonic() + self._retry_s
            self._retry_s = min(2 * self._retry_s, RECONNECT_MAX_S)
            raise NoLine(f"{self.name} cannot be opened; is it there, and free?")
        self._retry_s = 0.1
        self.counters.reconnects += 1
        await asyncio.sleep(0)  # pymodbus finishes its set-up in the next turn of the loop
        return self._client

    async def _opened(self, client: AsyncModbusSerialClient | AsyncModbusTcpClient) -> bool:
        try:
            return bool(await client.connect())
        except termios.error:  # no OSError: the device went away while it was being set up
            return False

    def _make_client(self) -> AsyncModbusSerialClient | AsyncModbusTcpClient:
        # Opening again is done here (reconnect_delay=0), so that there is one place that waits and counts.
        timeout = self._timeout_s + self._longest_s
        if self._tcp_port is not None:
            return AsyncModbusTcpClient(
                self._port,
                port=self._tcp_port,
                timeout=timeout,
                retries=0,
                reconnect_delay=0,
                trace_packet=self._listen,
            )
        return AsyncModbusSerialClient(
            self._port,
            framer=FramerType.RTU,
            baudrate=self._baudrate,
            parity=self._parity,
            timeout=timeout,
            retries=0,
            reconnect_delay=0,
            trace_packet=self._listen,
        )

    def _listen(self, sending: bool, data: bytes) -> bytes:
        now = time.monotonic()
        if not sending:
            self._heard += len(data)
            self._heard_at = now
        if not sending and self._frames and not self._frames[-1][1]:
            self._frames[-1][2] += data[: FRAME_MAX - len(self._frames[-1][2])]  # an answer comes in pieces
        else:
            self._frames.append([now, sending, bytearray(data[:FRAME_MAX])])
        return data

    async def _failed(self, unit: int, what: str, error: Exception | None) -> None:
        if self._heard:
            self.counters.malformed += 1
        else:
            self.counters.timeouts += 1
        now = time.monotonic()
        if now - self._burst_at >= BURST_S:
            log.warning("meter_line_disturbed", line=self.name, unit=unit, got=what, detail=str(error or ""))
        self._burst_at = now
        await self._fall_silent()

    async def _fall_silent(self) -> None:
        """Let late bytes run into the void until there have been none for the quiet time."""
        start = time.monotonic()
        while (now := time.monotonic()) - start < QUIET_LIMIT_S:
            left = max(start, self._heard_at) + self._quiet_s - now
            if left <= 0:
                return
            await asyncio.sleep(left)
        log.warning("meter_line_babbles", line=self.name)
        self.close()
