"""The second look at what was found: the tokens of the question against those of the memories and of their talk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .analysis import words
from .catalog import Catalog
from .lexical import LexicalIndex
from .maxsim import RERANKED, Fetch, QuestionTokens, TokenVectorCache
from .sessions import NONE, Sessions
from .weights import Weights

Vector = NDArray[np.float32]
Rows = NDArray[np.intp]
Scores = NDArray[np.float32]

STOP_WORD_IMPORTANCE = 0.5
"""Of a token that belongs to a stop word, where the rarest word of a thousand memories counts 7.6."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QuestionVectors:
    """The vector of a question, float32 [d]; and of its tokens where each begins, int32 [m], and theirs.

    tokens: float32 [m, reduced], of length 1.
    """

    vector: Vector
    token_starts: NDArray[np.int32]
    tokens: QuestionTokens


class TokenReranker:
    """Reranks by MaxSim over the token vectors of the embedder itself. Not thread-safe: one thread uses it."""

    def __init__(
        self, catalog: Catalog, sessions: Sessions, lexical: LexicalIndex, fetch: Fetch, weights: Weights
    ) -> None:
        """Use the indexes of a retriever; `fetch` reads the vectors of tokens."""
        self._catalog = catalog
        self._sessions = sessions
        self._lexical = lexical
        self._tokens = TokenVectorCache(fetch)
        self._weights = weights

    def discard(self, row: int) -> None:
        """Let go of a memory that is gone or was embedded anew."""
        self._tokens.discard(row)

    def read_ahead(self, rows: Rows) -> None:
        """Have the token vectors of `rows` at hand."""
        self._tokens.read_ahead(rows, self._catalog.slots)

    def rerank(
        self,
        asked: tuple[str, str | None],
        vectors: QuestionVectors,
        rows: Rows,
        scored: Scores,
        allowed_of: Callable[[Rows], Scores],
        count: int,
    ) -> tuple[Rows, Scores, Scores]:
        """Return the places of the best of `rows`, their scores with MaxSim added, and what that has added.

        Each has up to 48, or `count` if that is more. `asked` is the question's text and language; `scored` are the
        scores of `rows`; `allowed_of` returns 0 for each of some rows that the asker may not see.
        """
        first = np.argsort(-scored, kind="stable")[: max(RERANKED, count)]
        importance = self._importance(asked, vectors.token_starts)
        turns, shares = self._turns(rows[first], allowed_of)
        covered = self._tokens.scores(vectors.tokens, importance, turns, shares, self._catalog.slots)
        added = np.float32(self._weights.maxsim) * covered
        return first, scored[first] + added, added

    def _turns(self, rows: Rows, allowed_of: Callable[[Rows], Scores]) -> tuple[Rows, Scores]:
        """Return `rows`, the turns before them and those before these, [3, n]; and what these count, float32 [2, n]."""
        before = self._sessions.before(rows)
        turns = np.concatenate([rows, before, self._sessions.before(before)])
        # A turn that the asker may not see is not read for the ones that follow it either.
        turns[allowed_of(turns) <= 0] = NONE
        shares = np.full((2, len(rows)), self._weights.context_turn, np.float32)
        shares[0, self._sessions.asks(before)] = self._weights.context_question
        return turns.reshape(3, -1), shares

    def _importance(self, asked: tuple[str, str | None], token_starts: NDArray[np.int32]) -> Scores:
        """Return how much each token of a question counts, float32 [m] with sum 1: as rare as the word it is in."""
        found = words(*asked)
        if not found:
            return np.full(len(token_starts), 1 / max(len(token_starts), 1), np.float32)
        weights = []
        ahead = iter(found)
        begin, end, rarity = 0, 0, STOP_WORD_IMPORTANCE
        for start in token_starts.tolist():
            while end <= start and (word := next(ahead, None)) is not None:
                begin, end, term = word
                rarity = STOP_WORD_IMPORTANCE if term is None else self._lexical.idf(term)
            weights.append(rarity if begin <= start < end else STOP_WORD_IMPORTANCE)
        return np.array(weights, np.float32) / np.float32(max(sum(weights), 1e-9))
