"""The mark: how many transactions the journal has committed, in a small file beside it.

SQLite takes a write-ahead log whose end is missing for one that was never longer. The journal counts its own
transactions in the database; after each the same number is synced to this file before anybody is told. A database
that counts less than its mark has lost something that had been on the disk. It can count more: the power went
between the two, or a program that knows no mark has written.
"""

import os
import zlib
from pathlib import Path
from typing import Final

SUFFIX: Final = "-mark"


def read(journal: Path) -> int:
    """The number in the mark of this journal; 0 when there is none, or none that can be read."""
    try:
        text = _file(journal).read_bytes()
    except OSError:
        return 0  # the journal's own files tell of a disk that cannot be read
    number, _, check = text.strip().partition(b" ")
    if not number.isdigit() or check != _check(number):
        return 0
    return int(number)


class Mark:
    """Keeps the number on the disk. `close` it."""

    def __init__(self, journal: Path) -> None:
        self._path = _file(journal)
        self._handle = -1

    def put(self, number: int) -> None:
        """When this returns, the number is on the disk. Raises OSError."""
        if self._handle < 0:
            self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        digits = b"%020d" % number
        os.pwrite(self._handle, b"%s %s\n" % (digits, _check(digits)), 0)
        os.fdatasync(self._handle)  # of always as many bytes: no more than this one block

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def _file(journal: Path) -> Path:
    return journal.with_name(journal.name + SUFFIX)


def _check(number: bytes) -> bytes:
    return b"%08x" % zlib.crc32(number)
