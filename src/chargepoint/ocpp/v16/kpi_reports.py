"""The station's key figures for the operator, now and then, by DataTransfer.

A central system that does not know the vendor answers so, which harms nobody; the interval is 0 unless it asks.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from ocpp.v16 import call

from chargepoint.ocpp.v16.outgoing import VENDOR_ID

MESSAGE_ID: Final = "KPIs"


class KpiReports:
    """`interval_s` (0: none are sent) and `figures` are asked each time; `send` raises nothing."""

    def __init__(
        self,
        interval_s: Callable[[], float],
        figures: Callable[[], Mapping[str, Any]],
        send: Callable[[call.DataTransfer], Awaitable[None]],
    ) -> None:
        self._interval_s = interval_s
        self._figures = figures
        self._send = send
        self._changed = asyncio.Event()

    def interval_changed(self) -> None:
        """Wait anew."""
        self._changed.set()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            self._changed.clear()
            try:
                async with asyncio.timeout(self._interval_s() or None):
                    await self._changed.wait()
            except TimeoutError:
                data = json.dumps(self._figures(), separators=(",", ":"))
                await self._send(call.DataTransfer(vendor_id=VENDOR_ID, message_id=MESSAGE_ID, data=data))
