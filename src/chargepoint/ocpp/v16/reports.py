"""Progress reports (of uploads and firmware updates): in order, each until it has been taken."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog

from chargepoint.ocpp.rpc import AnswerTimeout, AnswerUnusable, CallFailed, LinkLost, NotSendable

MAX_WAITING: Final = 64

log = structlog.get_logger("ocpp.reports")


Done = Callable[[], Awaitable[None]]


class Reports:
    """A short queue of requests. `call` raises LinkLost while there is no accepted connection."""

    def __init__(self, call: Callable[[Any], Awaitable[Any]]) -> None:
        self._call = call
        self._waiting: deque[tuple[Any, Done | None]] = deque(maxlen=MAX_WAITING)
        self._wake = asyncio.Event()

    def add(self, request: Any, done: Done | None = None) -> None:
        """Send this after what waits already; `done` is awaited once it has been answered."""
        self._waiting.append((request, done))
        self._wake.set()

    def online(self) -> None:
        """There is an accepted connection (again)."""
        self._wake.set()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                first = request, done = self._waiting[0]
                try:
                    await self._call(request)
                except LinkLost:
                    break
                except (CallFailed, AnswerTimeout, AnswerUnusable, NotSendable) as failure:
                    log.warning("report not taken", action=type(request).__name__, reason=str(failure))
                if self._waiting and self._waiting[0] is first:
                    self._waiting.popleft()
                if done is not None:
                    await done()
