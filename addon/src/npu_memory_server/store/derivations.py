"""Facts that a model has made of what was said, until somebody accepts or declines them: functions on a connection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import json
import sqlite3

from ..errors import InvalidRequestError, NotFoundError
from ..records import Record
from . import memories


@dataclass(frozen=True, slots=True)
class Waiting:
    """A fact that waits for an answer; its `number` grows with every one."""

    number: int
    id: str
    text: str
    sources: tuple[Record, ...]


def sources(connection: sqlite3.Connection, ids: Sequence[str]) -> tuple[Record, ...]:
    """Return the memories that a fact is derived from. Raises `NotFoundError`."""
    found = [memories.find(connection, one) for one in dict.fromkeys(ids)]
    if not all(found):
        raise NotFoundError("What this was derived from is not there any more.")
    return tuple(one.record for one in found if one is not None)


def is_known(connection: sqlite3.Connection, scope: str, essence: str) -> bool:
    """Return whether the same was derived before for the same people, whatever became of it."""
    found = connection.execute("SELECT 1 FROM derivation WHERE digest = ?", (_digest(connection, scope, essence),))
    return found.fetchone() is not None


def note(connection: sqlite3.Connection, record: Record, essence: str, *, waits: bool) -> None:
    """Note that a fact was derived, by its `essence`; its text only if it `waits` for an answer."""
    connection.execute(
        "INSERT INTO derivation (id, digest, text, derived_from) VALUES (?, ?, ?, ?)",
        (
            record.id,
            _digest(connection, record.scope, essence),
            record.text if waits else None,
            json.dumps(record.derived_from),
        ),
    )


def settle(connection: sqlite3.Connection, memory_id: str) -> Waiting:
    """Return a fact that waited, and note that it waits no longer. Raises `NotFoundError`."""
    found = _waiting(connection, "AND id = ?", (memory_id,))
    if not found:
        raise NotFoundError("There is no such proposal; `proposals list` shows those that there are.")
    connection.execute("UPDATE derivation SET text = NULL WHERE id = ?", (memory_id,))
    return found[0]


def page(connection: sqlite3.Connection, limit: int, cursor: str | None) -> tuple[list[Waiting], str | None]:
    """Return up to `limit` facts that wait, the newest first; and the next cursor.

    Raises `InvalidRequestError` for a cursor that is none.
    """
    try:
        before = memories.MAX_INTEGER if cursor is None else int(cursor)
        if abs(before) > memories.MAX_INTEGER:
            raise ValueError("a number that SQLite cannot hold")
    except ValueError as error:
        raise InvalidRequestError("The field 'cursor' must be the next_cursor of an earlier page.") from error
    found = _waiting(connection, "AND number < ? ORDER BY number DESC LIMIT ?", (before, limit + 1))
    return found[:limit], str(found[limit - 1].number) if len(found) > limit else None


def count(connection: sqlite3.Connection) -> int:
    """Return how many facts wait."""
    return int(connection.execute("SELECT count(*) FROM derivation WHERE text IS NOT NULL").fetchone()[0])


def _waiting(connection: sqlite3.Connection, tail: str, values: Sequence[object]) -> list[Waiting]:
    rows = connection.execute(
        f"SELECT number, id, text, derived_from FROM derivation WHERE text IS NOT NULL {tail}", tuple(values)
    ).fetchall()
    return [
        Waiting(number, waiting_id, text, sources(connection, json.loads(derived_from)))
        for number, waiting_id, text, derived_from in rows
    ]


def _digest(connection: sqlite3.Connection, scope: str, essence: str) -> bytes:
    return memories.digest_of(connection, f"{scope}\n{essence}")
