"""Values in Modbus registers: how many words each type takes, and what the words mean. Pure.

A register is 16 bit. Bytes within a register are big-endian (Modbus Application Protocol V1.1b3, clause 4.2);
the order of the registers of one value is the maker's choice, so every map states it.
"""

import math
import struct
from collections.abc import Sequence
from typing import Literal

WordOrder = Literal["big", "little"]
"""`big`: the register with the high word comes first; `little`: the low word first (Carlo Gavazzi, Phoenix)."""

WORDS: dict[str, int] = {
    "u16": 1,
    "i16": 1,
    "u32": 2,
    "i32": 2,
    "u64": 4,
    "i64": 4,
    "f32": 2,
    "t5": 2,
    "t6": 2,
    "t7": 2,
}
"""Registers each type takes. t5, t6, t7 are the packed types of Iskra meters (exponent, mantissa, sign)."""

_STRUCT = {"u16": ">H", "i16": ">h", "u32": ">I", "i32": ">i", "u64": ">Q", "i64": ">q", "f32": ">f"}
_T7_UNIT = 10_000
"""A t7 counts in ten-thousandths."""


def words(kind: str) -> int:
    """Registers a value of this type takes. Raises KeyError for a type that does not exist."""
    return WORDS[kind]


def decode(registers: Sequence[int], kind: str, order: WordOrder = "big", absent: bool = False) -> float | None:
    """The number in these registers, unscaled; None when they say that there is no value.

    A float that is not a finite number is no value. With `absent`, integers with all bits set (unsigned) or the
    largest positive number (signed) are the maker's mark for a quantity the meter does not have.
    """
    if len(registers) != WORDS[kind]:
        raise ValueError(f"a {kind} takes {WORDS[kind]} registers, got {len(registers)}")
    ordered = registers if order == "big" else registers[::-1]
    raw = b"".join(r.to_bytes(2, "big") for r in ordered)
    if kind in _STRUCT:
        (value,) = struct.unpack(_STRUCT[kind], raw)
        if kind == "f32":
            return float(value) if math.isfinite(value) else None
        if absent and value == _absent(kind):
            return None
        return float(value) if kind not in ("u64", "i64") else value
    return _decode_packed(raw, kind)


def encode(value: float | None, kind: str, order: WordOrder = "big") -> list[int]:
    """Registers that hold the unscaled value; None is written as the type's mark for no value."""
    raw = _encode_plain(value, kind) if kind in _STRUCT else _encode_packed(value or 0.0, kind)
    found = [int.from_bytes(raw[i : i + 2], "big") for i in range(0, len(raw), 2)]
    return found if order == "big" else found[::-1]


def _absent(kind: str) -> int:
    bits = 16 * WORDS[kind]
    return (1 << bits) - 1 if kind[0] == "u" else (1 << (bits - 1)) - 1


def _encode_plain(value: float | None, kind: str) -> bytes:
    if kind == "f32":
        return struct.pack(">f", math.nan if value is None else value)
    return struct.pack(_STRUCT[kind], _absent(kind) if value is None else round(value))


def _decode_packed(raw: bytes, kind: str) -> float:
    """Iskra: t5 and t6 are a signed decimal exponent and a 24-bit mantissa; t7 is two sign bytes and a count."""
    if kind == "t7":
        magnitude = int.from_bytes(raw[2:4], "big") / _T7_UNIT
        return -magnitude if raw[0] else magnitude
    mantissa = int.from_bytes(raw[1:4], "big", signed=kind == "t6")
    exponent = int.from_bytes(raw[0:1], "big", signed=True)
    # Dividing by a whole power keeps 2345 with exponent -1 at exactly 234.5.
    return float(mantissa * 10**exponent) if exponent >= 0 else float(mantissa / 10**-exponent)


def _encode_packed(value: float, kind: str) -> bytes:
    if kind == "t7":
        return bytes((0xFF if value < 0 else 0, 0)) + round(abs(value) * _T7_UNIT).to_bytes(2, "big")
    limit = (1 << 24) - 1 if kind == "t5" else (1 << 23) - 1
    exponent = -3
    while abs(value) * 10.0**-exponent > limit:
        exponent += 1
    mantissa = round(value * 10.0**-exponent)
    return exponent.to_bytes(1, "big", signed=True) + mantissa.to_bytes(3, "big", signed=kind == "t6")
