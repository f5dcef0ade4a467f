"""Reading and writing memories: plain functions on a connection, each write inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
import hashlib
import hmac
import json
import sqlite3
from typing import Any

from ..errors import ConflictError, InvalidRequestError, NotFoundError
from ..records import Record, milliseconds, moment
from ..wire import MAX_FRAME_BYTES, Kind, Outcome

COLUMNS = (
    "slot, id, text, kind, speaker, scope, session, area, source, language, tags, created_ms, utc_offset_seconds, "
    "valid_from_ms, valid_to_ms, superseded_by, expires_ms, secrets, is_instruction, derived_from, windows"
)
DERIVED_FROM = "EXISTS (SELECT 1 FROM json_each(derived_from) WHERE value = ?1)"
"""Of a fact, whether the memory with this id is among its sources."""
EXPIRED = "WHERE expires_ms IS NOT NULL AND expires_ms <= ?"
HISTORY = (
    "id IN (WITH RECURSIVE later (id) AS (SELECT ? UNION SELECT superseded_by FROM memory JOIN later USING (id)), "
    "history (id) AS (SELECT id FROM later UNION "
    "SELECT memory.id FROM memory JOIN history ON memory.superseded_by = history.id) SELECT id FROM history)"
)
"""A memory, what has taken its place, and what these have taken the place of."""
IDS_A_QUERY = 500
MAX_INTEGER = 2**63 - 1
TURNS_BEFORE = 6
"""Turns of a session that a new one is understood by."""
PAGE_OVERHEAD_BYTES = 1024
"""What a memory takes in a frame besides its texts: ids, moments, and the names of the fields."""


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record with its `slot`: the whole number that the indexes know it by, never used for another one."""

    slot: int
    record: Record


@dataclass(frozen=True, slots=True)
class Addition:
    """What a write did: the new record if there is one, and the older ones that it has closed."""

    memory_id: str
    outcome: Outcome
    added: StoredRecord | None = None
    closed: tuple[StoredRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class Removal:
    """What forgetting did: the records that are gone, and those that they had closed, as these are now.

    One of the latter holds again, unless a newer correction is left that it now points to.
    """

    removed: tuple[StoredRecord, ...]
    relinked: tuple[StoredRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which memories a page is made of; None and the empty tuple let everything through that is still to be kept.

    `now_ms`: since 1970.
    """

    now_ms: int
    scopes: tuple[str, ...] = ()
    kind: Kind | None = None
    speaker: str | None = None
    include_past: bool = True
    session: str | None = None
    history_of: str | None = None


def add(connection: sqlite3.Connection, record: Record, now: datetime, corrects: str | None = None) -> Addition:
    """Store `record`, and close the memory that it corrects.

    A memory that is there already with the same text is a duplicate, and so is not stored again. A turn whose text, or
    anything whose id or whose source, was forgotten on request is not learnt again; saying it anew as a fact or a note
    lifts that. Raises `NotFoundError` and `ConflictError`.
    """
    there = find(connection, record.id)
    if there is not None:
        if there.record.text != record.text:
            raise ConflictError("Another memory has this id already.")
        return Addition(record.id, Outcome.DUPLICATE)
    if is_forgotten(connection, record):
        return Addition(record.id, Outcome.FORGOTTEN)
    connection.execute("DELETE FROM tombstone WHERE digest = ?", (digest_of(connection, record.text),))
    closed = following(connection, [_close(connection, corrects, record)]) if corrects else ()
    row = _row_from_record(record)
    insert = f"INSERT INTO memory ({COLUMNS}) VALUES (NULL{', ?' * len(row)}) RETURNING slot"
    slot: int = connection.execute(insert, row).fetchone()[0]
    return Addition(record.id, Outcome.STORED, StoredRecord(slot, record), closed)


def _close(connection: sqlite3.Connection, corrected_id: str, record: Record) -> StoredRecord:
    old = find(connection, corrected_id)
    if old is None:
        raise NotFoundError("There is no memory with the id that is to be corrected.")
    if old.record.superseded_by is not None:
        raise ConflictError("That memory has been corrected already; correct the newer one.")
    closed = replace(old.record, valid_to=record.created_at, superseded_by=record.id)
    connection.execute(
        "UPDATE memory SET valid_to_ms = ?, superseded_by = ? WHERE slot = ?",
        (milliseconds(record.created_at), record.id, old.slot),
    )
    return StoredRecord(old.slot, closed)


def forget(connection: sqlite3.Connection, memory_ids: Sequence[str], now: datetime) -> Removal:
    """Remove memories and their vectors and leave tombstones; all of them, or none and `NotFoundError`.

    What was derived from them goes too. A memory that a forgotten one had closed as its correction holds again.
    """
    found = [find(connection, memory_id) for memory_id in dict.fromkeys(memory_ids)]
    if unknown := sum(stored is None for stored in found):
        raise NotFoundError(f"Nothing was forgotten: {unknown} of the given ids belong to no memory.")
    removed = _with_derived(connection, [stored for stored in found if stored is not None])
    for stored in removed:
        tombstone = (stored.record.id, digest_of(connection, stored.record.text), milliseconds(now))
        connection.execute("INSERT OR REPLACE INTO tombstone VALUES (?, ?, ?)", tombstone)
    return Removal(removed, _remove(connection, removed))


def has_expired(connection: sqlite3.Connection, now: datetime) -> bool:
    """Return whether something was only to be kept until a moment that has passed."""
    query = f"SELECT 1 FROM memory {EXPIRED} LIMIT 1"
    return connection.execute(query, (milliseconds(now),)).fetchone() is not None


def purge_expired(connection: sqlite3.Connection, now: datetime) -> Removal:
    """Remove what was only to be kept until a moment that has passed, as if it had never been."""
    expired = _with_derived(connection, list(_records(connection, EXPIRED, (milliseconds(now),))))
    return Removal(expired, _remove(connection, expired))


def _remove(connection: sqlite3.Connection, removed: Sequence[StoredRecord]) -> tuple[StoredRecord, ...]:
    """Delete records, close the gaps in the chains of corrections, and return those whose links have changed."""
    newer_of = {stored.record.id: stored.record.superseded_by for stored in removed}
    relinked: list[StoredRecord] = []
    for stored in removed:
        newer = stored.record.superseded_by
        while newer in newer_of:
            newer = newer_of[newer]
        for old in tuple(_records(connection, "WHERE superseded_by = ?", (stored.record.id,))):
            if old.record.id not in newer_of:
                valid_to = old.record.valid_to if newer else None
                relinked.append(StoredRecord(old.slot, replace(old.record, valid_to=valid_to, superseded_by=newer)))
        connection.execute("DELETE FROM memory WHERE slot = ?", (stored.slot,))
        connection.execute(f"DELETE FROM derivation WHERE id = ?1 OR {DERIVED_FROM}", (stored.record.id,))
    connection.executemany(
        "UPDATE memory SET valid_to_ms = ?, superseded_by = ? WHERE slot = ?",
        [(_optional_milliseconds(old.record.valid_to), old.record.superseded_by, old.slot) for old in relinked],
    )
    return following(connection, relinked)


def derived(connection: sqlite3.Connection, memory_id: str) -> list[StoredRecord]:
    """Return the facts that were made of a memory."""
    return list(_records(connection, f"WHERE derived_from IS NOT NULL AND {DERIVED_FROM}", (memory_id,)))


def _with_derived(connection: sqlite3.Connection, records: Sequence[StoredRecord]) -> tuple[StoredRecord, ...]:
    """Return records, and behind them those that were derived from them."""
    found = {stored.slot: stored for stored in records}
    waiting = list(records)
    while waiting:
        for one in derived(connection, waiting.pop().record.id):
            if one.slot not in found:
                found[one.slot] = one
                waiting.append(one)
    return tuple(found.values())


def following(connection: sqlite3.Connection, changed: Sequence[StoredRecord]) -> tuple[StoredRecord, ...]:
    """Return records that were closed or hold again, and the facts derived from them, which hold as long as they do.

    A fact of several sources holds until the first of them does no longer.
    """
    facts = {fact.slot: fact for stored in changed for fact in derived(connection, stored.record.id)}
    followed = []
    for fact in facts.values():
        sources = [source for one in fact.record.derived_from if (source := find(connection, one))]
        ended = [(one.record.valid_to, one.record.superseded_by) for one in sources if one.record.valid_to]
        valid_to, superseded_by = min(ended, key=lambda end: end[0]) if ended else (None, None)
        if (valid_to, superseded_by) != (fact.record.valid_to, fact.record.superseded_by):
            connection.execute(
                "UPDATE memory SET valid_to_ms = ?, superseded_by = ? WHERE slot = ?",
                (_optional_milliseconds(valid_to), superseded_by, fact.slot),
            )
            record = replace(fact.record, valid_to=valid_to, superseded_by=superseded_by)
            followed.append(StoredRecord(fact.slot, record))
    return (*changed, *followed)


def find(connection: sqlite3.Connection, memory_id: str) -> StoredRecord | None:
    """Return the memory with this id, or None."""
    return next(_records(connection, "WHERE id = ?", (memory_id,)), None)


def is_there(connection: sqlite3.Connection, memory_id: str) -> bool:
    """Return whether there is a memory with this id."""
    return connection.execute("SELECT 1 FROM memory WHERE id = ?", (memory_id,)).fetchone() is not None


def by_slot(connection: sqlite3.Connection, slots: Sequence[int]) -> dict[int, Record]:
    """Return the records of these slots; slots that are gone are left out."""
    found: dict[int, Record] = {}
    for start in range(0, len(slots), IDS_A_QUERY):
        some = [int(slot) for slot in slots[start : start + IDS_A_QUERY]]
        where = f"WHERE slot IN ({', '.join('?' * len(some))})"
        found.update((stored.slot, stored.record) for stored in _records(connection, where, some))
    return found


def newest(connection: sqlite3.Connection, count: int) -> list[int]:
    """Return the slots of the `count` memories that were stored last, newest first."""
    rows = connection.execute("SELECT slot FROM memory ORDER BY slot DESC LIMIT ?", (count,))
    return [slot for (slot,) in rows]


def every(connection: sqlite3.Connection) -> Iterator[StoredRecord]:
    """Yield all memories, oldest slot first."""
    return _records(connection, "ORDER BY slot", ())


def after(connection: sqlite3.Connection, slot: int, count: int) -> list[StoredRecord]:
    """Return the first `count` memories behind a slot, oldest first."""
    return list(_records(connection, "WHERE slot > ? ORDER BY slot LIMIT ?", (slot, count)))


def past(connection: sqlite3.Connection) -> int:
    """Return how many memories hold no longer."""
    counted: int = connection.execute("SELECT count(*) FROM memory WHERE valid_to_ms IS NOT NULL").fetchone()[0]
    return counted


def total(connection: sqlite3.Connection) -> int:
    """Return how many memories there are."""
    counted: int = connection.execute("SELECT count(*) FROM memory").fetchone()[0]
    return counted


def unexamined(connection: sqlite3.Connection) -> Iterator[StoredRecord]:
    """Yield the memories in whose texts nobody has looked for secrets and instructions, oldest slot first."""
    return _records(connection, "WHERE secrets IS NULL ORDER BY slot", ())


def put_findings(connection: sqlite3.Connection, slot: int, record: Record) -> None:
    """Store what was found in the text of a memory."""
    found = (json.dumps(record.secrets), record.is_instruction, slot)
    connection.execute("UPDATE memory SET secrets = ?, is_instruction = ? WHERE slot = ?", found)


def said_before(connection: sqlite3.Connection, record: Record, slot: int = MAX_INTEGER) -> list[Record]:
    """Return the last turns of a record's session before `slot`, the last one first."""
    if record.session is None:
        return []
    tail = "WHERE session = ? AND slot < ? ORDER BY slot DESC LIMIT ?"
    return [stored.record for stored in _records(connection, tail, (record.session, slot, TURNS_BEFORE))]


def page(
    connection: sqlite3.Connection, filters: Filter, limit: int, cursor: str | None
) -> tuple[list[Record], str | None]:
    """Return up to `limit` memories, newest first, and the cursor of the next page or None at the end.

    A page ends early rather than outgrow a frame. Raises `InvalidRequestError` for a cursor that is none.
    """
    where, values = _where(filters)
    if cursor is not None:
        try:
            created_ms, slot = (int(part) for part in cursor.split("."))
            if max(abs(created_ms), abs(slot)) > MAX_INTEGER:
                raise ValueError("a number that SQLite cannot hold")
        except ValueError as error:
            raise InvalidRequestError("The field 'cursor' must be the next_cursor of an earlier page.") from error
        where += " AND (created_ms, slot) < (?, ?)"
        values += [created_ms, slot]
    order = "ORDER BY created_ms DESC, slot DESC LIMIT ?"
    found: list[StoredRecord] = []
    size = 0
    for stored in _records(connection, f"WHERE {where} {order}", [*values, limit + 1]):
        size += _size_in_frame(stored.record)
        if len(found) == limit or (found and size > MAX_FRAME_BYTES // 2):
            last = found[-1]
            return [one.record for one in found], f"{milliseconds(last.record.created_at)}.{last.slot}"
        found.append(stored)
    return [one.record for one in found], None


def _size_in_frame(record: Record) -> int:
    texts = (record.text, record.speaker, record.scope, record.session, record.area, record.source, record.tags)
    return len(json.dumps(texts, ensure_ascii=False).encode()) + PAGE_OVERHEAD_BYTES


def count(connection: sqlite3.Connection, filters: Filter) -> int:
    """Return how many memories the filters let through."""
    where, values = _where(filters)
    total: int = connection.execute(f"SELECT count(*) FROM memory WHERE {where}", values).fetchone()[0]
    return total


def overview(connection: sqlite3.Connection, limit: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the first `limit` of the scopes, and of the speakers, of all memories, by the alphabet."""
    pairs = connection.execute("SELECT DISTINCT scope, speaker FROM memory").fetchall()  # one pass over the table
    scopes = sorted({scope for scope, _ in pairs})
    speakers = sorted({speaker for _, speaker in pairs if speaker is not None})
    return tuple(scopes[:limit]), tuple(speakers[:limit])


def instance_id(connection: sqlite3.Connection) -> str:
    """Return the name of this database, made when it was made. Raises `ValueError` if it has lost it, or its key."""
    _property(connection, "digest_key")
    return _property(connection, "instance").decode("ascii")


def _where(filters: Filter) -> tuple[str, list[Any]]:
    clauses = ["(expires_ms IS NULL OR expires_ms > ?)"]
    values: list[Any] = [filters.now_ms]
    if filters.scopes:
        clauses.append(f"scope IN ({', '.join('?' * len(filters.scopes))})")
        values += filters.scopes
    if filters.kind is not None:
        clauses.append("kind = ?")
        values.append(filters.kind.value)
    if filters.session is not None:
        clauses.append("session = ?")
        values.append(filters.session)
    if filters.speaker is not None:
        clauses.append("speaker = ?")
        values.append(filters.speaker)
    if not filters.include_past:
        clauses.append("valid_to_ms IS NULL")
    if filters.history_of is not None:
        clauses.append(HISTORY)
        values.append(filters.history_of)
    return " AND ".join(clauses), values


def is_forgotten(connection: sqlite3.Connection, record: Record) -> bool:
    """Return whether this was forgotten on request, so that it is not learnt again."""
    ids = (record.id, *record.derived_from)
    marks = ", ".join("?" * len(ids))
    if connection.execute(f"SELECT 1 FROM tombstone WHERE id IN ({marks})", ids).fetchone():
        return True
    digest = digest_of(connection, record.text)
    same_text = connection.execute("SELECT 1 FROM tombstone WHERE digest = ?", (digest,)).fetchone()
    return (record.kind is Kind.TURN or record.derived_from != ()) and same_text is not None


def digest_of(connection: sqlite3.Connection, text: str) -> bytes:
    """Return what is left of a text: keyed, so that alone it does not give away a short text by trying."""
    normalized = " ".join(text.casefold().split())
    return hmac.new(_property(connection, "digest_key"), normalized.encode(), hashlib.sha256).digest()


def _property(connection: sqlite3.Connection, name: str) -> bytes:
    row: tuple[bytes] | None = connection.execute("SELECT value FROM property WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise ValueError(f"no property of the database is named {name}")
    return row[0]


def _records(connection: sqlite3.Connection, tail: str, values: Iterable[Any]) -> Iterator[StoredRecord]:
    rows = connection.execute(f"SELECT {COLUMNS} FROM memory {tail}", tuple(values))
    return (StoredRecord(row[0], _record_from_row(row)) for row in rows)


def _record_from_row(row: Sequence[Any]) -> Record:
    offset = row[12]
    return Record(
        id=row[1],
        text=row[2],
        kind=Kind(row[3]),
        speaker=row[4],
        scope=row[5],
        session=row[6],
        area=row[7],
        source=row[8],
        language=row[9],
        tags=tuple(json.loads(row[10])),
        created_at=moment(row[11], offset),
        valid_from=_optional_moment(row[13], offset),
        valid_to=_optional_moment(row[14], offset),
        superseded_by=row[15],
        expires_at=_optional_moment(row[16], offset),
        secrets=tuple((int(start), int(end)) for start, end in json.loads(row[17] or "[]")),
        is_instruction=bool(row[18]),
        derived_from=tuple(json.loads(row[19] or "[]")),
        windows=row[20],
    )


def _row_from_record(record: Record) -> tuple[Any, ...]:
    offset = record.created_at.utcoffset()
    return (
        record.id,
        record.text,
        record.kind.value,
        record.speaker,
        record.scope,
        record.session,
        record.area,
        record.source,
        record.language,
        json.dumps(record.tags, ensure_ascii=False),
        milliseconds(record.created_at),
        round(offset.total_seconds()) if offset else 0,
        _optional_milliseconds(record.valid_from),
        _optional_milliseconds(record.valid_to),
        record.superseded_by,
        _optional_milliseconds(record.expires_at),
        json.dumps(record.secrets),
        record.is_instruction,
        json.dumps(record.derived_from) if record.derived_from else None,
        record.windows,
    )


def _optional_moment(ms: int | None, utc_offset_seconds: int) -> datetime | None:
    return None if ms is None else moment(ms, utc_offset_seconds)


def _optional_milliseconds(value: datetime | None) -> int | None:
    return None if value is None else milliseconds(value)
