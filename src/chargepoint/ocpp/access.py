"""How the charge point proves who it is: security profile and AuthorizationKey, and how they are changed.

What has connected once is *committed*. A change is a *candidate*: kept in the journal at once, tried first, and
committed when it has connected; when it does not, the committed one is tried in turn, and whichever connects first
wins (white paper, A01 and A05.FR.08). So neither a wrong change nor a crash in between locks the charge point out.
"""

import sqlite3
from dataclasses import asdict, dataclass, replace
from typing import Final

import structlog

from chargepoint.journal import store
from chargepoint.journal.journal import Journal

AREA: Final = "access"
MIN_KEY: Final = 16
MAX_KEY: Final = 40
"""Characters of an AuthorizationKey."""
TRIES: Final = 2
"""So often each of the two is tried before it is the other's turn."""

log = structlog.get_logger("ocpp.access")


@dataclass(frozen=True, slots=True)
class Credentials:
    profile: int
    key: str = ""


class Access:
    """The committed credentials and, during a change, the candidate."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._committed = Credentials(0)
        self._candidate: Credentials | None = None
        self._failures = 0

    async def load(self, initial: Credentials) -> None:
        """What the journal has; else what the configuration file gives."""
        kept = await self._journal.read(lambda db: store.items(db, AREA))
        self._committed = Credentials(**kept["committed"]) if "committed" in kept else initial
        self._candidate = Credentials(**kept["candidate"]) if kept.get("candidate") else None

    @property
    def profile(self) -> int:
        """The security profile that has been asked for last."""
        return (self._candidate or self._committed).profile

    @property
    def key(self) -> str:
        return (self._candidate or self._committed).key

    def current(self) -> Credentials:
        """What to try next."""
        if self._candidate is None or (self._failures // TRIES) % 2:
            return self._committed
        return self._candidate

    def propose(self, *, profile: int | None = None, key: str | None = None) -> None:
        """Change one of them; `save` it before it is answered."""
        changed = self._candidate or self._committed
        if profile is not None:
            changed = replace(changed, profile=profile)
        if key is not None:
            changed = replace(changed, key=key)
        self._candidate = None if changed == self._committed else changed
        self._failures = 0

    async def save(self) -> None:
        committed, candidate = asdict(self._committed), asdict(self._candidate) if self._candidate else None

        def write(db: sqlite3.Connection) -> None:
            store.put(db, AREA, "committed", committed)
            store.put(db, AREA, "candidate", candidate)

        await self._journal.write(write)

    def failed(self) -> None:
        """The connection with `current` could not be made."""
        self._failures += 1

    async def connected(self, used: Credentials) -> bool:
        """The connection stands; True when this ended a change, one way or the other."""
        self._failures = 0
        if self._candidate is None:
            return False
        if used == self._candidate:
            log.info("new credentials proved", profile=used.profile)
            self._committed = used
        else:
            log.error("new credentials failed, the old ones stay", profile=used.profile)
        self._candidate = None
        await self.save()
        return True
