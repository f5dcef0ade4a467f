"""The indexes and a reading connection to the database, kept in step, for any thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set as AbstractSet
from dataclasses import dataclass
import sqlite3
import threading
from time import perf_counter
from typing import TypeVar

from .context.shown import show
from .loading import Loaded, faults, indexed
from .lookup import Answer, Lookup
from .records import indexed_text
from .retrieval.fusion import Scores
from .retrieval.hits import Hits
from .retrieval.question import Found, Legs, Question
from .retrieval.retriever import Retriever, Vector
from .store import memories
from .store.database import storage_errors
from .store.memories import Addition, Removal, StoredRecord
from .store.vectors import StoredVector

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Words:
    """What the words of a question have found: the score of every row, float32 [n], or hits; the ms that it took."""

    scores: Scores | Hits
    ms: float


class Indexes:
    """Whatever thread comes: a lock is held for as long as one search or one change takes."""

    def __init__(self, loaded: Loaded, count_tokens: Callable[[str], int]) -> None:
        """Take over what was loaded, except for the connection that writes."""
        self._reader = loaded.reader
        self._background = loaded.background
        self._reading = threading.Lock()
        self._behind = False
        self._retriever = loaded.retriever
        self._comparable = loaded.comparable
        self._count_tokens = count_tokens
        self.tokens = loaded.tokens
        self._lookup = Lookup(loaded.reader, loaded.retriever, count_tokens)
        self._lock = threading.Lock()

    @property
    def is_large(self) -> bool:
        """Whether a lexical search is worth a thread of its own."""
        return self._retriever.is_large

    def search_words(self, text: str, language: str | None) -> Words:
        """Return what the words of a question find."""
        with self._lock:
            began = perf_counter()
            scores = self._retriever.lexical_scores(text, language)
            return Words(scores, (perf_counter() - began) * 1000)

    def answer(self, question: Question, legs: Legs) -> Answer:
        """Return what answers a question whose words and vector have been seen to. Raises `StorageError`."""
        with self._lock, storage_errors("The database could not be read"):
            return self._lookup.answer(question, legs)

    def candidates(self, question: Question, legs: Legs) -> tuple[Found, list[str]]:
        """Return what such a question finds, and the texts of that, for a reranker. Raises `StorageError`."""
        with self._lock, storage_errors("The database could not be read"):
            return self._lookup.candidates(question, legs)

    def answer_with(self, question: Question, found: Found) -> Answer:
        """Return the answer that is made of what was found. Raises `StorageError`."""
        with self._lock, storage_errors("The database could not be read"):
            return self._lookup.answer_with(question, found)

    def show_ahead(self, slots: Sequence[int], *, make_room: bool) -> None:
        """Prepare memories to be shown before a question finds them; no question waits for it.

        With `make_room` they take the place of others if all are taken. Raises `StorageError`.
        """
        with self._lock:
            missing, moment = self._lookup.missing(slots, make_room=make_room)
        records = self.read(lambda reader: memories.by_slot(reader, missing))
        shown = {slot: show(slot, record, self._count_tokens) for slot, record in records.items()}
        with self._lock, storage_errors("The database could not be read"):
            self._lookup.keep(shown, moment)
            self._retriever.read_ahead(shown)

    def read(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Return what `work` reads from the database; no question waits for it. Raises `StorageError`."""
        with self._reading, storage_errors("The database could not be read"):
            return work(self._background)

    def add(self, addition: Addition) -> None:
        """Take in what was committed: the new memory, and that older ones were corrected by it."""
        with self._lock:
            if addition.added is not None and not self._behind:
                self._retriever.add(indexed(addition.added))
            for closed in addition.closed:
                self._retriever.set_current(closed.slot, current=False)
            self._lookup.discard(closed.slot for closed in addition.closed)

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

    def fall_behind(self) -> None:
        """Leave new memories to `catch_up`, since older ones have to be added first."""
        self._behind = True

    def catch_up(self, stored: StoredRecord, vector: Vector | None) -> None:
        """Take in a memory as it is in the database now; those that are not indexed yet come in the order of slots."""
        with self._lock:
            if self._retriever.has(stored.slot):
                self._retriever.set_current(stored.slot, current=stored.record.valid_to is None)
            else:
                self._retriever.add(indexed(stored))
            if vector is not None:
                self._retriever.put_vector(stored.slot, vector)
            self._lookup.discard([stored.slot])

    def discard(self, gone: Sequence[int]) -> None:
        """Let go of memories that are gone from the database, with texts that nobody knows any more."""
        with self._lock:
            for slot in gone:
                self._retriever.remove(slot, "", None)
            self._lookup.discard(gone)

    def caught_up(self) -> None:
        """Take in new memories again as they are stored."""
        self._behind = False

    def put_vector(self, slot: int, vector: Vector) -> None:
        """Give a memory its vector, float32 [d], L2-normalized; one that is gone meanwhile is left alone."""
        with self._lock:
            self._retriever.put_vector(slot, vector)

    def embedded(self, made: Sequence[StoredVector]) -> None:
        """Read the token vectors of memories from the database, and show long ones as they are there now.

        To be called behind the commit and before any other, since they may be moved to a file by the next one.
        """
        with self._lock:
            for one in made:
                self.tokens.embedded_anew(one.slot)
            self._lookup.discard(one.slot for one in made if one.windows > 1)

    def faults(self, pending: AbstractSet[int]) -> list[str]:
        """Return what is wrong with the database or between it and the indexes. Raises `StorageError`."""
        return self.read(
            lambda reader: faults(reader, self._retriever, self._comparable, pending) + self.tokens.faults(reader)
        )

    def close(self) -> None:
        """Let go of the database."""
        with self._lock:
            self._reader.close()
        with self._reading:
            self._background.close()
