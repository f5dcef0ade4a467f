"""The reranker that needs no second model: each token of the question looks for its like in a memory.

The score of a memory is the sum, over the question's tokens, of the best cosine, weighted: Khattab and Zaharia,
"ColBERT" (2020), equation 3. What a memory leaves unsaid may have been said in the turns before it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..native.library import kernels
from ..native.maxsim import MaxSim
from .sessions import NONE

Rows = NDArray[np.intp]
Counts = NDArray[np.intp]
TokenVectors = NDArray[np.int8]
Spans = NDArray[np.int32]
QuestionTokens = NDArray[np.float32]
Scores = NDArray[np.float32]
Fetch = Callable[[NDArray[np.int64]], tuple[TokenVectors, Counts]]
"""Returns the token vectors of some slots one behind the other, int8 [tokens, reduced], and how many each has."""

RERANKED = 48
"""Candidates, unless more memories are asked for. With 64 no figure of three households and of LoCoMo is better; with
40 some are worse by a tenth of a point, with 32 by a third."""
MAX_KEPT = 196_608
"""Token vectors that are kept at hand: those of about 8 000 memories, 25 MB."""
SCALE = 127
"""The length of a token vector of a memory."""
QUESTION_SCALE = 127 * 256
"""The length of a token of a question, in whole numbers. Rounded to 8 bits like a memory's, it would move with every
change in the last digit of the embedder, and with it the places of all memories. With 16 bits all products and sums are
whole numbers below 2^24: numpy computes them exactly in float32, and C in int32 on every processor."""
AT_ONCE = 512
"""Token vectors that are compared at once: as many as stay in the processor's cache when they are widened."""

UNCOVERED = -SCALE * QUESTION_SCALE
"""The lowest cosine there is."""
UNKNOWN = -1


class Compare(Protocol):
    """`compare`, in numpy or in C."""

    def __call__(
        self,
        kept: TokenVectors,
        spans: Spans,
        question: QuestionTokens,
        importance: Scores,
        rows: Rows,
        shares: Scores,
    ) -> tuple[Scores, Rows]:
        """See `compare`."""


class TokenVectorCache:
    """Token vectors by row, fetched when they are missing. Not thread-safe: one thread uses it."""

    def __init__(self, fetch: Fetch, using: Compare | None = None) -> None:
        """Begin with nothing kept; compare in C where that is possible, unless told what to use."""
        self._fetch = fetch
        functions = kernels().functions
        self._compare = using or (compare if functions is None else MaxSim(functions))
        self._kept: TokenVectors = np.empty((0, 0), np.int8)
        self._used = 0
        self._spans: Spans = np.empty((0, 2), np.int32)

    def scores(
        self,
        question: QuestionTokens,
        importance: Scores,
        rows: Rows,
        shares: Scores,
        slots: NDArray[np.int64],
    ) -> Scores:
        """Return how well memories cover a question, float32 [n], see `compare`; `slots` are those of all rows."""
        if len(slots) > len(self._spans):
            self._grow(len(slots))
        scores, missing = self._compare(self._kept, self._spans, question, importance, rows, shares)
        while len(missing):
            missing.sort()
            if not self._read(missing, slots):
                # Rather begin anew than keep the order in which they were asked for: that happens once in many times.
                self._read(np.unique(rows[rows != NONE]), slots)
            scores, missing = self._compare(self._kept, self._spans, question, importance, rows, shares)
        return scores

    def read_ahead(self, rows: Rows, slots: NDArray[np.int64]) -> None:
        """Have the token vectors of `rows` at hand; `slots` are those of all rows."""
        if len(slots) > len(self._spans):
            self._grow(len(slots))
        missing = np.unique(rows[self._spans[rows, 0] == UNKNOWN])
        if len(missing):
            self._read(missing, slots)

    def discard(self, row: int) -> None:
        """Let go of a memory that is gone or was embedded anew."""
        if row < len(self._spans) and self._spans[row, 0] != UNKNOWN:
            start, count = self._spans[row].tolist()
            self._kept[start : start + count] = 0
            self._spans[row, 0] = UNKNOWN

    def _grow(self, rows: int) -> None:
        grown = np.full((rows + rows // 2, 2), UNKNOWN, np.int32)
        grown[: len(self._spans)] = self._spans
        self._spans = grown

    def _read(self, rows: Rows, slots: NDArray[np.int64]) -> bool:
        """Fetch and keep those of some rows; returns False if all others had to make room for them."""
        fetched, counts = self._fetch(slots[rows])
        has_room = self._used + len(fetched) <= MAX_KEPT
        if not has_room:
            self._spans[:, 0] = UNKNOWN
            self._used = 0
        end = self._used + len(fetched)
        if end > len(self._kept):
            grown = np.empty((max(end, min(2 * end, MAX_KEPT)), fetched.shape[1]), np.int8)
            if self._used:
                grown[: self._used] = self._kept[: self._used]
            self._kept = grown
        if len(fetched):
            self._kept[self._used : end] = fetched
        self._spans[rows, 0] = self._used + np.cumsum(counts) - counts
        self._spans[rows, 1] = counts
        self._used = end
        return has_room


def compare(
    kept: TokenVectors,
    spans: Spans,
    question: QuestionTokens,
    importance: Scores,
    rows: Rows,
    shares: Scores,
) -> tuple[Scores, Rows]:
    """Return how well each memory covers a question, float32 [n], from -1 to 1; or the rows that are not kept.

    `kept` are token vectors, int8 [*, reduced]; `spans`, int32 [all rows, 2], says where those of each row begin in it
    (-1 if they are not kept), and how many they are. `question` is float32 [m, reduced], of length 1; `importance` is
    float32 [m] with sum 1. `rows`, [3, n], are those of the memories, of the turns before them and of those before
    these, -1 for none; `shares`, float32 [2, n], is what the cosines of the turns before count. A memory without token
    vectors gets the lowest score of the others, so that it is neither preferred nor lost.
    """
    needed, places = np.unique(rows, return_inverse=True)
    places = places.reshape(rows.shape)
    there = needed != NONE
    found = spans[needed[there]]
    missing = needed[there][found[:, 0] == UNKNOWN]
    if len(missing):
        return np.empty(0, np.float32), missing
    starts, counts = found[:, 0].astype(np.intp), np.zeros(len(needed), np.intp)
    counts[there] = found[:, 1]
    ends = np.cumsum(found[:, 1], dtype=np.intp)
    total = int(ends[-1]) if len(ends) else 0
    tokens = kept.take(np.repeat(starts - ends + found[:, 1], found[:, 1]) + np.arange(total), axis=0)
    covered, *around = coverage(question, tokens, counts)[places]
    for before, share in zip(around, shares, strict=True):
        covered = np.maximum(covered, np.where(before > 0, before * share[:, None], before))
    # One after the other in float64, as in C.
    sums = np.add.accumulate(covered.astype(np.float64) * importance, axis=1)[:, -1:]
    scores = sums.astype(np.float32).sum(axis=1)
    without = counts[places[0]] == 0
    scores[without] = scores[~without].min(initial=np.inf) if not without.all() else 0
    return scores, missing


def coverage(question: QuestionTokens, tokens: TokenVectors, counts: Counts) -> Scores:
    """Return the best cosine of each token of a question in each memory, float32 [n, m]; -1 where a memory has none.

    `question` is float32 [m, reduced], of length 1; `tokens` are those of all memories one behind the other, int8
    [tokens, reduced], `counts` how many of them each has, [n].
    """
    covered = np.full((len(counts), len(question)), UNCOVERED, np.float32)
    if len(tokens) and len(question):
        products = np.empty((len(tokens), len(question)), np.float32)
        wide = np.empty((min(AT_ONCE, len(tokens)), tokens.shape[1]), np.float32)
        whole = np.rint(np.clip(question.T * np.float32(QUESTION_SCALE), -QUESTION_SCALE, QUESTION_SCALE))
        for start in range(0, len(tokens), AT_ONCE):
            some = tokens[start : start + AT_ONCE]
            wide[: len(some)] = some
            np.matmul(wide[: len(some)], whole, out=products[start : start + AT_ONCE])
        present = counts > 0
        best = np.maximum.reduceat(products, (np.cumsum(counts) - counts)[present], axis=0)
        covered[present] = np.maximum(best, UNCOVERED)
    return covered * np.float32(1 / (SCALE * QUESTION_SCALE))
