"""Keeping the journal small: what is no longer needed goes, a little at a time, so that nothing waits for it."""

import sqlite3
from typing import Final

from chargepoint.journal.tracks import forget

ENDED_KEPT: Final = 500
"""Ended transactions kept after their messages have left, for questions that come late."""
HISTORY_KEPT: Final = 2_000
BOOTS_KEPT: Final = 200
PAGES: Final = 256
"""Free pages given back to the disk at once: one short write."""


def tidy(db: sqlite3.Connection) -> None:
    """One round; call it every hour or so, inside `Journal.write`."""
    db.execute(
        "DELETE FROM tx WHERE ended = 1 AND tx <= (SELECT max(tx) FROM tx) - ?"
        " AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.tx = tx.tx)",
        (ENDED_KEPT,),
    )
    forget(db)
    db.execute("DELETE FROM history WHERE id <= (SELECT max(id) FROM history) - ?", (HISTORY_KEPT,))
    db.execute(
        "DELETE FROM boots WHERE boot <= (SELECT max(boot) FROM boots) - ?"
        " AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.boot = boots.boot)"
        " AND NOT EXISTS (SELECT 1 FROM tx WHERE ended = 0 AND boots.boot IN (start_boot, last_boot))",
        (BOOTS_KEPT,),
    )


def give_back(db: sqlite3.Connection) -> None:
    """Return free pages to the disk; outside a transaction, by the journal itself."""
    db.executescript(f"PRAGMA incremental_vacuum({PAGES});")
