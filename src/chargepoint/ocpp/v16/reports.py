"""Progress reports (of uploads and firmware updates): in order, each until it has been taken."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog

from chargepoint.ocpp.rpc import AnswerTimeout, AnswerUnusable, CallFailed, LinkLost, NotSendable

MAX_WAITING: Final = 64

log = structlog.get_logger("ocpp.reports")


class Reports:
    """A short queue of requests. `call` raises LinkLost while there is no accepted connection."""

    def __init__(self, call: Callable[[Any], Awaitable[Any]]) -> None:
        self._call = call
        self._waiting: deque[Any] = deque(maxlen=MAX_WAITING)
        self._wake = asyncio.Event()

    def add(self, request: Any) -> None:
        """Send this after what waits already."""
        self._waiting.append(request)
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
                request = self._waiting[0]
                try:
                    await self._call(request)
                except LinkLost:
                    break
                except (CallFailed, AnswerTimeout, AnswerUnusable, NotSendable) as failure:
                    log.warning("report not taken", action=type(request).__name__, reason=str(failure))
                if self._waiting and self._waiting[0] is request:
                    self._waiting.popleft()
