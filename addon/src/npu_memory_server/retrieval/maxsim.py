"""The reranker that needs no second model: each token of the question looks for its like in a memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.intp]
Counts = NDArray[np.intp]
TokenVectors = NDArray[np.int8]
QuestionTokens = NDArray[np.float32]
Fetch = Callable[[NDArray[np.int64]], tuple[TokenVectors, Counts]]
"""Returns the token vectors of some slots one behind the other, int8 [tokens, reduced], and how many each has."""

RERANKED = 48
"""Candidates, unless more memories are asked for. With 64 no figure of three households and of LoCoMo is better; with
40 some are worse by a tenth of a point, with 32 by a third."""
MAX_KEPT = 196_608
"""Token vectors that are kept at hand: those of about 8 000 memories, 25 MB."""
SCALE = 127
"""The length of a token vector of a memory. Those of a question have length 1 and are not rounded: rounded, they would
move with every change in the last digit of the embedder, and with them the places of all memories."""
AT_ONCE = 512
"""Token vectors that are compared at once: as many as stay in the processor's cache when they are widened."""

UNCOVERED = -1
"""The lowest cosine there is."""
UNKNOWN = -1


class TokenVectorCache:
    """Token vectors by row, fetched when they are missing. Not thread-safe: one thread uses it."""

    def __init__(self, fetch: Fetch) -> None:
        """Begin with nothing kept."""
        self._fetch = fetch
        self._kept: TokenVectors = np.empty((0, 0), np.int8)
        self._used = 0
        self._starts = np.empty(0, np.int32)
        self._counts = np.empty(0, np.int32)

    def get(self, rows: Rows, slots: NDArray[np.int64]) -> tuple[TokenVectors, Counts]:
        """Return the token vectors of rows, whose slots are these, one behind the other; and how many each has."""
        if len(rows) and (most := int(rows.max())) >= len(self._starts):
            more = most + 1 + most // 2 - len(self._starts)
            self._starts = np.concatenate([self._starts, np.full(more, UNKNOWN, np.int32)])
            self._counts = np.concatenate([self._counts, np.zeros(more, np.int32)])
        missing = self._starts[rows] == UNKNOWN
        if missing.any():
            fetched, counts = self._fetch(slots[missing])
            if self._used + len(fetched) > MAX_KEPT and not missing.all():
                # Rather begin anew than keep the order in which they were asked for: that happens once in many times.
                self._starts.fill(UNKNOWN)
                return self.get(rows, slots)
            self._keep(rows[missing], fetched, counts)
            if missing.all():
                return fetched, counts
        counts = self._counts[rows].astype(np.intp)
        ends = np.cumsum(counts)
        places = np.repeat(self._starts[rows] - ends + counts, counts) + np.arange(int(ends[-1]) if len(ends) else 0)
        return self._kept.take(places, axis=0), counts

    def discard(self, row: int) -> None:
        """Let go of a memory that is gone or was embedded anew."""
        if row < len(self._starts) and self._starts[row] != UNKNOWN:
            start = self._starts[row]
            self._kept[start : start + self._counts[row]] = 0
            self._starts[row] = UNKNOWN

    def _keep(self, rows: Rows, fetched: TokenVectors, counts: Counts) -> None:
        if self._used + len(fetched) > MAX_KEPT:
            self._starts.fill(UNKNOWN)
            self._used = 0
        end = self._used + len(fetched)
        if end > len(self._kept):
            grown = np.empty((max(end, min(2 * end, MAX_KEPT)), fetched.shape[1]), np.int8)
            if self._used:
                grown[: self._used] = self._kept[: self._used]
            self._kept = grown
        if len(fetched):
            self._kept[self._used : end] = fetched
        self._starts[rows] = self._used + np.cumsum(counts) - counts
        self._counts[rows] = counts
        self._used = end


def coverage(question: QuestionTokens, tokens: TokenVectors, counts: Counts) -> NDArray[np.float32]:
    """Return the best cosine of each token of a question in each memory, float32 [n, m]; -1 where a memory has none.

    `question` is float32 [m, reduced], of length 1; `tokens` are those of all memories one behind the other, int8
    [tokens, reduced], `counts` how many of them each has, [n].
    """
    covered = np.full((len(counts), len(question)), UNCOVERED, np.float32)
    if len(tokens) and len(question):
        cosines = np.empty((len(tokens), len(question)), np.float32)
        wide = np.empty((min(AT_ONCE, len(tokens)), tokens.shape[1]), np.float32)
        unit = question.T / SCALE
        for start in range(0, len(tokens), AT_ONCE):
            some = tokens[start : start + AT_ONCE]
            wide[: len(some)] = some
            np.matmul(wide[: len(some)], unit, out=cosines[start : start + AT_ONCE])
        present = counts > 0
        covered[present] = np.maximum.reduceat(cosines, (np.cumsum(counts) - counts)[present], axis=0)
    return covered


def lent(covered: NDArray[np.float32], share: NDArray[np.float32] | np.float32) -> NDArray[np.float32]:
    """Return what a share of cosines is; one below 0 does not get better by being shared."""
    return np.where(covered > 0, covered * share, covered)


def maxsim(
    covered: NDArray[np.float32], importance: NDArray[np.float32], around: Sequence[NDArray[np.float32]] = ()
) -> NDArray[np.float32]:
    """Return how well each memory covers a question, float32 [n], from -1 to 1.

    `covered` and each of `around` are float32 [n, m]; `importance` is float32 [m] with sum 1. What a memory leaves
    unsaid may have been said `around` it. The sum over the question's tokens of the best cosine: Khattab and Zaharia,
    "ColBERT" (2020), equation 3, weighted. A memory without token vectors gets the lowest score of the others, so that
    it is neither preferred nor lost.
    """
    best = covered
    for other in around:
        best = np.maximum(best, other)
    scores: NDArray[np.float32] = best @ importance
    without = np.all(covered == UNCOVERED, axis=1)
    scores[without] = scores[~without].min(initial=np.inf) if not without.all() else 0
    return scores
