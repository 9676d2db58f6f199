"""The journal: the one place where anything durable is written.

SQLite in WAL mode with synchronous=FULL: when `await write(...)` returns, what it wrote survives a power cut.
All writes happen in one thread, so that the event loop never waits for the disk; works that have piled up behind
a slow disk share one transaction and one fsync. Reads have a connection and a thread of their own and do not
wait behind a write; they see every write that has returned.

The directory of the file is locked exclusively as long as the journal is open.
"""

import asyncio
import contextlib
import fcntl
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final, TypeVar

from chargepoint.journal.migrations import MIGRATIONS

T = TypeVar("T")
FILE_NAME: Final = "chargepoint.db"
_BATCH: Final = 64
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_BUSY_S: Final = 5.0


class JournalBusy(Exception):
    """Another program holds the state directory."""


class JournalTooNew(Exception):
    """A newer version of the program wrote this journal."""


class _Closed(Exception):
    """The journal was closed before this work was begun."""


_Work = tuple[Callable[[sqlite3.Connection], Any], "Future[Any]"]


def _lock(directory: Path) -> int:
    directory.mkdir(mode=0o750, parents=True, exist_ok=True)
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise JournalBusy(
            f"the state directory {directory} is in use by another running chargepoint station: "
            "stop it first, or give this one a state_dir of its own"
        ) from None
    return handle


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=_BUSY_S)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA foreign_keys = ON")
    return db


def migrate(db: sqlite3.Connection) -> None:
    """Bring the schema to the newest version, each step in its own transaction."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise JournalTooNew(
            f"the journal has schema {version}, this program knows {len(MIGRATIONS)}: install the newer program again"
        )
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        db.executescript(f"BEGIN IMMEDIATE;{script}PRAGMA user_version = {number};COMMIT;")


def _register_boot(db: sqlite3.Connection, boot_id: str, mono: float) -> int:
    """The number of this boot of the machine: the monotonic clock counts from it."""
    db.execute("INSERT OR IGNORE INTO boots (boot_id, first_mono, last_mono) VALUES (?, ?, ?)", (boot_id, mono, mono))
    row = db.execute("SELECT boot FROM boots WHERE boot_id = ?", (boot_id,)).fetchone()
    return int(row[0])


class Journal:
    """An open journal. Make it with `Journal.open`."""

    def __init__(self, path: Path, lock: int, db: sqlite3.Connection, boot: int) -> None:
        self.path = path
        self.boot = boot
        """Number of this boot of the machine, for `Stamp`s."""
        self._lock = lock
        self._db = db
        self._reader = _connect(path)
        self._reader.execute("PRAGMA query_only = ON")
        self._writes: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._reads: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._closed = False
        self._threads = (
            threading.Thread(target=self._write_loop, name="journal-writer", daemon=True),
            threading.Thread(target=self._read_loop, name="journal-reader", daemon=True),
        )
        for thread in self._threads:
            thread.start()

    @classmethod
    def open(cls, path: Path, boot_id: str | None = None) -> "Journal":
        """Open (and make, or bring up to date) the journal in this file.

        `boot_id` stands for the kernel's identity of this boot; tests give their own.
        Raises JournalBusy when another process has it, JournalTooNew, sqlite3.DatabaseError when it is damaged.
        """
        lock = _lock(path.parent)
        try:
            db = _connect(path)
            migrate(db)
            boot = _register_boot(db, boot_id or _BOOT_ID.read_text().strip(), time.monotonic())
            return cls(path, lock, db, boot)
        except BaseException:
            os.close(lock)
            raise

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in a transaction; when this returns, it is on the disk. An exception of `work` undoes it alone."""
        return await self._submit(self._writes, work)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on a consistent view; it cannot write."""
        return await self._submit(self._reads, work)

    async def _submit(self, works: "queue.SimpleQueue[_Work | None]", work: Callable[[sqlite3.Connection], T]) -> T:
        if self._closed:
            raise _Closed("the journal is closed")
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        works.put((work, future))
        # Shielded: a work once queued will be done, so its caller's cancellation must not seem to undo it.
        return await asyncio.shield(asyncio.wrap_future(future))

    def close(self) -> None:
        """Finish what is queued, close the file and release the directory. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._writes.put(None)
        self._reads.put(None)
        for thread in self._threads:
            thread.join()
        self._reader.close()
        self._db.close()
        os.close(self._lock)

    # In the writer thread

    def _write_loop(self) -> None:
        open_ = True
        while open_:
            first = self._writes.get()
            if first is None:
                return
            batch = [first]
            with contextlib.suppress(queue.Empty):
                while len(batch) < _BATCH:
                    more = self._writes.get_nowait()
                    if more is None:
                        open_ = False
                        break
                    batch.append(more)
            self._commit(batch)

    def _commit(self, batch: list[_Work]) -> None:
        answers: list[tuple[Future[Any], Any, BaseException | None]] = []
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for work, future in batch:
                answers.append((future, *self._attempt(work)))
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            for _, future in batch:
                future.set_exception(error)
            return
        for future, result, failure in answers:
            if failure is None:
                future.set_result(result)
            else:
                future.set_exception(failure)

    def _attempt(self, work: Callable[[sqlite3.Connection], Any]) -> tuple[Any, BaseException | None]:
        """One work inside a savepoint: its failure is its caller's, and leaves the others of the batch alone."""
        self._db.execute("SAVEPOINT work")
        try:
            result = work(self._db)
        except Exception as failure:  # noqa: BLE001 - handed to the caller, whose exception it is
            self._db.execute("ROLLBACK TO work")
            self._db.execute("RELEASE work")
            return None, failure
        self._db.execute("RELEASE work")
        return result, None

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    # In the reader thread

    def _read_loop(self) -> None:
        while (item := self._reads.get()) is not None:
            work, future = item
            try:
                self._reader.execute("BEGIN")
                try:
                    result = work(self._reader)
                finally:
                    if self._reader.in_transaction:
                        self._reader.execute("ROLLBACK")
            except Exception as failure:  # noqa: BLE001 - handed to the caller, whose exception it is
                future.set_exception(failure)
            else:
                future.set_result(result)
