"""The vectors beside their memories, and which embedder made them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
import sqlite3

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
TokenVectors = NDArray[np.int8]

SLOTS_A_QUERY = 500


@dataclass(frozen=True, slots=True, eq=False)
class StoredVector:
    """The vector of a memory, float32 [d], and those of its tokens, int8 [tokens, reduced].

    windows: in how many overlapping windows the text was read; the vector is their mean.
    """

    slot: int
    vector: Vector
    tokens: TokenVectors
    windows: int = 1


def embedder_number(connection: sqlite3.Connection, fingerprint: str) -> int:
    """Return the number that stands for an embedder in this database, a new one for a new fingerprint."""
    connection.execute("INSERT OR IGNORE INTO embedder (fingerprint) VALUES (?)", (fingerprint,))
    row = connection.execute("SELECT number FROM embedder WHERE fingerprint = ?", (fingerprint,)).fetchone()
    number: int = row[0]
    return number


def embedders(connection: sqlite3.Connection) -> Mapping[str, int]:
    """Return the fingerprints of all embedders that this database has seen, with their numbers."""
    return dict(connection.execute("SELECT fingerprint, number FROM embedder").fetchall())


def put(connection: sqlite3.Connection, embedder: int, vectors: Sequence[StoredVector]) -> None:
    """Store vectors in place of older ones, and in how many windows a long text was read.

    Those whose memory is gone meanwhile are dropped.
    """
    connection.executemany(
        "INSERT OR REPLACE INTO vector (slot, embedder, vector, tokens) "
        "SELECT slot, ?, ?, ? FROM memory WHERE slot = ?",
        [(embedder, one.vector.astype("<f4").tobytes(), one.tokens.tobytes(), one.slot) for one in vectors],
    )
    # Nothing is written for the many that were read at once, and are known to have been.
    connection.executemany(
        "UPDATE memory SET windows = ? WHERE slot = ? AND windows IS NOT ?",
        [(windows, one.slot, windows) for one in vectors for windows in (one.windows if one.windows > 1 else None,)],
    )


def every(connection: sqlite3.Connection, embedders: Sequence[int], dimensions: int) -> Iterator[tuple[int, Vector]]:
    """Yield (`slot`, float32 [dimensions]) of all vectors that these embedders made and that have the dimensions."""
    rows = connection.execute(f"SELECT slot, vector FROM vector WHERE {_made_by(embedders)} ORDER BY slot", embedders)
    return ((slot, np.frombuffer(blob, "<f4")) for slot, blob in rows if len(blob) == dimensions * 4)


def by_slot(
    connection: sqlite3.Connection, embedders: Sequence[int], dimensions: int, slots: Sequence[int]
) -> Iterator[tuple[int, Vector]]:
    """Yield what `every` yields, for some slots."""
    for start in range(0, len(slots), SLOTS_A_QUERY):
        some = [int(slot) for slot in slots[start : start + SLOTS_A_QUERY]]
        rows = connection.execute(
            f"SELECT slot, vector FROM vector WHERE slot IN ({', '.join('?' * len(some))}) AND {_made_by(embedders)}",
            (*some, *embedders),
        )
        for slot, blob in rows:
            if len(blob) == dimensions * 4:
                yield slot, np.frombuffer(blob, "<f4")


def missing(connection: sqlite3.Connection, embedder: int) -> list[int]:
    """Return the slots of the memories that have no vector of this embedder, oldest first."""
    made = connection.execute("SELECT count(*) FROM vector WHERE embedder = ? AND tokens IS NOT NULL", (embedder,))
    everything = connection.execute("SELECT count(*) FROM memory")
    if made.fetchone()[0] == everything.fetchone()[0]:
        return []
    rows = connection.execute(
        "SELECT slot FROM memory WHERE slot NOT IN "
        "(SELECT slot FROM vector WHERE embedder = ? AND tokens IS NOT NULL) ORDER BY slot",
        (embedder,),
    )
    return [row[0] for row in rows]


def slots_with_vector(connection: sqlite3.Connection, embedders: Sequence[int]) -> set[int]:
    """Return the slots of the memories that have a vector of one of these embedders."""
    return {row[0] for row in connection.execute(f"SELECT slot FROM vector WHERE {_made_by(embedders)}", embedders)}


def tokens(connection: sqlite3.Connection, slots: Sequence[int], embedders: Sequence[int], reduced: int) -> list[bytes]:
    """Return the token vectors of each of these slots, int8 [tokens, reduced], that one of these embedders made.

    They are empty where there are none, or where they are in a file.
    """
    found: dict[int, bytes | None] = {}
    for start in range(0, len(slots), SLOTS_A_QUERY):
        some = slots[start : start + SLOTS_A_QUERY]
        query = (
            f"SELECT slot, tokens FROM vector WHERE slot IN ({', '.join('?' * len(some))}) AND {_made_by(embedders)}"
        )
        found.update(connection.execute(query, (*some, *embedders)))
    return [blob if blob and len(blob) % reduced == 0 else b"" for blob in map(found.get, slots)]


def _made_by(embedders: Sequence[int]) -> str:
    return f"embedder IN ({', '.join('?' * len(embedders))})"
