"""GetConfiguration and ChangeConfiguration over the table of keys, kept in the journal.

A value that has ever been changed stays in the journal and wins over the configuration file, which gives initial
values only. A change takes effect at once.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import structlog

from chargepoint.journal import store
from chargepoint.journal.journal import Journal
from chargepoint.ocpp.v16.keys import ALL, MAX_VALUE, Access, Key, Owners, TooMuch, show

AREA: Final = "settings"

log = structlog.get_logger("ocpp.configuration")


class Change(StrEnum):
    """Answers of ChangeConfiguration."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    NOT_SUPPORTED = "NotSupported"


@dataclass(frozen=True, slots=True)
class Shown:
    """One key as GetConfiguration tells it. `value` is None for a key that may only be written."""

    name: str
    readonly: bool
    value: str | None


class Configuration:
    """The keys at work. `on_changed` is awaited after each accepted change, with the row that changed."""

    def __init__(
        self,
        journal: Journal,
        owners: Owners,
        on_changed: Callable[[Key], Awaitable[None]],
        keys: Iterable[Key] = ALL,
    ) -> None:
        self._journal = journal
        self._owners = owners
        self._on_changed = on_changed
        self._keys = {key.name.casefold(): key for key in keys}

    async def load(self, initial: Mapping[str, Any]) -> None:
        """Put the configuration file's values into effect, then those of the journal."""
        stored = await self._journal.read(lambda db: store.items(db, AREA))
        for source, values in (("configuration file", initial), ("journal", stored)):
            for name, value in values.items():
                self._apply(source, name, show(value))

    def _apply(self, source: str, name: str, text: str) -> None:
        key = self._keys.get(name.casefold())
        if key is not None and key.secret:
            return
        if key is None or key.write is None:
            log.warning("unknown or read-only key ignored", source=source, key=name)
            return
        try:
            key.write(self._owners, text)
        except TooMuch as error:  # an earlier version took it: the most there is comes nearer to it than the default
            log.warning("value of a key reduced", source=source, key=name, to=error.most, reason=str(error))
            key.write(self._owners, error.most)
        except ValueError as error:
            log.error("bad value of a key ignored", source=source, key=name, reason=str(error))

    async def change(self, name: str, text: str) -> Change:
        """Check, keep and put into effect, in this order; what is refused changes nothing."""
        key = self._keys.get(name.casefold())
        if key is None:
            return Change.NOT_SUPPORTED
        if key.write is None or key.access is Access.READ or len(text) > MAX_VALUE:
            return Change.REJECTED
        try:
            key.write(self._owners, text)
        except ValueError as error:
            log.info("change refused", key=key.name, reason=str(error))
            return Change.REJECTED
        if not key.secret:
            await self.keep(key.name, text)
        log.info("configuration changed", key=key.name, value=None if key.access is Access.WRITE else text)
        await self._on_changed(key)
        return Change.ACCEPTED

    async def keep(self, name: str, text: str) -> None:
        """Write a value to the journal."""
        await self._journal.write(lambda db: store.put(db, AREA, name, text))

    def show_all(self) -> list[Shown]:
        """Every key that may be read, in alphabetical order."""
        keys = sorted(self._keys.values(), key=lambda key: key.name)
        return [self._show(key) for key in keys if key.access is not Access.WRITE]

    def show(self, names: Iterable[str]) -> tuple[list[Shown], list[str]]:
        """These keys, and the names no key has."""
        known, unknown = [], []
        for name in dict.fromkeys(names):
            key = self._keys.get(name.casefold())
            if key is None:
                unknown.append(name)
            else:
                known.append(self._show(key))
        return known, unknown

    def _show(self, key: Key) -> Shown:
        value = None if key.access is Access.WRITE else key.read(self._owners)[:MAX_VALUE]
        return Shown(key.name, key.access is Access.READ, value)
