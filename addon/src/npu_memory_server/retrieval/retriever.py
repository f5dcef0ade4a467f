"""The indexes together: what is added to one is added to all; a question goes to those that its strategy needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from ..wire import MAX_CONTEXT_TOKENS, Reranker, Strategy, Why
from .analysis import fold, terms
from .catalog import Catalog
from .dense import VectorIndex
from .diversity import varied
from .explaining import Trail
from .fusion import Scores, best, fuse
from .lexical import LexicalIndex
from .maxsim import Fetch
from .misheard import Soundalikes
from .moments import spans
from .rereading import QuestionVectors, TokenReranker
from .sessions import Sessions
from .signals import is_question, prior
from .weights import Weights

Vector = NDArray[np.float32]

CANDIDATES = 128
"""Memories that the signals look at; the evidence is among the first 100 for 92 % of the questions of LoCoMo."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """What the indexes have to know of a memory; `text` is the indexed text, with date and speaker; `said` without."""

    slot: int
    text: str
    said: str
    language: str | None
    scope: str
    speaker: str | None
    session: str | None
    created_ms: int
    expires_ms: int | None
    current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question to the indexes; `lexical` are the scores that were looked up while the vectors were made.

    `asked_at` is aware: the days that the question speaks of are those of its time zone. `max_tokens` and
    `allow_secrets` are for the context that is made of what is found. With `explain` it says why.
    """

    text: str
    language: str | None
    strategy: Strategy
    reranker: Reranker
    scopes: tuple[str, ...]
    now_ms: int
    asked_at: datetime
    top_k: int
    min_relevance: float
    max_tokens: int = MAX_CONTEXT_TOKENS
    allow_secrets: bool = False
    explain: bool = False
    diversity: float = 0.0
    lexical: NDArray[np.float32] | None = None
    vectors: QuestionVectors | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The slots that answer a question, best first, with their relevance from 0 to 1; and the ms of each stage.

    `whys` has one for each slot if the question wants to know.
    """

    slots: tuple[int, ...]
    scores: tuple[float, ...]
    vector_ms: float
    fusion_ms: float
    rerank_ms: float
    whys: tuple[Why, ...] = ()


class Retriever:
    """Catalog, sessions, words and vectors, row by row the same. Not thread-safe: one thread searches and writes."""

    def __init__(self, dimensions: int, fetch_tokens: Fetch, weights: Weights | None = None) -> None:
        """Make empty indexes for vectors of this many dimensions; `fetch_tokens` reads the vectors of tokens."""
        self._weights = weights or Weights()
        self._dimensions = dimensions
        self._catalog = Catalog()
        self._sessions = Sessions()
        self._lexical = LexicalIndex()
        self._soundalikes = Soundalikes(self._lexical.frequency)
        self._vectors = VectorIndex(dimensions)
        self._reranker = TokenReranker(self._catalog, self._sessions, self._lexical, fetch_tokens, self._weights)

    def __len__(self) -> int:
        """Return the number of rows, those that were removed included."""
        return len(self._catalog)

    def add(self, memory: Indexed) -> None:
        """Index a memory, still without its vector."""
        self._catalog.add(
            memory.slot,
            scope=memory.scope,
            speaker=memory.speaker,
            created_ms=memory.created_ms,
            expires_ms=memory.expires_ms,
            current=memory.current,
            prior=prior(memory.said, self._weights),
        )
        self._sessions.add(memory.session, asks=is_question(memory.said))
        found = terms(memory.text, memory.language)
        self._lexical.add(found)
        self._soundalikes.add(set(found))
        self._vectors.add()

    def put_vector(self, slot: int, vector: Vector) -> None:
        """Give a memory its vector, float32 [d], L2-normalized; one that is gone meanwhile is left alone."""
        if (row := self._catalog.row(slot)) is not None:
            self._vectors.put(row, vector)
            self._reranker.discard(slot)

    def set_current(self, slot: int, *, current: bool) -> None:
        """Note that a memory was corrected, or that it holds again."""
        if (row := self._catalog.row(slot)) is not None:
            self._catalog.set_current(row, current=current)

    def remove(self, slot: int, text: str, language: str | None) -> None:
        """Take a memory out of every index; `text` is what it was indexed with."""
        if (row := self._catalog.row(slot)) is not None:
            found = terms(text, language)
            self._lexical.remove(row, found)
            self._soundalikes.remove(set(found))
            self._vectors.remove(row)
            self._sessions.remove(row)
            self._reranker.discard(slot)
            self._catalog.remove(row)

    def neighbors(self, slot: int) -> tuple[int | None, int | None]:
        """Return the slots of the turns before and after a memory in its session."""
        row = self._catalog.row(slot)
        around = (None, None) if row is None else self._sessions.around(row)
        before, after = (None if other is None else int(self._catalog.slots[other]) for other in around)
        return before, after

    def slots(self) -> set[int]:
        """Return the slots of all memories that are indexed."""
        return set(self._catalog.slots[self._catalog.alive].tolist())

    def slots_without_vector(self) -> list[int]:
        """Return the slots that still need an embedding, oldest first."""
        rows = self._vectors.missing()
        slots: list[int] = self._catalog.slots[rows[self._catalog.alive[rows]]].tolist()
        return slots

    def lexical_scores(self, text: str, language: str | None) -> NDArray[np.float32]:
        """Return the normalized lexical score of every row for a question, float32 [n].

        Where words of the question were never said, what they sound like counts as well.
        """
        scores = self._lexical.scores(terms(text, language))
        heard = self._soundalikes.heard(text, language)
        return scores if heard is None else np.maximum(scores, self._lexical.scores(heard))

    def alike(
        self, slot: int, said: str, language: str | None, count: int, *, earlier: bool
    ) -> list[tuple[int, float]]:
        """Return the slots of the memories of its scope nearest to a memory in words and meaning, and the cosines.

        Only those said earlier than it, or only those said later.
        """
        row = self._catalog.row(slot)
        vector = self._vectors.of(row) if row is not None else None
        if row is None or vector is None:
            return []
        cosine = self._vectors.scores(vector)
        said_ms = self._catalog.created_ms[row]
        other = self._catalog.created_ms <= said_ms if earlier else self._catalog.created_ms >= said_ms
        other &= self._catalog.same_scope(row) & self._catalog.alive
        other[row] = False
        rows = best(np.where(other, cosine + self._lexical.scores(terms(said, language)), np.float32(0)), count)
        return list(zip(self._catalog.slots[rows].tolist(), cosine[rows].tolist(), strict=True))

    def cognates(
        self, slot: int, some: AbstractSet[str], is_one: Callable[[str, str], bool], count: int
    ) -> list[tuple[int, float]]:
        """Return the slots, and cosines, of earlier memories of its scope that hold a rare term like one of some.

        This is for what was said in another language: its vector is far away, but names and many words are alike.
        """
        row = self._catalog.row(slot)
        vector = self._vectors.of(row) if row is not None else None
        if row is None or vector is None:
            return []
        rows = {
            found
            for term in self._lexical.beginning({one[:4] for one in some})
            if any(is_one(term, one) for one in some)
            for found in self._lexical.holding(term, count)
        }
        earlier = self._catalog.created_ms <= self._catalog.created_ms[row]
        earlier &= self._catalog.same_scope(row) & self._catalog.alive
        near = np.array([found for found in rows if found != row and earlier[found]], np.intp)[:count]
        cosine = self._vectors.scores(vector)
        return list(zip(self._catalog.slots[near].tolist(), cosine[near].tolist(), strict=True))

    def frequencies(self, some: Iterable[str]) -> dict[str, int]:
        """Return how many memories hold each term."""
        return {term: self._lexical.frequency(term) for term in some}

    def find(self, question: Question) -> Found:
        """Return the best memories that the asker may see. The strategy says which legs count.

        The signals and the reranker belong to the hybrid strategy: with one leg alone that leg decides alone.
        """
        started = perf_counter()
        vectors = question.vectors
        cosine = self._vectors.scores(vectors.vector) if vectors is not None else None
        searched = perf_counter()
        rerank_ms = 0.0
        trail = Trail() if question.explain else None
        if question.strategy is Strategy.RECENT:
            rows = self._newest(self._catalog.visible(question.scopes, question.now_ms), question.top_k)
            relevance: Scores = np.ones(len(rows), np.float32)
        else:
            lexical = self._padded(question.lexical)
            scores = fuse(lexical, cosine, self._catalog.priors, self._weights.lexical)
            if trail is not None:
                trail.legs(lexical, cosine, self._catalog.priors, self._weights.lexical)
            allowed = self._catalog.weights(question.scopes, question.now_ms, self._weights.past)
            if question.strategy is Strategy.HYBRID:
                rows = best(scores * allowed, max(CANDIDATES, question.top_k))
                signals = self._signals(question, rows, np.where(allowed > 0, scores, np.float32(0)))
                scored = scores[rows] + sum(signals.values())
                if trail is not None:
                    trail.candidates(rows, scored, signals)
                largest = 1.0 if lexical is None or cosine is None else 1 + self._weights.lexical
                if question.reranker is not Reranker.NONE and vectors is not None and len(vectors.tokens):
                    reranking = perf_counter()
                    rows, scored, added = self._reranker.rerank(
                        (question.text, question.language), vectors, rows, scored, allowed
                    )
                    if trail is not None:
                        trail.reranked(Reranker.MAXSIM, rows, added, self._weights.maxsim)
                    largest += self._weights.maxsim
                    rerank_ms = (perf_counter() - reranking) * 1000
                relevance = scored * allowed[rows] / np.float32(largest)
                if lexical is not None:
                    # What was said a moment ago has no vector yet: its words alone say how relevant it is.
                    relevance = np.where(self._vectors.present(rows), relevance, lexical[rows] * allowed[rows])
                order = np.lexsort((-rows, -relevance))[: question.top_k]
                rows, relevance = rows[order], relevance[order]
            else:
                rows = best(scores * allowed, question.top_k)
                relevance = scores[rows] * allowed[rows]
        enough = relevance >= question.min_relevance
        slots = tuple(self._catalog.slots[rows[enough]].tolist())
        done = perf_counter()
        return Found(
            slots,
            tuple(np.clip(relevance[enough], 0, 1).tolist()),
            (searched - started) * 1000,
            (done - searched) * 1000 - rerank_ms,
            rerank_ms,
            trail.whys(rows[enough]) if trail is not None else (),
        )

    def varied(self, found: Found, diversity: float, count: int) -> Found:
        """Return `count` of what was found, in an order in which each one adds something to those before it."""
        vectors = np.zeros((len(found.slots), self._dimensions), np.float32)
        for place, slot in enumerate(found.slots):
            row = self._catalog.row(slot)
            vector = self._vectors.of(row) if row is not None else None
            if vector is not None:
                vectors[place] = vector
        order = varied(found.scores, vectors, diversity, count)
        return replace(
            found,
            slots=tuple(found.slots[place] for place in order),
            scores=tuple(found.scores[place] for place in order),
            whys=tuple(found.whys[place] for place in order) if found.whys else (),
        )

    def _signals(self, question: Question, rows: NDArray[np.intp], scores: Scores) -> dict[str, Scores]:
        """Return what else speaks for `rows`, float32 [len(rows)], by its name; `scores` are those of all.

        What the asker may not see has the score 0, so that it lends nothing to its neighbors.
        """
        names = [fold(word) for word in question.text.replace("'s", " ").split()]
        named = self._catalog.said_by(names, rows) * np.float32(self._weights.speaker)
        said_then = self._catalog.said_within(spans(question.text, question.asked_at), rows)
        time = said_then * np.float32(self._weights.time)
        return {"speaker": named, "time": time, **self._sessions.gains(rows, scores, self._weights)}

    def _padded(self, lexical: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
        """Rows that were added since the lexical search have no score in it."""
        if lexical is None or len(lexical) == len(self._catalog):
            return lexical
        return np.pad(lexical, (0, len(self._catalog) - len(lexical)))

    def _newest(self, visible: NDArray[np.bool_], count: int) -> NDArray[np.intp]:
        rows = np.flatnonzero(visible & self._catalog.current)
        return rows[np.lexsort((-rows, -self._catalog.created_ms[rows]))][:count]
