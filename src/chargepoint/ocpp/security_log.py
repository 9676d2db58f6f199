"""The security log: every security event, in the journal, the oldest giving way (white paper, A04.FR.04)."""

import sqlite3
from typing import Any, Final

from chargepoint.journal import store
from chargepoint.journal.stamp import Stamp, as_datetime, resolve
from chargepoint.ocpp.timestamps import to_text

AREA: Final = "security-log"
MAX_EVENTS: Final = 1000

TOLD: Final = frozenset(
    {
        "FirmwareUpdated",
        "SettingSystemTime",
        "StartupOfTheDevice",
        "ResetOrReboot",
        "SecurityLogWasCleared",
        "MemoryExhaustion",
        "TamperDetectionActivated",
        "InvalidFirmwareSigningCertificate",
        "InvalidFirmwareSignature",
    }
)
"""These go to the central system: the critical ones (white paper, 8), and two that L01.FR.02 and L01.FR.03 want sent
although they are not called critical. All others are in the log alone."""


def append(db: sqlite3.Connection, stamp: Stamp, kind: str, info: str) -> None:
    """Note an event."""
    events = _events(db)
    last = max((int(key) for key in events), default=0)
    for key in sorted(events)[: max(0, len(events) - MAX_EVENTS + 1)]:
        store.delete(db, AREA, key)
    event = {"boot": stamp.boot, "mono": stamp.mono, "utc": stamp.utc, "kind": kind, "info": info}
    store.put(db, AREA, f"{last + 1:012d}", event)


def _events(db: sqlite3.Connection) -> dict[str, Any]:
    return {key: event for key, event in store.items(db, AREA).items() if key.isdecimal()}


def read(db: sqlite3.Connection, since: float, until: float) -> list[str]:
    """The events of a period (UTC seconds) as lines of text, oldest first; those of an unknown time are all in it."""
    lines = []
    for event in _events(db).values():
        at = resolve(db, Stamp(event["boot"], event["mono"], event["utc"]))
        if at is None or since <= at <= until:
            when = "before-the-time-was-known" if at is None else to_text(as_datetime(at))
            lines.append(f"{when} {event['kind']} {event['info']}".rstrip())
    return lines
