"""The station's end of the wall: a client of the safety process's socket.

Permissions are leases. This client renews them every `RENEW_S`, sends a changed one at once, and, when the
connection is lost, connects again for ever; while it is lost the leases run out by themselves.
"""

import asyncio
import contextlib
import itertools
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import msgspec
import structlog

from chargepoint.evse.messages import (
    LAST_WORDS_NAME,
    RENEW_S,
    Acknowledge,
    BorneReport,
    Buzz,
    Done,
    Dump,
    FromEvse,
    Lamps,
    Permit,
    PointReport,
    Sample,
    SelfTest,
    ToEvse,
    Trace,
    Unlock,
    decode_from_evse,
    encode,
)

log = structlog.get_logger()
_PACKET: Final = 64 * 1024
_RETRY_S: Final = 0.5
_SILENT_S: Final = 3.5
"""The safety process reports once a second; a connection silent for so long is taken for dead."""
_CONNECT_S: Final = 2.0
FRESH_WORDS_S: Final = 60.0
"""By the wall clock, as files have it: a clock that is set in between costs a sentence, no more."""


class LinkLost(Exception):
    """The safety process does not answer."""


class Listener(Protocol):
    """Who wants to know. Called in the event loop; must not block."""

    def point_reported(self, report: PointReport) -> None: ...
    def borne_reported(self, report: BorneReport) -> None: ...
    def evse_found(self) -> None: ...
    def evse_lost(self, why: str) -> None: ...


class Link(Protocol):
    """What the station needs of the safety process; tests put a fake in its place."""

    @property
    def turns(self) -> int:
        """Changes whenever the link's loop gets round."""

    def attach(self, listener: Listener) -> None: ...
    def permit(self, permit: Permit) -> None:
        """Hold this permission for the point, from now on and renewed, until another replaces it."""

    def lamps(self, lamps: Lamps) -> None: ...
    def buzz(self, buzz: Buzz) -> None:
        """Sound now, or not at all."""

    def record(self, evse: int, fault: str) -> None:
        """Have what led to a fault that the station raised on a point written, or not when the link is down."""

    async def unlock(self, evse: int, timeout_s: float) -> Done: ...
    async def self_test(self, evse: int, what: str, timeout_s: float) -> Done: ...
    async def acknowledge(self, evse: int, fault: str, timeout_s: float) -> Done: ...
    async def dump(self, evse: int, timeout_s: float) -> Done: ...
    def trace(self, trace: Trace, listener: Callable[[Sample], None]) -> None:
        """Have samples of a point sent to this listener, in place of the one before."""

    async def run(self) -> None: ...


class EvseLink:
    """The client of `<run_dir>/evse.sock`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._listener: Listener | None = None
        self._permits: dict[int, Permit] = {}
        self._lamps: dict[int, Lamps] = {}
        self._socket: socket.socket | None = None
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Done]] = {}
        self._traces: dict[int, Callable[[Sample], None]] = {}
        self.turns = 0
        """Goes up whenever the loop gets round: something received, or another attempt to connect."""
        self.malformed = 0
        """Packets that could not be decoded."""

    def attach(self, listener: Listener) -> None:
        """Tell this listener everything. Call before `run`."""
        self._listener = listener

    def trace(self, trace: Trace, listener: Callable[[Sample], None]) -> None:
        """Have samples of a point sent to this listener, in place of the one before."""
        self._traces[trace.evse] = listener
        self.send(trace)

    @property
    def connected(self) -> bool:
        return self._socket is not None

    def permit(self, permit: Permit) -> None:
        if self._permits.get(permit.evse) != permit:
            self._permits[permit.evse] = permit
            self.send(permit)

    def lamps(self, lamps: Lamps) -> None:
        """Show this pattern; sent again after a reconnection."""
        if self._lamps.get(lamps.evse) != lamps:
            self._lamps[lamps.evse] = lamps
            self.send(lamps)

    def buzz(self, buzz: Buzz) -> None:
        """Sound now, or not at all."""
        self.send(buzz)

    def record(self, evse: int, fault: str) -> None:
        """Have what led to the fault written; nobody waits for the answer."""
        self.send(Dump(evse, next(self._ids), fault))

    def send(self, message: ToEvse) -> bool:
        """Send one packet; False when the link is down or the other side does not read."""
        if self._socket is None:
            return False
        try:
            self._socket.send(encode(message))
        except OSError as error:
            log.warning("evse link does not take a message", error=str(error))
            return False
        return True

    async def unlock(self, evse: int, timeout_s: float) -> Done:
        return await self._ask(Unlock(evse, next(self._ids)), timeout_s)

    async def self_test(self, evse: int, what: str, timeout_s: float) -> Done:
        return await self._ask(SelfTest(evse, next(self._ids), what), timeout_s)

    async def acknowledge(self, evse: int, fault: str, timeout_s: float) -> Done:
        return await self._ask(Acknowledge(evse, next(self._ids), fault), timeout_s)

    async def dump(self, evse: int, timeout_s: float) -> Done:
        return await self._ask(Dump(evse, next(self._ids)), timeout_s)

    async def _ask(self, message: Unlock | SelfTest | Acknowledge | Dump, timeout_s: float) -> Done:
        """Send a request and wait for its `Done`. Raises LinkLost when none comes in time."""
        future: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
        self._waiting[message.id] = future
        try:
            if not self.send(message):
                raise LinkLost("the safety process is not connected")
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            raise LinkLost(f"the safety process did not answer within {timeout_s:g} s") from None
        finally:
            del self._waiting[message.id]

    async def run(self) -> None:
        """Connect, renew, listen; for ever."""
        told = False
        while True:
            try:
                await self._connected_once()
            except (OSError, LinkLost) as error:
                if self.connected or not told:
                    log.warning("evse link is down", path=str(self._path), error=str(error) or type(error).__name__)
                    told = True
                    if self._listener is not None:
                        self._listener.evse_lost(self._last_words() or str(error) or type(error).__name__)
            finally:
                self._drop()
            self.turns += 1
            await asyncio.sleep(_RETRY_S)

    def _last_words(self) -> str:
        """What the safety process died of, when it has just said so."""
        file = self._path.with_name(LAST_WORDS_NAME)
        try:
            fresh = time.time() - file.stat().st_mtime < FRESH_WORDS_S
            return file.read_text(encoding="utf-8", errors="replace").strip()[:300] if fresh else ""
        except OSError:
            return ""  # it did not die of an error, or nothing could be noted

    async def _connected_once(self) -> None:
        loop = asyncio.get_running_loop()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.setblocking(False)
        try:
            async with asyncio.timeout(_CONNECT_S):
                await loop.sock_connect(connection, str(self._path))
            self._socket = connection
            log.info("evse link is up", path=str(self._path))
            if self._listener is not None:
                self._listener.evse_found()
            for permit in self._permits.values():
                self.send(permit)
            for lamps in self._lamps.values():
                self.send(lamps)
            async with asyncio.TaskGroup() as tasks:
                renewing = tasks.create_task(self._renew())
                try:
                    await self._listen(connection)
                finally:
                    renewing.cancel()
        except ExceptionGroup as group:
            lost, bugs = group.split((OSError, LinkLost))
            if lost is None or bugs is not None:
                raise
            raise LinkLost(str(lost.exceptions[0])) from None
        finally:
            with contextlib.suppress(OSError):
                connection.close()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            for permit in self._permits.values():
                self.send(permit)

    async def _listen(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(_SILENT_S):
                    packet = await loop.sock_recv(connection, _PACKET)
                self.turns += 1
            except TimeoutError:
                raise LinkLost(f"silent for {_SILENT_S:g} s") from None
            if not packet:
                raise LinkLost("closed by the safety process")
            try:
                message = decode_from_evse(packet)
            except msgspec.DecodeError as error:
                self.malformed += 1
                log.warning("malformed packet on the evse link", error=str(error), count=self.malformed)
                continue
            self._dispatch(message)

    def _dispatch(self, message: FromEvse) -> None:
        match message:
            case Done():
                future = self._waiting.get(message.id)
                if future is not None and not future.done():
                    future.set_result(message)
            case Sample():
                if message.evse in self._traces:
                    self._traces[message.evse](message)
            case PointReport() if self._listener is not None:
                self._listener.point_reported(message)
            case BorneReport() if self._listener is not None:
                self._listener.borne_reported(message)

    def _drop(self) -> None:
        self._socket = None
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(LinkLost("the link to the safety process broke"))
