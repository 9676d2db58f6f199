"""StatusNotification: every change while connected, in order; only what differs after a reconnection."""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable

from chargepoint.ocpp.lookout import Lookout
from chargepoint.ocpp.v16.connectors import Place
from chargepoint.station.api import ConnectorStatus, StatusChanged

Key = tuple[ConnectorStatus, str | None]


def _key(event: StatusChanged) -> Key:
    return event.status, event.error


def _place(event: StatusChanged) -> Place:
    return Place(event.evse, event.connector)


class StatusReporter:
    """Keeps what was told of each connector and sends what is new.

    A status that lasts shorter than `minimum_s` is not told (MinimumStatusDuration); a fault always is. `mark` gives
    the place of a status among the transaction messages. `send` returns False when the message could not be brought
    over; the status is told again on the next connection.
    """

    def __init__(
        self,
        send: Callable[[StatusChanged, int], Awaitable[bool]],
        minimum_s: Callable[[], float],
        mark: Callable[[], int],
    ) -> None:
        self._mark = mark
        self._send = send
        self._minimum_s = minimum_s
        self._told: dict[Place, Key] = {}
        self._waiting: dict[Place, deque[tuple[float, int, StatusChanged]]] = {}
        self._news = asyncio.Event()
        self.lookout = Lookout()
        self._online = False

    def changed(self, event: StatusChanged) -> None:
        """A point's status or fault is another one since `event.at`."""
        now = asyncio.get_running_loop().time()
        queue = self._waiting.setdefault(_place(event), deque())
        if not self._online:
            queue.clear()
        while queue and queue[-1][2].error is None and now - queue[-1][0] < self._minimum_s():
            queue.pop()  # it did not last; a fault behind it shall not wait for it
        queue.append((now, self._mark(), event))
        self._news.set()

    def all_anew(self, events: list[StatusChanged]) -> None:
        """After an accepted boot: everything is told, whatever was told before (errata 3.22)."""
        self._told.clear()
        self._waiting.clear()
        for event in events:
            self.changed(event)

    def online(self, yes: bool) -> None:
        """Whether messages may leave. Without a link only the latest status of a point is kept."""
        self._online = yes
        if not yes:
            for queue in self._waiting.values():
                while len(queue) > 1:
                    queue.popleft()
        self._news.set()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            self._news.clear()
            wait = await self._round() if self._online else None
            await self.lookout.wait(self._news, math.inf if wait is None else wait)

    async def _round(self) -> float | None:
        """Send what is due; returns seconds until the next is, or None."""
        soonest: float | None = None
        for place in sorted(self._waiting):
            queue = self._waiting[place]
            while queue and self._online:
                since, mark, event = queue[0]
                left = self._left(since, event)
                if left > 0:
                    soonest = left if soonest is None else min(soonest, left)
                    break
                if self._told.get(place) != _key(event) and not await self._tell(event, mark):
                    return None
                if queue and queue[0][2] is event:
                    queue.popleft()
        return soonest

    def _left(self, since: float, event: StatusChanged) -> float:
        if event.error is not None or _place(event) not in self._told:
            return 0.0
        return since + self._minimum_s() - asyncio.get_running_loop().time()

    async def _tell(self, event: StatusChanged, mark: int) -> bool:
        self.lookout.turns += 1
        if not await self._send(event, mark):
            self._online = False
            return False
        self._told[_place(event)] = _key(event)
        return True
