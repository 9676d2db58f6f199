"""The pin map: which line of the controller board carries which signal, and which level means what.

`pins.toml` beside this file is the map of the reference board; `[board.pins]` of the configuration overrides
single entries. Nothing here opens a device.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from importlib import resources
from typing import Literal

from chargepoint.board.types import BoardError
from chargepoint.config import Config, EvseSection

EXPANDER_LINES = 16
"""Lines of one MCP23017."""
EXPANDERS = 2
POINTS = 2
"""Points that the reference map has lines for."""
HEADER_LINES = 28
PULLED_UP_AT_BOOT = range(9)
"""Header lines with pull-ups until the kernel has started: no contactor and no heartbeat here."""
SPI_LINES = {"SPI0.0": (8, 9, 10, 11), "SPI0.1": (7, 9, 10, 11)}
"""Header lines that a device on the bus takes: chip select, MISO, MOSI, clock."""
I2C_LINES = (2, 3)
"""Header lines of the bus to the expanders and the clock."""
PWM_LINES = (12, 13, 18, 19)
"""Header lines the hardware PWM can drive."""


class PinError(BoardError):
    """The pin map cannot be used; the message names every mistake, `mistakes` has them one by one."""

    def __init__(self, *mistakes: str) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


Pull = Literal["up", "down"]


class Kind(Enum):
    """What stands at the line."""

    INPUT = "input"
    OUTPUT = "output"
    PWM = "pwm"
    SPI = "spi"


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal of a point or of the borne."""

    kind: Kind
    active_high: bool = True
    """Every output is active-high. An input that watches for danger is active-low: a broken wire reads as danger."""
    header_only: bool = False
    """Must act or be seen within one pass of the loop, so it may not stand behind the I2C expanders."""
    pull: Pull = "down"
    """Which way a resistor on the carrier must hold the line: an output at rest, an input with a broken wire."""


_IN = Signal(Kind.INPUT)
_OUT = Signal(Kind.OUTPUT)
_WATCHED = Signal(Kind.INPUT, active_high=False, header_only=True)

BORNE_SIGNALS: Mapping[str, Signal] = {
    "heartbeat": Signal(Kind.OUTPUT, header_only=True),
    "emergency_stop": _WATCHED,  # low: pressed, or the loop is broken
    "coil_watchdog": Signal(Kind.INPUT, header_only=True),  # high: the monostable holds the coil supply
    "door": Signal(Kind.INPUT, active_high=False),  # low: open
    "grid_a": _IN,  # high: the grid operator's contact is closed; low: it is open, or its wire is broken
    "grid_b": _IN,
}
POINT_SIGNALS: Mapping[str, Signal] = {
    "contactor": Signal(Kind.OUTPUT, header_only=True),
    "pilot": Signal(Kind.PWM),
    "adc": Signal(Kind.SPI),
    "mirror": _WATCHED,  # low: the NC mirror contact is open, so the main contacts are closed (IEC 60947-4-1 Annex F)
    "load_live": Signal(Kind.INPUT, header_only=True),  # high: voltage behind the contactor
    "rcd": _WATCHED,  # low: tripped
    "rdc": _WATCHED,  # low: tripped
    "pe": Signal(Kind.INPUT, header_only=True),  # high: continuity
    "rcd_test": _OUT,
    "lamp_red": _OUT,
    "lamp_green": _OUT,
    "lamp_blue": _OUT,
    "bay": _IN,
}
SOCKET_SIGNALS: Mapping[str, Signal] = {
    "lock_close": _OUT,
    "lock_open": _OUT,
    "lock_is_closed": _IN,
    "lock_is_open": _IN,
}
DOMESTIC_SIGNALS: Mapping[str, Signal] = {
    "domestic_contactor": _OUT,
    "domestic_plug": _IN,
    "domestic_mirror": Signal(Kind.INPUT, active_high=False),
}
WIEGAND_SIGNALS: Mapping[str, Signal] = {
    # Low pulses of 50 us, one line for the zeros and one for the ones. A reader's lines: the station listens to them.
    "wiegand_zero": Signal(Kind.INPUT, active_high=False, header_only=True, pull="up"),
    "wiegand_one": Signal(Kind.INPUT, active_high=False, header_only=True, pull="up"),
}
BUZZER_SIGNALS: Mapping[str, Signal] = {"buzzer": _OUT}

SIGNALS: Mapping[str, Signal] = {
    **BORNE_SIGNALS,
    **POINT_SIGNALS,
    **SOCKET_SIGNALS,
    **DOMESTIC_SIGNALS,
    **WIEGAND_SIGNALS,
    **BUZZER_SIGNALS,
}
"""All of them; a point's carry its number in the map: `contactor_1`."""

_NEVER_AT_BOOT = ("contactor", "domestic_contactor", "heartbeat")
"""These must not be high before the software runs."""
_LINE = re.compile(r"(GPIO|EXP)(\d{1,2})")


@dataclass(frozen=True, slots=True)
class Line:
    """A digital line: `chip` 0 is the header, 1.. the expanders in the order of their I2C addresses."""

    chip: int
    offset: int

    @property
    def on_header(self) -> bool:
        return self.chip == 0


def parse_line(text: str) -> Line:
    """`GPIO17` or `EXP3` as a `Line`. Raises `PinError`."""
    match = _LINE.fullmatch(text)
    if match is None:
        raise PinError(f"{text!r} is not a line; write GPIO0..GPIO{HEADER_LINES - 1} or EXP0..EXP31")
    number = int(match[2])
    if match[1] == "GPIO" and number < HEADER_LINES:
        return Line(0, number)
    if match[1] == "EXP" and number < EXPANDERS * EXPANDER_LINES:
        return Line(1 + number // EXPANDER_LINES, number % EXPANDER_LINES)
    raise PinError(f"{text!r} does not exist; the header ends at GPIO27, the expanders at EXP31")


class PinMap:
    """The checked map of the signals that this borne has."""

    def __init__(self, lines: Mapping[str, str]) -> None:
        self._lines = dict(lines)

    def line(self, signal: str, point: int | None = None) -> Line:
        return parse_line(self.text(signal, point))

    def text(self, signal: str, point: int | None = None) -> str:
        return self._lines[signal_name(signal, point)]

    def has(self, signal: str) -> bool:
        """This borne is built with it."""
        return signal in self._lines

    def items(self) -> list[tuple[str, str]]:
        return sorted(self._lines.items())


def signal_name(signal: str, point: int | None) -> str:
    return signal if point is None else f"{signal}_{point}"


def signals_of_point(evse: EvseSection) -> dict[str, Signal]:
    """The signals this point needs: a tethered cable has no lock, most points have no domestic socket."""
    signals = dict(POINT_SIGNALS)
    if evse.socket:
        signals |= SOCKET_SIGNALS
    if evse.domestic is not None:
        signals |= DOMESTIC_SIGNALS
    return signals


@dataclass(frozen=True, slots=True)
class Reference:
    """`pins.toml`: the reference carrier."""

    lines: dict[str, str]
    """Signal to line."""
    pulls: dict[str, Pull]
    """Line to the way in which a resistor of the carrier holds it; a line that is not here floats."""


def reference() -> Reference:
    """What `pins.toml` says."""
    table = tomllib.loads(resources.files(__package__).joinpath("pins.toml").read_text(encoding="utf-8"))
    held = table.pop("pulls")
    pulls: dict[str, Pull] = dict.fromkeys(held["down"], "down")
    return Reference(table, pulls | dict.fromkeys(held["up"], "up"))


def load_pins(config: Config) -> PinMap:
    """The reference map with the configuration's overrides. Raises `PinError` naming every mistake."""
    carrier = reference()
    table = _numbered(carrier.lines, [evse.id for evse in config.evse])
    pulls = carrier.pulls | config.board.pulls
    wanted = _wanted(config)
    known = {*BORNE_SIGNALS, *WIEGAND_SIGNALS, *BUZZER_SIGNALS}
    for evse in config.evse:
        known |= {signal_name(name, evse.id) for name in {**POINT_SIGNALS, **SOCKET_SIGNALS, **DOMESTIC_SIGNALS}}
    mistakes = [f"board.pins.{name}: there is no such signal" for name in config.board.pins if name not in known]
    table |= config.board.pins
    lines: dict[str, str] = {}
    for evse in config.evse:
        names = {signal_name(name, evse.id) for name in signals_of_point(evse)}
        if names.isdisjoint(table) and not config.external_pilots:
            mistakes.append(f"point {evse.id} has no lines; the map has those of {POINTS} points: add its own")
            wanted = {name: signal for name, signal in wanted.items() if name not in names}
    for name, signal in wanted.items():
        if name not in table:
            mistakes.append(f"board.pins.{name}: no line is given for it")
        elif (mistake := _mistake(signal, table[name], contactor=name.startswith(_NEVER_AT_BOOT))) != "":
            mistakes.append(f"board.pins.{name}: {mistake}")
        else:
            lines[name] = table[name]
            mistakes += [f"board.pins.{name}: {wrong}" for wrong in _floating(signal, table[name], pulls)]
    mistakes += _double_use(lines)
    mistakes += _unknown_lines(config.board.pulls)
    if mistakes:
        raise PinError(*mistakes)
    return PinMap(lines)


def _wanted(config: Config) -> dict[str, Signal]:
    """The signals this borne has: with external pilot controllers no more than those of a reader."""
    wanted: dict[str, Signal] = {}
    if not config.external_pilots:
        wanted |= BORNE_SIGNALS
        wanted |= BUZZER_SIGNALS if config.buzzer.enabled else {}
        for evse in config.evse:
            wanted |= {signal_name(name, evse.id): signal for name, signal in signals_of_point(evse).items()}
    if any(reader.kind == "wiegand" for reader in config.reader):
        wanted |= WIEGAND_SIGNALS
    return wanted


def _numbered(table: Mapping[str, str], ids: list[int]) -> dict[str, str]:
    """The reference map with its points' numbers exchanged for those of the configuration.

    A point keeps the lines of its own number; one with a number that the map does not have takes the next free ones.
    """
    places = [place for place in range(1, POINTS + 1) if place not in ids]
    number = {place: place for place in range(1, POINTS + 1) if place in ids}
    number |= dict(zip(places, [own for own in ids if own > POINTS], strict=False))
    numbered: dict[str, str] = {}
    for name, text in table.items():
        signal, _, place = name.rpartition("_")
        if not place.isdigit():
            numbered[name] = text
        elif int(place) in number:
            numbered[signal_name(signal, number[int(place)])] = text
    return numbered


def _mistake(signal: Signal, text: str, contactor: bool) -> str:
    """What is wrong with this signal on this line; empty when nothing is."""
    if signal.kind is Kind.SPI:
        return "" if text in SPI_LINES else f"{text!r} is not one of {', '.join(SPI_LINES)}"
    try:
        line = parse_line(text)
    except PinError as error:
        return str(error)
    if signal.kind is Kind.PWM:
        fits = line.on_header and line.offset in PWM_LINES
        return "" if fits else f"{text} has no hardware PWM; use GPIO12 and GPIO13, or GPIO18 and GPIO19"
    if signal.header_only and not line.on_header:
        return f"{text} is behind an expander; this signal needs a line of the header"
    if contactor and line.on_header and line.offset in PULLED_UP_AT_BOOT:
        return f"{text} is pulled up until the kernel runs; use GPIO9 or a higher one"
    if signal.kind is Kind.INPUT and not line.on_header and line.offset in (7, 15):
        return f"{text} can only be an output on an MCP23017"
    return ""


def _floating(signal: Signal, text: str, pulls: Mapping[str, Pull]) -> Iterator[str]:
    """What is wrong with the resistor that holds this line."""
    if signal.kind is Kind.SPI or pulls.get(text) == signal.pull:
        return
    state = f"is held {pulls[text]}" if text in pulls else "has no pull"
    needs = f"{'this input' if signal.kind is Kind.INPUT else 'an output'} must be held {signal.pull}"
    yield (
        f"{text} {state} on the carrier, but {needs} by a resistor until the software runs: fit one and write "
        f'{text} = "{signal.pull}" in [board.pulls]'
    )


def _unknown_lines(pulls: Mapping[str, Pull]) -> Iterator[str]:
    for text in pulls:
        try:
            parse_line(text)
        except PinError as error:
            yield f"board.pulls.{text}: {error}"


def _double_use(lines: Mapping[str, str]) -> list[str]:
    takers: dict[tuple[str, int | str], list[str]] = {}
    spi_lines: set[int] = set()
    for name, text in lines.items():
        if text in SPI_LINES:
            takers.setdefault(("select", text), []).append(name)
            spi_lines |= set(SPI_LINES[text])
        else:
            line = parse_line(text)
            takers.setdefault((f"chip{line.chip}", line.offset), []).append(name)
    mistakes = [f"{lines[names[0]]} is used by {' and '.join(names)}" for names in takers.values() if len(names) > 1]
    for (chip, offset), names in takers.items():
        if chip == "chip0" and offset in spi_lines:
            mistakes.append(f"board.pins.{names[0]}: {lines[names[0]]} belongs to the SPI bus")
        elif chip == "chip0" and offset in I2C_LINES:
            mistakes.append(f"board.pins.{names[0]}: {lines[names[0]]} belongs to the I2C bus")
    return mistakes
