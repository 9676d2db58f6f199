"""What a point did over time, for pictures: many samples in one row, a few rows an hour, the oldest forgotten.

Plain functions on a connection, to be called inside `Journal.write` or `Journal.read`.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from chargepoint.journal.stamp import Stamp, resolve

KEPT = 6000
"""Rows: three a row's ten minutes make two weeks, and some 2 MB."""

LONGEST_S = 7200.0
"""No row's samples reach further than that from its beginning."""


class Sample(msgspec.Struct, array_like=True, frozen=True):
    """A point at one moment; of the borne (evse 0) only `offered_a`, the supply's limit, means something."""

    t: float
    """Seconds since the row's own time."""
    state: str = ""
    """A1..F."""
    duty: float = 100.0
    offered_a: float = 0.0
    current_a: tuple[float | None, ...] = ()
    """L1..L3 of the socket."""
    power_w: float | None = None
    energy_wh: int | None = None
    """The meter's register."""
    temperature_c: float | None = None
    status: str = ""
    """As OCPP 1.6 names it."""
    reason: str = ""
    """Why no more is offered: a key of `energy.reasons.REASONS`."""


@dataclass(frozen=True, slots=True)
class Row:
    """Samples of one point in a row, all of one transaction or of none."""

    stamp: Stamp
    evse: int
    tx: int | None
    samples: tuple[Sample, ...]


_decode = msgspec.json.Decoder(tuple[Sample, ...]).decode


def add(db: sqlite3.Connection, row: Row) -> None:
    content = msgspec.json.encode(row.samples).decode()
    db.execute(
        "INSERT INTO track (boot, mono, utc, evse, tx, content) VALUES (?, ?, ?, ?, ?, ?)",
        (row.stamp.boot, row.stamp.mono, row.stamp.utc, row.evse, row.tx, content),
    )


def of_transaction(db: sqlite3.Connection, tx: int) -> Iterator[tuple[float, Sample]]:
    """Its samples with their UTC seconds (monotonic ones where no time was ever known), in order."""
    yield from _timed(db, db.execute(f"SELECT {_COLUMNS} FROM track WHERE tx = ? ORDER BY id", (tx,)))


def between(db: sqlite3.Connection, evse: int, begin: float, end: float) -> list[tuple[float, Sample]]:
    """A point's samples between two UTC times, in order."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM track WHERE evse = ? AND (utc IS NULL OR utc BETWEEN ? AND ?) ORDER BY id",
        (evse, begin - LONGEST_S, end),
    )
    return [(at, sample) for at, sample in _timed(db, rows) if begin <= at < end]


def forget(db: sqlite3.Connection) -> None:
    """The oldest go."""
    db.execute("DELETE FROM track WHERE id <= (SELECT max(id) FROM track) - ?", (KEPT,))


_COLUMNS = "boot, mono, utc, CAST(content AS BLOB)"
"""As bytes: a damaged row is one that does not decode, and nothing worse."""


def _timed(db: sqlite3.Connection, rows: sqlite3.Cursor) -> Iterator[tuple[float, Sample]]:
    for boot, mono, utc, content in rows.fetchall():
        at = resolve(db, Stamp(boot, mono, utc))
        begin = mono if at is None else at
        try:
            samples = _decode(content)
        except msgspec.DecodeError:
            continue  # written by another version: a picture may have a gap
        for sample in samples:
            yield begin + sample.t, sample
