"""Who spoke in which session before whom: the links between turns, and what a good turn gives to those around it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .growing import GrowingArray
from .weights import Weights

Rows = NDArray[np.intp]
Scores = NDArray[np.float32]

NONE = -1
BEST_OF_A_SESSION = 3


class Sessions:
    """The turn before and after each row in its session. Not thread-safe: one thread reads and writes."""

    def __init__(self) -> None:
        """Make an empty list."""
        self._session: GrowingArray[np.int32] = GrowingArray(np.int32)
        self._before: GrowingArray[np.int64] = GrowingArray(np.int64)
        self._after: GrowingArray[np.int64] = GrowingArray(np.int64)
        self._asks: GrowingArray[np.bool_] = GrowingArray(np.bool_)
        self._numbers: dict[str, int] = {}
        self._last: dict[int, int] = {}

    def add(self, session: str | None, *, asks: bool) -> None:
        """Add a row, in the order of the talk; `asks` says that it is a question."""
        row = len(self._session)
        before = NONE
        number = NONE
        if session is not None:
            number = self._numbers.setdefault(session, len(self._numbers))
            before = self._last.get(number, NONE)
            self._last[number] = row
            if before != NONE:
                self._after.values[before] = row
        self._session.append(number)
        self._before.append(before)
        self._after.append(NONE)
        self._asks.append(asks)

    def remove(self, row: int) -> None:
        """Take a row out of its session; those around it become neighbors."""
        before, after = int(self._before.values[row]), int(self._after.values[row])
        number = int(self._session.values[row])
        if before != NONE:
            self._after.values[before] = after
        if after != NONE:
            self._before.values[after] = before
        elif before != NONE:
            self._last[number] = before
        else:
            self._last.pop(number, None)
        self._session.values[row] = NONE
        self._before.values[row] = NONE
        self._after.values[row] = NONE

    def around(self, row: int) -> tuple[int | None, int | None]:
        """Return the rows of the turns before and after one."""
        before, after = int(self._before.values[row]), int(self._after.values[row])
        return None if before == NONE else before, None if after == NONE else after

    def before(self, rows: Rows) -> Rows:
        """Return for each of `rows` the row of the turn before it in its session, or `NONE`; `NONE` has none."""
        before: Rows = np.where(rows == NONE, NONE, self._before.values[rows])
        return before

    def asks(self, rows: Rows) -> NDArray[np.bool_]:
        """Return whether each of `rows` is a question; `NONE` is none."""
        asks: NDArray[np.bool_] = (rows != NONE) & self._asks.values[rows]
        return asks

    def gains(self, rows: Rows, scores: Scores, weights: Weights) -> dict[str, Scores]:
        """Return what `rows` gain from the turns before them and from their session, each float32 [len(rows)].

        `scores` are those of all rows, float32 [n].
        """
        over = np.maximum(scores - np.float32(weights.carried_from), 0)
        before = self.before(rows)
        share = np.where(self.asks(before), np.float32(weights.after_question), np.float32(weights.after_turn))
        return {
            "turn before": np.where(before == NONE, np.float32(0), over[before] * share),
            "session": self._session_gains(rows, over[rows], weights),
        }

    def _session_gains(self, rows: Rows, over: Scores, weights: Weights) -> Scores:
        sessions = self._session.values[rows]
        order = np.lexsort((-over, sessions))
        ordered = sessions[order]
        first = np.searchsorted(ordered, ordered)
        place = np.arange(len(order)) - first
        counts = (place < BEST_OF_A_SESSION) & (ordered != NONE)
        sums = np.bincount(first[counts], over[order][counts], len(order))
        gains = np.zeros(len(rows), np.float32)
        gains[order] = sums[first] * (weights.session / BEST_OF_A_SESSION)
        return gains
