"""Register maps of meters: one data file per model in `maps/`, checked when it is loaded.

Adding a meter is adding a file; nothing here knows a model. Addresses are those on the wire (0-based); `scale` turns
the register's number into V, A, W, Wh, Hz or a plain factor.
"""

import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import msgspec

from chargepoint.meter.registers import WORDS, WordOrder

QUANTITIES: dict[str, tuple[str, ...]] = {
    "voltage": ("voltage_l1", "voltage_l2", "voltage_l3"),
    "current": ("current_l1", "current_l2", "current_l3"),
    "power_phases": ("power_l1", "power_l2", "power_l3"),
    "total": ("power", "power_reverse", "energy_import", "energy_export", "frequency", "power_factor"),
}
"""What a row may be called. Units: V, A, W, Wh, Hz. `power_reverse` is of meters that tell both directions apart: it is
taken off `power`."""

_NAMES = frozenset(name for names in QUANTITIES.values() for name in names)


class UnknownModel(ValueError):
    """There is no map of that name. The text lists the names there are."""


class BadMap(ValueError):
    """A map file contradicts itself or names something that does not exist."""


class Register(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a quantity stands."""

    address: int
    """Protocol address, 0-based."""
    type: str
    scale: float = 1.0
    """Multiply by this for V, A, W, Wh, Hz."""
    exponent: int | None = None
    """Address of an i16 power of ten that also multiplies the value (Iskra counters)."""

    @property
    def words(self) -> int:
        return WORDS[self.type]


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to ask to know the model: a register that reads one of these values."""

    function: int
    address: int
    type: str = "u16"
    values: tuple[int, ...] = ()
    """Accepted values; empty when any answer there, together with plausible voltages, has to do."""
    note: str = ""

    @property
    def words(self) -> int:
        return WORDS[self.type]


class UnitRegister(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The holding register that holds the meter's own unit number, where the maker lets it be written."""

    address: int
    type: str
    source: str
    restart: bool = False
    """The new number may hold only once the meter has been without power."""


class AtMeter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The maker has the unit number set by hand."""

    at: Literal["display", "buttons"]
    source: str


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: str
    source: str
    function: int
    max_registers: int
    registers: dict[str, Register]
    phases: int = 3
    word_order: WordOrder = "big"
    baudrate: int = 9600
    parity: str = "N"
    absent: bool = False
    identity: Identity | None = None
    gap_ms: float = 0.0
    signing: Literal["", "iskra"] = ""
    unit: UnitRegister | None = None
    unit_by_hand: AtMeter | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RegisterMap:
    """One meter model, as its file says."""

    model: str
    title: str
    """Maker's name for it."""
    function: int
    """Modbus function of every reading: 3 holding, 4 input registers."""
    max_registers: int
    """Longest read the meter answers."""
    registers: dict[str, Register]
    phases: int
    word_order: WordOrder
    baudrate: int
    """Factory setting as far as known, Bd; what counts is the speed of the bus in the configuration."""
    parity: str
    absent: bool
    """Integers with all bits set stand for no value."""
    identity: Identity | None
    gap_ms: float
    """Pause the meter wants between two requests, ms, beside the 3.5 characters of the standard."""
    signing: str
    """How the meter signs transactions (`meter.signing`); empty: it does not."""
    source: str
    unit: UnitRegister | None = None
    """Where its unit number can be written; None: it is set by hand, or nobody has told us where."""
    unit_by_hand: AtMeter | None = None
    """Where it is known to be set by hand."""
    notes: tuple[str, ...] = field(default=())


def names() -> tuple[str, ...]:
    """Models there is a map for, sorted."""
    folder = files("chargepoint.meter") / "maps"
    return tuple(sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")))


@cache
def load(model: str) -> RegisterMap:
    """The map of a model. Raises UnknownModel or BadMap."""
    if model not in names():
        raise UnknownModel(f'no register map for meter model "{model}"; known models: {", ".join(names())}')
    text = (files("chargepoint.meter") / "maps" / f"{model}.toml").read_text(encoding="utf-8")
    return parse(model, text)


def parse(model: str, text: str) -> RegisterMap:
    """A map from the text of its file. Raises BadMap, naming the row and what is wrong with it."""
    try:
        tables: dict[str, Any] = tomllib.loads(text)
        raw = msgspec.convert(tables, _File)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as e:
        raise BadMap(f"register map {model}: {e}") from e
    _check(model, raw)
    kept = {f: getattr(raw, f) for f in raw.__struct_fields__}
    return RegisterMap(model=model, **kept)


def _check(model: str, raw: _File) -> None:
    def refuse(what: str) -> None:
        raise BadMap(f"register map {model}: {what}")

    if raw.function not in (3, 4):
        refuse(f"function {raw.function} does not read registers; use 3 (holding) or 4 (input)")
    if raw.phases not in (1, 3):
        refuse(f"phases = {raw.phases}; a meter has 1 or 3")
    if not 4 <= raw.max_registers <= 125:
        refuse(f"max_registers = {raw.max_registers}; Modbus allows 125, and an energy register may take 4")
    if "energy_import" not in raw.registers:
        refuse("there is no energy_import row, and the register is the truth for energy")
    if raw.unit is not None and raw.unit_by_hand is not None:
        refuse("the unit number is either written to a register or set by hand")
    taken: dict[int, str] = {}
    for name, row in raw.registers.items():
        if name not in _NAMES:
            refuse(f'row "{name}" is no known quantity; known: {", ".join(sorted(_NAMES))}')
        if row.type not in WORDS:
            refuse(f'row {name}: type "{row.type}" does not exist; known: {", ".join(WORDS)}')
        if not 0 <= row.address <= 0x10000 - row.words:
            refuse(f"row {name}: address {row.address} is outside 0..65535")
        if row.scale == 0:
            refuse(f"row {name}: scale 0 would make every value 0")
        for address in range(row.address, row.address + row.words):
            if address in taken:
                refuse(f"rows {taken[address]} and {name} both use register {address}")
            taken[address] = name
