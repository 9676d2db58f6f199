"""A machine that misbehaves around a program that does not know: slow, full disks, clocks that jump, power that goes.

`Machine` preloads `machine_shim.c` into the program's processes. Its knobs act at once; its log has every change to the
state directory in order, with every fsync, so that `PowerCut` can tell what a disk may hold after the power has gone at
any instant: what was synced for certain, and of the rest anything, in pieces of a sector.
"""

import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

COMPILER = shutil.which("cc") or shutil.which("gcc")
SECTOR = 512
"""Bytes a disk writes whole or not at all."""
_CONTROL = struct.Struct("<diii4x")
_HEAD = struct.Struct("<BBHIQd")


class Machine:
    """Knobs and the log. `root`: the directory whose files are meant; `work` holds what this needs itself."""

    def __init__(self, work: Path, root: Path) -> None:
        self.root = root
        self._library = work / "machine_shim.so"
        self._control = work / "machine-control"
        self.log = work / "machine-log"
        self._utc_shift, self._clock_state, self._fsync_ms, self._errno = 0.0, -1, 0, 0
        self._turn()
        if COMPILER is None:
            raise RuntimeError("there is no C compiler: install gcc")
        source = Path(__file__).with_name("machine_shim.c")
        subprocess.run([COMPILER, "-shared", "-fPIC", "-O1", "-o", self._library, source, "-ldl"], check=True)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to run on this machine."""
        return {
            **os.environ,
            "LD_PRELOAD": str(self._library),
            "SHIM_CONTROL": str(self._control),
            "SHIM_ROOT": str(self.root),
            "SHIM_LOG": str(self.log),
        }

    def clock(self, shift_s: float, disciplined: bool | None = None) -> None:
        """Move the wall clock against the real one; `disciplined`: whether NTP is said to hold it (None: as it is)."""
        self._utc_shift = shift_s
        self._clock_state = -1 if disciplined is None else 0 if disciplined else 5
        self._turn()

    def disk(self, fsync_s: float = 0.0, refuses: int = 0) -> None:
        """Every fsync takes so long; every write gets this error number (0: it is done)."""
        self._fsync_ms, self._errno = round(fsync_s * 1000), refuses
        self._turn()

    def _turn(self) -> None:
        packed = _CONTROL.pack(self._utc_shift, self._clock_state, self._fsync_ms, self._errno)
        if not self._control.exists():
            self._control.write_bytes(packed)
        with self._control.open("r+b") as file:
            file.write(packed)


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the log."""

    kind: str
    path: str
    at: float
    """CLOCK_MONOTONIC, s."""
    fresh: bool = False
    data: bytes = b""
    offset: int = 0


def changes(log: Path) -> Iterator[Change]:
    """Everything that was recorded, in order."""
    raw = log.read_bytes()
    at = 0
    while at + _HEAD.size <= len(raw):
        kind, flags, path, size, offset, when = _HEAD.unpack_from(raw, at)
        at += _HEAD.size
        name = raw[at : at + path].decode()
        yield Change(chr(kind), name, when, bool(flags & 1), raw[at + path : at + path + size], offset)
        at += path + size


@dataclass
class _File:
    """One file: what is on the disk for certain, and what may be."""

    safe: bytearray = field(default_factory=bytearray)
    pending: list[Change] = field(default_factory=list)


class PowerCut:
    """Follows the log, and builds what the disk may hold when the power goes.

    The file system is taken to be one like ext4: an fsync of a file makes its contents and its own name durable;
    renames and removals are durable after an fsync of their directory, and become so in their order.
    """

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}
        """By the name the program knows them by."""
        self._durable: dict[str, _File] = {}
        """By the name that is on the disk for certain."""
        self._moves: list[Change] = []
        """Renames and removals that may be on the disk."""
        self._syncing: dict[str, int] = {}

    def follow(self, change: Change) -> None:
        """The next change."""
        path = change.path
        if change.kind == "o":
            self._files.setdefault(path, _File())
            if change.fresh:
                self._files[path].pending.append(Change("t", path, change.at))
        elif change.kind in "wt":
            self._files.setdefault(path, _File()).pending.append(change)
        elif change.kind == "s":
            self._syncing[path] = len(self._files[path].pending) if path in self._files else 0
        elif change.kind == "S":
            self._synced(path)
        elif change.kind == "r":
            self._moves.append(change)
            self._files[change.data.decode()] = self._files.pop(path, _File())
        elif change.kind == "u":
            self._moves.append(change)
            self._files.pop(path, None)

    def _synced(self, path: str) -> None:
        file = self._files.get(path)
        if file is None:  # a directory
            for move in [m for m in self._moves if Path(m.path).parent == Path(path)]:
                self._moves.remove(move)
                self._move(self._durable, move)
            return
        count = self._syncing.pop(path, 0)
        for change in file.pending[:count]:
            _apply(file.safe, change)
        del file.pending[:count]
        self._durable[path] = file

    @staticmethod
    def _move(names: dict[str, _File], move: Change) -> None:
        file = names.pop(move.path, None)
        if move.kind == "r" and file is not None:
            names[move.data.decode()] = file

    def disk(self, dice: Random | None = None) -> dict[str, bytes]:
        """Contents by path. Without dice: what is certain and no more; with: some of the rest, as chance has it."""
        if dice is None:
            return {path: bytes(file.safe) for path, file in self._durable.items()}
        names = dict(self._durable)
        for path, file in self._files.items():
            if path not in names and dice.random() < 0.5:
                names[path] = file
        for move in self._moves[: dice.randint(0, len(self._moves))]:
            self._move(names, move)
        return {path: _perhaps(file, dice) for path, file in names.items()}

    def everything(self) -> dict[str, bytes]:
        """As if all had been written: what a killed program leaves."""
        return {path: bytes(_all(file)) for path, file in self._files.items()}


def _all(file: _File) -> bytearray:
    content = bytearray(file.safe)
    for change in file.pending:
        _apply(content, change)
    return content


def _perhaps(file: _File, dice: Random) -> bytes:
    """Some of the pending changes, the writes among them perhaps torn between two sectors."""
    content = bytearray(file.safe)
    for change in file.pending:
        if change.kind == "t":
            if dice.random() < 0.5:
                _apply(content, change)
            continue
        for start in range(0, len(change.data), SECTOR):
            if dice.random() < 0.5:
                part = change.data[start : start + SECTOR]
                _apply(content, Change("w", change.path, change.at, data=part, offset=change.offset + start))
    return bytes(content)


def _apply(content: bytearray, change: Change) -> None:
    if change.kind == "t":
        del content[change.offset :]
        content.extend(bytes(change.offset - len(content)))
        return
    missing = change.offset - len(content)
    if missing > 0:
        content.extend(bytes(missing))
    content[change.offset : change.offset + len(change.data)] = change.data
