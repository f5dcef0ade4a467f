"""From a question's scores to the memories themselves, in the order in which they are shown."""

from __future__ import annotations

from dataclasses import dataclass
import sqlite3
from time import perf_counter

from .records import Record, milliseconds
from .retrieval.context import context_from
from .retrieval.retriever import Question, Retriever
from .store import memories
from .store.record_cache import RecordCache


@dataclass(frozen=True, slots=True)
class Answer:
    """Memories with their relevance from 0 to 1, best first; the context made of them; and the ms of each stage."""

    ranked: tuple[tuple[Record, float], ...] = ()
    context: str = ""
    vector_ms: float = 0.0
    fusion_ms: float = 0.0
    context_ms: float = 0.0


def look_up(reader: sqlite3.Connection, cache: RecordCache, retriever: Retriever, question: Question) -> Answer:
    """Return what answers a question. Raises `sqlite3.Error`."""
    found = retriever.find(question)
    began = perf_counter()
    records = cache.get(found.slots)
    scored = zip(found.slots, found.scores, strict=True)
    ranked = [(records[slot], score) for slot, score in scored if slot in records]
    ranked = _current_first(reader, ranked, question)[: question.top_k]
    context = context_from([record for record, _ in ranked])
    return Answer(tuple(ranked), context, found.vector_ms, found.fusion_ms, (perf_counter() - began) * 1000)


def _current_first(
    reader: sqlite3.Connection, ranked: list[tuple[Record, float]], question: Question
) -> list[tuple[Record, float]]:
    """Put before each corrected memory the one that holds now, if the asker may see it, found or not."""
    ordered: dict[str, tuple[Record, float]] = {}
    for record, score in ranked:
        for newer in reversed(_corrections(reader, record, question)):
            ordered.setdefault(newer.id, (newer, score))
        ordered.setdefault(record.id, (record, score))
    return list(ordered.values())


def _corrections(reader: sqlite3.Connection, record: Record, question: Question) -> list[Record]:
    """Return the visible memories that have replaced `record` one after the other, oldest first."""
    chain: list[Record] = []
    seen = {record.id}
    next_id = record.superseded_by
    while next_id is not None and next_id not in seen:
        seen.add(next_id)
        stored = memories.find(reader, next_id)
        if stored is None:
            break
        newer = stored.record
        expired = newer.expires_at is not None and milliseconds(newer.expires_at) <= question.now_ms
        if newer.scope in question.scopes and not expired:
            chain.append(newer)
        next_id = newer.superseded_by
    return chain
