"""Which registers to ask for in one request, and in which round: few requests, few bytes, never longer than the meter
answers, and two meters of a line within a quarter of a second at 9600 baud. Pure.

Every round renews currents and the import register; power and voltages too where the line has the time, else they take
turns. Frequency, power factor and export always take turns.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from chargepoint.meter.maps import Register, RegisterMap

REQUEST_COST_BYTES = 30
"""What a further request costs in bytes on the wire: 8 asked, 5 of framing in the answer, two silences of 3.5
characters (Modbus over serial line V1.02, clause 2.5.1.1) and the meter's turn-around of about 10 characters."""
BYTE_MS = 10 / 9.6
"""At 9600 baud, ten bits a byte."""
TURN_AROUND_MS = 11.5
"""What a request costs beside its bytes: 10 ms for a meter to begin its answer, the rest for this program."""
FRAME_BYTES = 20
"""Of a request and its answer, the two silences among them."""
PAIR_MS = 236.0
"""Two meters of one model, one of them with what takes turns: 250 ms are the aim, the rest is for a busy computer."""
QUICK, SLOW = 1, 5
"""Paces of what takes turns: power or voltages are among it, or only frequency, power factor and export."""


@dataclass(frozen=True, slots=True)
class Block:
    """Registers read in one request."""

    address: int
    count: int

    @property
    def end(self) -> int:
        return self.address + self.count

    def holds(self, row: Register) -> bool:
        return self.address <= row.address and row.address + row.words <= self.end


Blocks = tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to read when."""

    whole: Blocks
    """Everything this plan ever reads: for the first reading."""
    brief: Blocks
    """Most rounds."""
    turns: tuple[Blocks, ...]
    """Instead of `brief` now and then, one after the other."""
    pace: int
    """Of `n` meters on a line, each `n * pace + 1`th reading is a turn: never two in a row, and each meter has some."""

    def blocks(self, reading: int, meters: int, taken: int) -> Blocks:
        """Those of a line's `reading`th reading; `taken`: turns that this meter has had."""
        if reading % (meters * self.pace + 1) or not self.turns:
            return self.brief
        return self.turns[taken % len(self.turns)]


PHASES = ("l1", "l2", "l3")
CURRENT = tuple(f"current_{phase}" for phase in PHASES)
VOLTAGE = tuple(f"voltage_{phase}" for phase in PHASES)
POWER_PHASES = tuple(f"power_{phase}" for phase in PHASES)
POWER = ("power", "power_reverse")
ENERGY = ("energy_import",)
DETAILS = ("frequency", "power_factor", "energy_export")
"""What changes slowly or matters little."""


def plan(regmap: RegisterMap, *, alone: bool = True, signs: bool = False) -> Plan:
    """The richest plan whose rounds are short enough; the leanest where none is.

    `alone`: the meter shares its line with no other, so there is time. `signs`: the powers of the phases have to be
    fresh in every round (they tell the direction of the currents).
    """
    found = None
    for always, later, power in _candidates(regmap):
        if found is not None and signs and power != POWER_PHASES:
            break
        found = _plan(regmap, always, later, power)
        if alone:
            return found
        if duration_ms(found.brief) + max(map(duration_ms, (found.brief, *found.turns))) <= PAIR_MS:
            return found
    assert found is not None
    return found


def duration_ms(blocks: Iterable[Block]) -> float:
    """How long these requests take at 9600 baud."""
    return sum((FRAME_BYTES + 2 * block.count) * BYTE_MS + TURN_AROUND_MS for block in blocks)


Names = tuple[str, ...]


def _candidates(regmap: RegisterMap) -> Iterator[tuple[Names, tuple[Names, ...], Names]]:
    """What is read always, what takes turns, and which power rows are read: total, or the phases that sum to it."""
    phases = POWER_PHASES if "power_l3" in regmap.registers else POWER
    yield (*CURRENT, *phases, *VOLTAGE, *ENERGY), (), phases
    yield (*CURRENT, *phases, *ENERGY), (VOLTAGE,), phases
    total = POWER if "power" in regmap.registers else phases
    yield (*CURRENT, *total, *VOLTAGE, *ENERGY), (), total
    yield (*CURRENT, *total, *ENERGY), (VOLTAGE,), total
    yield (*CURRENT, *ENERGY), (total, VOLTAGE), total


def _plan(regmap: RegisterMap, always: Names, later: tuple[Names, ...], power: Names) -> Plan:
    brief = _blocks(regmap, always)
    room = PAIR_MS - duration_ms(brief)
    details: list[Names] = [(name,) for name in DETAILS if name in regmap.registers]
    turns: list[Names] = []
    # What takes turns comes round between any two details; neighbours that fit into one round share it.
    for names in (names for detail in details or [()] for names in (*later, detail) if names):
        together = (*turns[-1], *names) if turns else ()
        if turns and duration_ms(_blocks(regmap, together)) <= room:
            turns[-1] = together
        else:
            turns.append((*always, *names))
    shown = set(always) | {name for names in (*later, *details, power) for name in names}
    return Plan(
        _blocks(regmap, tuple(shown)),
        brief,
        tuple(_blocks(regmap, names) for names in turns),
        QUICK if later else SLOW,
    )


def _blocks(regmap: RegisterMap, names: Iterable[str]) -> Blocks:
    """The requests that read these rows, the one with the import register last: its answer is the reading's time."""
    rows = [regmap.registers[name] for name in names if name in regmap.registers]
    energy = regmap.registers["energy_import"]
    return tuple(sorted(_merge(spans(rows), regmap.max_registers), key=lambda b: (b.holds(energy), b.address)))


def spans(rows: Iterable[Register]) -> list[tuple[int, int]]:
    """First address and length of everything these rows read, sorted."""
    rows = tuple(rows)
    found = {(r.address, r.words) for r in rows}
    found |= {(r.exponent, 1) for r in rows if r.exponent is not None}
    return sorted(found)


def _merge(pieces: Iterable[tuple[int, int]], longest: int) -> list[Block]:
    """Join neighbours while the registers read for nothing cost less than a further request."""
    blocks: list[Block] = []
    for address, count in pieces:
        end = address + count
        if blocks:
            last = blocks[-1]
            wasted = 2 * max(0, address - last.end)
            joined = max(end, last.end) - last.address
            if wasted < REQUEST_COST_BYTES and joined <= longest:
                blocks[-1] = Block(last.address, joined)
                continue
        blocks.append(Block(address, count))
    return blocks
