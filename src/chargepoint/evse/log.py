"""One JSON object a line to standard error. Small on purpose: the safety process imports little."""

import select
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import msgspec

from chargepoint.urgency import marks

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

FILE_BYTES = 256 * 1024
"""The run directory is memory: two files of this size at most."""


class Log:
    """Writes events at or above a level, to a stream and, when it has a path, to a short file that the console shows
    when nothing else lives. A reader that went away, or does not read, must not stop the loop: what it does not take
    at once is lost to it, and counted."""

    def __init__(self, level: str = "info", stream: TextIO | None = None, path: Path | None = None) -> None:
        self._least = LEVELS[level]
        self._stream = stream or sys.stderr
        self._path = path
        self._file: TextIO | None = None
        self._room = _room(self._stream)
        self._marks = marks(self._stream)
        self.lost = 0

    def debug(self, event: str, **fields: object) -> None:
        self._write("debug", event, fields)

    def info(self, event: str, **fields: object) -> None:
        self._write("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._write("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, object]) -> None:
        if LEVELS[level] < self._least:
            return
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        # Not json: its encoder with options leaves a reference cycle behind, and nothing collects those here.
        entry = {"timestamp": at, "level": level, "event": event, "process": "evse", **fields}
        line = msgspec.json.encode(entry, enc_hook=str).decode()
        if self._room is None or self._room.poll(0):
            self._put(self._stream, self._marks[level] + line)
        else:
            self.lost += 1
        if self._path is not None:
            self._keep(self._path, line)

    def _put(self, stream: TextIO, line: str) -> None:
        try:
            stream.write(line + "\n")
            stream.flush()
        except (OSError, ValueError):
            self.lost += 1

    def _keep(self, path: Path, line: str) -> None:
        try:
            if self._file is not None and self._file.tell() > FILE_BYTES:
                self._file.close()
                path.replace(path.with_name(path.name + ".1"))
                self._file = None
            if self._file is None:
                self._file = path.open("a", encoding="utf-8")
        except OSError:
            self.lost += 1
            return
        self._put(self._file, line)


def _room(stream: TextIO) -> "select.poll | None":
    """Tells whether a line can be written without waiting: a pipe that is writable has room for 4096 bytes, a socket
    for more. None for what is no file of the system's."""
    room = select.poll()
    try:
        room.register(stream, select.POLLOUT)
    except (OSError, ValueError):
        return None
    return room
