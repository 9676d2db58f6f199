"""How the charge point proves who it is: security profile and AuthorizationKey, and how they are changed.

What has connected once is *committed*. A change is a *candidate*: kept in the journal at once, tried first, and
committed when it has connected; when it does not, the committed one is tried in turn, and whichever connects first
wins (white paper, A01 and A05.FR.08). So neither a wrong change nor a crash in between locks the charge point out.

What the configuration gives counts until the central system has changed it; from then on the journal does. When the
configuration itself is changed after that, it is a candidate like any other, again at every start until it has
connected or the central system asks for something else.
"""

import hashlib
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

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
        self._given: dict[str, int | str] = {}
        """The configuration's profile and a digest of its key."""
        self._settled: dict[str, int | str] = {}
        """The same of the configuration that was replaced by what is in the journal."""

    async def load(self, given: Credentials) -> None:
        """What the journal has; else, or when it was changed since, what the configuration gives."""
        kept = await self._journal.read(lambda db: store.items(db, AREA))
        self._given = {"profile": given.profile, "key": hashlib.sha256(given.key.encode()).hexdigest()}
        self._settled = {**self._given, **kept.get("provisioned", {})}
        if not given.key:  # there is none, or its file cannot be read
            self._given["key"] = self._settled["key"]
        committed = store.record(Credentials, kept["committed"], "credentials") if "committed" in kept else None
        if committed is None:
            self._committed = given
            return
        self._committed = committed
        candidate = kept.get("candidate")
        self._candidate = store.record(Credentials, candidate, "credentials on trial") if candidate else None
        changed = {name for name, value in self._given.items() if value != self._settled[name]}
        if changed:
            log.info("the configuration was changed and is tried first", what=sorted(changed))
            self._change({name: value for name, value in asdict(given).items() if name in changed})
        if changed or "provisioned" not in kept:
            await self.save()

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
        asked = {"profile": profile, "key": key}
        self._change({name: value for name, value in asked.items() if value is not None})
        self._settled = self._given

    def _change(self, values: Mapping[str, Any]) -> None:
        changed = replace(self._candidate or self._committed, **values)
        self._candidate = None if changed == self._committed else changed
        self._failures = 0

    async def save(self) -> None:
        committed, candidate = asdict(self._committed), asdict(self._candidate) if self._candidate else None
        settled = dict(self._settled)

        def write(db: sqlite3.Connection) -> None:
            store.put(db, AREA, "committed", committed)
            store.put(db, AREA, "candidate", candidate)
            store.put(db, AREA, "provisioned", settled)

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
            self._committed, self._settled = used, self._given
        else:
            log.error("new credentials failed, the old ones stay", profile=used.profile)
        self._candidate = None
        await self.save()
        return True
