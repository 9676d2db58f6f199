"""Charging transactions as the journal keeps them.

Plain functions on a connection, to be called inside `Journal.write` or `Journal.read`. Opening a transaction and
queueing its `started` message are one durable step, and so are ending it and queueing `ended`: there is
no instant at which a power cut could leave one without the other.
"""

import json
import sqlite3
from dataclasses import dataclass
from typing import Any

from chargepoint.connectors import TYPE_2
from chargepoint.journal import outbox
from chargepoint.journal.stamp import Stamp, offset, resolve, touch

_COLUMNS = (
    "tx, evse, connector, token, token_group, reservation, car, start_boot, start_mono, start_utc, meter_start_wh, "
    "last_boot, last_mono, last_utc, last_wh, invalid, backend_id"
)


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """A transaction that has not ended, as it stands on the disk."""

    tx: int
    evse: int
    connector: int
    token: str
    group: str | None
    reservation: int | None
    car: str
    """Identity of the plug-in: run of the safety process and count; equal means that the car never left."""
    started: Stamp
    meter_start_wh: int
    last: Stamp
    """When `last_wh` was read."""
    last_wh: int
    invalid: bool
    """The central system did not accept the token after the start."""
    backend_id: str | None


def begin(
    db: sqlite3.Connection,
    evse: int,
    connector: int,
    token: str,
    group: str | None,
    reservation: int | None,
    car: str,
    stamp: Stamp,
    meter_wh: int,
) -> int:
    """Open a transaction and queue its start; returns the local id."""
    at = (stamp.boot, stamp.mono, stamp.utc)
    cursor = db.execute(
        "INSERT INTO tx (evse, connector, token, token_group, reservation, car, start_boot, start_mono, start_utc,"
        " meter_start_wh, last_boot, last_mono, last_utc, last_wh) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        (evse, connector, token, group, reservation, car, *at, meter_wh, *at, meter_wh),
    )
    tx = int(cursor.lastrowid or 0)
    payload = {
        "evse": evse,
        "connector": connector,
        "token": token,
        "meter_start_wh": meter_wh,
        "reservation": reservation,
    }
    outbox.add(db, "started", tx, stamp, payload)
    return tx


def keep_register(db: sqlite3.Connection, tx: int, stamp: Stamp, meter_wh: int) -> None:
    """Remember the register, which will be the end of the transaction if nothing later is known."""
    touch(db, stamp.boot, stamp.mono)
    db.execute(
        "UPDATE tx SET last_boot = ?, last_mono = ?, last_utc = ?, last_wh = max(last_wh, ?)"
        " WHERE tx = ? AND ended = 0",
        (stamp.boot, stamp.mono, stamp.utc, meter_wh, tx),
    )


def keep_car(db: sqlite3.Connection, tx: int, car: str) -> None:
    """The same car under another name: the safety process was started anew with the car plugged."""
    db.execute("UPDATE tx SET car = ? WHERE tx = ?", (car, tx))


def mark_invalid(db: sqlite3.Connection, tx: int) -> None:
    db.execute("UPDATE tx SET invalid = 1 WHERE tx = ?", (tx,))


def sampled(
    db: sqlite3.Connection, tx: int, stamp: Stamp, evse: int, values: list[dict[str, Any]], connector: int = TYPE_2
) -> None:
    """Queue meter values of a running transaction."""
    outbox.add(db, "sampled", tx, stamp, {"evse": evse, "connector": connector, "values": values})


def keep_sample(db: sqlite3.Connection, tx: int, stamp: Stamp, values: list[dict[str, Any]]) -> None:
    """Keep values that will go into the data of the transaction's end."""
    db.execute(
        "INSERT INTO sample (tx, boot, mono, utc, content) VALUES (?, ?, ?, ?, ?)",
        (tx, stamp.boot, stamp.mono, stamp.utc, json.dumps(values, separators=(",", ":"))),
    )


def end(db: sqlite3.Connection, tx: int, stamp: Stamp, meter_wh: int, reason: str, token: str | None) -> bool:
    """End a transaction and queue its end; False (and nothing done) when it had ended already.

    The register never runs backwards within a transaction: the highest value on the disk is the least that is told.
    """
    row = db.execute("SELECT evse, last_wh FROM tx WHERE tx = ? AND ended = 0", (tx,)).fetchone()
    if row is None:
        return False
    evse, last_wh = row
    meter_stop_wh = max(meter_wh, last_wh)
    db.execute(
        "UPDATE tx SET ended = 1, reason = ?, last_boot = ?, last_mono = ?, last_utc = ?, last_wh = ? WHERE tx = ?",
        (reason, stamp.boot, stamp.mono, stamp.utc, meter_stop_wh, tx),
    )
    payload = {
        "evse": evse,
        "token": token,
        "meter_stop_wh": meter_stop_wh,
        "reason": reason,
        "data": _data(db, tx),
    }
    outbox.add(db, "ended", tx, stamp, payload)
    db.execute("DELETE FROM sample WHERE tx = ?", (tx,))
    return True


def _data(db: sqlite3.Connection, tx: int) -> list[dict[str, Any]]:
    """The kept samples; those whose time is still unknown carry their stamp for later."""
    data: list[dict[str, Any]] = []
    rows = db.execute("SELECT boot, mono, utc, content FROM sample WHERE tx = ? ORDER BY id", (tx,)).fetchall()
    for boot, mono, utc, content in rows:
        stamp = Stamp(boot, mono, utc)
        data.append({"utc": resolve(db, stamp), "boot": boot, "mono": mono, "values": json.loads(content)})
    return data


def open_transactions(db: sqlite3.Connection) -> list[OpenTransaction]:
    """Every transaction that has not ended, oldest first."""
    found = []
    for row in db.execute(f"SELECT {_COLUMNS} FROM tx WHERE ended = 0 ORDER BY tx"):
        (tx, evse, connector, token, group, reservation, car, sb, sm, su, start_wh, lb, lm, lu, last_wh, bad, bid) = row
        if lu is None and (known := offset(db, lb)) is not None:  # its boot learnt the time later on
            lu = known + lm
        found.append(
            OpenTransaction(
                tx,
                evse,
                connector,
                token,
                group,
                reservation,
                car,
                Stamp(sb, sm, su),
                start_wh,
                Stamp(lb, lm, lu),
                last_wh,
                bool(bad),
                bid,
            )
        )
    return found


def by_backend_id(db: sqlite3.Connection, backend_id: str) -> int | None:
    """Local id of the open transaction the central system knows by this id."""
    row = db.execute("SELECT tx FROM tx WHERE backend_id = ? AND ended = 0", (backend_id,)).fetchone()
    return None if row is None else int(row[0])
