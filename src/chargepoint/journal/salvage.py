"""A damaged journal: found out at the start, set aside, and read as far as it can be read.

SQLite keeps no checksum of its pages, so besides its own check every JSON text is read once; what does not parse is
taken out and counted. Rows are salvaged from both ends of a table, since reading stops at a damaged page.
"""

import json
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

_PARTS: Final = ("", "-wal", "-shm")
_JSON: Final = (("outbox", "payload", "seq"), ("sample", "content", "id"), ("store", "value", "area || '/' || key"))
_REQUIRED: Final = {
    "started": frozenset({"evse", "connector", "token", "meter_start_wh", "reservation"}),
    "sampled": frozenset({"evse", "values"}),
    "ended": frozenset({"evse", "token", "meter_stop_wh", "reason", "data"}),
    "security": frozenset({"kind", "info"}),
}
KEEP_ASIDE: Final = 3
"""So many damaged files are kept for inspection; the oldest goes first."""


@dataclass(slots=True)
class Loss:
    """What happened to a damaged journal."""

    why: str
    set_aside: Path | None = None
    """Where the damaged file is now; None when only single rows were taken out."""
    recovered: dict[str, int] = field(default_factory=dict)
    """Rows read from it, by table."""
    unreadable: int = 0
    """Rows that were seen but not readable."""

    cut_off: int = 0
    """Transactions that had been synced, says the mark, and are not in it."""

    def sentence(self) -> str:
        """For people."""
        said = []
        if self.set_aside is not None:
            kept = ", ".join(f"{count} {table}" for table, count in sorted(self.recovered.items()) if count)
            said.append(f"set aside as {self.set_aside.name} ({self.why}); recovered: {kept or 'nothing'}")
        elif self.unreadable:
            said.append(f"{self.unreadable} damaged records were taken out of the journal ({self.why})")
        if self.cut_off:
            said.append(f"the last {self.cut_off} writes before the damage are not in it: its files lost their end")
        return "; ".join(said)


def damage(db: sqlite3.Connection) -> str:
    """What SQLite's own quick check says; empty when it finds nothing. Raises sqlite3.DatabaseError as well."""
    said = [row[0] for row in db.execute("PRAGMA quick_check(3)")]
    return "" if said == ["ok"] else "; ".join(said)


def take_out_unreadable(db: sqlite3.Connection) -> int:
    """Delete rows whose JSON does not parse, and messages that lack what their kind must have; how many."""
    gone: list[tuple[str, str, Any]] = []
    for table, column, key in _JSON:
        kind = "kind" if table == "outbox" else "''"
        for identity, name, text in db.execute(f"SELECT {key}, {kind}, {column} FROM {table}"):
            if not _readable_text(text, _REQUIRED.get(name, frozenset()) if table == "outbox" else frozenset()):
                gone.append((table, key, identity))
    for table, key, identity in gone:
        db.execute(f"DELETE FROM {table} WHERE {key} = ?", (identity,))
    return len(gone)


def _readable_text(text: Any, required: frozenset[str]) -> bool:
    if not isinstance(text, str) or "\ufffd" in text:
        return False
    try:
        content = json.loads(text)
    except ValueError:
        return False
    return not required or (isinstance(content, dict) and required <= content.keys())


def lenient(raw: bytes) -> str:
    """A connection's text factory that never fails: what is no UTF-8 shows as U+FFFD, which JSON of ours never has."""
    return raw.decode("utf-8", errors="replace")


def set_aside(path: Path) -> Path:
    """Move the file and its companions out of the way; the new place."""
    stem = f"{path.name}.damaged-"
    old = sorted(p for p in path.parent.glob(f"{stem}*") if not p.name.endswith(_PARTS[1:]))
    for file in old[: max(0, len(old) - KEEP_ASIDE + 1)]:
        for part in _PARTS:
            file.with_name(file.name + part).unlink(missing_ok=True)
    place = path.with_name(f"{stem}{time.time_ns() // 1_000_000}")
    for part in _PARTS:
        source = path.with_name(path.name + part)
        if source.exists():
            source.rename(place.with_name(place.name + part))
    return place


def salvage(damaged: Path, into: sqlite3.Connection) -> Loss:
    """Copy every readable row of the damaged file into a new, migrated database; what cannot be read is counted."""
    loss = Loss("", damaged)
    tables = [row[0] for row in into.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    try:
        source = sqlite3.connect(damaged)
        source.text_factory = lenient
    except sqlite3.Error as error:
        loss.why = str(error)
        return loss
    for table in tables:
        if not table.startswith("sqlite_") and table != "commits":  # its count is not that of what was recovered
            loss.recovered[table] = _copy(source, into, table, loss)
    source.close()
    loss.unreadable += take_out_unreadable(into)
    return loss


def _copy(source: sqlite3.Connection, into: sqlite3.Connection, table: str, loss: Loss) -> int:
    columns = [row[1] for row in into.execute(f"PRAGMA table_info({table})")]
    keys = [row[1] for row in into.execute(f"PRAGMA table_info({table})") if row[5]]
    order = ", ".join(keys) or "rowid"
    backwards = ", ".join(f"{key} DESC" for key in keys) or "rowid DESC"
    names, marks = ", ".join(columns), ", ".join("?" * len(columns))
    for direction in (order, backwards):
        for row in _readable(source, f"SELECT {names} FROM {table} ORDER BY {direction}", loss):
            try:
                into.execute(f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})", row)
            except sqlite3.Error:
                loss.unreadable += 1
    return int(into.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def _readable(source: sqlite3.Connection, query: str, loss: Loss) -> Iterator[tuple[Any, ...]]:
    """Rows until the first that cannot be read."""
    try:
        yield from source.execute(query)
    except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter: a message of SQLite's that quotes the damage
        loss.why = loss.why or str(error)
