"""The indexes together: what is added to one is added to all; a question goes to those that its strategy needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from ..wire import Strategy
from .analysis import terms
from .catalog import Catalog
from .dense import VectorIndex
from .fusion import PAST_FACTOR, best, fuse
from .lexical import LexicalIndex
from .signals import prior

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """What the indexes have to know of a memory; `text` is the indexed text, with date and speaker; `said` without."""

    slot: int
    text: str
    said: str
    language: str | None
    scope: str
    created_ms: int
    expires_ms: int | None
    current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question to the indexes; `lexical` are the scores that were looked up while the vector was made."""

    strategy: Strategy
    scopes: tuple[str, ...]
    now_ms: int
    top_k: int
    min_relevance: float
    lexical: NDArray[np.float32] | None = None
    vector: Vector | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The slots that answer a question, best first, with their relevance from 0 to 1; and the ms that it took."""

    slots: tuple[int, ...]
    scores: tuple[float, ...]
    vector_ms: float
    fusion_ms: float


class Retriever:
    """Catalog, lexical index and vector index, row by row the same. Not thread-safe: one thread searches and writes."""

    def __init__(self, dimensions: int) -> None:
        """Make empty indexes for vectors of this many dimensions."""
        self._catalog = Catalog()
        self._lexical = LexicalIndex()
        self._vectors = VectorIndex(dimensions)

    def __len__(self) -> int:
        """Return the number of rows, those that were removed included."""
        return len(self._catalog)

    def add(self, memory: Indexed) -> None:
        """Index a memory, still without its vector."""
        self._catalog.add(
            memory.slot,
            scope=memory.scope,
            created_ms=memory.created_ms,
            expires_ms=memory.expires_ms,
            current=memory.current,
            prior=prior(memory.said),
        )
        self._lexical.add(terms(memory.text, memory.language))
        self._vectors.add()

    def put_vector(self, slot: int, vector: Vector) -> None:
        """Give a memory its vector, float32 [d], L2-normalized; one that is gone meanwhile is left alone."""
        if (row := self._catalog.row(slot)) is not None:
            self._vectors.put(row, vector)

    def set_current(self, slot: int, *, current: bool) -> None:
        """Note that a memory was corrected, or that it holds again."""
        if (row := self._catalog.row(slot)) is not None:
            self._catalog.set_current(row, current=current)

    def remove(self, slot: int, text: str, language: str | None) -> None:
        """Take a memory out of every index; `text` is what it was indexed with."""
        if (row := self._catalog.row(slot)) is not None:
            self._lexical.remove(row, terms(text, language))
            self._vectors.remove(row)
            self._catalog.remove(row)

    def slots(self) -> set[int]:
        """Return the slots of all memories that are indexed."""
        return set(self._catalog.slots[self._catalog.alive].tolist())

    def slots_without_vector(self) -> list[int]:
        """Return the slots that still need an embedding, oldest first."""
        rows = self._vectors.missing()
        slots: list[int] = self._catalog.slots[rows[self._catalog.alive[rows]]].tolist()
        return slots

    def lexical_scores(self, text: str, language: str | None) -> NDArray[np.float32]:
        """Return the normalized lexical score of every row for a question, float32 [n]."""
        return self._lexical.scores(terms(text, language))

    def find(self, question: Question) -> Found:
        """Return the best memories that the asker may see. The strategy says which legs count."""
        started = perf_counter()
        cosine = self._vectors.scores(question.vector) if question.vector is not None else None
        vector_done = perf_counter()
        if question.strategy is Strategy.RECENT:
            rows = self._newest(self._catalog.visible(question.scopes, question.now_ms), question.top_k)
            scores: Sequence[float] = [1.0] * len(rows)
        else:
            weights = self._catalog.weights(question.scopes, question.now_ms, PAST_FACTOR)
            relevance = fuse(self._padded(question.lexical), cosine, self._catalog.priors) * weights
            rows = best(relevance, question.top_k)
            rows = rows[relevance[rows] >= question.min_relevance]
            scores = np.minimum(relevance[rows], 1).tolist()
        slots = tuple(self._catalog.slots[rows].tolist())
        done = perf_counter()
        return Found(slots, tuple(scores), (vector_done - started) * 1000, (done - vector_done) * 1000)

    def _padded(self, lexical: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
        """Rows that were added since the lexical search have no score in it."""
        if lexical is None or len(lexical) == len(self._catalog):
            return lexical
        return np.pad(lexical, (0, len(self._catalog) - len(lexical)))

    def _newest(self, visible: NDArray[np.bool_], count: int) -> NDArray[np.intp]:
        rows = np.flatnonzero(visible & self._catalog.current)
        return rows[np.lexsort((-rows, -self._catalog.created_ms[rows]))][:count]
