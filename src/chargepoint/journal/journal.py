"""The journal: the one place where anything durable is written.

SQLite in WAL mode with synchronous=FULL: when `await write(...)` returns, what it wrote survives a power cut.
All writes happen in one thread, so that the event loop never waits for the disk; works that have piled up behind
a slow disk share one transaction and one fsync. Reads have a connection and a thread of their own and do not
wait behind a write; they see every write that has returned.

The directory of the file is locked exclusively as long as the journal is open.

When the disk takes no more writes (full, read-only, broken), the journal goes on in memory: the borne charges and
says so (`trouble`), and everything is written back as soon as the disk takes it. A damaged file is set aside
at the start and read as far as it can be (`loss`); writes that a shortened log has lost are counted (`mark`).
"""

import asyncio
import contextlib
import fcntl
import itertools
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from chargepoint.journal import mark
from chargepoint.journal.migrations import MIGRATIONS, OLDEST_READER
from chargepoint.journal.salvage import (
    Loss,
    damage,
    lenient,
    salvage,
    set_aside,
    take_out_unreadable,
)
from chargepoint.journal.tidy import give_back, tidy

T = TypeVar("T")
FILE_NAME: Final = "chargepoint.db"
_BATCH: Final = 64
_COUNT: Final = "INSERT INTO commits VALUES (1, 1) ON CONFLICT DO UPDATE SET count = count + 1"
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_BUSY_S: Final = 5.0
_COPY_S: Final = 1.0
"""How long a locked database is waited for before another way to copy it is tried."""
PLAUSIBLE_STEPS: Final = 10_000
"""No program knows so many steps more than this one: a greater number is damage."""
CHECKPOINT_PAGES: Final = 100
"""The log goes into the database when it has so many pages, some 20 writes: what a damaged log can cost."""
RETRY_S: Final = 10.0
"""How often a disk that took no writes is tried again."""
_DISK_CODES: Final = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PERM,
    }
)
_ELSE_CODES: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM})
"""Neither the file's nor the disk's fault."""
_DAMAGE_CODES: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class JournalBusy(Exception):
    """Another program holds the state directory."""


class JournalTooNew(Exception):
    """A newer version of the program wrote this journal."""


class JournalClosed(Exception):
    """The journal was closed before this work was begun."""


_Work = tuple[Callable[[sqlite3.Connection], Any], "Future[Any]"]
_Works = queue.SimpleQueue["_Work | None"]


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


def _connect(path: Path | str) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=_BUSY_S)
    db.text_factory = lenient
    try:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # of a new file; before its first page is written
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    except sqlite3.Error:
        db.close()
        raise
    return db


def _backup(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """Copy a whole database. Left alone, the module waits for ever on a locked one: here for `_COPY_S` at most."""
    end = time.monotonic() + _COPY_S

    def bounded(status: int, remaining: int, total: int) -> None:
        if status not in (sqlite3.SQLITE_OK, sqlite3.SQLITE_DONE) and time.monotonic() >= end:
            raise sqlite3.OperationalError(f"the database stayed locked for {_COPY_S:g} s")

    source.backup(target, progress=bounded)


def migrate(db: sqlite3.Connection) -> None:
    """Bring the schema to the newest version, each step a transaction; one that is newer but only larger stays."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS) + PLAUSIBLE_STEPS:
        raise sqlite3.DatabaseError(f"the schema's number {version} cannot be")
    if version > len(MIGRATIONS):
        # Zero is a journal that never said who may read it.
        if 0 < db.execute("PRAGMA application_id").fetchone()[0] <= len(MIGRATIONS):
            return  # a newer program has only added to it: an update was taken back
        raise JournalTooNew(
            f"the journal has schema {version}, this program knows {len(MIGRATIONS)}: install the newer program again"
        )
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        db.executescript(f"BEGIN IMMEDIATE;{script}PRAGMA user_version = {number};COMMIT;")
    if db.execute("PRAGMA application_id").fetchone()[0] != OLDEST_READER:
        db.execute(f"PRAGMA application_id = {OLDEST_READER}")


def _require_schema(db: sqlite3.Connection) -> None:
    """Every table and column this program works with is there under its name: SQLite's check does not look at names."""
    sound = _in_memory()
    migrate(sound)
    wanted, found = _columns(sound), _columns(db)
    sound.close()
    if not wanted <= found:
        raise sqlite3.DatabaseError(f"the schema lacks {', '.join(sorted(wanted - found))}")


def _columns(db: sqlite3.Connection) -> set[str]:
    named = "SELECT m.name || '.' || c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'"
    return {row[0] for row in db.execute(named)}


@dataclass(slots=True)
class _Opened:
    """What `_open` found: a database, on the disk or (with `trouble`) in memory."""

    db: sqlite3.Connection
    loss: Loss | None = None
    trouble: str = ""


def _open(path: Path) -> _Opened:
    """A sound database in this file: the old one, or a new one with what the damaged old one gave."""
    try:
        db = _connect(path)
        why = damage(db)
        if not why:
            migrate(db)
            _require_schema(db)
            taken_out = take_out_unreadable(db)
            return _Opened(db, Loss("unreadable text", unreadable=taken_out) if taken_out else None)
        db.close()
    except sqlite3.DatabaseError as error:
        if _code(error) in _ELSE_CODES:
            raise
        if _code(error) in _DISK_CODES - _DAMAGE_CODES:
            memory, loss = _copy_in_memory(path, None, None)
            return _Opened(memory, loss, str(error))
        why = str(error)  # a damaged schema shows as a column or table that is not there
    except UnicodeDecodeError as error:
        why = f"its schema is no text: {error.reason}"  # SQLite quotes it in its own message
    place = set_aside(path)
    db = _connect(path)
    loss = _salvage_into(db, place)
    loss.why = why
    return _Opened(db, loss)


def _salvage_into(db: sqlite3.Connection, damaged: Path) -> Loss:
    migrate(db)
    db.execute("BEGIN IMMEDIATE")
    loss = salvage(damaged, db)
    db.execute("COMMIT")
    return loss


def _copy_in_memory(
    path: Path, disk: sqlite3.Connection | None, loss: Loss | None
) -> tuple[sqlite3.Connection, Loss | None]:
    """The journal's content in memory: a true copy, or what can be salvaged, or an empty one."""
    for source in itertools.chain([disk] if disk is not None else [], _last_resorts(path)):
        memory = _true_copy(source)
        if memory is not None:
            return memory, loss
    memory = _in_memory()
    found = _salvage_into(memory, path)
    return memory, found if any(found.recovered.values()) else loss


def _last_resorts(path: Path) -> Iterator[sqlite3.Connection]:
    """Ways to read a WAL database on a disk that takes nothing: read-only, without shared memory, without its log."""
    name = path.absolute().as_uri()
    for options, pragma in (("mode=ro", ""), ("mode=rw", "PRAGMA locking_mode = EXCLUSIVE"), ("immutable=1", "")):
        with contextlib.suppress(sqlite3.Error):
            db = sqlite3.connect(f"{name}?{options}", uri=True)
            db.execute(pragma)
            yield db
            db.close()


def _in_memory() -> sqlite3.Connection:
    memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    memory.text_factory = lenient
    return memory


def _true_copy(source: sqlite3.Connection) -> sqlite3.Connection | None:
    """A sound and current copy in memory, or None."""
    memory = _in_memory()
    with contextlib.suppress(sqlite3.Error):
        _backup(source, memory)
        if not damage(memory):
            migrate(memory)
            return memory
    memory.close()
    return None


def _commits(db: sqlite3.Connection) -> int:
    """How many transactions this journal has committed."""
    return int(db.execute("SELECT coalesce(max(CAST(count AS INTEGER)), 0) FROM commits").fetchone()[0])


def _code(error: Exception) -> int:
    """SQLite's primary result code; 0 for other errors."""
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def _register_boot(db: sqlite3.Connection, boot_id: str, mono: float) -> int:
    """The number of this boot of the machine: the monotonic clock counts from it."""
    db.execute("INSERT OR IGNORE INTO boots (boot_id, first_mono, last_mono) VALUES (?, ?, ?)", (boot_id, mono, mono))
    row = db.execute("SELECT boot FROM boots WHERE boot_id = ?", (boot_id,)).fetchone()
    return int(row[0])


class Journal:
    """An open journal. Make it with `Journal.open`."""

    def __init__(self, path: Path, lock: int, opened: "_Opened", boot_id: str) -> None:
        self.path = path
        self.boot = _register_boot(opened.db, boot_id, time.monotonic())
        """Number of this boot of the machine, for `Stamp`s."""
        self.loss = opened.loss
        """What was lost of a damaged journal at the start, or None."""
        self.trouble = opened.trouble
        """Why the disk takes no writes at present; empty when it does."""
        self.writes = 0
        """Transactions committed since the start."""
        self._lock = lock
        self._disk = None if opened.trouble else opened.db
        """Connection to the file; None while it cannot be had."""
        self._memory = opened.db if opened.trouble else None
        """What is worked on while the disk takes no writes."""
        self._mark = mark.Mark(path)
        self._damaged = False
        """The file is to be set aside before it is written again."""
        self._retry_at = time.monotonic() + RETRY_S
        self._giving_back = False
        self._reader: sqlite3.Connection | None = None
        self._writes: _Works = queue.SimpleQueue()
        self._reads: _Works = queue.SimpleQueue()
        self._closed = False
        self._threads = (
            threading.Thread(target=self._write_loop, name="journal-writer", daemon=True),
            threading.Thread(target=self._read_loop, name="journal-reader", daemon=True),
        )
        for thread in self._threads:
            thread.start()

    @classmethod
    def open(cls, path: Path, boot_id: str | None = None) -> "Journal":
        """Open (and make, mend, or bring up to date) the journal in this file.

        `boot_id` stands for the kernel's identity of this boot; tests give their own. Raises JournalBusy when
        another process has it, and JournalTooNew.
        """
        lock = _lock(path.parent)
        try:
            opened = _open(path)
            missing = mark.read(path) - _commits(opened.db)
            if missing > 0:
                opened.loss = opened.loss or Loss("")
                opened.loss.cut_off = missing
            return cls(path, lock, opened, boot_id or _BOOT_ID.read_text().strip())
        except BaseException:
            os.close(lock)
            raise

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in a transaction; when this returns, it is on the disk. An exception of `work` undoes it alone.

        While the disk takes no writes it is in memory only, and `trouble` says why.
        """
        return await self._submit(self._writes, work)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on a consistent view; it cannot write."""
        return await self._submit(self._writes if self.trouble else self._reads, work)

    async def tidy(self) -> None:
        """Drop what is no longer needed, and give a little of the free space back."""
        await self.write(tidy)
        self._giving_back = True

    async def _submit(self, works: _Works, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._closed:
            raise JournalClosed("the journal is closed")
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
        for db in (self._reader, self._memory, self._disk):
            if db is not None:
                db.close()
        self._mark.close()
        os.close(self._lock)

    # In the writer thread

    def _write_loop(self) -> None:
        open_ = True
        while open_:
            try:
                first = self._writes.get(timeout=RETRY_S if self.trouble else None)
            except queue.Empty:
                self._write_back()
                continue
            batch: list[_Work] = []
            item = first
            with contextlib.suppress(queue.Empty):
                while item is not None:
                    batch.append(item)
                    if len(batch) == _BATCH:
                        break
                    item = self._writes.get_nowait()
            open_ = item is not None or len(batch) == _BATCH
            if batch:
                self._commit(batch)
            if self._giving_back and self._disk is not None and not self.trouble:
                self._giving_back = False
                with contextlib.suppress(sqlite3.Error):
                    give_back(self._disk)
            if self.trouble and (not open_ or time.monotonic() >= self._retry_at):
                self._write_back()

    def _commit(self, batch: list[_Work]) -> None:
        try:
            answers = self._transaction(batch)
        except sqlite3.Error as error:
            if _code(error) not in _DISK_CODES or self._memory is not None or not self._into_memory(error):
                for _, future in batch:
                    future.set_exception(error)
                return
            self._commit(batch)
            return
        for future, result, failure in answers:
            if failure is None:
                future.set_result(result)
            else:
                future.set_exception(failure)

    def _transaction(self, batch: list[_Work]) -> list[tuple["Future[Any]", Any, BaseException | None]]:
        """All works in one transaction; an error of the disk undoes it and is raised."""
        db = self._memory or self._disk
        if db is None:
            raise JournalClosed("the journal has neither disk nor memory")
        try:
            db.execute("BEGIN IMMEDIATE")
            answers = [(future, *_attempt(db, work)) for work, future in batch]
            db.execute(_COUNT)
            commits = _commits(db)
            db.execute("COMMIT")
        except sqlite3.Error:
            with contextlib.suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            raise
        self.writes += 1
        if db is self._disk:
            try:
                self._mark.put(commits)
            except OSError as error:
                self._into_memory(error)
        return answers

    # When the disk does not take writes

    def _into_memory(self, error: sqlite3.Error | OSError) -> bool:
        """Go on with a copy in memory; False when not even that can be had."""
        try:
            self._memory, self.loss = _copy_in_memory(self.path, self._disk, self.loss)
        except sqlite3.Error:
            return False
        self._damaged = _code(error) in _DAMAGE_CODES
        self._retry_at = time.monotonic() + RETRY_S
        self.trouble = str(error)
        return True

    def _write_back(self) -> None:
        """Try to bring the disk up to date with the memory."""
        self._retry_at = time.monotonic() + RETRY_S
        if self._memory is None:
            return
        try:
            if self._damaged and self._disk is not None:
                self._disk.close()
                self._disk = None
                set_aside(self.path)
                self._damaged = False
            if self._disk is None:
                self._disk = _connect(self.path)
            _backup(self._memory, self._disk)
            self._disk.execute("PRAGMA journal_mode = WAL")
            self._mark.put(_commits(self._disk))
        except (sqlite3.Error, OSError) as error:
            self.trouble = str(error)
            return
        self._memory.close()
        self._memory = None
        self.trouble = ""

    # In the reader thread

    def _read_loop(self) -> None:
        while (item := self._reads.get()) is not None:
            work, future = item
            try:
                result = self._read_once(work)
            except Exception as failure:  # noqa: BLE001 - handed to the caller, whose exception it is
                future.set_exception(failure)
            else:
                future.set_result(result)

    def _read_once(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        if self._reader is None:
            # No pragma that asks for a lock: a long write may be under way.
            self._reader = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=_BUSY_S)
            self._reader.text_factory = lenient
            self._reader.execute("PRAGMA query_only = ON")
        db = self._reader
        try:
            db.execute("BEGIN")
            return work(db)
        except sqlite3.Error:
            self._reader = None  # a file that was set aside is not read again
            db.close()
            raise
        finally:
            if self._reader is not None and db.in_transaction:
                db.execute("ROLLBACK")


def _attempt(db: sqlite3.Connection, work: Callable[[sqlite3.Connection], Any]) -> tuple[Any, BaseException | None]:
    """One work inside a savepoint: its failure is its caller's, and leaves the others of the batch alone."""
    db.execute("SAVEPOINT work")
    try:
        result = work(db)
    except Exception as failure:
        if isinstance(failure, sqlite3.Error) and _code(failure) in _DISK_CODES:
            raise
        db.execute("ROLLBACK TO work")
        db.execute("RELEASE work")
        return None, failure
    db.execute("RELEASE work")
    return result, None
