"""Simulated pilot controllers on Modbus, TCP or pseudo-terminal: the registers of a map, and a car behind them.

Like the real ones, as far as is known, they keep the last permission for ever: nothing here stops a car because
nobody writes any more.
"""

import asyncio
import math
from pathlib import Path

from chargepoint.controller.maps import COILS, HOLDING, ControllerMap, Place, load
from chargepoint.sim.wire_meters import crc16
from chargepoint.sim.wire_pty import PtyWire

_READS = (1, 2, 3, 4)
_WRITE_COIL, _WRITE_ONE, _WRITE_MANY = 5, 6, 16
_ILLEGAL_FUNCTION, _ILLEGAL_ADDRESS = 1, 2
"""Exception codes, Modbus Application Protocol V1.1b3, clause 7."""
_PROTOCOL_HEAD = 7
"""Bytes before the request in a TCP frame: transaction, protocol, length, unit."""
_MANY_HEAD = 7
ON = 0xFF00
"""A coil's value for on (clause 6.5)."""


class SimPilot:
    """One controller and its car. `plugged` and `wants_energy` are the car's; the rest follows."""

    def __init__(self, model: str) -> None:
        self.map: ControllerMap = load(model)
        self.plugged = False
        self.wants_energy = True
        self.cable_a = 32
        self.failed: set[str] = set()
        """Texts of the map's fault bits that are set."""
        self.deaf = False
        """Takes no permission (a switch is off), and answers all the same."""
        self.words: dict[tuple[int, int], int] = {}
        self.writes: list[tuple[int, int]] = []
        """Address and value of every write, in order."""
        for function, block in self.map.blocks():
            self.words.update({(function, block.address + n): 0 for n in range(block.count)})
        for place in (self.map.precise, self.map.start_current):
            if place is not None:
                self.words[place.function, place.address] = 0
        if self.map.clear is not None:
            self.words.setdefault((HOLDING, self.map.clear.address), 0)

    @property
    def permitted_a(self) -> float:
        amps = float(self.words[self._at(self.map.setting)])
        if self.map.precise is not None and self.map.precise.number(self.words):
            amps /= 100
        if self.map.enable is not None and not self.words[self._at(self.map.enable)]:
            return 0.0
        return amps

    @property
    def contactor(self) -> bool:
        """Closed: the car asks, current is permitted, nothing is wrong."""
        return self.plugged and self.wants_energy and self.permitted_a >= 6 and not self.failed

    def refresh(self) -> None:
        """Put the present state into the registers."""
        offers = self.plugged and self.permitted_a >= 6
        letter = ("C" if offers and self.wants_energy else "B") if self.plugged else "A"
        if self.failed:
            letter = "E"
        numbers = {str(meant): number for number, meant in self.map.vehicle.states.items()}
        m = self.map
        self.words[m.vehicle.function, m.vehicle.address] = int(numbers[letter])
        for bit in m.fault:
            self._set_bit(bit.place, bit.text in self.failed)
        if m.cable is not None:
            self.words[self._at(m.cable)] = self.cable_a if self.plugged else 0
        self._set_bit(m.contactor, self.contactor)
        if m.locked is not None:
            self._set_bit(m.locked, self.plugged)
        if m.offered != m.setting:
            self.words[self._at(m.offered)] = math.floor(self.words[self._at(m.setting)]) if offers else 0
        if m.pwm.value is not None:
            self.words[self._at(m.pwm)] = m.pwm.value if offers else 1

    def answer(self, request: bytes) -> bytes:
        """The answer to a request, both without unit and check."""
        self.refresh()
        code, address = request[0], int.from_bytes(request[1:3], "big")
        number = int.from_bytes(request[3:5], "big")
        if code in _READS:
            return self._read(code, address, number)
        if code == _WRITE_COIL:
            return self._write(code, COILS, address, [int(number == ON)]) or request[:5]
        if code == _WRITE_ONE:
            return self._write(code, HOLDING, address, [number]) or request[:5]
        if code == _WRITE_MANY:
            data = request[6:]
            values = [int.from_bytes(data[n : n + 2], "big") for n in range(0, 2 * number, 2)]
            return self._write(code, HOLDING, address, values) or request[:5]
        return bytes((code | 0x80, _ILLEGAL_FUNCTION))

    def _read(self, code: int, address: int, count: int) -> bytes:
        try:
            values = [self.words[code, address + n] for n in range(count)]
        except KeyError:
            return bytes((code | 0x80, _ILLEGAL_ADDRESS))
        if code in (1, 2):
            packed = sum(value << n for n, value in enumerate(values)).to_bytes((count + 7) // 8, "little")
        else:
            packed = b"".join(value.to_bytes(2, "big") for value in values)
        return bytes((code, len(packed))) + packed

    def _write(self, code: int, function: int, address: int, values: list[int]) -> bytes:
        """Empty when it was taken."""
        for n, value in enumerate(values):
            if (function, address + n) not in self.words:
                return bytes((code | 0x80, _ILLEGAL_ADDRESS))
            self.writes.append((address + n, value))
            if not self.deaf:
                self.words[function, address + n] = value
        if self.map.clear is not None and (address, values) == (self.map.clear.address, [self.map.clear.value]):
            self.failed.clear()
        return b""

    def _set_bit(self, place: Place, on: bool) -> None:
        key, shift = self._at(place), place.bit or 0
        self.words[key] = self.words[key] & ~(1 << shift) | int(on) << shift

    @staticmethod
    def _at(place: Place) -> tuple[int, int]:
        return place.function, place.address


class SimPilotTcp:
    """One controller behind a TCP port of the loopback."""

    def __init__(self, pilot: SimPilot, unit: int) -> None:
        self.pilot = pilot
        self.port = 0
        self._unit = unit
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen; on the port of the time before, if there was one."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """The controller's network is gone."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = await reader.readexactly(_PROTOCOL_HEAD)
                request = await reader.readexactly(int.from_bytes(head[4:6], "big") - 1)
                if head[6] == self._unit:
                    answer = self.pilot.answer(request)
                    writer.write(head[:4] + (len(answer) + 1).to_bytes(2, "big") + head[6:7] + answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            self._writers.discard(writer)
            writer.close()


class SimPilotLine:
    """Controllers by unit on one pseudo-terminal, in RTU frames."""

    def __init__(self, link_path: Path, pilots: dict[int, SimPilot]) -> None:
        self._pilots = pilots
        self._wire = PtyWire(link_path, self._received)
        self._buffer = b""
        self.silent = False

    async def start(self) -> None:
        self._wire.open()

    async def close(self) -> None:
        self._wire.close()

    def _received(self, data: bytes) -> None:
        self._buffer = (self._buffer + data)[-512:]
        while len(self._buffer) >= 8:
            many = self._buffer[1] == _WRITE_MANY
            size = _MANY_HEAD + self._buffer[_MANY_HEAD - 1] + 2 if many else 8
            frame = self._buffer[:size]
            if len(frame) < size:
                return
            if crc16(frame[:-2]) != frame[-2:]:
                self._buffer = self._buffer[1:]
                continue
            self._buffer = self._buffer[size:]
            pilot = self._pilots.get(frame[0])
            if pilot is not None and not self.silent:
                body = frame[:1] + pilot.answer(frame[1:-2])
                self._wire.write(body + crc16(body))
