"""What the words of a question have found in a large memory: the scores of the rows that hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.intp]
Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Late:
    """A word that very many rows hold: it is not looked for, but counted for the rows that other words have found.

    `rows` are ascending, `shares` are uint8 [len(rows)], and `values` what each share is worth, float32 [256].
    """

    rows: NDArray[np.uint32]
    shares: NDArray[np.uint8]
    values: Scores

    def at(self, rows: Rows) -> Scores:
        """Return what the word adds to each of `rows`."""
        place = np.searchsorted(self.rows, rows.astype(np.uint32))
        place[place == len(self.rows)] = 0
        found: Scores = np.where(self.rows[place] == rows, self.values[self.shares[place]], np.float32(0))
        return found


class Hits:
    """The normalized lexical score of every row, less what the `late` words add; and which rows have one."""

    def __init__(
        self,
        scores: Scores,
        found: Sequence[NDArray[np.uint32]],
        late: Sequence[Late],
        other: Hits | None = None,
    ) -> None:
        """`found` are the rows of each word that was looked for; `scores` is float32 [n].

        With `other` hits each row has the better score of both.
        """
        self._other = other
        self._scores = scores
        self._found = found
        self._late = late
        self._best: dict[int, Rows] = {}

    @classmethod
    def of(cls, scores: Scores) -> Hits:
        """Return scores of all rows as hits."""
        return cls(scores, [np.flatnonzero(scores).astype(np.uint32)], ())

    def or_better(self, other: Hits) -> Hits:
        """Return the hits of both, each row with the better score."""
        return Hits(self._scores, self._found, self._late, other)

    def all(self) -> Scores:
        """Return the score of every row, float32 [n]."""
        return self.at(np.arange(len(self._scores)))

    def at(self, rows: Rows) -> Scores:
        """Return the score of each of `rows`, float32 [len(rows)]; those added since the search have none."""
        known = rows < len(self._scores)
        scores = self._scores[np.where(known, rows, 0)] * known if not known.all() else self._scores[rows]
        for late in self._late:
            scores = scores + late.at(rows)
        return scores if self._other is None else np.maximum(scores, self._other.at(rows))

    @property
    def most(self) -> int:
        """How many rows may have been found, those found twice counted twice."""
        return sum(map(len, self._found)) + (self._other.most if self._other is not None else 0)

    def best(self, count: int) -> Rows:
        """Return about `count` rows with the largest scores: more where some are equal, fewer where fewer have one.

        They are kept for when they are asked for again.
        """
        if count not in self._best:
            own = self._own_best(count)
            self._best[count] = own if self._other is None else np.union1d(own, self._other.best(count))
        return self._best[count]

    def _own_best(self, count: int) -> Rows:
        if not self._found:
            return np.zeros(0, np.intp)
        rows = np.concatenate(self._found)
        if len(rows) > count:
            scores = self._scores[rows]
            least = np.partition(scores, len(scores) - count)[len(scores) - count]
            rows = rows[scores >= least] if least > scores.min() else rows[np.argpartition(-scores, count)[:count]]
        return np.unique(rows).astype(np.intp)
