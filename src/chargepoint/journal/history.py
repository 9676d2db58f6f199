"""Faults as they came and went, kept for whoever looks for the cause later.

Plain functions on a connection, to be called inside `Journal.write` or `Journal.read`.
"""

import sqlite3
from dataclasses import dataclass
from typing import Literal

from chargepoint.journal.stamp import Stamp, resolve


@dataclass(frozen=True, slots=True)
class Event:
    """A fault was raised or cleared, or a technician did something (`audit`). Evse 0: the station."""

    stamp: Stamp
    evse: int
    name: str
    event: Literal["raised", "cleared", "audit"]
    detail: str = ""


def add(db: sqlite3.Connection, event: Event) -> None:
    db.execute(
        "INSERT INTO history (boot, mono, utc, evse, name, event, detail) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            event.stamp.boot,
            event.stamp.mono,
            event.stamp.utc,
            event.evse,
            event.name,
            event.event,
            event.detail[:200],
        ),
    )


def newest(db: sqlite3.Connection, limit: int) -> list[tuple[float | None, Event]]:
    """The newest first, each with its UTC seconds where they are known."""
    rows = db.execute(
        "SELECT boot, mono, utc, evse, name, event, detail FROM history ORDER BY id DESC LIMIT ?", (limit,)
    ).fetchall()
    events = [Event(Stamp(boot, mono, utc), evse, name, kind, text) for boot, mono, utc, evse, name, kind, text in rows]
    return [(resolve(db, event.stamp), event) for event in events]
