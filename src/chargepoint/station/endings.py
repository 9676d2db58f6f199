"""The end of a transaction that is on its way: why, by whose token, and when it was wanted.

Between the badge and the durable end lie the seconds in which the contactor opens and the register is read. A restart
in them finds the transaction open; this, kept in the journal beside it, lets it be ended as it was meant.
"""

import sqlite3
from dataclasses import dataclass
from typing import Any, Final

import structlog

from chargepoint.journal import store, transactions
from chargepoint.journal.stamp import Stamp
from chargepoint.station.api import StopReason

log = structlog.get_logger()
AREA: Final = "endings"


@dataclass(frozen=True, slots=True)
class Ending:
    """What a transaction's end will say."""

    reason: StopReason
    token: str | None
    """Of whoever ended it by a badge."""
    at: Stamp


def begin(db: sqlite3.Connection, tx: int, ending: Ending) -> None:
    """The transaction is to end."""
    at = ending.at
    store.put(db, AREA, str(tx), [ending.reason.value, ending.token, at.boot, at.mono, at.utc])


def finish(
    db: sqlite3.Connection, tx: int, ending: Ending, wh: int, last_values: list[dict[str, Any]] | None = None
) -> None:
    """The transaction's end, at `ending.at` with this register and the last of its values: all of it or nothing."""
    if last_values:
        transactions.keep_sample(db, tx, ending.at, last_values)
    transactions.end(db, tx, ending.at, wh, ending.reason.value, ending.token)
    store.delete(db, AREA, str(tx))


def of(db: sqlite3.Connection, tx: int) -> Ending | None:
    """How the transaction was to end; None when nobody wanted it to, or what was kept cannot be read."""
    kept = store.get(db, AREA, str(tx))
    if kept is None:
        return None
    try:
        reason, token, boot, mono, utc, *_ = kept
        return Ending(StopReason(reason), token, Stamp(boot, mono, utc))
    except (TypeError, ValueError) as error:
        log.warning("how a transaction was to end cannot be read", tx=tx, error=repr(error))
        return None
