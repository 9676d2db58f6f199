"""The recorder: the last two minutes of every input, output, state and decision of a point, pass by pass.

A ring in memory, one fixed record a pass. After each fault that opens or stops (of one name once in ten minutes) and on
request it is written, compressed, to `<state_dir>/recorder/` by the file-writing thread; the number and the size of the
files are bounded.
`python -m chargepoint.evse.recorder FILE` prints one.
"""

import json
import struct
import sys
import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from chargepoint.board.types import BorneInputs, PointInputs, PointOutputs
from chargepoint.evse.machine import STATES
from chargepoint.evse.point import BLOCKED, Point
from chargepoint.faults import FAULTS

DIRECTORY = "recorder"
SUFFIX = ".rec"
SECONDS = 120
KEEP_FILES = 30
"""At some 20 to 100 kB each, 30 files are 3 MB at most."""
AFTER_FAULT_S = 2.0
"""The ring is written so long after a fault, so that its consequences are on it."""
SPACING_S = 10.0
"""Two dumps of one point are at least so far apart, unless somebody asks."""
AGAIN_S = 600.0
"""A fault that comes and goes is not recorded anew before: its files would push out the first, the one that tells why,
within minutes, and wear the card."""

_RECORD = struct.Struct("<d7fHBBBQ")
_ANALOGUE = ("cp_high_v", "cp_low_v", "pp_ohm", "temperature_c", "reference_v", "duty_measured", "duty")
_FLAGS = (
    "contactor_closed", "load_live", "lock_closed", "lock_open", "rcd_tripped", "rdc_tripped", "pe_ok", "bay_occupied",
    "domestic_plug", "domestic_closed", "emergency_stop", "door_open", "coil_watchdog_armed",
)  # fmt: skip
_STATE = {name: index for index, name in enumerate(STATES)}
_BLOCKED = {name: index for index, name in enumerate(BLOCKED)}
_FAULT = {name: 1 << index for index, name in enumerate(FAULTS)}


def _bits(names: Iterable[str]) -> int:
    bits = 0
    for name in names:
        bits |= _FAULT.get(name, _FAULT["unknown-latch"])
    return bits


class Recorder:
    """One point's ring. Its memory is taken once, at the start."""

    __slots__ = ("_at", "_count", "_fault_bits", "_fault_changes", "_ring", "_size")

    def __init__(self, passes: int = SECONDS * 100) -> None:
        self._size = passes * _RECORD.size
        self._ring = bytearray(self._size)
        self._at = 0
        self._count = 0
        self._fault_changes = -1
        self._fault_bits = 0

    def note(self, point: Point, i: PointInputs, b: BorneInputs, out: PointOutputs, now: float) -> None:
        """Keep one pass."""
        faults = point.faults
        if faults.changes != self._fault_changes:
            self._fault_changes = faults.changes
            self._fault_bits = _bits(faults.active)
        flags = (
            i.contactor_closed | i.load_live << 1 | i.lock_closed << 2 | i.lock_open << 3 | i.rcd_tripped << 4
            | i.rdc_tripped << 5 | i.pe_ok << 6 | i.bay_occupied << 7 | i.domestic_plug << 8 | i.domestic_closed << 9
            | b.emergency_stop << 10 | b.door_open << 11 | b.coil_watchdog_armed << 12
        )  # fmt: skip
        commands = out.contactor | (out.lock + 1) << 1 | out.rcd_test << 3 | out.domestic_contactor << 4
        _RECORD.pack_into(
            self._ring, self._at, now, i.cp_high_v, i.cp_low_v, i.pp_ohm, i.temperature_c, i.reference_v,
            i.duty_measured, out.duty, flags, commands, _STATE[point.state], _BLOCKED[point.blocked], self._fault_bits,
        )  # fmt: skip
        self._at += _RECORD.size
        self._count += 1
        if self._at == self._size:
            self._at = 0

    def snapshot(self) -> bytes:
        """All passes in order of time, raw."""
        if self._count * _RECORD.size < self._size:
            return bytes(self._ring[: self._at])
        return bytes(self._ring[self._at :]) + bytes(self._ring[: self._at])


class Occasions:
    """Which points' rings are to be written, when, and for which fault."""

    __slots__ = ("_due", "_last", "_told")

    def __init__(self) -> None:
        self._due: dict[int, tuple[str, float]] = {}
        self._last: dict[int, float] = {}
        """When a point's last file was, or is, due."""
        self._told: dict[tuple[int, str], float] = {}

    def came(self, evse: int, fault: str, now: float) -> bool:
        """A fault came on a point. False when one of its name was recorded a short while ago.

        A file that is due waits for the consequences of this one too, and has its first fault's name.
        """
        if now - self._told.get((evse, fault), float("-inf")) < AGAIN_S:
            return False
        self._told[evse, fault] = now
        reason, at = self._due.get(evse, (fault, self._last.get(evse, float("-inf")) + SPACING_S))
        self._last[evse] = max(at, now + AFTER_FAULT_S)
        self._due[evse] = reason, self._last[evse]
        return True

    def due(self, now: float) -> list[tuple[int, str]]:
        """Point and reason of the files to write now; each is told once."""
        if not self._due:
            return []
        found = [(evse, reason) for evse, (reason, at) in self._due.items() if now >= at]
        for evse, _ in found:
            del self._due[evse]
        return found


def contents(raw: bytes, evse: int, boot: str, reason: str, now: float) -> bytes:
    """The file: a JSON line that explains it, then the records, compressed. Slow: not for the loop."""
    header = {
        "version": 1, "evse": evse, "boot": boot, "reason": reason, "mono": now, "utc": datetime.now(UTC).isoformat(),
        "record": _RECORD.format, "analogue": _ANALOGUE, "flags": _FLAGS, "states": STATES, "blocked": BLOCKED,
        "faults": list(FAULTS),
    }  # fmt: skip
    return msgspec.json.encode(header) + b"\n" + zlib.compress(raw, 3)


def file_name(evse: int, reason: str, utc: datetime) -> str:
    return f"evse{evse}-{utc:%Y%m%dT%H%M%SZ}-{reason}{SUFFIX}"


def records(file: Path) -> Iterator[dict[str, object]]:
    """Read a file back, one dictionary a pass. Raises ValueError when it is not a recorder's file."""
    head, _, body = file.read_bytes().partition(b"\n")
    try:
        header = json.loads(head)
        raw = zlib.decompress(body)
        passes = struct.Struct(header["record"]).iter_unpack(raw)
    except (ValueError, KeyError, TypeError, zlib.error, struct.error) as error:
        raise ValueError(f"{file} is not a recorder's file: {error}") from error
    for values in passes:
        t, analogue = values[0], values[1:8]
        flags, commands, state, blocked, faults = values[8:]
        yield {
            "t": t,
            "state": header["states"][state],
            **{name: round(value, 2) for name, value in zip(header["analogue"], analogue, strict=True)},
            **{name: bool(flags >> bit & 1) for bit, name in enumerate(header["flags"])},
            "contactor": bool(commands & 1),
            "lock": (commands >> 1 & 3) - 1,
            "rcd_test": bool(commands >> 3 & 1),
            "domestic_contactor": bool(commands >> 4 & 1),
            "blocked": header["blocked"][blocked],
            "faults": [name for bit, name in enumerate(header["faults"]) if faults >> bit & 1],
        }


def changes(passes: Iterable[dict[str, object]]) -> Iterator[tuple[float, dict[str, object]]]:
    """The first pass whole, then of each pass what differs by more than noise; with its time."""
    before: dict[str, object] = {}
    for record in passes:
        changed = {k: v for k, v in record.items() if k != "t" and _differs(before.get(k), v)}
        if changed:
            before.update(changed)
            yield float(str(record["t"])), changed


def main() -> int:
    """Print a file."""
    if len(sys.argv) != 2:
        print("usage: python -m chargepoint.evse.recorder FILE", file=sys.stderr)
        return 2
    for at, changed in changes(records(Path(sys.argv[1]))):
        print(f"{at:.3f}", json.dumps(changed))
    return 0


def _differs(before: object, value: object) -> bool:
    if isinstance(before, float) and isinstance(value, float):
        return abs(before - value) > 0.05 * max(abs(before), 2.0)
    return before != value


if __name__ == "__main__":
    sys.exit(main())
