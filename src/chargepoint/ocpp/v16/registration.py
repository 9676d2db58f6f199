"""BootNotification until it is accepted (OCPP 1.6, 4.2), once per run of the program and not per connection."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Final

import structlog
from ocpp.v16 import call

from chargepoint import __version__
from chargepoint.config import Config
from chargepoint.ocpp.rpc import AnswerTimeout, AnswerUnusable, CallFailed, Rpc
from chargepoint.ocpp.timestamps import from_text

RETRY_S: Final = 60
"""Our own interval, when the central system leaves it to us or does not answer."""

log = structlog.get_logger("ocpp.registration")


class State(StrEnum):
    UNKNOWN = "Unknown"
    PENDING = "Pending"
    REJECTED = "Rejected"
    ACCEPTED = "Accepted"


class Registration:
    """The central system's opinion of us."""

    def __init__(self, config: Config, on_time: Callable[[datetime], None], on_interval: Callable[[int], None]) -> None:
        self._config = config
        self._on_time = on_time
        self._on_interval = on_interval
        self._again = asyncio.Event()
        self.state = State.UNKNOWN
        self.answered = False
        """The last BootNotification had an answer, be it an error."""

    @property
    def accepted(self) -> bool:
        return self.state is State.ACCEPTED

    @property
    def muted(self) -> bool:
        """While rejected, not even an answer is sent (4.2)."""
        return self.state is State.REJECTED

    def again(self) -> None:
        """Ask at once, as a TriggerMessage wants it."""
        self._again.set()

    async def obtain(self, rpc: Rpc) -> None:
        """Send BootNotification until it is accepted. Raises LinkLost."""
        while not self.accepted:
            self._again.clear()
            wait = await self._ask(rpc)
            if not self.accepted:
                log.info("not accepted", state=self.state.value, again_in_s=wait)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._again.wait()

    async def _ask(self, rpc: Rpc) -> int:
        """One BootNotification; returns the seconds to wait before the next."""
        try:
            answer = await rpc.call(self.request())
        except (CallFailed, AnswerTimeout, AnswerUnusable) as failure:
            self.answered = not isinstance(failure, AnswerTimeout)
            log.warning("no usable answer to BootNotification", reason=str(failure))
            return RETRY_S
        self.answered = True
        interval = max(0, answer["interval"])
        try:
            self._on_time(from_text(answer["currentTime"]))
        except ValueError as error:
            log.warning("the central system's time is unreadable", reason=str(error))
        try:
            self.state = State(answer["status"])
        except ValueError:
            log.warning("unknown registration status", status=answer["status"])
            self.state = State.PENDING
        if self.accepted and interval > 0:
            self._on_interval(interval)
        return interval or RETRY_S

    def request(self) -> call.BootNotification:
        station = self._config.station
        meter = self._config.evse[0].meter
        return call.BootNotification(
            charge_point_vendor=station.vendor,
            charge_point_model=station.model,
            charge_point_serial_number=station.serial or None,
            firmware_version=__version__,
            meter_type=meter.model[:25] if meter else None,
        )
