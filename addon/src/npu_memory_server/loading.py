"""From the database to indexes at the start, and the check that both still say the same."""

from __future__ import annotations

from collections.abc import Sequence, Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
import sqlite3

from . import saving
from .context.examining import examined
from .embedding.base import Embedder
from .embedding.fingerprints import space_of
from .embedding.projection import REDUCED
from .records import indexed_text, milliseconds
from .retrieval.retriever import Indexed, Retriever
from .retrieval.weights import Weights
from .saving import Reached
from .store import changes, memories, vectors
from .store.database import (
    close_untouched,
    damaged,
    integrity_faults,
    open_database,
    open_reader,
    storage_errors,
    truncate_log,
)
from .store.memories import StoredRecord
from .store.token_files import TokenFiles


@dataclass(frozen=True, slots=True)
class Loaded:
    """The connections to a database, the indexes of what is in it, its name, and the number of the embedder in it.

    `reader` is for questions alone, `background` for everything else that reads. `reached` says how far
    the indexes go: making those of a large memory takes too long to wait for. `comparable` are the numbers of all
    embedders whose vectors may be compared with those of this one, its own among them; `unembedded` are the slots that
    have no vector of its own yet.
    """

    connection: sqlite3.Connection
    reader: sqlite3.Connection
    background: sqlite3.Connection
    retriever: Retriever
    tokens: TokenFiles
    instance: str
    embedder_number: int
    comparable: tuple[int, ...]
    reached: Reached
    unembedded: list[int]


def load(path: Path, embedder: Embedder, weights: Weights | None = None) -> Loaded:
    """Open the database at `path` with the indexes of it, built anew or as they were saved, to be found with `weights`.

    Raises `StorageError`.
    """
    connection = open_database(path)
    opened = [connection]
    try:
        with storage_errors(f"The database {path} could not be read"):
            # Committed when everything has been read: a database that is refused is left as it was.
            connection.execute("BEGIN IMMEDIATE")
            instance = memories.instance_id(connection)
            expired = memories.purge_expired(connection, datetime.now(UTC)).removed
            number = vectors.embedder_number(connection, embedder.fingerprint)
            space = space_of(embedder.fingerprint)
            known = vectors.embedders(connection).items()
            comparable = tuple(number for name, number in known if space_of(name) == space)
            for one in list(memories.unexamined(connection)):
                before = memories.said_before(connection, one.record, one.slot)
                memories.put_findings(connection, one.slot, examined(one.record, before))
            reader = open_reader(path)
            opened.append(reader)
            background = open_reader(path)
            opened.append(background)
            tokens = TokenFiles(path.parent, reader, (space, comparable), REDUCED)
            tokens.open(connection)
            name = None
            if memories.total(connection) < saving.LARGE:
                changes.start_anew(connection)
                retriever = Retriever(embedder.dimensions, tokens.fetch, weights)
                for stored in memories.every(connection):
                    retriever.add(indexed(stored))
                for slot, vector in vectors.every(connection, comparable, embedder.dimensions):
                    retriever.put_vector(slot, vector)
                reached = Reached(changes.newest(connection))
            else:
                name = changes.saved_name(connection)
                restored = saving.restore(path.parent, name, embedder.fingerprint, tokens.fetch, weights)
                newest = changes.newest(connection)
                if restored is not None and restored[1].change <= newest:
                    retriever, reached = restored
                else:
                    retriever, reached = Retriever(embedder.dimensions, tokens.fetch, weights), Reached(newest, 0)
            unembedded = vectors.missing(connection, number)
            connection.execute("COMMIT")
            saving.remove_others(path.parent, name)
            tokens.remove_others()
            tokens.erase_gone(connection)
            if expired:
                truncate_log(connection)
        return Loaded(
            connection, reader, background, retriever, tokens, instance, number, comparable, reached, unembedded
        )
    except (ValueError, OverflowError) as error:
        close_untouched(path, opened)
        raise damaged(path, "a memory in it cannot be read") from error
    except BaseException:
        close_untouched(path, opened)
        raise


def indexed(stored: StoredRecord) -> Indexed:
    """Return what the indexes have to know of a stored memory."""
    record = stored.record
    return Indexed(
        slot=stored.slot,
        text=indexed_text(record),
        said=record.text,
        language=record.language,
        scope=record.scope,
        speaker=record.speaker,
        session=record.session,
        created_ms=milliseconds(record.created_at),
        expires_ms=milliseconds(record.expires_at) if record.expires_at else None,
        current=record.valid_to is None,
    )


def faults(
    reader: sqlite3.Connection, retriever: Retriever, comparable: Sequence[int], pending: AbstractSet[int]
) -> list[str]:
    """Return what is wrong: pages of the database, and memories or vectors that the indexes lack or have too many of.

    The vectors of `comparable` embedders are those that belong in the indexes.
    The vectors of `pending` slots are on their way: they may be in one and not yet in the other.
    """
    found = [f"database: {line}" for line in integrity_faults(reader, quick=False)]
    stored = {row[0] for row in reader.execute("SELECT slot FROM memory")}
    if missing := len(stored - retriever.slots()):
        found.append(f"indexes: {missing} memories of the database are not indexed")
    if extra := len(retriever.slots() - stored):
        found.append(f"indexes: {extra} indexed memories are not in the database")
    embedded = vectors.slots_with_vector(reader, comparable)
    with_vector = retriever.slots() - set(retriever.slots_without_vector())
    if unequal := len((embedded ^ with_vector) - pending):
        found.append(f"indexes: {unequal} vectors are in only one of database and index")
    return found
