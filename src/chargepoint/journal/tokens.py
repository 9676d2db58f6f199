"""Id tokens the station knows: the local authorization list and the cache of earlier answers.

Plain functions on a connection, to be called inside `Journal.write` or `Journal.read`. Tokens compare without
regard to case.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from chargepoint.journal import store

CACHE_MAX = 2000
"""Entries of the cache; the one unseen for longest makes room."""
_AREA = "local-list"
_KEY = "version"


@dataclass(frozen=True, slots=True)
class Entry:
    """What is kept of a token: the status by its OCPP name, expiry in UTC seconds, and its group."""

    token: str
    status: str
    expiry: float | None = None
    group: str | None = None


def lookup(db: sqlite3.Connection, token: str) -> tuple[Entry | None, Entry | None]:
    """The entries of the list and of the cache."""
    found: dict[str, Entry] = {}
    rows = db.execute("SELECT source, token, status, expiry, token_group FROM token WHERE token = ?", (token,))
    for source, name, status, expiry, group in rows:
        found[source] = Entry(name, status, expiry, group)
    return found.get("list"), found.get("cache")


def remember(db: sqlite3.Connection, entry: Entry, utc: float) -> None:
    """Keep the central system's newest word on a token in the cache."""
    _put(db, "cache", entry, utc)
    cached = db.execute("SELECT count(*) FROM token WHERE source = 'cache'").fetchone()[0]
    if cached > CACHE_MAX:
        oldest = "SELECT token FROM token WHERE source = 'cache' ORDER BY seen LIMIT ?"
        db.execute(f"DELETE FROM token WHERE source = 'cache' AND token IN ({oldest})", (cached - CACHE_MAX,))


def clear_cache(db: sqlite3.Connection) -> None:
    db.execute("DELETE FROM token WHERE source = 'cache'")


def list_version(db: sqlite3.Connection) -> int:
    """Version of the local list; 0 when there is none."""
    return int(store.get(db, _AREA, _KEY) or 0)


def list_size(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT count(*) FROM token WHERE source = 'list'").fetchone()[0])


def replace_list(db: sqlite3.Connection, version: int, entries: Iterable[Entry]) -> None:
    """The whole list anew."""
    db.execute("DELETE FROM token WHERE source = 'list'")
    change_list(db, version, entries, ())


def change_list(db: sqlite3.Connection, version: int, entries: Iterable[Entry], removed: Iterable[str]) -> None:
    """Add or replace some entries and remove others."""
    for entry in entries:
        _put(db, "list", entry, 0.0)
    for token in removed:
        db.execute("DELETE FROM token WHERE source = 'list' AND token = ?", (token,))
    store.put(db, _AREA, _KEY, version)


def _put(db: sqlite3.Connection, source: str, entry: Entry, seen: float) -> None:
    db.execute(
        "INSERT OR REPLACE INTO token (source, token, status, expiry, token_group, seen) VALUES (?, ?, ?, ?, ?, ?)",
        (source, entry.token, entry.status, entry.expiry, entry.group, seen),
    )
