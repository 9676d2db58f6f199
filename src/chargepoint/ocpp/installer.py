"""Where a verified firmware image goes: to the program that installs it, over the two files both share.

The station may write to no part of the system. It lays the image down and asks; what runs as root installs it, restarts
the programs and says how far it is.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Protocol

import structlog

from chargepoint.update.request import Exchange, Progress, Request, Step

POLL_S: Final = 1.0
NOTICED_S: Final = 60.0
"""A request nobody has looked at for so long is looked at by nobody."""
DONE_S: Final = 1800.0
_FAILED: Final = (Step.FAILED, Step.INVALID)

log = structlog.get_logger("ocpp.installer")


class InstallFailed(Exception):
    """The image was not installed; what ran before still runs."""


class Installer(Protocol):
    """What puts an image in place."""

    async def install(self, image: Path) -> bool:
        """Install it; True when it is done, False when a restart, which will come by itself, has to finish it.

        Raises InstallFailed.
        """

    async def confirmed(self, image: Path) -> bool:
        """After the restart: the new firmware is the one that runs. `image`: as it was given to `install`."""


class ExchangeInstaller:
    """Asks over the files of the state directory."""

    def __init__(self, exchange: Exchange, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._exchange = exchange
        self._sleep = sleep

    async def install(self, image: Path) -> bool:
        number = int(time.time())
        try:
            await asyncio.to_thread(self._ask, image, number)
        except OSError as error:
            raise InstallFailed(f"the image cannot be handed over: {error}") from error
        progress = await self._follow(number, (Step.TRIAL, Step.INSTALLED, *_FAILED))
        if progress is None:
            await asyncio.to_thread(self._exchange.withdraw)
        if progress is None or progress.step in _FAILED:
            raise InstallFailed(progress.text if progress else "no program took the image: is the update unit enabled?")
        return progress.step is Step.INSTALLED

    def _ask(self, image: Path, number: int) -> None:
        self._exchange.folder.mkdir(parents=True, exist_ok=True)
        self._exchange.forget()
        image.replace(self._exchange.incoming)
        # No transaction runs and none can start: there is nothing to wait for.
        self._exchange.ask(Request(number, at_once=True))

    async def confirmed(self, image: Path) -> bool:
        if await asyncio.to_thread(image.exists):
            log.info("after the restart", step="the image was not handed over")
            return False
        progress = await self._follow(None, (Step.INSTALLED, Step.IDLE, *_FAILED))
        log.info("after the restart", step=progress.step.value if progress else "unknown")
        return progress is not None and progress.step is Step.INSTALLED

    async def _follow(self, number: int | None, ends: tuple[Step, ...]) -> Progress | None:
        """Wait until the installer says one of `ends` (about the request of that number, if given).

        While the request waits, nothing is said about it.
        """
        waited = 0.0
        noticed = number is None
        while waited < (DONE_S if noticed else NOTICED_S):
            waits = await asyncio.to_thread(self._exchange.waits)  # before the status: that is said first
            progress = await asyncio.to_thread(self._exchange.progress)
            noticed = noticed or not waits
            if not waits and number in (None, progress.id) and progress.step in ends:
                return progress
            await self._sleep(POLL_S)
            waited += POLL_S
        return None
