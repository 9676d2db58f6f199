"""Simulated Modbus meters on one pseudo-terminal, answering from the same register maps the driver reads.

Like real ones they say nothing when another unit is asked, and nothing to a frame whose CRC is wrong.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from chargepoint.meter import maps
from chargepoint.meter.maps import Register, RegisterMap
from chargepoint.meter.plan import spans
from chargepoint.meter.registers import WORDS, decode, encode
from chargepoint.sim.wire_iskra import SimSigner
from chargepoint.sim.wire_pty import PtyWire

_WRITE_ONE, _WRITE_MANY = 6, 16
_FIXED_REQUEST = 8
"""Bytes of a request to read registers or write one: unit, function, address, count or value, CRC."""
_WRITE_HEAD = 7
"""Bytes before the data of a request to write registers; the last is their count."""
_ILLEGAL_FUNCTION, _ILLEGAL_ADDRESS, _ILLEGAL_VALUE = 1, 2, 3
"""Exception codes, Modbus Application Protocol V1.1b3, clause 7."""
_NOISE_EVERY = 3
"""A noisy meter spoils one answer in so many."""


@dataclass(frozen=True, slots=True)
class SimReading:
    """What the simulated meter measures, on its own L1..L3. Powers are signed, positive when energy is imported."""

    voltage_v: tuple[float, float, float] = (230.0, 230.0, 230.0)
    current_a: tuple[float, float, float] = (0.0, 0.0, 0.0)
    power_w: tuple[float, float, float] = (0.0, 0.0, 0.0)
    energy_wh: float = 0.0
    export_wh: float = 0.0
    frequency_hz: float = 50.0


def crc16(data: bytes) -> bytes:
    """CRC of Modbus over serial line V1.02, clause 6.2.2, as it stands in a frame (low byte first)."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc.to_bytes(2, "little")


def _registers(function: int, words: list[int]) -> bytes:
    """PDU that gives these registers."""
    return bytes((function, 2 * len(words))) + b"".join(word.to_bytes(2, "big") for word in words)


class SimMeter:
    """One meter of a model, fed by `source`. Raises maps.UnknownModel."""

    def __init__(self, model: str, source: Callable[[], SimReading]) -> None:
        self.map: RegisterMap = maps.load(model)
        self.source = source
        self.silent = False
        """Answers nothing."""
        self.noise = False
        """Spoils some of its answers."""
        self.delay_s = 0.0
        """Answers so much too late."""
        self.new_unit: int | None = None
        """The number it was told to answer to from now on."""
        self._answers = 0
        self.signer = SimSigner(lambda: self.source().energy_wh) if model == "iskra-wm3m4c" else None

    def answer(self, request: bytes) -> bytes:
        """PDU that answers this PDU (function, address, then count or what to write)."""
        function, address, count = request[0], int.from_bytes(request[1:3], "big"), int.from_bytes(request[3:5], "big")
        if function in (_WRITE_ONE, _WRITE_MANY):
            return self._written(function, address, request)
        if self.signer and function == 3 and self.signer.holds(address, count):
            return _registers(function, self.signer.read(address, count))
        image = self._image()
        probe = self.map.identity
        if probe and function == probe.function and self._within(self._identity_image(), address, count):
            image = self._identity_image()
        elif function != self.map.function:
            return bytes((function | 0x80, _ILLEGAL_FUNCTION))
        if not 1 <= count <= self.map.max_registers:
            return bytes((function | 0x80, _ILLEGAL_VALUE))
        if not self._within(image, address, count):
            return bytes((function | 0x80, _ILLEGAL_ADDRESS))
        return _registers(function, [image.get(a, 0) for a in range(address, address + count)])

    def _written(self, function: int, address: int, request: bytes) -> bytes:
        data = request[3:5] if function == _WRITE_ONE else request[6:]
        words = [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]
        if self.map.unit is not None and (address, len(words)) == (self.map.unit.address, WORDS[self.map.unit.type]):
            self.new_unit = int(decode(words, self.map.unit.type, self.map.word_order) or 0)
            return request[:5]
        if self.signer is None or not self.signer.holds(address, len(words)):
            return bytes((function | 0x80, _ILLEGAL_ADDRESS))
        self.signer.write(address, words)
        return request[:5]

    def spoil(self, frame: bytes) -> bytes:
        """The frame as it leaves a noisy meter."""
        if not self.noise:
            return frame
        self._answers += 1
        turn, spoilt = divmod(self._answers, _NOISE_EVERY)
        if spoilt:
            return frame
        return (
            frame[:-1] + bytes((frame[-1] ^ 0x55,)),
            frame[: len(frame) // 2],
            bytes((0xFF, 0x00, 0x83, 0x5A)) * 5,
        )[turn % 3]

    @staticmethod
    def _within(image: dict[int, int], address: int, count: int) -> bool:
        return bool(image) and min(image) <= address and address + count <= max(image) + 1

    def _identity_image(self) -> dict[int, int]:
        identity = self.map.identity
        if identity is None:
            return {}
        value = identity.values[0] if identity.values else 12_345_678
        words = encode(value, identity.type, self.map.word_order)
        return dict(enumerate(words, identity.address))

    def _image(self) -> dict[int, int]:
        values = self._values(self.source())
        image: dict[int, int] = {
            a: 0 for first, count in spans(self.map.registers.values()) for a in range(first, first + count)
        }
        for name, row in self.map.registers.items():
            words = encode(self._raw(row, values.get(name)), row.type, self.map.word_order)
            image.update(enumerate(words, row.address))
        return image

    @staticmethod
    def _raw(row: Register, value: float | None) -> float | None:
        return None if value is None else value / row.scale

    def _values(self, now: SimReading) -> dict[str, float]:
        phases = range(self.map.phases)
        apparent = sum(now.voltage_v[n] * now.current_a[n] for n in phases)
        total = sum(now.power_w[n] for n in phases)
        found = {
            "power": total,
            "energy_import": now.energy_wh,
            "energy_export": now.export_wh,
            "frequency": now.frequency_hz,
            "power_factor": max(-1.0, min(1.0, total / apparent)) if apparent else 1.0,
        }
        for i in range(3):
            found[f"voltage_l{i + 1}"] = now.voltage_v[i]
            found[f"current_l{i + 1}"] = now.current_a[i]
            found[f"power_l{i + 1}"] = now.power_w[i]
        if "power_reverse" in self.map.registers:
            found["power"], found["power_reverse"] = max(0.0, total), max(0.0, -total)
        return found


class SimMeterBus:
    """The meters of one line, by unit id."""

    def __init__(self, link_path: Path, meters: Mapping[int, SimMeter], byte_s: float = 0.0) -> None:
        """`byte_s`: seconds one byte takes on the wire; 0 answers at once."""
        self._meters = dict(meters)
        self._wire = PtyWire(link_path, self._received)
        self._byte_s = byte_s
        self._buffer = b""

    async def start(self) -> None:
        self._wire.open()

    async def close(self) -> None:
        self._wire.close()

    def _received(self, data: bytes) -> None:
        # A frame is found by its length and CRC; what is none is passed over byte by byte, so garbage is outlived.
        self._buffer = (self._buffer + data)[-512:]
        while len(self._buffer) >= _FIXED_REQUEST:
            size = _FIXED_REQUEST
            if self._buffer[1] == _WRITE_MANY:
                size = _WRITE_HEAD + self._buffer[_WRITE_HEAD - 1] + 2
            frame = self._buffer[:size]
            if len(frame) < size:
                return
            if crc16(frame[:-2]) != frame[-2:]:
                self._buffer = self._buffer[1:]
                continue
            self._buffer = self._buffer[size:]
            self._request(frame)

    def _request(self, frame: bytes) -> None:
        meter = self._meters.get(frame[0])
        if meter is None or meter.silent:
            return
        body = frame[:1] + meter.answer(frame[1:-2])
        if meter.new_unit is not None:
            self._meters[meter.new_unit] = self._meters.pop(frame[0])
            meter.new_unit = None
        answer = meter.spoil(body + crc16(body))
        wait = meter.delay_s + self._byte_s * (len(frame) + 3.5 + len(answer))
        if wait:
            asyncio.get_running_loop().call_later(wait, self._wire.write, answer)
        else:
            self._wire.write(answer)
