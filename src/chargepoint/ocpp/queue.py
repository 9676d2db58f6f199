"""Delivery of the journal's outbox: strictly in order, one at a time, until each message has been taken.

A message leaves the journal only when it has been answered, or when the central system has failed to process it as
often as TransactionMessageAttempts allows (OCPP 1.6, 3.7.1). A lost link is no failure of the central system: it
costs no attempt, and neither does one on which nothing at all is answered. Every transmission has a message id of its
own.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Protocol

import structlog

from chargepoint.journal import outbox
from chargepoint.journal.journal import Journal
from chargepoint.journal.outbox import Entry
from chargepoint.journal.stamp import Stamp, as_datetime, resolve
from chargepoint.ocpp.lookout import ANSWER_TIMEOUT_MAX_S, Lookout
from chargepoint.ocpp.rpc import AnswerTimeout, AnswerUnusable, CallFailed, LinkLost, NotSendable
from chargepoint.station.api import Authorization

NEVER_DELIVERED: Final = "-1"
"""The transaction id of what belongs to a start the central system never took (errata 3.18)."""
BATCH: Final = 32
SLICE_S: Final = float(ANSWER_TIMEOUT_MAX_S)
MOST: Final = 20_000
"""Messages; above it meter values are thinned out, a start or a stop never."""

log = structlog.get_logger("ocpp.queue")


@dataclass(slots=True)
class RetryPolicy:
    """TransactionMessageAttempts and TransactionMessageRetryInterval; read when used."""

    attempts: int = 5
    interval_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Sample:
    """Meter values of one instant, as the journal has them."""

    at: datetime
    values: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An entry with what was found out for it: its time, and the central system's id of its transaction."""

    entry: Entry
    at: datetime
    backend_id: str | None
    data: tuple[Sample, ...] = ()
    """Of an ended transaction."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The central system's answer to a record: its id of a started transaction, and what it says of the token."""

    backend_id: str | None = None
    authorization: Authorization | None = None


class Courier(Protocol):
    """The protocol room's part of a delivery."""

    async def deliver(self, message: Outgoing) -> Taken:
        """Send and wait for the answer. Raises as `Rpc.call`."""

    async def delivered(self, message: Outgoing, taken: Taken) -> None:
        """The message has been taken and is out of the journal."""

    async def alive(self) -> bool:
        """Whether the central system answers anything at all. If not, the link is as good as lost, and made anew."""

    def pointless(self, message: Outgoing, failure: CallFailed) -> bool:
        """The central system will never take this kind of message."""


class OutboxSender:
    """Sends while `ready`. Make one; `run` it for the life of the program. `now` is UTC in seconds."""

    def __init__(
        self,
        journal: Journal,
        courier: Courier,
        policy: RetryPolicy,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        most: int = MOST,
    ) -> None:
        self._most = most
        self._journal = journal
        self._courier = courier
        self._policy = policy
        self._now = now
        self._sleep = sleep
        self._ready = asyncio.Event()
        self._news = asyncio.Event()
        self._news.set()
        self._taken: list[int] = []
        self._ids: dict[int, str] = {}
        """Backend ids of transactions whose start has been taken in this run and whose end has not."""
        self._grown = asyncio.Event()
        self._asked = 1
        self._settled = 0
        """How many wakes there were before the outbox was last seen empty."""
        self._pause_s = 0.0
        """Before security events that were not taken are sent again; anything new ends it."""
        self._empty = asyncio.Condition()
        self.lookout = Lookout()
        """Shows that the loop lives, also while there is nothing to send, or no link."""
        self.pending = 0
        """Messages in the outbox when it was last looked at."""

    def wake(self) -> None:
        """There is something new in the outbox."""
        self._asked += 1
        self._news.set()
        self._grown.set()

    def ready(self, yes: bool) -> None:
        """Whether messages may leave: connected and accepted."""
        if yes:
            self._ready.set()
        else:
            self._ready.clear()

    def mark(self) -> int:
        """All that is in the outbox by now, for `delivered_up_to`."""
        return self._asked

    async def delivered_up_to(self, mark: int, timeout_s: float) -> bool:
        """Wait until what was in the outbox at `mark` has been delivered, but no longer than that."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s), self._empty:
                await self._empty.wait_for(lambda: self._settled >= mark)
        return self._settled >= mark

    async def drained(self, timeout_s: float) -> bool:
        """Wait until all that is in the outbox now has been delivered, but no longer than that."""
        return await self.delivered_up_to(self.mark(), timeout_s)

    async def run(self) -> None:
        """Deliver until cancelled."""
        if others := await self._journal.read(outbox.left_to_another):
            log.warning("messages wait for a version that knows their kinds", kinds=others)
        while True:
            await self.lookout.wait(self._ready)
            self._news.clear()
            asked = self._asked
            batch, self.pending = await self._journal.read(lambda db: _look(db, self._now()))
            if not batch:
                async with self._empty:
                    self._settled = asked
                    self._empty.notify_all()
                await self.lookout.wait(self._news)
            elif self._pause_s > 0 and all(message.entry.kind == "security" for message in batch):
                await self.lookout.wait(self._news, self._pause_s)
                self._pause_s = 0.0
                continue
            try:
                for message in batch:
                    if not await self._carry(message):
                        break
                    self.pending = max(0, self.pending - 1)
            finally:
                await self._forget_taken()

    async def _rest(self, attempts: int) -> None:
        """Before the next attempt at a message, in slices that show that the loop lives. An interval that is made
        shorter counts from the next slice on: everything else about transactions waits behind this (3.7)."""
        rested = 0.0
        while (left := self._policy.interval_s * attempts - rested) > 0:
            await self._sleep(min(left, SLICE_S))
            rested += SLICE_S
            self.lookout.turns += 1

    async def keep_bound(self) -> None:
        """Thin the outbox out whenever it has grown beyond its bound; until cancelled."""
        while True:
            await self._grown.wait()
            self._grown.clear()
            self.pending = await self._journal.read(outbox.count)
            if self.pending > self._most:
                dropped = await self._journal.write(lambda db: outbox.thin(db, self._most))
                log.warning("outbox full, meter values thinned out", dropped=dropped)

    async def _carry(self, message: Outgoing) -> bool:
        """Deliver one entry or give it up, however long that takes; False when the link was lost."""
        entry = message.entry
        attempts = entry.attempts
        while True:
            if entry.tx is not None and message.backend_id is None and entry.kind != "started":
                # Its start may have been taken since this batch was read.
                message = replace(message, backend_id=self._ids.get(entry.tx))
            self.lookout.turns += 1
            try:
                taken = await self._courier.deliver(message)
            except LinkLost:
                self._ready.clear()  # until the next connection is accepted
                return False
            except AnswerTimeout as failure:
                self.lookout.turns += 1
                if not await self._courier.alive():
                    self._ready.clear()
                    return False
                attempts += 1
                if await self._failed(message, attempts, failure):
                    return True
            except (CallFailed, AnswerUnusable, NotSendable) as failure:
                attempts += 1
                if await self._failed(message, attempts, failure):
                    return True
            else:
                await self._settle(message, taken)
                return True

    async def _settle(self, message: Outgoing, taken: Taken) -> None:
        """Out of the journal: at once, but for meter values, which a crash in between sends twice."""
        self._taken.append(message.entry.seq)
        entry = message.entry
        if entry.kind == "sampled":
            return
        backend_id = taken.backend_id if entry.kind == "started" else None
        await self._forget_taken(entry.tx, backend_id)
        if entry.tx is not None and backend_id is not None:
            self._ids[entry.tx] = backend_id
        if entry.kind == "ended" and entry.tx is not None:
            self._ids.pop(entry.tx, None)
        await self._courier.delivered(message, taken)

    async def _forget_taken(self, tx: int | None = None, backend_id: str | None = None) -> None:
        """Remove what has been taken, and keep the id a start was answered with, in one durable step."""
        taken, self._taken = self._taken, []

        def write(db: sqlite3.Connection) -> None:
            if tx is not None and backend_id is not None:
                outbox.set_backend_id(db, tx, backend_id)
            for seq in taken:
                outbox.remove(db, seq)

        if taken:
            await self._journal.write(write)

    async def _failed(self, message: Outgoing, attempts: int, failure: Exception) -> bool:
        """Count a failure; True when the message is given up, else after the wait for the next attempt.

        A security event goes behind the others instead (True as well): no transaction waits for it.
        """
        entry = message.entry
        hopeless = isinstance(failure, NotSendable) or (
            isinstance(failure, CallFailed) and self._courier.pointless(message, failure)
        )
        if hopeless or attempts >= self._policy.attempts:
            log.error("message given up", kind=entry.kind, tx=entry.tx, attempts=attempts, reason=str(failure))
            await self._journal.write(lambda db: _give_up(db, entry))
            if entry.kind == "started" and entry.tx is not None:
                self._ids[entry.tx] = NEVER_DELIVERED
            return True
        wait = self._policy.interval_s * attempts
        log.warning("message not taken", kind=entry.kind, tx=entry.tx, retry_in_s=wait, reason=str(failure))
        if entry.kind == "security":
            await self._journal.write(lambda db: outbox.postpone(db, entry.seq))
            self._pause_s = max(self._pause_s, wait)
            return True
        await self._journal.write(lambda db: outbox.attempted(db, entry.seq))
        await self._rest(attempts)
        return False


def _look(db: sqlite3.Connection, now: float) -> tuple[list[Outgoing], int]:
    return [_prepare(db, entry, now) for entry in outbox.upcoming(db, 0, BATCH)], outbox.count(db)


def _prepare(db: sqlite3.Connection, entry: Entry, now: float) -> Outgoing:
    """Find the times and the transaction's id. What has no time by now never will: it gets the present."""
    data = tuple(
        Sample(as_datetime(_time(db, Stamp(item["boot"], item["mono"], item["utc"]), now)), item["values"])
        for item in entry.payload.get("data", ())
    )
    backend_id = None if entry.tx is None else outbox.backend_id(db, entry.tx)
    return Outgoing(entry, as_datetime(_time(db, entry.stamp, now)), backend_id, data)


def _time(db: sqlite3.Connection, stamp: Stamp, now: float) -> float:
    utc = resolve(db, stamp)
    return now if utc is None else utc


def _give_up(db: sqlite3.Connection, entry: Entry) -> None:
    if entry.kind == "started" and entry.tx is not None:
        outbox.set_backend_id(db, entry.tx, NEVER_DELIVERED)
    outbox.remove(db, entry.seq)
