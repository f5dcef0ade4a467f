"""From a question's scores to the memories themselves, in the order in which they are shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
import sqlite3
from time import perf_counter

from .records import Record, item_from_record, milliseconds
from .retrieval.context import context_line
from .retrieval.retriever import Question, Retriever
from .store import memories
from .wire import MemoryItem, parse_moment

MAX_KEPT = 4096
"""About 10 MB of spoken memories: in a household it is the same few hundred that are found again and again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Memories with their relevance, best first; the context made of them; and the ms of each stage."""

    memories: tuple[MemoryItem, ...] = ()
    context: str = ""
    vector_ms: float = 0.0
    fusion_ms: float = 0.0
    context_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class _Shown:
    """A memory ready to be shown: as it travels, and as a line of the context."""

    item: MemoryItem
    line: str


class Lookup:
    """Answers questions from the indexes and the database. Not thread-safe: one thread uses it."""

    def __init__(self, reader: sqlite3.Connection, retriever: Retriever) -> None:
        """Begin with nothing kept."""
        self._reader = reader
        self._retriever = retriever
        self._kept: dict[int, _Shown] = {}

    def answer(self, question: Question) -> Answer:
        """Return what answers a question, at most `top_k` memories. Raises `sqlite3.Error`."""
        found = self._retriever.find(question)
        began = perf_counter()
        shown = self._get(found.slots)
        ranked: dict[str, tuple[_Shown, float]] = {}
        for slot, score in zip(found.slots, found.scores, strict=True):
            if slot in shown:
                # The memory that holds now comes before the one that it has corrected, found by the question or not.
                for newer in reversed(self._corrections(shown[slot].item, question)):
                    ranked.setdefault(newer.item.id, (newer, score))
                ranked.setdefault(shown[slot].item.id, (shown[slot], score))
        best = list(ranked.values())[: question.top_k]
        return Answer(
            tuple(replace(one.item, score=round(score, 4)) for one, score in best),
            "\n".join(one.line for one, _ in best),
            found.vector_ms,
            found.fusion_ms,
            (perf_counter() - began) * 1000,
        )

    def discard(self, slots: Iterable[int]) -> None:
        """Let go of memories that have changed or are gone."""
        for slot in slots:
            self._kept.pop(slot, None)

    def _get(self, slots: Sequence[int]) -> dict[int, _Shown]:
        missing = [slot for slot in slots if slot not in self._kept]
        if missing:
            if len(self._kept) + len(missing) > MAX_KEPT:
                self._kept.clear()
            records = memories.by_slot(self._reader, missing)
            self._kept.update((slot, _shown(record)) for slot, record in records.items())
        return {slot: self._kept[slot] for slot in slots if slot in self._kept}

    def _corrections(self, item: MemoryItem, question: Question) -> list[_Shown]:
        """Return the visible memories that have replaced `item` one after the other, oldest first."""
        chain: list[_Shown] = []
        seen = {item.id}
        next_id = item.superseded_by
        while next_id is not None and next_id not in seen:
            seen.add(next_id)
            stored = memories.find(self._reader, next_id)
            if stored is None:
                break
            newer = _shown(stored.record)
            if newer.item.scope in question.scopes and not _is_expired(newer.item, question.now_ms):
                chain.append(newer)
            next_id = newer.item.superseded_by
        return chain


def _shown(record: Record) -> _Shown:
    return _Shown(item_from_record(record), context_line(record))


def _is_expired(item: MemoryItem, now_ms: int) -> bool:
    return item.expires_at is not None and milliseconds(parse_moment(item.expires_at)) <= now_ms
