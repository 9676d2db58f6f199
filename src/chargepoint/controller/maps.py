"""Register maps of pilot controllers: one data file per model in `maps/`, checked when it is loaded.

Adding a controller is adding a file; nothing here knows a model. Addresses are those on the wire (0-based).
"""

import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import msgspec

from chargepoint.faults import FAULTS
from chargepoint.meter.plan import Block

COILS, INPUTS, HOLDING, INPUT_REGISTERS = 1, 2, 3, 4
"""Modbus functions that read; the first two read bits."""
BITS = (COILS, INPUTS)
JOIN_GAP = 10
"""Registers or bits between two wanted ones that are read along rather than asked for apart."""


class UnknownController(ValueError):
    """There is no map of that name. The text lists the names there are."""


class BadMap(ValueError):
    """A map file contradicts itself."""


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where something stands: a bit, a register, one bit of a register, or a register that has to hold a value."""

    function: Literal[1, 2, 3, 4]
    address: int
    bit: int | None = None
    value: int | None = None

    def number(self, words: dict[tuple[int, int], int]) -> int:
        """What stands there, of what was read; a bit or a comparison as 0 or 1."""
        word = words[self.function, self.address]
        if self.value is not None:
            return int(word == self.value)
        return word if self.bit is None else word >> self.bit & 1


class Vehicle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The car's state: which number means which letter of IEC 61851-1."""

    function: Literal[3, 4]
    address: int
    states: dict[str, Literal["A", "B", "C", "D", "E", "F"]]

    @property
    def place(self) -> Place:
        return Place(self.function, self.address)


class FaultBit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A bit that says that something is wrong, and our name for it."""

    function: Literal[3, 4]
    address: int
    bit: int
    name: str
    text: str

    @property
    def place(self) -> Place:
        return Place(self.function, self.address, self.bit)


class Clear(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to write to make the device forget a fault that it has latched."""

    address: int
    value: int


class ControllerMap(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One model, as its file says."""

    title: str
    source: str
    notes: tuple[str, ...]
    transport: Literal["rtu", "tcp"]
    unit: int
    """Unit number as the maker delivers it."""
    baudrate: int = 9600
    parity: Literal["N", "E", "O"] = "N"
    gap_ms: float = 0.0
    """Pause the device wants between two requests, ms."""
    write_many: bool = False
    """Takes registers by function 16 alone."""
    watchdog_s: float
    """After so long without a request the device withdraws the permission by itself; 0: it never does."""
    vehicle: Vehicle
    setting: Place
    """Current permitted to the car, A, read and written; where there is no `enable`, 0 permits nothing."""
    enable: Place | None = None
    """The coil that permits charging."""
    offered: Place
    """Current on the pilot, A, while `pwm` holds."""
    pwm: Place
    contactor: Place
    cable: Place | None = None
    """What the cable may carry, A; 0: nothing known."""
    locked: Place | None = None
    precise: Place | None = None
    """While this bit is set, `setting` and `offered` count hundredths of an ampere."""
    start_current: Place | None = None
    """Current that the device permits by itself after its own start, A."""
    clear: Clear | None = None
    fault: tuple[FaultBit, ...] = ()

    def polled(self) -> Iterator[Place]:
        """What has to be read each time."""
        yield from (self.vehicle.place, self.setting, self.offered, self.pwm, self.contactor)
        yield from (place for place in (self.enable, self.cable, self.locked) if place is not None)
        yield from (bit.place for bit in self.fault)

    def blocks(self) -> tuple[tuple[int, Block], ...]:
        """The requests that read all of it: function and block."""
        found: list[tuple[int, Block]] = []
        for function, address in sorted({(place.function, place.address) for place in self.polled()}):
            if found and found[-1][0] == function and address - found[-1][1].end <= JOIN_GAP:
                start = found[-1][1].address
                found[-1] = (function, Block(start, address + 1 - start))
            else:
                found.append((function, Block(address, 1)))
        return tuple(found)


def names() -> tuple[str, ...]:
    """Models there is a map for, sorted."""
    folder = files("chargepoint.controller") / "maps"
    return tuple(sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")))


@cache
def load(model: str) -> ControllerMap:
    """The map of a model. Raises UnknownController or BadMap."""
    if model not in names():
        raise UnknownController(f'no register map for pilot controller "{model}"; known: {", ".join(names())}')
    return parse(model, (files("chargepoint.controller") / "maps" / f"{model}.toml").read_text(encoding="utf-8"))


def parse(model: str, text: str) -> ControllerMap:
    """A map from the text of its file. Raises BadMap, naming what is wrong with it."""
    try:
        tables: dict[str, Any] = tomllib.loads(text)
        found = msgspec.convert(tables, ControllerMap)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as e:
        raise BadMap(f"controller map {model}: {e}") from e
    if found.setting.function != HOLDING:
        raise BadMap(f"controller map {model}: setting is written, so its function is 3 (holding register)")
    if found.enable is not None and found.enable.function != COILS:
        raise BadMap(f"controller map {model}: enable is written, so its function is 1 (coil)")
    for bit in found.fault:
        if bit.name not in FAULTS:
            raise BadMap(f'controller map {model}: there is no fault "{bit.name}" in the fault table')
    for number in found.vehicle.states:
        if not number.isdigit():
            raise BadMap(f'controller map {model}: vehicle state "{number}" is no number')
    return found
