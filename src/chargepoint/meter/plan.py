"""Which registers to ask for in one request: few requests, few bytes, never longer than the meter answers. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from chargepoint.meter.maps import Register, RegisterMap

REQUEST_COST_BYTES = 30
"""What a further request costs in bytes on the wire: 8 asked, 5 of framing in the answer, two silences of 3.5
characters (Modbus over serial line V1.02, clause 2.5.1.1) and the meter's turn-around of about 10 characters."""


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


DETAILS = frozenset({"frequency", "power_factor", "energy_export"})
"""What changes slowly or matters little; left out of most rounds, so that the line is free for the other meters."""


def spans(rows: Iterable[Register]) -> list[tuple[int, int]]:
    """First address and length of everything these rows read, sorted."""
    rows = tuple(rows)
    found = {(r.address, r.words) for r in rows}
    found |= {(r.exponent, 1) for r in rows if r.exponent is not None}
    return sorted(found)


def plan(regmap: RegisterMap, details: bool = True) -> tuple[Block, ...]:
    """Requests that read the map, the one with the energy register last, so that `at` is its arrival.

    A total power beside the powers of all phases is not read: it is their sum.
    """
    skipped = frozenset({"power"}) if "power_l3" in regmap.registers else frozenset()
    if not details:
        skipped |= DETAILS
    wanted = [row for name, row in regmap.registers.items() if name not in skipped]
    blocks = _merge(spans(wanted), regmap.max_registers)
    energy = regmap.registers["energy_import"]
    return tuple(sorted(blocks, key=lambda b: (b.holds(energy), b.address)))


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
