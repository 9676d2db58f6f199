"""How the business process and the console log: one event per line, with its context.

JSON to standard error when nobody watches (the system's journal reads it), a short human form on a terminal, and
always JSON into a small ring of two files in the run directory, where the technician's console finds the last lines
even when everything else is dead. A standard error that nobody reads holds nothing up. An event that repeats too fast
is counted instead of written; the level can be raised for a limited time while the program runs.
"""

import atexit
import contextlib
import json
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import structlog

from chargepoint.urgency import marks

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
BURST = 20
"""So many lines of one event are written in one `WINDOW_S`; the rest is counted."""
WINDOW_S = 10.0
RING_BYTES = 256 * 1024
"""Each of the two files of the ring; they lie in memory (run directory)."""
WAITING_LINES = 1000
"""So many wait for a standard error that takes none just now; what comes then is in the ring alone."""
LAST_WORDS_S = 1.0
"""So long the end of the program waits for these."""
RAISED_MAX_S = 3600.0
"""A raised level falls back by itself, at the latest after an hour."""

EventDict = MutableMapping[str, Any]


class Threshold:
    """The least level that is written. It can be raised for a time, never for good."""

    def __init__(self, level: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._normal = LEVELS[level]
        self._raised = self._normal
        self._until = 0.0
        self._clock = clock

    def raise_level(self, level: str, seconds: float) -> None:
        """Write events from `level` on for so many seconds. Raises ValueError for a level that does not exist."""
        if level not in LEVELS:
            raise ValueError(f"there is no level {level!r}; there are {', '.join(LEVELS)}")
        self._raised = LEVELS[level]
        self._until = self._clock() + min(max(seconds, 0.0), RAISED_MAX_S)

    def __call__(self, logger: Any, method: str, event: EventDict) -> EventDict:
        least = self._raised if self._clock() < self._until else self._normal
        if LEVELS.get(method, 20) < least:
            raise structlog.DropEvent
        return event


class RateLimit:
    """At most `BURST` lines of one event at one point per window; the first line after tells how many there were."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._windows: dict[tuple[object, object], tuple[float, int]] = {}

    def __call__(self, logger: Any, method: str, event: EventDict) -> EventDict:
        now = self._clock()
        key = (event.get("event"), event.get("evse"))
        began, count = self._windows.get(key, (now, 0))
        if now - began >= WINDOW_S:
            if count > BURST:
                event["suppressed"] = count - BURST
            began, count = now, 0
            self._forget(now)
        self._windows[key] = (began, count + 1)
        if count + 1 > BURST:
            raise structlog.DropEvent
        return event

    def _forget(self, now: float) -> None:
        """Windows in which nothing was held back need not be remembered: names of events may be without number."""
        self._windows = {k: w for k, w in self._windows.items() if w[1] > BURST or now - w[0] < WINDOW_S}


class Ring:
    """The last lines, in two files of bounded size. A full disk or a missing directory costs lines, nothing else."""

    def __init__(self, path: Path, size: int = RING_BYTES) -> None:
        self._path = path
        self._size = size
        self._file: TextIO | None = None
        self.lost = 0

    def write(self, line: str) -> None:
        try:
            if self._file is None:
                self._file = self._path.open("a", encoding="utf-8", errors="backslashreplace")
            elif self._file.tell() + len(line) > self._size:
                self._file.close()
                self._file = None
                self._turn()
                self._file = self._path.open("a", encoding="utf-8", errors="backslashreplace")
            self._file.write(line + "\n")
            self._file.flush()
        except (OSError, ValueError):
            self.lost += 1

    def _turn(self) -> None:
        """The full file becomes the old one; where that cannot be, the newest lines are worth more than it."""
        try:
            self._path.replace(self._path.with_name(self._path.name + ".1"))
        except OSError:
            self.lost += 1
            self._path.write_bytes(b"")


class Outlet:
    """Writes lines to a file descriptor in a thread of its own. A terminal that was stopped, a pipe nobody reads or a
    dead logging service keep the thread waiting, and nothing else.

    Not through a file object: its lock, held by a thread that waits, would stop the end of the interpreter.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines: queue.Queue[bytes | None] = queue.Queue(WAITING_LINES)
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def put(self, text: str) -> bool:
        """False when it is lost: too many wait already, or none can be written any more."""
        if not self._thread.is_alive():
            return False
        try:
            self._lines.put_nowait(text.encode(errors="backslashreplace"))
        except queue.Full:
            return False
        return True

    def close(self) -> None:
        """Write what waits, if it is taken in time."""
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(None)
        self._thread.join(LAST_WORDS_S)

    def _run(self) -> None:
        while (data := self._lines.get()) is not None:
            try:
                while data:
                    data = data[os.write(self._descriptor, data) :]
            except OSError:
                return  # whoever read it has gone


def human(event: EventDict) -> str:
    """A line for a terminal: time, level, event, then what belongs to it."""
    from chargepoint.text import clean

    rest = dict(event)
    at, level, name = rest.pop("timestamp", ""), rest.pop("level", ""), rest.pop("event", "")
    trace = rest.pop("exception", "")
    pairs = " ".join(f"{key}={clean(value)}" for key, value in rest.items())
    line = f"{str(at)[11:23]} {level:<7} {clean(name)}  {pairs}".rstrip()
    return "\n".join([line, *("    " + clean(part) for part in str(trace).splitlines())])


class Writer:
    """The end of the line: to standard error in the form for who reads it, and to the ring as JSON."""

    def __init__(self, ring: Ring, stream: TextIO) -> None:
        self._ring = ring
        self._human = stream.isatty()
        self._marks = marks(stream)
        self._put = _putting(stream)

    def __call__(self, logger: Any, method: str, event: EventDict) -> EventDict:
        line = json.dumps(event, default=str)
        self._ring.write(line)
        try:
            written = self._put((human(event) if self._human else self._marks[method] + line) + "\n")
        except (OSError, ValueError):
            written = False
        if not written:
            self._ring.lost += 1
        raise structlog.DropEvent  # written: there is nothing left for the logger itself


def _putting(stream: TextIO) -> Callable[[str], bool | int]:
    """What puts text into a stream without ever waiting; its answer is false when the text is lost."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):  # it is in memory
        return stream.write
    outlet = Outlet(descriptor)
    atexit.register(outlet.close)
    return outlet.put


def _timestamp(logger: Any, method: str, event: EventDict) -> EventDict:
    """What a reader of raw lines looks for comes first."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    rest = dict(event)
    event.clear()
    event.update(timestamp=at, level=method, event=rest.pop("event", ""), **rest)
    return event


_session_of: Callable[[int], int | None] | None = None


def correlate(session_of: Callable[[int], int | None]) -> None:
    """From now on every event of a point carries the transaction that goes on there (`tx`), if one does."""
    global _session_of
    _session_of = session_of


def _correlated(logger: Any, method: str, event: EventDict) -> EventDict:
    evse = event.get("evse")
    if _session_of is not None and isinstance(evse, int) and "tx" not in event:
        tx = _session_of(evse)
        if tx is not None:
            event["tx"] = tx
    return event


_threshold: Threshold | None = None


def configure(process: str, run_dir: Path, level: str = "info", stream: TextIO | None = None) -> None:
    """Set logging up for this process, once, before anything logs. Libraries that use `logging` come along."""
    global _threshold
    _threshold = Threshold(level)
    structlog.configure(
        processors=[
            _threshold,
            structlog.contextvars.merge_contextvars,
            RateLimit(),
            _correlated,
            structlog.processors.format_exc_info,
            lambda logger, method, event: {"process": process, **event},
            _timestamp,
            Writer(Ring(run_dir / f"{process}.log"), stream or sys.stderr),
        ],
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_Bridge()], level=logging.WARNING, force=True)


def raise_level(level: str, seconds: float) -> None:
    """Write more, or less, for a time. Raises ValueError for a level that does not exist."""
    if _threshold is not None:
        _threshold.raise_level(level, seconds)


class _Bridge(logging.Handler):
    """What a library says through the standard `logging` becomes an event."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger(record.name)
        method = record.levelname.lower() if record.levelname.lower() in LEVELS else "info"
        getattr(log, method)(record.getMessage(), logger=record.name, exc_info=record.exc_info or None)


def last_lines(run_dir: Path, process: str, count: int) -> list[str]:
    """The newest raw lines of a process's ring, oldest first; none when there is no ring."""
    lines: list[str] = []
    for name in (f"{process}.log.1", f"{process}.log"):
        try:
            with (run_dir / name).open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - RING_BYTES))
                lines += file.read().decode(errors="backslashreplace").splitlines()
        except OSError:
            continue
    return lines[-count:]
