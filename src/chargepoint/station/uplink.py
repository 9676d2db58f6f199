"""Climbs the link's ladder: runs the site's commands for the modem, and tells how long the central system is away.

The commands are the site's own (`[modem]` in the configuration); each is run without a shell, with a bound on its time.
Whatever becomes of them, charging goes on by the offline rules, and the next rung comes when it is due.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog

from chargepoint.config import ModemSection
from chargepoint.journal import store
from chargepoint.journal.journal import Journal
from chargepoint.station.faultlist import FaultList
from chargepoint.station.kpis import Kpis
from chargepoint.station.ladder import TOLD_S, Ladder, Rung

log = structlog.get_logger()

COMMAND_S: Final = 60.0
"""A command that takes longer is killed."""
LAST_OUTPUT: Final = 200
"""Characters of what a failed command said that go into the log and the fault."""
_AREA: Final = "uplink"


def rungs(modem: ModemSection) -> dict[Rung, float]:
    """The rungs this site has, and when each comes first."""
    found = {
        Rung.MODEM_RESET: (modem.reset_command, modem.reset_after),
        Rung.MODEM_POWER: (modem.power_command, modem.power_after),
        Rung.REBOOT: (modem.reboot_command, modem.reboot_after),
    }
    return {rung: after for rung, (command, after) in found.items() if command}


class Uplink:
    """Event-loop only. `tick` it once a second."""

    def __init__(
        self,
        modem: ModemSection,
        journal: Journal,
        faults: FaultList,
        kpis: Kpis,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._commands = {
            Rung.MODEM_RESET: modem.reset_command,
            Rung.MODEM_POWER: modem.power_command,
            Rung.REBOOT: modem.reboot_command,
        }
        self._journal, self._faults, self._kpis, self._spawn = journal, faults, kpis, spawn
        self.ladder = Ladder(rungs(modem))
        self.failed = ""
        """What the last command complained of; empty when it went well."""
        self._acting = False

    async def recover(self) -> None:
        """What was done in an outage that began before a restart of its own."""
        kept = await self._journal.read(lambda db: store.get(db, _AREA, "reboots")) or {}
        if isinstance(count := kept.get("count"), int) and count > 0:
            self.ladder = Ladder(self.ladder.after, {Rung.REBOOT: count})

    async def reboot(self) -> str:
        """Start the machine anew because somebody asked for it; why it did not come to it, or nothing."""
        command = self._commands[Rung.REBOOT]
        return await self._run(command) if command else "modem.reboot_command is empty"

    def tick(self, online: bool, idle: bool, now: float) -> bool:
        """A second has passed; True when the fault came or went. `online`: the way to the central system works."""
        rebooted = self.ladder.taken(Rung.REBOOT)
        rung = self.ladder.step(online, idle, now) if not self._acting else None
        if rung is not None:
            self._acting = True
            self._spawn(self._take(rung))
        if rebooted and not self.ladder.taken(Rung.REBOOT):
            self._spawn(self._note_reboots(0))
        away = self.ladder.away_s(now)
        news = self._faults.own("backend-offline", away >= TOLD_S, now)
        if away >= TOLD_S:
            self._faults.detail("backend-offline", self.detail(now))
        return news

    def detail(self, now: float) -> str:
        """How long it has been away and what was done about it; empty while it is there."""
        away = self.ladder.away_s(now)
        if away < TOLD_S:
            return ""
        said = f"for {int(away // 60)} min"
        if resets := self.ladder.taken(Rung.MODEM_RESET):
            said = f"{said}; {f'modem resets: {resets}'}"
        if cycles := self.ladder.taken(Rung.MODEM_POWER):
            said = f"{said}; {f'modem power cycles: {cycles}'}"
        if reboots := self.ladder.taken(Rung.REBOOT):
            said = f"{said}; {f'restarts of the controller: {reboots}'}"
        return f"{said}; {self.failed}" if self.failed else said

    def view(self, now: float) -> dict[str, Any]:
        """For `status`."""
        ladder = self.ladder
        taken = {rung.value: ladder.taken(rung) for rung in ladder.after}
        return {"rung": ladder.rung.value if ladder.rung else "", "away": round(ladder.away_s(now)), "taken": taken}

    async def _take(self, rung: Rung) -> None:
        try:
            log.warning("the central system stays away", rung=rung.value, times=self.ladder.taken(rung))
            self._kpis.add("link_rungs_total", rung=rung.value)
            if rung is Rung.REBOOT:
                await self._note_reboots(self.ladder.taken(rung))
            self.failed = await self._run(self._commands[rung])
            if self.failed:
                log.error("the command failed", rung=rung.value, why=self.failed)
        finally:
            self._acting = False

    async def _note_reboots(self, count: int) -> None:
        """Before it happens: a machine that starts in vain starts more and more seldom."""
        try:
            await self._journal.write(lambda db: store.put(db, _AREA, "reboots", {"count": count}))
        except sqlite3.Error as error:
            log.error("the journal does not take a write", what="reboots", error=str(error))

    async def _run(self, command: tuple[str, ...]) -> str:
        """Run it; what went wrong, or nothing."""
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
        except OSError as error:
            return f"{command[0]}: {error.strerror}"
        try:
            async with asyncio.timeout(COMMAND_S):
                output, _ = await process.communicate()
        except TimeoutError:
            return f"{command[0]}: no end after {COMMAND_S:g} s"
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
        if process.returncode:
            said = output.decode(errors="replace").strip()[-LAST_OUTPUT:]
            failed = f"{command[0]}: status {process.returncode}"
            return f"{failed}, {said}" if said else failed
        return ""
