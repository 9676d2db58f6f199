"""A journal on a disk that misbehaves, in injected time: full, read-only or slow.

What SQLite is told by such a disk it is told here by its connections to files; `bench/storage.py` shows the whole
program on a machine whose system calls fail.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from virtual_time import HUNG_S

from chargepoint.journal.journal import Journal

FULL, READ_ONLY, SLOW = "disk full", "disk read-only", "disk slow"
FSYNC_S = 2.0
"""How long a slow disk takes to make a batch of writes durable."""
_TOLD = {
    FULL: ("COMMIT", "database or disk is full", sqlite3.SQLITE_FULL),
    READ_ONLY: ("BEGIN IMMEDIATE", "attempt to write a readonly database", sqlite3.SQLITE_READONLY),
}


class Disk:
    """The disk of one borne. `trouble`: one of the three, or nothing."""

    def __init__(self) -> None:
        self.trouble = ""

    def refuse(self, statement: str = "") -> None:
        """Raise what SQLite raises of such a disk, at the statement that fails there (none: at any write)."""
        if self.trouble in _TOLD:
            fails, words, code = _TOLD[self.trouble]
            if statement in ("", fails):
                error = sqlite3.OperationalError(words)
                error.sqlite_errorcode = code  # type: ignore[misc]
                raise error

    @contextmanager
    def mounted(self) -> Iterator[None]:
        """Every connection that is made meanwhile to a file is to this disk."""
        real = sqlite3.connect

        def connect(path: Any, **more: Any) -> sqlite3.Connection:
            if path == ":memory:":
                return real(path, factory=_Copying, **more)
            return real(path, factory=type("_OnDisk", (_OnDisk,), {"disk": self}), **more)

        with patch("sqlite3.connect", connect):
            yield


class _OnDisk(sqlite3.Connection):
    disk: Disk

    def execute(self, sql: str, *words: Any) -> sqlite3.Cursor:
        self.disk.refuse(sql)
        return super().execute(sql, *words)


class _Copying(sqlite3.Connection):
    def backup(self, target: sqlite3.Connection, **more: Any) -> None:
        if isinstance(target, _OnDisk):
            target.disk.refuse()
        super().backup(target, **more)


class PromptWorks:
    """The queue of a thread: what is put into it is done, with all that follows from it, when `put` returns."""

    def __init__(self, works: Any) -> None:
        self._works = works
        self.get_nowait = works.get_nowait
        self._idle = threading.Event()

    def get(self, timeout: float | None = None) -> Any:
        """Without a time-out: it would be one of real time."""
        if self._works.empty():
            self._idle.set()
        return self._works.get()

    def put(self, work: Any) -> None:
        self._wait()
        self._idle.clear()
        self._works.put(work)
        if work is not None:  # the last one ends the thread
            self._wait()

    def _wait(self) -> None:
        if not self._idle.wait(HUNG_S):
            raise RuntimeError(f"a thread of the journal has been at work for {HUNG_S:g} s")


class PromptJournal(Journal):
    """The loop stands still while its threads are at work; a slow disk's time goes by before."""

    disk: Disk | None = None

    def __init__(self, *words: Any) -> None:
        self._gathered: list[tuple[Any, asyncio.Future[Any]]] = []
        self._writer: asyncio.Task[None] | None = None
        with patch("queue.SimpleQueue", lambda real=queue.SimpleQueue: PromptWorks(real())):
            super().__init__(*words)

    async def _submit(self, works: Any, work: Any) -> Any:
        slow = self.disk is not None and self.disk.trouble == SLOW
        if works is not self._writes or not (slow or self._gathered):
            return await super()._submit(works, work)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._gathered.append((work, future))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_slowly())
        return await asyncio.shield(future)

    async def _write_slowly(self) -> None:
        """Batch after batch, each in its order."""
        while self._gathered:
            await asyncio.sleep(FSYNC_S)
            batch, self._gathered = self._gathered, []
            done = [asyncio.create_task(super(PromptJournal, self)._submit(self._writes, work)) for work, _ in batch]
            results = await asyncio.gather(*done, return_exceptions=True)
            for (_, future), result in zip(batch, results, strict=True):
                if future.cancelled():
                    continue
                if isinstance(result, BaseException):
                    future.set_exception(result)
                else:
                    future.set_result(result)
        self._writer = None

    def close(self) -> None:
        if self._writer is not None:
            self._writer.cancel()
        super().close()
