"""The second look at what was found: the tokens of the question against those of the memories and of their talk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .analysis import words
from .catalog import Catalog
from .lexical import LexicalIndex
from .maxsim import RERANKED, Fetch, QuestionTokens, TokenVectorCache, coverage, lent, maxsim
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
        self._tokens.get(rows, self._catalog.slots[rows])

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
        scored = scored[first]
        importance = self._importance(asked, vectors.token_starts)
        covered, around = self._coverage(vectors.tokens, rows[first], allowed_of)
        added = np.float32(self._weights.maxsim) * maxsim(covered, importance, around)
        return first, scored + added, added

    def _coverage(
        self, question: QuestionTokens, rows: Rows, allowed_of: Callable[[Rows], Scores]
    ) -> tuple[Scores, list[Scores]]:
        """Return how `rows` cover a question's tokens, and how the turns before them do: float32 [len(rows), m]."""
        before = self._sessions.before(rows)
        earlier = self._sessions.before(before)
        needed, places = np.unique(np.concatenate([rows, before, earlier]), return_inverse=True)
        # A turn that the asker may not see is not read for the ones that follow it either.
        seen = needed != NONE
        seen[seen] = allowed_of(needed[seen]) > 0
        counts = np.zeros(len(needed), np.intp)
        tokens, counts[seen] = self._tokens.get(needed[seen], self._catalog.slots[needed[seen]])
        covered, *around = coverage(question, tokens, counts)[places.reshape(3, -1)]
        turn = np.float32(self._weights.context_turn)
        share = np.where(self._sessions.asks(before), np.float32(self._weights.context_question), turn)
        around = [lent(around[0], share[:, None]), lent(around[1], turn)]
        return covered, around

    def _importance(self, asked: tuple[str, str | None], token_starts: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return how much each token of a question counts, float32 [m] with sum 1: as rare as the word it is in."""
        found = words(*asked)
        if not found:
            return np.full(len(token_starts), 1 / max(len(token_starts), 1), np.float32)
        begins, ends, terms = zip(*found, strict=True)
        rarity = [STOP_WORD_IMPORTANCE if term is None else self._lexical.idf(term) for term in terms]
        place = np.searchsorted(begins, token_starts, side="right") - 1
        inside = (place >= 0) & (token_starts < np.array(ends)[place])
        importance: NDArray[np.float32] = np.array([*rarity, STOP_WORD_IMPORTANCE], np.float32)[
            np.where(inside, place, -1)
        ]
        weights: NDArray[np.float32] = importance / np.float32(max(float(importance.sum()), 1e-9))
        return weights
