"""The security log: every security event, in the journal, the oldest giving way (white paper, A04.FR.04)."""

import sqlite3
from datetime import UTC, datetime
from typing import Any, Final

from chargepoint.journal import store
from chargepoint.ocpp.timestamps import to_text

AREA: Final = "security-log"
MAX_EVENTS: Final = 1000

CRITICAL: Final = frozenset(
    {
        "FirmwareUpdated",
        "SettingSystemTime",
        "StartupOfTheDevice",
        "ResetOrReboot",
        "SecurityLogWasCleared",
        "MemoryExhaustion",
        "TamperDetectionActivated",
    }
)
"""White paper, 8: these go to the central system; all others are in the log alone."""


def append(db: sqlite3.Connection, at: datetime, kind: str, info: str) -> None:
    """Note an event."""
    events = store.items(db, AREA)
    last = max((int(key) for key in events), default=0)
    for key in sorted(events)[: max(0, len(events) - MAX_EVENTS + 1)]:
        store.delete(db, AREA, key)
    store.put(db, AREA, f"{last + 1:012d}", {"at": at.timestamp(), "kind": kind, "info": info})


def read(db: sqlite3.Connection, since: float, until: float) -> list[str]:
    """The events of a period as lines of text, oldest first."""
    return [_line(event) for event in store.items(db, AREA).values() if since <= event["at"] <= until]


def _line(event: dict[str, Any]) -> str:
    return f"{to_text(datetime.fromtimestamp(event['at'], UTC))} {event['kind']} {event['info']}".rstrip()
