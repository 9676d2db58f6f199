"""Finds the meters on a line and what they are: by their code where they have one, by believable values else."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from chargepoint.meter import maps
from chargepoint.meter.decode import Implausible, to_reading
from chargepoint.meter.identity import code
from chargepoint.meter.link import ModbusLink, NoAnswer, Refused
from chargepoint.meter.maps import RegisterMap
from chargepoint.meter.plan import Block, plan
from chargepoint.meter.reading import Reading
from chargepoint.meter.registers import encode

SCAN_TIMEOUT_S = 0.3
SCAN_QUIET_S = 0.2
"""Shorter than in service: every unit is asked for itself, and answers of another unit are passed over."""
VOLTS = (180.0, 270.0)
"""What a phase of a 230 V supply may read."""
HERTZ = (45.0, 65.0)
PRESENCE = ((4, Block(0x0000, 2)), (3, Block(0x5B00, 2)))
"""Two questions that some unit answers, if only with a refusal, when there is one."""


@dataclass(frozen=True, slots=True)
class Match:
    """A model that fits what the unit answers."""

    model: str
    title: str
    certain: bool
    """The meter's own code says so; else its values merely look right."""
    reading: Reading | None


@dataclass(frozen=True, slots=True)
class Found:
    """A unit that answers."""

    unit: int
    matches: tuple[Match, ...]
    """Best first; empty when no map fits."""


@dataclass(slots=True)
class _Asked:
    """One unit, each place asked once however many maps want it."""

    link: ModbusLink
    unit: int
    answers: dict[tuple[int, Block], list[int] | None] = field(default_factory=dict)

    async def read(self, function: int, block: Block) -> list[int] | None:
        """None when the meter has nothing there."""
        key = (function, block)
        if key not in self.answers:
            try:
                self.answers[key] = await self.link.read(self.unit, function, block)
            except (NoAnswer, Refused):
                self.answers[key] = None
        return self.answers[key]


def scan_link(port: str, baudrate: int, parity: str = "N") -> ModbusLink:
    """A line with the shorter waits of a scan."""
    return ModbusLink(port, baudrate, parity, quiet_s=SCAN_QUIET_S, timeout_s=SCAN_TIMEOUT_S)


async def scan(link: ModbusLink, units: Iterable[int], on_found: Callable[[Found], None]) -> list[Found]:
    """Ask every unit of a line that nobody else uses meanwhile; `on_found` hears of each as it is found."""
    found = []
    for unit in units:
        if await _present(link, unit):
            one = Found(unit, await identify(link, unit))
            on_found(one)
            found.append(one)
    return found


async def identify(link: ModbusLink, unit: int) -> tuple[Match, ...]:
    """Models that fit the unit: by code first, then those that explain most phases."""
    asked = _Asked(link, unit)
    matches = [m for name in maps.names() if (m := await _match(asked, maps.load(name))) is not None]
    certain = [m for m in matches if m.certain]
    return tuple(sorted(certain or matches, key=_rank))


class NotChanged(Exception):
    """A unit number stays what it was; the text says why."""


async def unit_register(link: ModbusLink, unit: int, new: int, model: str = "") -> RegisterMap:
    """The map of a meter whose unit number can be changed to `new`; asks only. Raises NotChanged.

    `model`: as the technician reads it on the meter, for those that read the same as another one.
    """
    if await _present(link, new):
        raise NotChanged(f"unit {new} answers already: two meters of one number would both be lost")
    found = await identify(link, unit) if await _present(link, unit) else ()
    if not found:
        raise NotChanged(f"unit {unit} does not answer as a known meter")
    known = _told_apart(unit, new, found, model)
    if known.unit is None:
        raise NotChanged(_by_hand(known))
    return known


def _told_apart(unit: int, new: int, found: tuple[Match, ...], model: str) -> RegisterMap:
    """The one map that it is. A write meant for one meter may mean anything to another. Raises NotChanged."""
    names = [match.model for match in found]
    if model and model not in names:
        raise NotChanged(f"unit {unit} does not read like a {model}, but like {', '.join(names)}")
    first = maps.load(model or names[0])
    others = [maps.load(name) for name in names if not model]
    if any(_place(other) != _place(first) for other in others):
        raise NotChanged(
            f"unit {unit} reads the same as {', '.join(names)}: see which it is and name it, "
            f"like meters address {unit} {new} {names[0]}"
        )
    return first


def _place(known: RegisterMap) -> tuple[int, str] | None:
    return None if known.unit is None else (known.unit.address, known.unit.type)


def _by_hand(known: RegisterMap) -> str:
    """Why the number of this model is not written."""
    if known.unit_by_hand is None:
        return f"no source that we trust says where {known.title} keeps its unit number: set it by its maker's manual"
    if known.unit_by_hand.at == "display":
        return f"the unit number of {known.title} is set at its display"
    return f"the unit number of {known.title} is set with its buttons"


async def change_unit(link: ModbusLink, unit: int, new: int, known: RegisterMap) -> bool:
    """Write the new number; True when the meter answers to it already, False when it wants to be without power first.

    Raises NotChanged when it answers to neither, and what `ModbusLink` raises when it does not take the write.
    """
    assert known.unit is not None
    await link.write(unit, known.unit.address, encode(new, known.unit.type, known.word_order))
    if await _present(link, new):
        return True
    if await _present(link, unit):
        return False
    raise NotChanged(f"the meter answers neither as unit {unit} nor as unit {new}: scan the bus")


def describe(found: Found) -> str:
    """One line for the technician."""
    if not found.matches:
        return f"unit {found.unit}: answers, but fits no register map"
    best = found.matches[0]
    others = ", ".join(m.model for m in found.matches[1:])
    sure = "" if best.certain else " (by its values; it has no code)"
    also = f"; reads the same as {others}" if others else ""
    register = f", register {best.reading.energy_wh / 1000:.3f} kWh" if best.reading else ""
    return f"unit {found.unit}: {best.title}, model {best.model}{sure}{register}{also}"


async def _present(link: ModbusLink, unit: int) -> bool:
    for function, block in PRESENCE:
        try:
            await link.read(unit, function, block)
        except Refused:
            return True
        except NoAnswer:
            continue
        return True
    return False


async def _match(asked: _Asked, regmap: RegisterMap) -> Match | None:
    certain = False
    if (probe := regmap.identity) is not None:
        words = await asked.read(probe.function, Block(probe.address, probe.words))
        if words is not None:
            known = code(probe, words) in probe.values
            if probe.values and not known:
                return None
            certain = known and code(probe, words) != 0
        elif probe.values and 0 not in probe.values:
            return None
    reading = await _reading(asked, regmap)
    if reading is None or not (certain or _believable(regmap, reading)):
        return None
    return Match(regmap.model, regmap.title, certain, reading)


async def _reading(asked: _Asked, regmap: RegisterMap) -> Reading | None:
    registers: dict[int, int] = {}
    for block in plan(regmap).whole:
        words = await asked.read(regmap.function, block)
        if words is None:
            return None
        registers.update(enumerate(words, block.address))
    try:
        return to_reading(regmap, registers, 0.0)
    except Implausible:
        return None


def _believable(regmap: RegisterMap, reading: Reading) -> bool:
    """Values that could stand on a supply. A phase may be dead, the first one may not."""
    volts = reading.voltage_v[: regmap.phases]
    if volts[0] is None or not VOLTS[0] <= volts[0] <= VOLTS[1]:
        return False
    if any(v is not None and v > VOLTS[1] for v in volts):
        return False
    hertz = reading.frequency_hz
    return hertz is None or HERTZ[0] <= hertz <= HERTZ[1]


def _rank(match: Match) -> tuple[int, int, int, str]:
    """Better first: fewer dead phases, then more live ones, then more quantities read."""
    regmap = maps.load(match.model)
    live = sum(1 for v in match.reading.voltage_v if v) if match.reading else 0
    return (regmap.phases - live, -live, -len(regmap.registers), match.model)
