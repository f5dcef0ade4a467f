"""What has changed since the indexes were saved: a number for each change, and the slot of the memory."""

from __future__ import annotations

import sqlite3

SAVED = "saved_indexes"
"""The property that names the saved indexes."""


def newest(connection: sqlite3.Connection) -> int:
    """Return the number of the newest change, 0 if there never was one."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'change'").fetchone()
    return int(row[0]) if row else 0


def since(connection: sqlite3.Connection, number: int) -> list[int]:
    """Return the slots of the memories that have changed after a change, ascending."""
    rows = connection.execute("SELECT DISTINCT slot FROM change WHERE number > ? ORDER BY slot", (number,))
    return [row[0] for row in rows]


def saved_name(connection: sqlite3.Connection) -> str | None:
    """Return the name under which the indexes were saved last, or None if they were not."""
    row = connection.execute("SELECT value FROM property WHERE name = ?", (SAVED,)).fetchone()
    return bytes(row[0]).decode(errors="replace") if row else None


def note_saved(connection: sqlite3.Connection, name: str) -> None:
    """Note that the indexes were saved under a name."""
    connection.execute("INSERT OR REPLACE INTO property VALUES (?, ?)", (SAVED, name.encode()))


def discard(connection: sqlite3.Connection, number: int, count: int) -> bool:
    """Discard up to `count` changes that were saved, those up to `number`; returns whether any is left."""
    oldest = connection.execute("SELECT min(number) FROM change").fetchone()[0]
    if oldest is None or oldest > number:
        return False
    connection.execute("DELETE FROM change WHERE number <= ?", (min(number, oldest + count - 1),))
    return bool(oldest + count <= number)


def start_anew(connection: sqlite3.Connection) -> None:
    """Forget that anything was saved: the indexes are small, or are to be made anew."""
    connection.execute("DELETE FROM property WHERE name = ?", (SAVED,))
    connection.execute("DELETE FROM change")
