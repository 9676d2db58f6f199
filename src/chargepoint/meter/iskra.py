"""How an Iskra WM3M4C signs a transaction: commands and data sets in its holding registers.

Registers and codes: EVerest RsIskraMeter src/main.rs, Tinkerforge eichrecht.c (user's manual K_WM3M4, 6.5). The two
differ in the command that ends a transaction ('r' here and in EVerest, Tinkerforge also knows 'E' and 'i').
"""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from chargepoint.meter.ocmf import SignedData, public_key, repair_signature
from chargepoint.meter.plan import Block

STATE, COMMAND, STATUS = 7000, 7051, 7052
OFFSET_MIN, UNIX_TIME = 7053, 7054
LENGTH_IN, LENGTH_OUT, LENGTH_SIGNATURE = 7056, 7057, 7058
SIGNATURE_FORMAT, TIME_SYNCHRONISED = 7059, 7071
DATASET_IN, DATASET_OUT, PUBLIC_KEY, SIGNATURE = 7100, 7612, 8124, 8188

BEGIN, END = ord("B") << 8, ord("r") << 8
SYNCHRONISED = 2
IDLE, ACTIVE = 0, 1
PENDING = (0, 1, 2)
"""Not initialised, idle, signature in progress."""
SIGNED = 15
CHUNK = 120
"""Registers per read and per write."""
STATE_WAIT_S, SIGNATURE_WAIT_S, POLL_S = 1.0, 15.0, 0.05
MAX_SIGNATURE = 128
PUBLIC_KEY_WORDS = 32

PROBLEMS = {
    128: "its clock is not set",
    129: "a checksum is wrong",
    130: "it does not know the command",
    131: "the command does not fit its state",
    132: "a measurement is invalid",
    133: "it is in test mode",
    245: "it could not make its keys",
    246: "the hash failed",
    251: "its public key is wrong",
    252: "the data set has a wrong form",
    253: "the data set has a wrong length",
    254: "signing failed",
}


class SigningFailed(Exception):
    """The meter did not sign. The text says why; the transaction goes on unsigned."""


class Registers(Protocol):
    """The line, as `ModbusLink` gives it."""

    async def read(self, unit: int, function: int, block: Block, gap_s: float = 0.0) -> list[int]: ...
    async def write(self, unit: int, address: int, words: list[int]) -> None: ...


class IskraSigner:
    """One meter on a line that nobody else uses meanwhile. Line errors (NoAnswer, Refused) go through."""

    def __init__(self, line: Registers, unit: int) -> None:
        self._line = line
        self._unit = unit

    async def begin(self, dataset: str, utc: int, offset_min: int) -> None:
        """Start a signed transaction. `utc`: seconds of the epoch. Raises SigningFailed."""
        if await self._one(STATE) != IDLE:
            # Left over from before a restart: its signature belongs to no transaction of ours any more.
            await self._put(COMMAND, END)
            await self._until(STATE, lambda state: state == IDLE, STATE_WAIT_S, "does not end its last transaction")
        await self._put(UNIX_TIME, utc >> 16 & 0xFFFF, utc & 0xFFFF)
        await self._put(OFFSET_MIN, offset_min & 0xFFFF)
        await self._put(TIME_SYNCHRONISED, SYNCHRONISED)
        await self._put(SIGNATURE_FORMAT, 0)
        raw = dataset.encode("ascii")
        words = _words(raw)
        await self._put(DATASET_IN, *words)
        await self._put(LENGTH_IN, len(raw))
        if await self._many(DATASET_IN, len(words)) != words:
            raise SigningFailed("the meter reads back another data set than was written")
        await self._put(COMMAND, BEGIN)
        await self._until(STATE, lambda state: state == ACTIVE, STATE_WAIT_S, "does not begin the transaction")
        await self._signed()

    async def end(self) -> SignedData:
        """End it; the data set holds begin and end. Raises SigningFailed, or ocmf.BadSignature."""
        if await self._one(STATE) == IDLE:
            raise SigningFailed("the meter has no transaction to end")
        await self._put(COMMAND, END)
        await self._until(STATE, lambda state: state == IDLE, STATE_WAIT_S, "does not end the transaction")
        await self._signed()
        size, signed_size = await self._one(LENGTH_OUT), await self._one(LENGTH_SIGNATURE)
        if not 0 < size <= 1024 or not 0 < signed_size <= MAX_SIGNATURE:
            raise SigningFailed(f"the meter tells lengths of {size} and {signed_size} bytes")
        payload = _bytes(await self._many(DATASET_OUT, (size + 1) // 2))[:size]
        signature = _bytes(await self._many(SIGNATURE, (signed_size + 1) // 2))[:signed_size]
        key = _bytes(await self._many(PUBLIC_KEY, PUBLIC_KEY_WORDS))
        return SignedData(payload.decode("ascii", "strict"), repair_signature(signature), public_key(key))

    async def _signed(self) -> None:
        status = await self._until(
            STATUS, lambda s: s not in PENDING, SIGNATURE_WAIT_S, "does not finish its signature"
        )
        if status != SIGNED:
            raise SigningFailed(f"the meter does not sign: {PROBLEMS.get(status, f'status {status}')}")

    async def _until(self, address: int, done: Callable[[int], bool], wait_s: float, else_it: str) -> int:
        deadline = time.monotonic() + wait_s
        while not done(value := await self._one(address)):
            if time.monotonic() >= deadline:
                raise SigningFailed(f"the meter {else_it} within {wait_s:g} s (register {address} reads {value})")
            await asyncio.sleep(POLL_S)
        return value

    async def _one(self, address: int) -> int:
        return (await self._line.read(self._unit, 3, Block(address, 1)))[0]

    async def _many(self, address: int, count: int) -> list[int]:
        words: list[int] = []
        while len(words) < count:
            block = Block(address + len(words), min(CHUNK, count - len(words)))
            words += await self._line.read(self._unit, 3, block)
        return words

    async def _put(self, address: int, *words: int) -> None:
        for start in range(0, len(words), CHUNK):
            await self._line.write(self._unit, address + start, list(words[start : start + CHUNK]))


def _words(raw: bytes) -> list[int]:
    padded = raw + b"\0" * (len(raw) % 2)
    return [int.from_bytes(padded[i : i + 2], "big") for i in range(0, len(padded), 2)]


def _bytes(words: list[int]) -> bytes:
    return b"".join(word.to_bytes(2, "big") for word in words)
