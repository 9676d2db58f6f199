"""Small persisted things: JSON values by area and key (settings, availability, profiles, counters...).

A newer version, since taken back, may have written them: `known` and `record` read of a mapping what this one knows.

Plain functions on a connection, to be called inside `Journal.write` or `Journal.read`.
"""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

import structlog

Record = TypeVar("Record")
log = structlog.get_logger()


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


def known(kind: type, kept: Mapping[str, Any]) -> dict[str, Any]:
    """Of a mapping that was kept, what this version's dataclass has a field for."""
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in kept.items() if name in names}


def record(kind: type[Record], kept: Any, what: str) -> Record | None:
    """A mapping that was kept as this version's dataclass: what it does not know is dropped, what is missing gets its
    default. Without a default the record is as if it were not there, and the log says so; `what` names it there.
    """
    try:
        return kind(**known(kind, kept))
    except (AttributeError, TypeError) as error:
        log.warning("what the journal has cannot be read, and is left out", what=what, error=repr(error))
        return None
