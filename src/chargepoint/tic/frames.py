"""Linky's customer information (TIC): frames, groups and checksums of both modes. Pure.

Sources: Enedis-NOI-CPT_54E (standard and historical mode of the Linky meter), Enedis-NOI-CPT_02E (older meters).
A frame is STX, groups, ETX; EOT breaks one off. A group is LF, label, separator, data, separator, checksum, CR; in
standard mode a date may stand between label and data. The separator is a space in historical, a tab in standard mode.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum

STX, ETX, EOT, LF, CR = 0x02, 0x03, 0x04, 0x0A, 0x0D
SPACE, TAB = 0x20, 0x09

LABEL = re.compile(r"[A-Z0-9+-]{2,10}")
NUMBERS = re.compile(
    r"ADPS|ADIR\d|[AE]A[SI]T|HC\w\w|BASE|I(INST|RMS|MAX)\d?|ISOUSC|NTARF|PAPP|PCOUP|PREF|RELAIS|SINSTS\d?|SINSTI|URMS\d"
)
"""Labels whose data is a whole number. The checksum has six bits and misses a wrong bit of worth 64; this does not."""
MAX_FRAME = 4096
"""A standard frame of a three-phase meter has about 1,400 bytes; more without an end is no frame."""


class Mode(StrEnum):
    """The meter's two ways of talking."""

    HISTORICAL = "historical"
    STANDARD = "standard"

    @property
    def baudrate(self) -> int:
        return 1200 if self is Mode.HISTORICAL else 9600


class BadGroup(ValueError):
    """The group's form or its checksum is wrong."""


@dataclass(frozen=True, slots=True)
class Group:
    """One label with its data."""

    label: str
    data: str
    date: str = ""
    """Season letter and yymmddhhmmss of the meter's clock; standard mode only, and not for every label."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The groups of one frame whose checksums were right."""

    mode: Mode
    groups: dict[str, Group]
    damaged: int = 0
    """Groups left out because their form or checksum was wrong."""

    def text(self, label: str) -> str | None:
        group = self.groups.get(label)
        return None if group is None else group.data

    def number(self, label: str) -> int | None:
        """The data as a whole number; None when the label is missing or its data is none."""
        text = (self.text(label) or "").strip()
        return int(text) if text.isascii() and text.isdigit() else None


def checksum(part: bytes) -> int:
    """Six bits of the sum, moved into the printable range (NOI-CPT_54E, 5.3.6)."""
    return (sum(part) & 0x3F) + 0x20


def parse_group(raw: bytes) -> tuple[Mode, Group]:
    """A group without its LF and CR. Raises BadGroup.

    The checksum may be a space itself, so it is taken by its place at the end and nothing is stripped. Historical mode
    leaves the last separator out of the sum, standard mode takes it in.
    """
    if len(raw) < 5:
        raise BadGroup(f"{len(raw)} bytes are too few for a group")
    separator, check = raw[-2], raw[-1]
    if separator == TAB:
        mode, summed = Mode.STANDARD, raw[:-1]
    elif separator == SPACE:
        mode, summed = Mode.HISTORICAL, raw[:-2]
    else:
        raise BadGroup(f"byte 0x{separator:02X} is no separator")
    if checksum(summed) != check:
        raise BadGroup(f"checksum 0x{check:02X}, but the bytes give 0x{checksum(summed):02X}")
    body = raw[:-2].decode("ascii", "replace")
    fields = body.split("\t") if mode is Mode.STANDARD else body.split(" ", 1)
    if len(fields) not in (2, 3):
        raise BadGroup(f"{len(fields)} fields in a group")
    group = Group(fields[0], fields[-1], fields[1] if len(fields) == 3 else "")
    _check(group)
    return mode, group


def _check(group: Group) -> None:
    """What the checksum cannot see."""
    if not LABEL.fullmatch(group.label):
        raise BadGroup(f"{group.label!r} is no label")
    if not (group.data + group.date).isprintable():
        raise BadGroup(f"{group.label} has unprintable data")
    if NUMBERS.fullmatch(group.label) and not group.data.isdigit():
        raise BadGroup(f"{group.label} is no number: {group.data!r}")


def make_group(mode: Mode, group: Group) -> bytes:
    """The group as a meter sends it, from LF to CR."""
    if mode is Mode.STANDARD:
        fields = [group.label, group.date, group.data] if group.date else [group.label, group.data]
        summed = "\t".join(fields).encode("ascii") + b"\t"
        return bytes((LF,)) + summed + bytes((checksum(summed), CR))
    summed = f"{group.label} {group.data}".encode("ascii")
    return bytes((LF,)) + summed + bytes((SPACE, checksum(summed), CR))


def make_frame(mode: Mode, groups: list[Group]) -> bytes:
    """A whole frame as a meter sends it."""
    return bytes((STX,)) + b"".join(make_group(mode, g) for g in groups) + bytes((ETX,))


@dataclass(slots=True)
class Framer:
    """Cuts frames out of what comes in, in pieces of any size."""

    damaged_groups: int = 0
    broken_frames: int = 0
    """Frames that were cut off, never ended or held no readable group."""
    _content: bytearray | None = field(default=None)

    def feed(self, data: bytes) -> list[Frame]:
        """Frames completed by these bytes. The parity bit, where a driver left it, is ignored."""
        found: list[Frame] = []
        for byte in data:
            byte &= 0x7F
            if byte == STX:
                if self._content is not None:
                    self.broken_frames += 1
                self._content = bytearray()
            elif self._content is None:
                continue
            elif byte == ETX:
                found += self._finished(bytes(self._content))
                self._content = None
            elif byte == EOT or len(self._content) >= MAX_FRAME:
                self.broken_frames += 1
                self._content = None
            else:
                self._content.append(byte)
        return found

    def _finished(self, content: bytes) -> list[Frame]:
        groups: dict[str, Group] = {}
        modes: list[Mode] = []
        damaged = 0
        beginning, *pieces = content.split(bytes((LF,)))
        damaged += bool(beginning)  # a frame begins with a group; else its own beginning was lost
        for piece in pieces:
            try:
                if not piece.endswith(bytes((CR,))):
                    raise BadGroup("no CR at its end")
                mode, group = parse_group(piece[:-1])
            except BadGroup:
                damaged += 1
                continue
            modes.append(mode)
            groups[group.label] = group
        self.damaged_groups += damaged
        if not groups:
            self.broken_frames += 1
            return []
        return [Frame(max(set(modes), key=modes.count), groups, damaged)]
