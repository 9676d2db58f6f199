"""Small persisted things: JSON values by area and key (settings, availability, profiles, counters...).

Plain functions on a connection, to be called inside `Journal.write` or `Journal.read`.
"""

import json
import sqlite3
from typing import Any


def get(db: sqlite3.Connection, area: str, key: str) -> Any:
    """The value, or None when there is none."""
    row = db.execute("SELECT value FROM store WHERE area = ? AND key = ?", (area, key)).fetchone()
    return None if row is None else json.loads(row[0])


def put(db: sqlite3.Connection, area: str, key: str, value: Any) -> None:
    """Keep a value that JSON can express, replacing the one before."""
    text = json.dumps(value, separators=(",", ":"))
    db.execute("INSERT OR REPLACE INTO store (area, key, value) VALUES (?, ?, ?)", (area, key, text))


def delete(db: sqlite3.Connection, area: str, key: str) -> None:
    db.execute("DELETE FROM store WHERE area = ? AND key = ?", (area, key))


def items(db: sqlite3.Connection, area: str) -> dict[str, Any]:
    """Everything of one area."""
    rows = db.execute("SELECT key, value FROM store WHERE area = ? ORDER BY key", (area,))
    return {key: json.loads(value) for key, value in rows}
