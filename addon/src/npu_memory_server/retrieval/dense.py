"""The dense leg: exact cosine over float32 vectors, which is the fastest way up to some ten thousand memories."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .growing import GrowingArray

FEW = 3
"""Where fewer than one row in so many has a vector, those are picked out: the others need not be read to score 0."""


class VectorIndex:
    """Vectors by row, L2-normalized; a row without one scores 0. Not thread-safe: one thread searches and writes."""

    def __init__(self, dimensions: int) -> None:
        """Make an empty index."""
        self._vectors: GrowingArray[np.float32] = GrowingArray(np.float32, dimensions)
        self._present: GrowingArray[np.bool_] = GrowingArray(np.bool_)
        self._empty = np.zeros(dimensions, np.float32)

    def __len__(self) -> int:
        """Return the number of rows, with or without a vector."""
        return len(self._vectors)

    def add(self) -> int:
        """Add a row that has no vector yet and return it."""
        self._vectors.append(self._empty)
        self._present.append(False)
        return len(self._vectors) - 1

    def put(self, row: int, vector: NDArray[np.float32]) -> None:
        """Give a row its vector, float32 [d], L2-normalized; one that is not finite is none."""
        if np.isfinite(vector).all():
            self._vectors.values[row] = vector
            self._present.values[row] = True

    def remove(self, row: int) -> None:
        """Take the vector of a row away."""
        self._vectors.values[row] = 0
        self._present.values[row] = False

    @property
    def embedded(self) -> NDArray[np.bool_]:
        """Whether each row has a vector, bool [n]."""
        return self._present.values

    def present(self, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Return whether each of `rows` has a vector, bool [len(rows)]."""
        there: NDArray[np.bool_] = self._present.values[rows]
        return there

    def missing(self) -> NDArray[np.intp]:
        """Return the rows that have no vector."""
        return np.flatnonzero(~self._present.values)

    def of(self, row: int) -> NDArray[np.float32] | None:
        """Return the vector of a row, float32 [d], or None if it has none."""
        return self._vectors.values[row] if self._present.values[row] else None

    def at(self, rows: NDArray[np.intp], query: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the cosine of each of `rows` with `query` (float32 [d], L2-normalized), float32 [len(rows)]."""
        cosines: NDArray[np.float32] = self._vectors.values[rows] @ query
        return cosines

    @property
    def vectors(self) -> NDArray[np.float32]:
        """The vector of every row, float32 [n, d]; zeros where there is none."""
        return self._vectors.values

    def scores(self, query: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the cosine of every row with `query` (float32 [d], L2-normalized), float32 [n]."""
        present = self._present.values
        if np.count_nonzero(present) * FEW >= len(present):
            cosines: NDArray[np.float32] = self._vectors.values @ query
            return cosines
        rows = np.flatnonzero(present)
        cosines = np.zeros(len(present), np.float32)
        cosines[rows] = self.at(rows, query)
        return cosines
