"""The indexes and a reading connection to the database, kept in step, for any thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set as AbstractSet
from dataclasses import dataclass, replace
import sqlite3
import threading
from time import perf_counter
from typing import TypeVar

from .loading import Loaded, faults, indexed
from .lookup import Answer, Lookup
from .records import indexed_text
from .retrieval.fusion import Scores
from .retrieval.retriever import Found, Question, Retriever, Vector
from .store.database import storage_errors
from .store.memories import Addition, Removal, StoredRecord

Result = TypeVar("Result")

PARALLEL_FROM = 20_000
"""From so many memories on the lexical search should take long enough to be worth a second thread (an estimate)."""


@dataclass(frozen=True, slots=True)
class Words:
    """What the words of a question have found: the score of every row, float32 [n], and the ms that it took."""

    scores: Scores
    ms: float


class Indexes:
    """Whatever thread comes: a lock is held for as long as one search or one change takes."""

    def __init__(self, loaded: Loaded, count_tokens: Callable[[str], int]) -> None:
        """Take over what was loaded, except for the connection that writes."""
        self._reader = loaded.reader
        self._retriever = loaded.retriever
        self._embedder_number = loaded.embedder_number
        self._lookup = Lookup(loaded.reader, loaded.retriever, count_tokens)
        self._lock = threading.Lock()

    @property
    def is_large(self) -> bool:
        """Whether a lexical search is worth a thread of its own."""
        return len(self._retriever) >= PARALLEL_FROM

    def search_words(self, text: str, language: str | None) -> Words:
        """Return what the words of a question find."""
        with self._lock:
            began = perf_counter()
            scores = self._retriever.lexical_scores(text, language)
            return Words(scores, (perf_counter() - began) * 1000)

    def answer(self, question: Question, words: Words | None) -> Answer:
        """Return what answers a question whose words and vector have been seen to. Raises `StorageError`."""
        if words is not None:
            question = replace(question, lexical=words.scores)
        with self._lock, storage_errors("The database could not be read"):
            return self._lookup.answer(question)

    def candidates(self, question: Question, words: Words | None) -> tuple[Found, list[str]]:
        """Return what such a question finds, and the texts of that, for a reranker. Raises `StorageError`."""
        if words is not None:
            question = replace(question, lexical=words.scores)
        with self._lock, storage_errors("The database could not be read"):
            return self._lookup.candidates(question)

    def answer_with(self, question: Question, found: Found) -> Answer:
        """Return the answer that is made of what was found. Raises `StorageError`."""
        with self._lock, storage_errors("The database could not be read"):
            return self._lookup.answer_with(question, found)

    def read(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Return what `work` reads from the database. Raises `StorageError`."""
        with self._lock, storage_errors("The database could not be read"):
            return work(self._reader)

    def add(self, addition: Addition) -> None:
        """Take in what was committed: the new memory, and that an older one was corrected by it."""
        with self._lock:
            if addition.added is not None:
                self._retriever.add(indexed(addition.added))
            if addition.closed is not None:
                self._retriever.set_current(addition.closed.slot, current=False)
                self._lookup.discard([addition.closed.slot])

    def remove(self, removal: Removal) -> None:
        """Let go of what was forgotten, and let hold again what it had corrected."""
        with self._lock:
            for gone in removal.removed:
                self._retriever.remove(gone.slot, indexed_text(gone.record), gone.record.language)
            for old in removal.relinked:
                self._retriever.set_current(old.slot, current=old.record.valid_to is None)
            self._lookup.discard(changed.slot for changed in (*removal.removed, *removal.relinked))

    def relink(self, changed: Sequence[StoredRecord]) -> None:
        """Take in that memories were closed by a correction, or hold again."""
        with self._lock:
            for old in changed:
                self._retriever.set_current(old.slot, current=old.record.valid_to is None)
            self._lookup.discard(old.slot for old in changed)

    def search(self, work: Callable[[Retriever], Result]) -> Result:
        """Return what `work` finds in the indexes."""
        with self._lock:
            return work(self._retriever)

    def put_vector(self, slot: int, vector: Vector) -> None:
        """Give a memory its vector, float32 [d], L2-normalized; one that is gone meanwhile is left alone."""
        with self._lock:
            self._retriever.put_vector(slot, vector)

    def faults(self, pending: AbstractSet[int]) -> list[str]:
        """Return what is wrong with the database or between it and the indexes. Raises `StorageError`."""
        return self.read(lambda reader: faults(reader, self._retriever, self._embedder_number, pending))

    def close(self) -> None:
        """Let go of the database."""
        with self._lock:
            self._reader.close()
