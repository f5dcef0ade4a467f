"""The vectors beside their memories, and which embedder made them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import sqlite3

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]


def embedder_number(connection: sqlite3.Connection, fingerprint: str) -> int:
    """Return the number that stands for an embedder in this database, a new one for a new fingerprint."""
    connection.execute("INSERT OR IGNORE INTO embedder (fingerprint) VALUES (?)", (fingerprint,))
    row = connection.execute("SELECT number FROM embedder WHERE fingerprint = ?", (fingerprint,)).fetchone()
    number: int = row[0]
    return number


def put(connection: sqlite3.Connection, embedder: int, vectors: Sequence[tuple[int, Vector]]) -> None:
    """Store vectors (`slot`, float32 [d]) in place of older ones; those whose memory is gone meanwhile are dropped."""
    connection.executemany(
        "INSERT OR REPLACE INTO vector SELECT slot, ?, ? FROM memory WHERE slot = ?",
        [(embedder, vector.astype("<f4").tobytes(), slot) for slot, vector in vectors],
    )


def every(connection: sqlite3.Connection, embedder: int, dimensions: int) -> Iterator[tuple[int, Vector]]:
    """Yield (`slot`, float32 [dimensions]) of all vectors that this embedder made and that have its dimensions."""
    rows = connection.execute("SELECT slot, vector FROM vector WHERE embedder = ? ORDER BY slot", (embedder,))
    return ((slot, np.frombuffer(blob, "<f4")) for slot, blob in rows if len(blob) == dimensions * 4)
