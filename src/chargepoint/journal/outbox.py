"""What must reach the central system: kept here, in order, until it has been taken.

Plain functions on a connection, to be called inside `Journal.write` or `Journal.read`.
"""

import json
import sqlite3
from dataclasses import dataclass
from typing import Any, Literal, get_args

from chargepoint.journal.stamp import Stamp, touch

Kind = Literal["started", "sampled", "ended", "security"]
KINDS: tuple[str, ...] = get_args(Kind)
_KNOWN = f"kind IN {KINDS}"
"""What a newer version, since taken back, left waiting stays for it: nobody else can make a message of that."""
_COLUMNS = "seq, kind, tx, boot, mono, utc, payload, attempts"


@dataclass(frozen=True, slots=True)
class Entry:
    """One message that waits. `tx` is the transaction's local id; None for `security`.

    Payloads:
    started: evse, connector, token, meter_start_wh, reservation (int or None);
    sampled: evse, connector, values (list of measurand, value, unit, phase, location, context);
    ended: evse, token (who stopped, or None), meter_stop_wh, reason, data (list of utc, values);
    security: kind, info.
    """

    seq: int
    kind: str
    tx: int | None
    stamp: Stamp
    payload: dict[str, Any]
    attempts: int


def _entry(row: tuple[Any, ...]) -> Entry:
    seq, kind, tx, boot, mono, utc, payload, attempts = row
    return Entry(seq, kind, tx, Stamp(boot, mono, utc), json.loads(payload), attempts)


def add(db: sqlite3.Connection, kind: str, tx: int | None, stamp: Stamp, payload: dict[str, Any]) -> int:
    """Append a message; returns its sequence number."""
    if kind not in KINDS:
        raise ValueError(f"the outbox knows no kind {kind!r}: it is one of {', '.join(KINDS)}")
    touch(db, stamp.boot, stamp.mono)
    cursor = db.execute(
        "INSERT INTO outbox (kind, tx, boot, mono, utc, payload) VALUES (?, ?, ?, ?, ?, ?)",
        (kind, tx, stamp.boot, stamp.mono, stamp.utc, json.dumps(payload, separators=(",", ":"))),
    )
    return int(cursor.lastrowid or 0)


def head(db: sqlite3.Connection) -> Entry | None:
    """The oldest message that this version can send, or None."""
    row = db.execute(f"SELECT {_COLUMNS} FROM outbox WHERE {_KNOWN} ORDER BY seq LIMIT 1").fetchone()
    return None if row is None else _entry(row)


def upcoming(db: sqlite3.Connection, after_seq: int, limit: int) -> list[Entry]:
    """At most `limit` messages that this version can send and that come after `after_seq`, oldest first."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM outbox WHERE seq > ? AND {_KNOWN} ORDER BY seq LIMIT ?", (after_seq, limit)
    )
    return [_entry(row) for row in rows]


def count(db: sqlite3.Connection) -> int:
    """How many messages wait, those for another version too."""
    return int(db.execute("SELECT count(*) FROM outbox").fetchone()[0])


def left_to_another(db: sqlite3.Connection) -> dict[str, int]:
    """How many messages wait for a version that knows their kind, by kind."""
    return dict(db.execute(f"SELECT kind, count(*) FROM outbox WHERE NOT {_KNOWN} GROUP BY kind").fetchall())


def thin(db: sqlite3.Connection, most: int) -> int:
    """Above `most` messages: drop every second of the meter values, and no other message; returns how many went."""
    if count(db) <= most:
        return 0
    numbered = "SELECT seq, row_number() OVER (ORDER BY seq) AS place FROM outbox WHERE kind = 'sampled'"
    cursor = db.execute(f"DELETE FROM outbox WHERE seq IN (SELECT seq FROM ({numbered}) WHERE place % 2 = 0)")
    return cursor.rowcount


def attempted(db: sqlite3.Connection, seq: int) -> None:
    """One more transmission of this message was answered by an error or not at all."""
    db.execute("UPDATE outbox SET attempts = attempts + 1 WHERE seq = ?", (seq,))


def postpone(db: sqlite3.Connection, seq: int) -> None:
    """As `attempted`, and behind all the others with it."""
    kept = "kind, tx, boot, mono, utc, payload"
    db.execute(
        f"INSERT INTO outbox ({kept}, attempts) SELECT {kept}, attempts + 1 FROM outbox WHERE seq = ?",
        (seq,),
    )
    remove(db, seq)


def remove(db: sqlite3.Connection, seq: int) -> None:
    """The message has been taken (or is given up)."""
    db.execute("DELETE FROM outbox WHERE seq = ?", (seq,))


def set_backend_id(db: sqlite3.Connection, tx: int, backend_id: str) -> None:
    """The central system's own id for a transaction; what still waits is sent with it."""
    db.execute("UPDATE tx SET backend_id = ? WHERE tx = ?", (backend_id, tx))


def backend_id(db: sqlite3.Connection, tx: int) -> str | None:
    """The central system's id for a transaction, or None as long as it gave none. May be "0"."""
    row = db.execute("SELECT backend_id FROM tx WHERE tx = ?", (tx,)).fetchone()
    return None if row is None else row[0]
