"""The indexes together: what is added to one is added to all; a question goes to those that its strategy needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set as AbstractSet
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .alike import alike, cognates
from .analysis import folded_words, terms, terms_of
from .catalog import Catalog, Columns
from .cells import CellIndex
from .dense import VectorIndex
from .finding import find, varied
from .frozen import Frozen, FrozenVectors, FrozenWords
from .fusion import Scores
from .growing import GrowingArray
from .hits import Hits
from .lexical import LexicalIndex
from .maxsim import Fetch
from .misheard import Soundalikes
from .parts import Parts
from .pool import HITS
from .postings import Postings
from .question import Found, Legs, Question
from .rereading import TokenReranker
from .sessions import Sessions
from .signals import is_question, prior
from .weights import Weights

Vector = NDArray[np.float32]
Value = TypeVar("Value", np.bool_, np.float32)


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


@dataclass(frozen=True, slots=True)
class Saved:
    """What the numbers in the columns of a saved catalog stand for."""

    scopes: list[str]
    speakers: list[str]


class Retriever:
    """Catalog, sessions, words and vectors, row by row the same. Not thread-safe: one thread searches and writes."""

    def __init__(self, dimensions: int, fetch_tokens: Fetch, weights: Weights | None = None) -> None:
        """Make empty indexes for vectors of this many dimensions; `fetch_tokens` reads the vectors of tokens."""
        weights = weights or Weights()
        catalog, sessions, lexical = Catalog(), Sessions(), LexicalIndex()
        self._parts = Parts(
            catalog,
            sessions,
            lexical,
            Soundalikes(lexical.frequency),
            VectorIndex(dimensions),
            TokenReranker(catalog, sessions, lexical, fetch_tokens, weights),
            weights,
            dimensions,
        )
        self._touched: set[int] | None = None

    @classmethod
    def restored(cls, saved: Saved, arrays: Columns, fetch_tokens: Fetch, weights: Weights | None = None) -> Retriever:
        """Return the indexes as they were saved; `fetch_tokens` reads the vectors of tokens."""
        weights = weights or Weights()
        alive = arrays["alive"]
        catalog = Catalog.restored(arrays, saved.scopes, saved.speakers)
        sessions = Sessions.restored(arrays, arrays["sessions"], alive)
        lexical = LexicalIndex.restored(arrays, arrays["lengths"].copy(), alive)
        dimensions = int(arrays["centers"].shape[1])
        one = cls(dimensions, fetch_tokens, weights)
        one._parts = Parts(
            catalog,
            sessions,
            lexical,
            Soundalikes(lexical.frequency, lexical.terms()),
            CellIndex.restored(arrays, len(alive)),
            TokenReranker(catalog, sessions, lexical, fetch_tokens, weights),
            weights,
            dimensions,
        )
        return one

    @property
    def weights(self) -> Weights:
        """What each part of a score counts."""
        return self._parts.weights

    @property
    def is_large(self) -> bool:
        """Whether the legs put up candidates instead of looking at everything."""
        return isinstance(self._parts.vectors, CellIndex)

    @property
    def recent(self) -> int:
        """How many rows have come since the indexes were saved."""
        return len(self) - self._parts.lexical.old_rows

    def columns(self) -> dict[str, GrowingArray[Any]]:
        """Return what is kept of each row besides words and vectors, by name."""
        return {
            **self._parts.catalog.columns(),
            **self._parts.sessions.columns(),
            "lengths": self._parts.lexical.lengths_column,
        }

    def saved(self) -> Saved:
        """Return the names that the numbers in the columns stand for."""
        return Saved(*self._parts.catalog.names())

    def sessions(self) -> NDArray[np.uint64]:
        """Return what stands for the sessions that the numbers in the columns mean."""
        return self._parts.sessions.digests()

    def freeze(self) -> Frozen:
        """Return words and vectors as they are now, to be saved; `take_over` what was saved afterwards."""
        gone = self._parts.lexical.removed
        words = FrozenWords(*self._parts.lexical.freeze(), gone)
        self._touched = set()
        return Frozen(len(self), words, FrozenVectors(self._parts.vectors))

    def thaw(self) -> None:
        """Go on as before: what was frozen could not be saved."""
        self._parts.lexical.thaw()
        self._touched = None

    def take_over(self, frozen: Frozen, saved: Columns) -> None:
        """Go on with what was saved of `frozen`, and with what has changed since."""
        vectors = CellIndex.restored(saved, len(self))
        for row in self._touched or ():
            vector = self._parts.vectors.of(row)
            if vector is None:
                vectors.remove(row)
            else:
                vectors.put(row, vector)
        self._parts.vectors = vectors
        self._parts.lexical.replace(Postings(saved), frozen.words.gone)
        self._touched = None

    def __len__(self) -> int:
        """Return the number of rows, those that were removed included."""
        return len(self._parts.catalog)

    def add(self, memory: Indexed) -> None:
        """Index a memory, still without its vector."""
        self._parts.catalog.add(
            memory.slot,
            scope=memory.scope,
            speaker=memory.speaker,
            created_ms=memory.created_ms,
            expires_ms=memory.expires_ms,
            current=memory.current,
            prior=prior(memory.said, self._parts.weights),
        )
        self._parts.sessions.add(memory.session, asks=is_question(memory.said))
        found = terms(memory.text, memory.language)
        self._parts.lexical.add(found)
        self._parts.soundalikes.add(set(found))
        self._parts.vectors.add()

    def put_vector(self, slot: int, vector: Vector) -> None:
        """Give a memory its vector, float32 [d], L2-normalized; one that is gone meanwhile is left alone."""
        if (row := self._parts.catalog.row(slot)) is not None:
            self._parts.vectors.put(row, vector)
            self._touch(row)
            self._parts.reranker.discard(row)

    def read_ahead(self, slots: Iterable[int]) -> None:
        """Have the token vectors of memories at hand before a question compares them."""
        rows = [row for row in map(self._parts.catalog.row, slots) if row is not None]
        self._parts.reranker.read_ahead(np.array(rows, np.intp))

    def set_current(self, slot: int, *, current: bool) -> None:
        """Note that a memory was corrected, or that it holds again."""
        if (row := self._parts.catalog.row(slot)) is not None:
            self._parts.catalog.set_current(row, current=current)

    def remove(self, slot: int, text: str, language: str | None) -> None:
        """Take a memory out of every index; `text` is what it was indexed with, or "" if nobody knows any more."""
        if (row := self._parts.catalog.row(slot)) is not None:
            found = terms(text, language)
            self._parts.lexical.remove(row, found)
            self._parts.soundalikes.remove(set(found))
            self._parts.vectors.remove(row)
            self._touch(row)
            self._parts.sessions.remove(row)
            self._parts.reranker.discard(row)
            self._parts.catalog.remove(row)

    def has(self, slot: int) -> bool:
        """Return whether a memory is indexed."""
        return self._parts.catalog.row(slot) is not None

    def neighbor(self, slot: int, *, after: bool) -> int | None:
        """Return the slot of the turn after a memory in its session, or else of the one before it."""
        row = self._parts.catalog.row(slot)
        if row is None or (other := self._parts.sessions.neighbor(row, after=after)) is None:
            return None
        return int(self._parts.catalog.slots[other])

    def slots(self) -> set[int]:
        """Return the slots of all memories that are indexed."""
        return set(self._parts.catalog.slots[self._parts.catalog.alive].tolist())

    def slots_without_vector(self) -> list[int]:
        """Return the slots that still need an embedding, oldest first."""
        rows = self._parts.vectors.missing()
        slots: list[int] = self._parts.catalog.slots[rows[self._parts.catalog.alive[rows]]].tolist()
        return slots

    def lexical_scores(self, text: str, language: str | None) -> Scores | Hits:
        """Return the normalized lexical score of every row for a question, float32 [n]; in a large memory the hits.

        Where words of the question were never said, what they sound like counts as well.
        """
        said = folded_words(text)
        found = terms_of(said, language)
        heard = self._parts.soundalikes.heard(said, found, language)
        if self.is_large:
            hits = self._parts.lexical.search(found)
            hits = hits if heard is None else hits.or_better(self._parts.lexical.search(heard))
            # They are kept with the hits: now is the time, while another thread embeds the question.
            hits.best(HITS)
            return hits
        scores = self._parts.lexical.scores(found)
        return scores if heard is None else np.maximum(scores, self._parts.lexical.scores(heard))

    def alike(
        self, slot: int, said: str, language: str | None, count: int, *, earlier: bool
    ) -> list[tuple[int, float]]:
        """See `alike`."""
        return alike(self._parts, slot, said, language, count, earlier=earlier)

    def cognates(
        self, slot: int, some: AbstractSet[str], is_one: Callable[[str, str], bool], count: int
    ) -> list[tuple[int, float]]:
        """See `cognates`."""
        return cognates(self._parts, slot, some, is_one, count)

    def find(self, question: Question, legs: Legs) -> Found:
        """See `find`."""
        return find(self._parts, question, legs)

    def varied(self, found: Found, diversity: float, count: int) -> Found:
        """See `varied`."""
        return varied(self._parts, found, diversity, count)

    def frequencies(self, some: Iterable[str]) -> dict[str, int]:
        """Return how many memories hold each term."""
        return {term: self._parts.lexical.frequency(term) for term in some}

    def _touch(self, row: int) -> None:
        """Note a change that what is being saved just now may lack."""
        if self._touched is not None:
            self._touched.add(row)
