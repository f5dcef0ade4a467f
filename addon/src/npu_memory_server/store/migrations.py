"""The history of the database's shape: append only, one entry a version (`PRAGMA user_version`)."""

from __future__ import annotations

import secrets
import sqlite3

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # AUTOINCREMENT: a slot is never used twice, so that a late embedding cannot reach another memory.
        """CREATE TABLE memory (
            slot INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            text TEXT NOT NULL,
            kind TEXT NOT NULL,
            speaker TEXT,
            scope TEXT NOT NULL,
            session TEXT,
            area TEXT,
            source TEXT,
            language TEXT,
            tags TEXT NOT NULL,
            created_ms INTEGER NOT NULL,
            utc_offset_seconds INTEGER NOT NULL,
            valid_from_ms INTEGER,
            valid_to_ms INTEGER,
            superseded_by TEXT,
            expires_ms INTEGER
        ) STRICT""",
        "CREATE INDEX memory_newest ON memory (created_ms, slot)",
        "CREATE INDEX memory_superseded ON memory (superseded_by) WHERE superseded_by IS NOT NULL",
        "CREATE TABLE embedder (number INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE) STRICT",
        """CREATE TABLE vector (
            slot INTEGER PRIMARY KEY REFERENCES memory (slot) ON DELETE CASCADE,
            embedder INTEGER NOT NULL REFERENCES embedder (number),
            vector BLOB NOT NULL
        ) STRICT""",
        "CREATE TABLE tombstone (id TEXT PRIMARY KEY, digest BLOB NOT NULL, forgotten_ms INTEGER NOT NULL) STRICT",
        "CREATE INDEX tombstone_digest ON tombstone (digest)",
        "CREATE TABLE property (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT",
    ),
    # The vectors of a memory's tokens, for MaxSim; a vector without them is made anew.
    ("ALTER TABLE vector ADD COLUMN tokens BLOB",),
    # Corrections that were found without being asked for, and the memories that were not looked at yet.
    (
        """CREATE TABLE correction (
            old_slot INTEGER NOT NULL REFERENCES memory (slot) ON DELETE CASCADE,
            new_slot INTEGER NOT NULL REFERENCES memory (slot) ON DELETE CASCADE,
            confidence REAL NOT NULL,
            reason TEXT NOT NULL,
            state TEXT NOT NULL,
            made_ms INTEGER NOT NULL,
            PRIMARY KEY (old_slot, new_slot)
        ) STRICT, WITHOUT ROWID""",
        "CREATE INDEX correction_new ON correction (new_slot)",
        "CREATE TABLE unexamined (slot INTEGER PRIMARY KEY REFERENCES memory (slot) ON DELETE CASCADE) STRICT",
        "INSERT INTO unexamined SELECT slot FROM memory",
        """CREATE TRIGGER memory_added AFTER INSERT ON memory
            BEGIN INSERT INTO unexamined VALUES (new.slot); END""",
    ),
    # What is noticed about a text when it is written; a memory whose `secrets` are NULL has not been looked at.
    (
        "ALTER TABLE memory ADD COLUMN secrets TEXT",
        "ALTER TABLE memory ADD COLUMN is_instruction INTEGER NOT NULL DEFAULT 0",
        "CREATE INDEX memory_session ON memory (session, slot) WHERE session IS NOT NULL",
    ),
    # What has changed since the indexes were saved, so that a start need not read everything; and a million memories
    # must not be read to find the few that have expired, were not looked at, or have no vector.
    (
        "CREATE TABLE change (number INTEGER PRIMARY KEY AUTOINCREMENT, slot INTEGER NOT NULL) STRICT",
        """CREATE TRIGGER change_added AFTER INSERT ON memory
            BEGIN INSERT INTO change (slot) VALUES (new.slot); END""",
        """CREATE TRIGGER change_updated AFTER UPDATE ON memory
            BEGIN INSERT INTO change (slot) VALUES (new.slot); END""",
        """CREATE TRIGGER change_removed AFTER DELETE ON memory
            BEGIN INSERT INTO change (slot) VALUES (old.slot); END""",
        """CREATE TRIGGER change_embedded AFTER INSERT ON vector
            BEGIN INSERT INTO change (slot) VALUES (new.slot); END""",
        "CREATE INDEX vector_made ON vector (embedder, slot) WHERE tokens IS NOT NULL",
        "CREATE INDEX memory_past ON memory (slot) WHERE valid_to_ms IS NOT NULL",
        "CREATE INDEX memory_expiring ON memory (expires_ms) WHERE expires_ms IS NOT NULL",
        "CREATE INDEX memory_not_looked_at ON memory (slot) WHERE secrets IS NULL",
    ),
    # Facts that a language model has made of what was said: those that are stored name their sources (a JSON list of
    # ids); those that wait, and those that were declined, of which nothing but a keyed digest is left, are here alone.
    (
        "ALTER TABLE memory ADD COLUMN derived_from TEXT",
        "CREATE INDEX memory_derived ON memory (slot) WHERE derived_from IS NOT NULL",
        """CREATE TABLE derivation (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            digest BLOB NOT NULL UNIQUE,
            text TEXT,
            derived_from TEXT NOT NULL
        ) STRICT""",
    ),
    # In how many windows a long text was read; not known of those that have their vectors already.
    ("ALTER TABLE memory ADD COLUMN windows INTEGER",),
    # Token vectors that lie in files of their own, `tokens` is then empty, not NULL. What of them has to be
    # overwritten since its memory was forgotten; and the vectors whose tokens are not in a file.
    (
        "CREATE TABLE token_file (number INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT",
        "CREATE TABLE token_gone (slot INTEGER PRIMARY KEY) STRICT",
        """CREATE TRIGGER vector_removed AFTER DELETE ON vector
            WHEN EXISTS (SELECT 1 FROM token_file)
            BEGIN INSERT OR IGNORE INTO token_gone VALUES (old.slot); END""",
        "CREATE INDEX vector_unmoved ON vector (slot) WHERE length(tokens) > 0",
    ),
)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the database to the newest version, all of it or nothing. Raises `sqlite3.Error`."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        if version == 0:
            properties = {"instance": secrets.token_hex(16).encode(), "digest_key": secrets.token_bytes(32)}
            connection.executemany("INSERT INTO property VALUES (?, ?)", properties.items())
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
