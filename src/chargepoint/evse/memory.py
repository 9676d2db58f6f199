"""What the safety process remembers over a restart: `<state_dir>/evse.json`, latched faults and counters.

Written whole, to a new file that takes the old one's place, by a thread of its own: the loop never waits for a disk. A
copy beside it, written after it in the same way, is read when the file itself cannot be.
"""

import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

FILE_NAME = "evse.json"
REMAINS = ".new"
"""What a file is called while it is written."""
VERSION = 1
RETRY_S = 5.0
"""After a write that failed (a full disk): latched faults must get there before the next power cut."""
STACK_BYTES = 256 * 1024
"""Enough to compress and write; memory is locked, so none is wasted."""


@dataclass
class PointMemory:
    """One point's."""

    latched: dict[str, str] = field(default_factory=dict)
    """Latched faults: name and detail."""
    counters: dict[str, int] = field(default_factory=dict)


@dataclass
class Remembered:
    """The file's contents. `damaged`: it was there and could not be read."""

    points: dict[int, PointMemory] = field(default_factory=dict)
    damaged: str = ""
    lost: bool = False
    """Nor could its copy: which faults had latched is not known."""


def backup(path: Path) -> Path:
    """The copy, written after the file itself."""
    return path.with_suffix(".bak")


def load(path: Path) -> Remembered:
    """Read the file, or its copy. Neither is there: a new borne. Damaged: set aside and said, never a reason not to
    start. Both stay until they are written anew: a start that dies before that must not make it a new borne."""
    points, wrong = _read(path)
    if points is not None:
        return Remembered(points)
    copied, copy_wrong = _read(backup(path))
    if not wrong and not copy_wrong and copied is None:
        return Remembered()
    told = [_told(path, wrong)]
    if wrong and (why := _set_aside(path)):
        told.append(f"it cannot be set aside: {why}")
    told.append(_told(backup(path), copy_wrong) if copied is None else f"{backup(path).name} was read instead")
    return Remembered(copied or {}, "; ".join(told), lost=copied is None)


def _told(path: Path, wrong: str) -> str:
    return f"{path.name}: {wrong}" if wrong else f"{path.name} is missing"


def _read(path: Path) -> tuple[dict[int, PointMemory] | None, str]:
    """What a file holds, or what is wrong with it; neither when it is not there."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        points = {
            int(evse): PointMemory(
                {str(n): str(d) for n, d in entry["latched"].items()},
                {str(n): int(c) for n, c in entry["counters"].items()},
            )
            for evse, entry in raw["points"].items()
        }
    except FileNotFoundError:
        return None, ""
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, OSError) as error:
        return None, str(error) or type(error).__name__
    return points, ""


def _set_aside(path: Path) -> str:
    """Keep the damaged file for whoever wants to know why. Answers why that cannot be; empty when it can."""
    aside = path.with_suffix(".damaged")
    try:
        aside.unlink(missing_ok=True)
        aside.hardlink_to(path)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def dump(points: dict[int, PointMemory]) -> bytes:
    """The file's contents, as `load` reads them."""
    body = {str(evse): {"latched": m.latched, "counters": m.counters} for evse, m in points.items()}
    packed = msgspec.json.encode({"version": VERSION, "points": body}, order="sorted")
    return msgspec.json.format(packed, indent=1) + b"\n"


def write(path: Path, contents: bytes) -> None:
    """Replace the file so that at any moment, power cut included, either the old or the new one is there whole."""
    new = path.with_suffix(REMAINS)
    try:
        with new.open("wb") as file:
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def prune(written: Path, keep: int) -> None:
    """Remove all but the newest files of its kind beside the one just written, which stays whatever its date: the clock
    may have been set back. And what power cuts have left of others."""
    files = sorted(written.parent.glob(f"*{written.suffix}"), key=lambda f: (f == written, f.stat().st_mtime))
    for file in [*files[:-keep], *written.parent.glob(f"*{REMAINS}")]:
        file.unlink()


def _named(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {error}"


class Writer:
    """A thread that writes files when told. Only the newest contents of a path are written; a write that
    failed is tried again every `RETRY_S`, except of files of which only so many are kept."""

    def __init__(self, on_start: Callable[[], None] | None = None) -> None:
        """`on_start` is called in the thread before its first write."""
        self._on_start = on_start
        self._wake = threading.Condition()
        self._pending: dict[Path, tuple[Callable[[], bytes], int]] = {}
        self._failed: dict[Path, tuple[Callable[[], bytes], int]] = {}
        """The thread's own."""
        self._stopping = False
        self.error = ""
        """What cannot be written and why; empty when everything is."""
        threading.stack_size(STACK_BYTES)
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)
        self._thread.start()

    def submit(self, path: Path, contents: Callable[[], bytes], keep: int = 0) -> None:
        """Write soon; does not wait. `contents` is called by the thread. `keep`: so many newest files of its kind stay
        in the directory (0: all)."""
        with self._wake:
            self._pending[path] = (contents, keep)
            self._wake.notify()

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what is pending, and once more what failed; then end. Waits at most `timeout_s`."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join(timeout_s)

    @property
    def trouble(self) -> str:
        """What cannot be written, or that nothing will be; empty while all is well."""
        if self._stopping or self._thread.is_alive():
            return self.error
        return "the thread that writes files has ended" + (f": {self.error}" if self.error else "")

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:  # noqa: BLE001 - a thread has no caller: `trouble` tells
            self.error = _named(error)

    def _work(self) -> None:
        if self._on_start is not None:
            self._on_start()
        last_try = False
        while True:
            with self._wake:
                while not self._pending and not self._stopping:
                    self._wake.wait(RETRY_S if self._failed else None)
                    self._take_failed()
                if self._stopping and not last_try:
                    last_try = True
                    self._take_failed()
                if not self._pending:
                    return
                path = next(iter(self._pending))
                contents, keep = self._pending.pop(path)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                write(path, contents())
                if keep:
                    prune(path, keep)
                self._failed.pop(path, None)
                if not self._failed:
                    self.error = ""
            except Exception as error:  # noqa: BLE001 - a mistake there must not keep later latches off
                self.error = f"{path}: {_named(error)}"
                if not keep:
                    self._failed[path] = (contents, keep)

    def _take_failed(self) -> None:
        """What failed is due again, unless something newer waits."""
        for path, what in self._failed.items():
            self._pending.setdefault(path, what)
        self._failed.clear()
