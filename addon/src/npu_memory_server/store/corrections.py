"""Corrections that were found: closing the earlier memory, and taking that back; plain functions on a connection."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
import sqlite3

from ..correction import Decision
from ..errors import ConflictError, InvalidRequestError, NotFoundError
from ..records import Record, item_from_record, milliseconds
from ..wire import Correction, CorrectionReason, CorrectionState
from . import memories
from .memories import StoredRecord

RECENT_MS = 10 * 60 * 1000
"""What was said longer ago than that is no part of the thought any more."""

SUSPECTED = "suspected"
"""The state of what is not even proposed, and so in no list; it only decides which of two memories goes first."""


def unexamined(connection: sqlite3.Connection, embedder: int) -> list[int]:
    """Return the slots that have a vector of this embedder and were not examined yet, in the order of being said."""
    rows = connection.execute(
        "SELECT slot FROM unexamined JOIN vector USING (slot) JOIN memory USING (slot) WHERE embedder = ? "
        "ORDER BY created_ms, memory.id",
        (embedder,),
    )
    return [row[0] for row in rows]


def newest_examined(connection: sqlite3.Connection, as_well: Collection[int]) -> int:
    """Return when the newest memory was said that was examined, in ms since 1970; 0 if none was.

    `as_well` were examined, which is not noted yet.
    """
    marks = ", ".join("?" * len(as_well))
    row = connection.execute(
        f"SELECT created_ms FROM memory WHERE slot IN ({marks}) OR slot NOT IN (SELECT slot FROM unexamined) "
        "ORDER BY created_ms DESC LIMIT 1",
        tuple(as_well),
    ).fetchone()
    return int(row[0]) if row else 0


def speakers(connection: sqlite3.Connection, *, of_unexamined: bool) -> frozenset[str]:
    """Return the names of all who have said something, or something that was not examined yet."""
    only = " WHERE slot IN (SELECT slot FROM unexamined)" if of_unexamined else ""
    return frozenset(row[0] for row in connection.execute(f"SELECT DISTINCT speaker FROM memory{only}") if row[0])


def said_before(connection: sqlite3.Connection, record: Record, count: int) -> list[int]:
    """Return the slots of what was said just before `record` in its conversation, latest first."""
    if record.session is None:
        return []
    created_ms = milliseconds(record.created_at)
    rows = connection.execute(
        "SELECT slot FROM memory WHERE created_ms BETWEEN ? AND ? AND session = ? AND id != ? "
        "ORDER BY created_ms DESC, slot DESC LIMIT ?",
        (created_ms - RECENT_MS, created_ms, record.session, record.id, count),
    )
    return [row[0] for row in rows]


def corrects_on_request(connection: sqlite3.Connection, stored: StoredRecord) -> bool:
    """Return whether somebody has said which memory this one corrects."""
    row = connection.execute(
        "SELECT 1 FROM memory WHERE superseded_by = ? AND derived_from IS NULL AND slot NOT IN "
        "(SELECT old_slot FROM correction WHERE new_slot = ?)",
        (stored.record.id, stored.slot),
    ).fetchone()
    return row is not None


def examined(
    connection: sqlite3.Connection, slots: Sequence[int], decisions: Sequence[Decision], now: datetime
) -> tuple[StoredRecord, ...]:
    """Note what was decided about the memories `slots`, and return the earlier memories of which it says something.

    What was decided before stands, and so does what was corrected or closed on request.
    """
    changed: dict[int, StoredRecord] = {}
    for decision in decisions:
        state = CorrectionState.CLOSED.value if decision.closes else CorrectionState.PROPOSED.value
        added = connection.execute(
            "INSERT OR IGNORE INTO correction SELECT old.slot, new.slot, ?, ?, ?, ? FROM memory old, memory new "
            "WHERE old.slot = ? AND new.slot = ?",
            (
                decision.confidence,
                decision.reason.value,
                SUSPECTED if decision.is_suspected else state,
                milliseconds(now),
                decision.old_slot,
                decision.new_slot,
            ),
        )
        if added.rowcount:
            closed = _close(connection, decision.old_slot, decision.new_slot) if decision.closes else None
            if closed is not None:
                changed[closed.slot] = closed
            else:
                # What goes before it where both are found has changed.
                changed |= {
                    slot: StoredRecord(slot, record)
                    for slot, record in memories.by_slot(connection, [decision.old_slot]).items()
                }
    connection.executemany("DELETE FROM unexamined WHERE slot = ?", [(slot,) for slot in slots])
    return tuple(changed.values())


def page(
    connection: sqlite3.Connection, state: CorrectionState | None, limit: int, cursor: str | None
) -> tuple[list[Correction], str | None]:
    """Return up to `limit` corrections in a state, or of all, those of the newest memories first; and the next cursor.

    Raises `InvalidRequestError` for a cursor that is none.
    """
    after = _position(cursor) if cursor is not None else None
    rows = connection.execute(
        "SELECT new.created_ms, new_slot, old_slot, confidence, reason, state FROM correction "
        "JOIN memory old ON old.slot = old_slot JOIN memory new ON new.slot = new_slot "
        "WHERE ((:state IS NULL AND state != :suspected) OR state = :state) "
        "AND (:ms IS NULL OR (new.created_ms, new.slot, old.slot) < (:ms, :new, :old)) "
        "ORDER BY new.created_ms DESC, new.slot DESC, old.slot DESC LIMIT :limit",
        {
            "state": state,
            "suspected": SUSPECTED,
            "limit": limit + 1,
            **dict(zip(("ms", "new", "old"), after or (None,) * 3, strict=True)),
        },
    ).fetchall()
    some = rows[:limit]
    records = memories.by_slot(connection, [slot for row in some for slot in row[1:3]])
    found = [
        Correction(
            old=item_from_record(records[old]),
            new=item_from_record(records[new]),
            confidence=confidence,
            reason=CorrectionReason(reason),
            state=CorrectionState(found_state),
        )
        for _, new, old, confidence, reason, found_state in some
    ]
    last = some[-1] if len(rows) > limit else None
    return found, f"{last[0]}.{last[1]}.{last[2]}" if last else None


def count(connection: sqlite3.Connection, state: CorrectionState | None) -> int:
    """Return how many corrections there are in a state, or in all."""
    row = connection.execute(
        "SELECT count(*) FROM correction WHERE (?1 IS NULL AND state != ?2) OR state = ?1", (state, SUSPECTED)
    ).fetchone()
    return int(row[0])


def perhaps_corrected_by(connection: sqlite3.Connection, slots: Sequence[int]) -> dict[int, tuple[int, ...]]:
    """Return the slots of what has perhaps corrected memories that still hold: proposed or suspected, surest first."""
    marks = ", ".join("?" * len(slots))
    rows = connection.execute(
        f"SELECT old_slot, new_slot FROM correction WHERE old_slot IN ({marks}) AND state IN (?, ?) "
        "ORDER BY confidence DESC, new_slot DESC",
        (*slots, CorrectionState.PROPOSED.value, SUSPECTED),
    )
    newer: dict[int, tuple[int, ...]] = {}
    for old_slot, new_slot in rows:
        newer[old_slot] = (*newer.get(old_slot, ()), new_slot)
    return newer


def _position(cursor: str) -> tuple[int, int, int]:
    try:
        created_ms, new, old = (int(part) for part in cursor.split("."))
        if max(map(abs, (created_ms, new, old))) > memories.MAX_INTEGER:
            raise ValueError("a number that SQLite cannot hold")
    except ValueError as error:
        raise InvalidRequestError("The field 'cursor' must be the next_cursor of an earlier page.") from error
    return created_ms, new, old


def accept(connection: sqlite3.Connection, old_id: str, new_id: str) -> tuple[StoredRecord, ...]:
    """Make what was proposed, or taken back, so. Raises `NotFoundError`."""
    old, new = _pair(connection, old_id, new_id)
    connection.execute(
        "UPDATE correction SET state = ? WHERE old_slot = ? AND new_slot = ?",
        (CorrectionState.CLOSED.value, old.slot, new.slot),
    )
    closed = _close(connection, old.slot, new.slot)
    return (closed,) if closed is not None else ()


def declare(connection: sqlite3.Connection, old_id: str, new_id: str, now: datetime) -> tuple[StoredRecord, ...]:
    """Let one memory take the place of another because somebody says so; `revert` takes it back.

    Which of them was said first does not matter: the other one is not valid before it was said. Raises `NotFoundError`,
    and `ConflictError` unless both hold.
    """
    old, new = memories.find(connection, old_id), memories.find(connection, new_id)
    if old is None or new is None:
        raise NotFoundError("There is no memory with one of these ids.")
    if old_id == new_id or old.record.valid_to is not None or new.record.valid_to is not None:
        raise ConflictError("A memory takes the place of another one while both of them hold.")
    valid_to = max(old.record.created_at, new.record.created_at)
    connection.execute(
        "INSERT OR REPLACE INTO correction VALUES (?, ?, 1.0, ?, ?, ?)",
        (
            old.slot,
            new.slot,
            CorrectionReason.RESTATED.value,
            CorrectionState.CLOSED.value,
            milliseconds(now),
        ),
    )
    connection.execute(
        "UPDATE memory SET valid_to_ms = ?, superseded_by = ? WHERE slot = ?",
        (milliseconds(valid_to), new_id, old.slot),
    )
    return (StoredRecord(old.slot, replace(old.record, valid_to=valid_to, superseded_by=new_id)),)


def revert(connection: sqlite3.Connection, old_id: str, new_id: str) -> tuple[StoredRecord, ...]:
    """Let the earlier memory hold again as if it had never been closed. Raises `NotFoundError`.

    If another correction of it stands, that one closes it instead. The pair is never corrected again by itself.
    """
    old, new = _pair(connection, old_id, new_id)
    connection.execute(
        "UPDATE correction SET state = ? WHERE old_slot = ? AND new_slot = ?",
        (CorrectionState.REVERTED.value, old.slot, new.slot),
    )
    if old.record.superseded_by != new_id:
        return (old,)
    connection.execute("UPDATE memory SET valid_to_ms = NULL, superseded_by = NULL WHERE slot = ?", (old.slot,))
    next_closer = connection.execute(
        "SELECT new_slot FROM correction JOIN memory ON slot = new_slot WHERE old_slot = ? AND state = ? "
        "ORDER BY created_ms, id LIMIT 1",
        (old.slot, CorrectionState.CLOSED.value),
    ).fetchone()
    closed = _close(connection, old.slot, next_closer[0]) if next_closer else None
    return (closed or StoredRecord(old.slot, replace(old.record, valid_to=None, superseded_by=None)),)


def _pair(connection: sqlite3.Connection, old_id: str, new_id: str) -> tuple[StoredRecord, StoredRecord]:
    old, new = memories.find(connection, old_id), memories.find(connection, new_id)
    if old is not None and new is not None:
        there = connection.execute(
            "SELECT 1 FROM correction WHERE old_slot = ? AND new_slot = ?", (old.slot, new.slot)
        ).fetchone()
        if there is not None:
            return old, new
    raise NotFoundError("There is no such correction; `corrections list` shows those that there are.")


def _close(connection: sqlite3.Connection, old_slot: int, new_slot: int) -> StoredRecord | None:
    """Close a memory, or point a closed one to the correction that was said earlier; None if it stays as it is."""
    records = memories.by_slot(connection, [old_slot, new_slot])
    old, new = records[old_slot], records[new_slot]
    if old.superseded_by is None:
        if old.valid_to is not None:
            return None
    else:
        by = memories.find(connection, old.superseded_by)
        found = (
            by is not None
            and connection.execute(
                "SELECT 1 FROM correction WHERE old_slot = ? AND new_slot = ?", (old_slot, by.slot)
            ).fetchone()
        )
        if by is None or not found or by.record.created_at <= new.created_at:
            return None
    connection.execute(
        "UPDATE memory SET valid_to_ms = ?, superseded_by = ? WHERE slot = ?",
        (milliseconds(new.created_at), new.id, old_slot),
    )
    return StoredRecord(old_slot, replace(old, valid_to=new.created_at, superseded_by=new.id))
