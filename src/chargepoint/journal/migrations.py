"""The journal's schema as numbered steps; `PRAGMA user_version` tells how many have been applied.

A step that has ever been released is never changed: a new one is added after it. A step that only adds (a table, an
index, a column with a default) leaves `OLDEST_READER` alone: the program before it still does its work on the journal,
so an update can be taken back with every transaction kept. A step that an older program could not live with raises it.

The same holds for the JSON in these tables. A field, a kind of message or an area may be added, with a default for the
program that does not find it; the meaning and the form of what is there never change, and nothing that an older
program needs goes. Who reads drops fields it does not know (`store.known`), and leaves messages of an unknown kind in
the outbox to the version that knows it.
"""

OLDEST_READER = 1
"""How many steps a program must know to work on a journal with all of them applied; kept in `PRAGMA application_id`."""

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE boots (
        boot INTEGER PRIMARY KEY,
        boot_id TEXT NOT NULL UNIQUE,
        first_mono REAL NOT NULL,
        last_mono REAL NOT NULL,
        utc_offset REAL
    );
    CREATE TABLE store (
        area TEXT NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (area, key)
    ) WITHOUT ROWID;
    CREATE TABLE tx (
        tx INTEGER PRIMARY KEY AUTOINCREMENT,
        evse INTEGER NOT NULL,
        connector INTEGER NOT NULL,
        token TEXT NOT NULL,
        token_group TEXT,
        reservation INTEGER,
        car TEXT NOT NULL,
        start_boot INTEGER NOT NULL,
        start_mono REAL NOT NULL,
        start_utc REAL,
        meter_start_wh INTEGER NOT NULL,
        last_boot INTEGER NOT NULL,
        last_mono REAL NOT NULL,
        last_utc REAL,
        last_wh INTEGER NOT NULL,
        invalid INTEGER NOT NULL DEFAULT 0,
        backend_id TEXT,
        ended INTEGER NOT NULL DEFAULT 0,
        reason TEXT
    );
    CREATE INDEX tx_open ON tx (evse) WHERE ended = 0;
    CREATE TABLE sample (
        id INTEGER PRIMARY KEY,
        tx INTEGER NOT NULL,
        boot INTEGER NOT NULL,
        mono REAL NOT NULL,
        utc REAL,
        content TEXT NOT NULL
    );
    CREATE INDEX sample_tx ON sample (tx);
    CREATE TABLE outbox (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL,
        tx INTEGER,
        boot INTEGER NOT NULL,
        mono REAL NOT NULL,
        utc REAL,
        payload TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE token (
        source TEXT NOT NULL,
        token TEXT NOT NULL COLLATE NOCASE,
        status TEXT NOT NULL,
        expiry REAL,
        token_group TEXT,
        seen REAL NOT NULL DEFAULT 0,
        PRIMARY KEY (source, token)
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE history (
        id INTEGER PRIMARY KEY,
        boot INTEGER NOT NULL,
        mono REAL NOT NULL,
        utc REAL,
        evse INTEGER NOT NULL,
        name TEXT NOT NULL,
        event TEXT NOT NULL,
        detail TEXT NOT NULL
    );
    CREATE INDEX outbox_tx ON outbox (tx);
    """,
    """
    CREATE TABLE track (
        id INTEGER PRIMARY KEY,
        boot INTEGER NOT NULL,
        mono REAL NOT NULL,
        utc REAL,
        evse INTEGER NOT NULL,
        tx INTEGER,
        content TEXT NOT NULL
    );
    CREATE INDEX track_tx ON track (tx) WHERE tx IS NOT NULL;
    """,
    """
    CREATE TABLE commits (one INTEGER PRIMARY KEY CHECK (one = 1), count INTEGER NOT NULL);
    INSERT INTO commits VALUES (1, 0);
    """,
)
