"""When something happened, told so that it can be put right later.

A borne without a battery-backed clock starts in 1970. What happens before the time is known is
stamped with the monotonic clock and the number of the boot it counts from; as soon as the boot's offset to UTC
is known, every such stamp has a true time, also those of before and those of earlier runs of the program.
"""

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Stamp:
    """An instant: boot number and monotonic seconds of that boot, and UTC where it was known."""

    boot: int
    mono: float
    utc: float | None = None
    """Seconds since 1970 (UTC); None while the clock was not synchronised."""


def set_offset(db: sqlite3.Connection, boot: int, offset: float) -> None:
    """Remember that in `boot`, UTC = monotonic + `offset`."""
    db.execute("UPDATE boots SET utc_offset = ? WHERE boot = ?", (offset, boot))


def offset(db: sqlite3.Connection, boot: int) -> float | None:
    """UTC minus monotonic time in `boot`, seconds, or None when it was never known."""
    row = db.execute("SELECT utc_offset FROM boots WHERE boot = ?", (boot,)).fetchone()
    return None if row is None else row[0]


def touch(db: sqlite3.Connection, boot: int, mono: float) -> None:
    """Remember that `boot` lasted at least until `mono`; costs no write of its own inside another."""
    db.execute("UPDATE boots SET last_mono = max(last_mono, ?) WHERE boot = ?", (mono, boot))


def resolve(db: sqlite3.Connection, stamp: Stamp) -> float | None:
    """UTC seconds of a stamp, or None while nothing tells it.

    A boot that never learnt the time is placed directly before the next one that did, as if the power had
    been off for no time: never in the future, and in the right order.
    """
    if stamp.utc is not None:
        return stamp.utc
    known = offset(db, stamp.boot)
    if known is not None:
        return known + stamp.mono
    later = db.execute(
        "SELECT boot, first_mono + utc_offset FROM boots WHERE boot > ? AND utc_offset IS NOT NULL"
        " ORDER BY boot LIMIT 1",
        (stamp.boot,),
    ).fetchone()
    if later is None:
        return None
    next_boot, end = later
    for boot, first, last in db.execute(
        "SELECT boot, first_mono, last_mono FROM boots WHERE boot >= ? AND boot < ? ORDER BY boot DESC",
        (stamp.boot, next_boot),
    ):
        if boot == stamp.boot:
            return float(end - max(0.0, last - stamp.mono))
        end -= last - first
    return None


def as_datetime(utc: float) -> datetime:
    """UTC seconds as an aware datetime."""
    return datetime.fromtimestamp(utc, UTC)
