"""Who sits at the terminal of the machine: types, and reads what the console says."""

import asyncio
import csv
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from guest import PATIENCE_S, MachineError


class Technician:
    """At the other end of the USB adapter that is the borne's console."""

    def __init__(self, terminal: Path) -> None:
        self._terminal = terminal
        self._said = ""

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_unix_connection(str(self._terminal))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def reads(self, *words: str, seconds: float = PATIENCE_S) -> str:
        """What was said until the first of these words is there. Raises MachineError when none comes."""
        end = time.monotonic() + seconds
        while not any(word in self._said for word in words):
            try:
                async with asyncio.timeout(max(0.0, end - time.monotonic())):
                    more = await self._reader.read(4096)
            except TimeoutError:
                raise MachineError(f"the console did not say {words} within {seconds:g} s: {self._said}") from None
            if not more:
                raise MachineError(f"the terminal is gone: {self._said}")
            self._said += more.decode(errors="replace").replace("\r", "")
        said, self._said = self._said, ""
        return said

    async def types(self, line: str, *until: str, seconds: float = PATIENCE_S) -> str:
        """A line, and what the console says to it."""
        self._writer.write(line.encode() + b"\r")
        await self._writer.drain()
        return await self.reads(*until, seconds=seconds)

    async def logs_in(self, secrets: Path) -> None:
        """With the borne's PIN, as the office has it in its list."""
        with secrets.open(encoding="utf-8", newline="") as file:
            pin = next(csv.DictReader(file))["console_pin"]
        await self.types("", "> ")
        await self.types("login Jeanne", "PIN: ")
        await self.types(pin, "Actions are open to Jeanne")
