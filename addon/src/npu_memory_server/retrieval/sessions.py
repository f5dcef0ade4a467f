"""Who spoke in which session before whom: the links between turns, and what a good turn gives to those around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .growing import GrowingArray
from .weights import Weights

Rows = NDArray[np.intp]
Columns = Mapping[str, NDArray[Any]]
Scores = NDArray[np.float32]

NONE = -1
BEST_OF_A_SESSION = 3


class Sessions:
    """The turn before and after each row in its session. Not thread-safe: one thread reads and writes."""

    def __init__(self) -> None:
        """Make an empty list."""
        self._session: GrowingArray[np.int32] = GrowingArray(np.int32)
        self._before: GrowingArray[np.int32] = GrowingArray(np.int32)
        self._after: GrowingArray[np.int32] = GrowingArray(np.int32)
        self._asks: GrowingArray[np.bool_] = GrowingArray(np.bool_)
        self._numbers: dict[int, int] = {}
        self._last: GrowingArray[np.int32] = GrowingArray(np.int32)

    @classmethod
    def restored(cls, columns: Columns, digests: NDArray[np.uint64], alive: NDArray[np.bool_]) -> Sessions:
        """Return the sessions as they were saved: columns, the digest of each session, and the rows that are there."""
        sessions = cls()
        session = np.where(alive, columns["session"], NONE).astype(np.int32)
        before, after = np.full(len(session), NONE, np.int32), np.full(len(session), NONE, np.int32)
        last = np.full(len(digests), NONE, np.int32)
        in_order = np.argsort(session, kind="stable")
        in_order = in_order[session[in_order] != NONE]
        next_to = session[in_order[1:]] == session[in_order[:-1]]
        before[in_order[1:][next_to]] = in_order[:-1][next_to]
        after[in_order[:-1][next_to]] = in_order[1:][next_to]
        ends = np.append(~next_to, True)[: len(in_order)]
        last[session[in_order[ends]]] = in_order[ends]
        sessions._session, sessions._asks = GrowingArray.of(session), GrowingArray.of(columns["asks"].copy())
        sessions._before, sessions._after = GrowingArray.of(before), GrowingArray.of(after)
        sessions._numbers = {digest: number for number, digest in enumerate(digests.tolist())}
        sessions._last = GrowingArray.of(last)
        return sessions

    def columns(self) -> dict[str, GrowingArray[Any]]:
        """Return what is to be saved of the rows, by name; the rest follows from it."""
        return {"session": self._session, "asks": self._asks}

    def digests(self) -> NDArray[np.uint64]:
        """Return what stands for each session, [sessions]."""
        return np.fromiter(self._numbers, np.uint64, len(self._numbers))

    def add(self, session: str | None, *, asks: bool) -> None:
        """Add a row, in the order of the talk; `asks` says that it is a question."""
        row = len(self._session)
        before = NONE
        number = NONE
        if session is not None:
            number = self._numbers.setdefault(_digest(session), len(self._numbers))
            if number == len(self._last):
                self._last.append(NONE)
            before = int(self._last.values[number])
            self._last.values[number] = row
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
        elif number != NONE:
            self._last.values[number] = before
        self._session.values[row] = NONE
        self._before.values[row] = NONE
        self._after.values[row] = NONE

    def neighbor(self, row: int, *, after: bool) -> int | None:
        """Return the row of the turn after one, or else of the one before it."""
        other = int((self._after if after else self._before).values[row])
        return None if other == NONE else other

    def has(self, session: str | None, rows: Rows) -> NDArray[np.bool_]:
        """Return whether each of `rows` belongs to a session."""
        number = NONE if session is None else self._numbers.get(_digest(session), NONE)
        if number == NONE:
            return np.zeros(len(rows), np.bool_)
        belongs: NDArray[np.bool_] = self._session.values[rows] == number
        return belongs

    def rows_of(self, session: str | None) -> Rows:
        """Return the rows of a session."""
        number = NONE if session is None else self._numbers.get(_digest(session), NONE)
        return np.flatnonzero(self._session.values == number) if number != NONE else np.empty(0, np.intp)

    def before(self, rows: Rows) -> Rows:
        """Return for each of `rows` the row of the turn before it in its session, or `NONE`; `NONE` has none."""
        before: Rows = np.where(rows == NONE, NONE, self._before.values[rows]).astype(np.intp)
        return before

    def asks(self, rows: Rows) -> NDArray[np.bool_]:
        """Return whether each of `rows` is a question; `NONE` is none."""
        asks: NDArray[np.bool_] = (rows != NONE) & self._asks.values[rows]
        return asks

    def gains(
        self, rows: Rows, scores: Scores, scores_of: Callable[[Rows], Scores], weights: Weights
    ) -> dict[str, Scores]:
        """Return what `rows` gain from the turns before them and from their session, each float32 [len(rows)].

        `scores` are theirs, float32 [len(rows)]; `scores_of` returns those of any rows.
        """
        gained = np.zeros(len(rows), np.float32)
        before = self._before.values[rows]
        follows = (before != NONE).nonzero()[0]
        if len(follows):
            before = before[follows]
            asks = self._asks.values[before]
            share = np.where(asks, np.float32(weights.after_question), np.float32(weights.after_turn))
            gained[follows] = _over(scores_of(before), weights) * share
        return {"turn before": gained, "session": self._session_gains(rows, _over(scores, weights), weights)}

    def _session_gains(self, rows: Rows, over: Scores, weights: Weights) -> Scores:
        sessions = self._session.values[rows]
        order = np.lexsort((-over, sessions))
        ordered = sessions[order]
        first = ordered.searchsorted(ordered)
        place = np.arange(len(order)) - first
        counts = (place < BEST_OF_A_SESSION) & (ordered != NONE)
        sums = np.bincount(first[counts], over[order][counts], len(order))
        gains = np.zeros(len(rows), np.float32)
        gains[order] = sums[first] * (weights.session / BEST_OF_A_SESSION)
        return gains


def _over(scores: Scores, weights: Weights) -> Scores:
    over: Scores = np.maximum(scores - np.float32(weights.carried_from), 0)
    return over


def _digest(session: str) -> int:
    """Stands for the name of a session, which may be long and is nobody's business in a saved index."""
    return int.from_bytes(hashlib.blake2b(session.encode(errors="replace"), digest_size=8).digest(), "little")
