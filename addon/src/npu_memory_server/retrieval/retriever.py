"""The indexes together: what is added to one is added to all; a question goes to those that its strategy needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from time import perf_counter
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..wire import MAX_CONTEXT_TOKENS, Reranker, Strategy, Why
from . import pool
from .analysis import fold, terms
from .catalog import Catalog, Columns
from .cells import CellIndex
from .dense import VectorIndex
from .diversity import varied
from .explaining import Trail
from .frozen import Frozen, FrozenVectors, FrozenWords
from .fusion import Scores, best, reciprocal_ranks
from .growing import GrowingArray
from .hits import Hits
from .lexical import LexicalIndex
from .maxsim import Fetch
from .misheard import Soundalikes
from .moments import spans
from .pool import Pool
from .postings import Postings
from .relevance import FUSED, MAXSIM, relevance
from .rereading import QuestionVectors, TokenReranker
from .sessions import Sessions
from .signals import is_question, prior
from .weights import Weights

Vector = NDArray[np.float32]
Value = TypeVar("Value", np.bool_, np.float32)

CANDIDATES = 128
"""Memories that the signals look at; the evidence is among the first 100 for 92 % of the questions of LoCoMo."""

ALIKE = 64
"""Rows that each leg puts up where memories like a memory are looked for in a large memory."""


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
    without_session: str | None = None
    lexical: Scores | Hits | None = None
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


@dataclass(frozen=True, slots=True)
class Saved:
    """What the numbers in the columns of a saved catalog stand for."""

    scopes: list[str]
    speakers: list[str]


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
        self._vectors: VectorIndex | CellIndex = VectorIndex(dimensions)
        self._touched: set[int] | None = None
        self._reranker = TokenReranker(self._catalog, self._sessions, self._lexical, fetch_tokens, self._weights)

    @classmethod
    def restored(cls, saved: Saved, arrays: Columns, fetch_tokens: Fetch, weights: Weights | None = None) -> Retriever:
        """Return the indexes as they were saved; `fetch_tokens` reads the vectors of tokens."""
        alive = arrays["alive"]
        one = cls(int(arrays["centers"].shape[1]), fetch_tokens, weights)
        one._catalog = Catalog.restored(arrays, saved.scopes, saved.speakers)
        one._sessions = Sessions.restored(arrays, arrays["sessions"], alive)
        one._lexical = LexicalIndex.restored(arrays, arrays["lengths"].copy(), alive)
        one._soundalikes = Soundalikes(one._lexical.frequency, one._lexical.terms())
        one._vectors = CellIndex.restored(arrays, len(alive))
        one._reranker = TokenReranker(one._catalog, one._sessions, one._lexical, fetch_tokens, one._weights)
        return one

    @property
    def weights(self) -> Weights:
        """What each part of a score counts."""
        return self._weights

    @property
    def is_large(self) -> bool:
        """Whether the legs put up candidates instead of looking at everything."""
        return isinstance(self._vectors, CellIndex)

    @property
    def recent(self) -> int:
        """How many rows have come since the indexes were saved."""
        return len(self) - self._lexical.old_rows

    def columns(self) -> dict[str, GrowingArray[Any]]:
        """Return what is kept of each row besides words and vectors, by name."""
        return {**self._catalog.columns(), **self._sessions.columns(), "lengths": self._lexical.lengths_column}

    def saved(self) -> Saved:
        """Return the names that the numbers in the columns stand for."""
        return Saved(*self._catalog.names())

    def sessions(self) -> NDArray[np.uint64]:
        """Return what stands for the sessions that the numbers in the columns mean."""
        return self._sessions.digests()

    def freeze(self) -> Frozen:
        """Return words and vectors as they are now, to be saved; `take_over` what was saved afterwards."""
        gone = self._lexical.removed
        words = FrozenWords(*self._lexical.freeze(), gone)
        self._touched = set()
        return Frozen(len(self), words, FrozenVectors(self._vectors))

    def thaw(self) -> None:
        """Go on as before: what was frozen could not be saved."""
        self._lexical.thaw()
        self._touched = None

    def take_over(self, frozen: Frozen, saved: Columns) -> None:
        """Go on with what was saved of `frozen`, and with what has changed since."""
        vectors = CellIndex.restored(saved, len(self))
        for row in self._touched or ():
            vector = self._vectors.of(row)
            if vector is None:
                vectors.remove(row)
            else:
                vectors.put(row, vector)
        self._vectors = vectors
        self._lexical.replace(Postings(saved), frozen.words.gone)
        self._touched = None

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
            self._touch(row)
            self._reranker.discard(slot)

    def set_current(self, slot: int, *, current: bool) -> None:
        """Note that a memory was corrected, or that it holds again."""
        if (row := self._catalog.row(slot)) is not None:
            self._catalog.set_current(row, current=current)

    def remove(self, slot: int, text: str, language: str | None) -> None:
        """Take a memory out of every index; `text` is what it was indexed with, or "" if nobody knows any more."""
        if (row := self._catalog.row(slot)) is not None:
            found = terms(text, language)
            self._lexical.remove(row, found)
            self._soundalikes.remove(set(found))
            self._vectors.remove(row)
            self._touch(row)
            self._sessions.remove(row)
            self._reranker.discard(slot)
            self._catalog.remove(row)

    def has(self, slot: int) -> bool:
        """Return whether a memory is indexed."""
        return self._catalog.row(slot) is not None

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

    def lexical_scores(self, text: str, language: str | None) -> Scores | Hits:
        """Return the normalized lexical score of every row for a question, float32 [n]; in a large memory the hits.

        Where words of the question were never said, what they sound like counts as well.
        """
        heard = self._soundalikes.heard(text, language)
        if self.is_large:
            hits = self._lexical.search(terms(text, language))
            return hits if heard is None else hits.or_better(self._lexical.search(heard))
        scores = self._lexical.scores(terms(text, language))
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
        said_ms = self._catalog.created_ms[row]

        def other(rows: NDArray[np.intp]) -> NDArray[np.bool_]:
            created_ms = self._catalog.created_ms[rows]
            others: NDArray[np.bool_] = created_ms <= said_ms if earlier else created_ms >= said_ms
            others &= self._catalog.same_scope(rows, row) & self._catalog.alive[rows] & (rows != row)
            return others

        found = terms(said, language)
        if isinstance(self._vectors, CellIndex):
            hits = self._lexical.search(found)
            near = self._vectors.search(vector, ALIKE, other)
            rows = np.unique(np.concatenate([near, pool.visible_hits(hits, ALIKE, other)]))
            cosine, lexical = self._vectors.at(rows, vector), hits.at(rows)
        else:
            rows = np.arange(len(self))
            cosine, lexical = self._vectors.scores(vector), self._lexical.scores(found)
            lexical = np.where(other(rows), lexical, -np.inf).astype(np.float32)
        nearest = best(cosine + lexical, count)
        return list(zip(self._catalog.slots[rows[nearest]].tolist(), cosine[nearest].tolist(), strict=True))

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
        others = np.array(sorted(rows - {row}), np.intp)
        earlier = self._catalog.created_ms[others] <= self._catalog.created_ms[row]
        earlier &= self._catalog.same_scope(others, row) & self._catalog.alive[others]
        near = others[earlier][:count]
        return list(zip(self._catalog.slots[near].tolist(), self._vectors.at(near, vector).tolist(), strict=True))

    def frequencies(self, some: Iterable[str]) -> dict[str, int]:
        """Return how many memories hold each term."""
        return {term: self._lexical.frequency(term) for term in some}

    def find(self, question: Question) -> Found:
        """Return the best memories that the asker may see. The strategy says which legs count.

        The signals and the reranker belong to the hybrid strategy: with one leg alone that leg decides alone.
        """
        started = perf_counter()
        among = self._pool(question) if question.strategy is not Strategy.RECENT else None
        searched = perf_counter()
        rerank_ms = 0.0
        trail = Trail() if question.explain else None
        if among is None:
            visible = self._catalog.visible(question.scopes, question.now_ms)
            rows = self._newest(self._outside(question.without_session, visible), question.top_k)
            found: Scores = np.ones(len(rows), np.float32)
        else:
            # From here on `rows` are places in the pool.
            if trail is not None:
                trail.legs(among.lexical, among.cosine, among.priors, self._weights.lexical)
            if question.strategy is Strategy.HYBRID:
                rows, found, rerank_ms = self._hybrid(question, among, trail)
            else:
                is_rrf = question.strategy is Strategy.RRF
                scores = reciprocal_ranks(among.lexical, among.cosine) if is_rrf else among.scores
                rows = best(scores * among.allowed, question.top_k)
                found = scores[rows] * among.allowed[rows]
        enough = found >= question.min_relevance
        shown = rows[enough] if among is None else among.at(rows[enough])
        slots = tuple(self._catalog.slots[shown].tolist())
        done = perf_counter()
        return Found(
            slots,
            tuple(np.clip(found[enough], 0, 1).tolist()),
            (searched - started) * 1000,
            (done - searched) * 1000 - rerank_ms,
            rerank_ms,
            trail.whys(rows[enough]) if trail is not None else (),
        )

    def _hybrid(self, question: Question, among: Pool, trail: Trail | None) -> tuple[NDArray[np.intp], Scores, float]:
        """Return the best places of the pool, how relevant they are, and the ms of the reranker."""
        lexical, cosine, allowed = among.lexical, among.cosine, among.allowed
        vectors = question.vectors
        rerank_ms = 0.0
        rows = best(among.scores * allowed, max(CANDIDATES, question.top_k))
        signals = self._signals(question, among, rows)
        scored = among.scores[rows] + sum(signals.values())
        if trail is not None:
            trail.candidates(rows, scored, signals)
        largest = 1.0 if lexical is None or cosine is None else 1 + self._weights.lexical
        calibration = FUSED
        if question.reranker is not Reranker.NONE and vectors is not None and len(vectors.tokens):
            reranking = perf_counter()
            first, scored, added = self._reranker.rerank(
                (question.text, question.language), vectors, among.at(rows), scored, among.allowed_of
            )
            rows = rows[first]
            if trail is not None:
                trail.reranked(Reranker.MAXSIM, rows, added, self._weights.maxsim)
            largest += self._weights.maxsim
            calibration = MAXSIM
            rerank_ms = (perf_counter() - reranking) * 1000
        shares = scored * allowed[rows] / np.float32(largest)
        if lexical is not None:
            # What was said a moment ago has no vector yet: its words alone say how relevant it is.
            embedded = self._vectors.present(among.at(rows))
            shares = np.where(embedded, shares, lexical[rows] * allowed[rows])
        order = np.lexsort((-rows, -shares))[: question.top_k]
        found = relevance(shares[order], calibration)
        if lexical is not None:
            found = np.where(embedded[order], found, np.maximum(found, shares[order]))
        return rows[order], found, rerank_ms

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

    def _pool(self, question: Question) -> Pool:
        query = question.vectors.vector if question.vectors is not None else None
        if isinstance(self._vectors, VectorIndex):
            allowed = self._catalog.weights(question.scopes, question.now_ms, self._weights.past)
            allowed = self._outside(question.without_session, allowed)
            lexical = question.lexical.all() if isinstance(question.lexical, Hits) else question.lexical
            return pool.everything(self._catalog, self._vectors, lexical, query, allowed, self._weights)
        hits = Hits.of(question.lexical) if isinstance(question.lexical, np.ndarray) else question.lexical
        return pool.candidates(
            self._catalog, self._vectors, hits, query, partial(self._allowed_of, question), self._weights
        )

    def _allowed_of(self, question: Question, rows: NDArray[np.intp]) -> Scores:
        allowed = self._catalog.weights_of(rows, question.scopes, question.now_ms, self._weights.past)
        return np.where(self._sessions.has(question.without_session, rows), np.float32(0), allowed)

    def _touch(self, row: int) -> None:
        """Note a change that what is being saved just now may lack."""
        if self._touched is not None:
            self._touched.add(row)

    def _signals(self, question: Question, among: Pool, places: NDArray[np.intp]) -> dict[str, Scores]:
        """Return what else speaks for some places of the pool, float32 [len(places)], by its name."""
        rows = among.at(places)
        names = [fold(word) for word in question.text.replace("'s", " ").split()]
        named = self._catalog.said_by(names, rows) * np.float32(self._weights.speaker)
        said_then = self._catalog.said_within(spans(question.text, question.asked_at), rows)
        time = said_then * np.float32(self._weights.time)
        return {
            "speaker": named,
            "time": time,
            **self._sessions.gains(rows, among.scores[places], among.scores_of, self._weights),
        }

    def _outside(self, session: str | None, values: NDArray[Value]) -> NDArray[Value]:
        """Return `values`, one for each row, with nothing where a row belongs to the session."""
        inside = self._sessions.rows_of(session)
        if not len(inside):
            return values
        outside = values.copy()
        outside[inside] = 0
        return outside

    def _newest(self, visible: NDArray[np.bool_], count: int) -> NDArray[np.intp]:
        rows = np.flatnonzero(visible & self._catalog.current)
        if len(rows) > count:
            least = np.partition(self._catalog.created_ms[rows], len(rows) - count)[len(rows) - count]
            rows = rows[self._catalog.created_ms[rows] >= least]
        return rows[np.lexsort((-rows, -self._catalog.created_ms[rows]))][:count]
