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

    async def confirmed(self) -> bool:
        """After the restart: the new firmware is the one that runs."""


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
        if progress is None or progress.step in _FAILED:
            raise InstallFailed(progress.text if progress else "no program took the image: is the update unit enabled?")
        return progress.step is Step.INSTALLED

    def _ask(self, image: Path, number: int) -> None:
        self._exchange.folder.mkdir(parents=True, exist_ok=True)
        image.replace(self._exchange.incoming)
        # No transaction runs and none can start: there is nothing to wait for.
        self._exchange.ask(Request(number, at_once=True))

    async def confirmed(self) -> bool:
        progress = await self._follow(None, (Step.INSTALLED, Step.IDLE, *_FAILED))
        log.info("after the restart", step=progress.step.value if progress else "unknown")
        return progress is not None and progress.step is Step.INSTALLED

    async def _follow(self, number: int | None, ends: tuple[Step, ...]) -> Progress | None:
        """Wait until the installer says one of `ends` (about the request of that number, if given)."""
        waited = 0.0
        noticed = number is None
        while waited < (DONE_S if noticed else NOTICED_S):
            progress = await asyncio.to_thread(self._exchange.progress)
            mine = number is None or progress.id == number
            noticed = noticed or (mine and progress.step is not Step.IDLE)
            if mine and progress.step in ends:
                return progress
            await self._sleep(POLL_S)
            waited += POLL_S
        return None
