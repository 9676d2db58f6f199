"""A damaged journal: found out at the start, set aside, and read as far as it can be read.

SQLite keeps no checksum of its pages, so besides its own check every JSON text is read once; what does not parse is
taken out and counted. Rows are salvaged from both ends of a table, since reading stops at a damaged page.
"""

import json
import sqlite3
import struct
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
_LOG_HEADER: Final = struct.Struct(">8I")
_FRAME_HEADER: Final = struct.Struct(">6I")
"""Of the write-ahead log (SQLite file format, 4.1 and 4.2): the frame's second word is not 0 where a transaction ends,
its third and fourth are the salts, which are those of the log's header (its fifth and sixth) in every current frame."""
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
    """Transactions at the end of its log that could not be read."""

    def sentence(self) -> str:
        """For people."""
        if self.cut_off and self.set_aside is None and not self.unreadable:
            return f"the last {self.cut_off} writes could not be read: the journal's log is damaged"
        if self.set_aside is None:
            return f"{self.unreadable} damaged records were taken out of the journal ({self.why})"
        kept = ", ".join(f"{count} {table}" for table, count in sorted(self.recovered.items()) if count)
        return f"set aside as {self.set_aside.name} ({self.why}); recovered: {kept or 'nothing'}"


def damage(db: sqlite3.Connection) -> str:
    """What SQLite's own quick check says; empty when it finds nothing. Raises sqlite3.DatabaseError as well."""
    said = [row[0] for row in db.execute("PRAGMA quick_check(3)")]
    return "" if said == ["ok"] else "; ".join(said)


def log_ends(path: Path) -> list[int]:
    """The frames of the write-ahead log that end a transaction, by their number from 1, whether SQLite will read them
    or not. Look before the database is opened, for that may begin the log anew."""
    try:
        raw = path.with_name(path.name + _PARTS[1]).read_bytes()
    except FileNotFoundError:
        return []
    if len(raw) < _LOG_HEADER.size + _FRAME_HEADER.size:
        return []
    header = _LOG_HEADER.unpack_from(raw)
    page, salts = header[2], header[4:6]
    if not 512 <= page <= 65536 or page & (page - 1):
        return []
    ends = []
    step = _FRAME_HEADER.size + page
    for number, at in enumerate(range(_LOG_HEADER.size, len(raw) - _FRAME_HEADER.size + 1, step), start=1):
        frame = _FRAME_HEADER.unpack_from(raw, at)
        if frame[1] and frame[2:4] == salts:
            ends.append(number)
    return ends


def cut_off(db: sqlite3.Connection, ends: list[int]) -> int:
    """How many transactions that once were in the log SQLite did not read. One may have been on its way to the disk
    when the power went, and nobody was told that it was there; with more, something that was synced is lost."""
    read = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
    return sum(number > read for number in ends)


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
        if not table.startswith("sqlite_"):
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
