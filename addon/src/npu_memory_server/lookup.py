"""From a question's scores to the memories themselves, in the order in which they are shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set as AbstractSet
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
import sqlite3
from time import perf_counter

from .context.packing import Packed, pack, repeats
from .context.secrets import secrets_of
from .context.shown import Chosen, Count, Shown, show
from .records import indexed_text, milliseconds
from .retrieval.diversity import CANDIDATES
from .retrieval.moments import asks_back
from .retrieval.question import Found, Legs, Question
from .retrieval.retriever import Retriever
from .store import corrections, memories
from .wire import LeftOut, Strategy, Why

MAX_KEPT = 4096
"""About 12 MB of spoken memories: in a household it is the same few hundred that are found again and again."""
NOTHING_PACKED = Packed("", ())

NEAR = 5
"""Among so many of the best one may go before another: what a question has among its first five stays among them."""
NEAR_SHARE = 0.05
"""What the newer one of them has to have of the relevance of the older one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Memories with their relevance, best first; the context made of them, and what it lacks; the ms of each stage."""

    memories: tuple[Chosen, ...] = ()
    context: str = ""
    left_out: tuple[LeftOut, ...] = ()
    vector_ms: float = 0.0
    fusion_ms: float = 0.0
    rerank_ms: float = 0.0
    context_ms: float = 0.0


class Lookup:
    """Answers questions from the indexes and the database. Not thread-safe: one thread uses it."""

    def __init__(self, reader: sqlite3.Connection, retriever: Retriever, count_tokens: Count) -> None:
        """Begin with nothing kept; `count_tokens` is the embedder's."""
        self._reader = reader
        self._retriever = retriever
        self._count_tokens = count_tokens
        self._kept: dict[int, Shown] = {}
        self._slots: dict[str, int] = {}
        self._discarded = 0
        self._perhaps: dict[int, tuple[int, ...]] = {}

    def answer(self, question: Question, legs: Legs) -> Answer:
        """Return what answers a question, at most `top_k` memories. Raises `sqlite3.Error`."""
        return self.answer_with(question, self._retriever.find(_widened(question), legs))

    def candidates(self, question: Question, legs: Legs) -> tuple[Found, list[str]]:
        """Return what a question finds, and the texts of that as they are indexed. Raises `sqlite3.Error`."""
        found = self._retriever.find(_widened(question), legs)
        shown = self._get(found.slots)
        return found, [indexed_text(shown[slot].record) if slot in shown else "" for slot in found.slots]

    def answer_with(self, question: Question, found: Found) -> Answer:
        """Return the answer that is made of what was found. Raises `sqlite3.Error`."""
        began = perf_counter()
        if question.diversity:
            found = self._retriever.varied(found, question.diversity, question.top_k)
        shown = self._get(found.slots)
        ranked: dict[str, tuple[Shown, float]] = {}
        perhaps: dict[int, str] = {}
        for place, (slot, score) in enumerate(zip(found.slots, found.scores, strict=True)):
            if (one := shown.get(slot)) is not None:
                maybe = self._perhaps_correction(place, found, shown, question)
                if maybe is not None and maybe.item.id not in ranked:
                    perhaps[maybe.slot] = one.item.id
                    for newer in (*reversed(self._corrections(maybe, question)), maybe):
                        ranked.setdefault(newer.item.id, (newer, score))
                # The memory that holds now comes before the one that it has corrected, found by the question or not.
                for newer in reversed(self._corrections(one, question)):
                    ranked.setdefault(newer.item.id, (newer, score))
                ranked.setdefault(one.item.id, (one, score))
        best = list(ranked.values())[: question.top_k]
        secrets = _secrets(best)
        if secrets:
            best = [(self._allowed(one, secrets, question), score) for one, score in best]
        whys = self._whys(found, best, perhaps) if question.explain else {}
        packed = NOTHING_PACKED
        if question.with_context:
            packed = pack(best, question.max_tokens, self._count_tokens, partial(self._neighbor, question, secrets))
        return Answer(
            tuple([Chosen(one, round(score, 4), whys.get(one.slot)) for one, score in best]),
            packed.context,
            packed.left_out,
            found.vector_ms,
            found.fusion_ms,
            found.rerank_ms,
            (perf_counter() - began) * 1000,
        )

    def _whys(self, found: Found, best: Sequence[tuple[Shown, float]], perhaps: Mapping[int, str]) -> dict[int, Why]:
        """Return why each memory of an answer is in it, by slot; `perhaps` are the ids that some go before."""
        by_slot = dict(zip(found.slots, found.whys, strict=True))
        shown = [one for one, _ in best]
        corrected = {one.record.superseded_by: one.item.id for one in reversed(shown)}
        return {
            one.slot: replace(
                by_slot.get(one.slot, Why()),
                outdated=one.record.valid_to is not None,
                corrects=corrected.get(one.item.id),
                perhaps_corrects=perhaps.get(one.slot),
                repeats=tuple(other.item.id for other in shown if other is not one and repeats(one, other)),
            )
            for one in shown
        }

    def discard(self, slots: Iterable[int]) -> None:
        """Let go of memories that have changed or are gone."""
        for slot in slots:
            self._discarded += 1
            self._perhaps.pop(slot, None)
            if (gone := self._kept.pop(slot, None)) is not None:
                del self._slots[gone.record.id]

    def missing(self, slots: Iterable[int], *, make_room: bool) -> tuple[list[int], int]:
        """Return those that are not kept, and what `keep` has to be told of this moment.

        Without `make_room` only as many as there is room for: those that are kept longest go first.
        """
        room = MAX_KEPT if make_room else MAX_KEPT - len(self._kept)
        return [slot for slot in slots if slot not in self._kept][:room], self._discarded

    def keep(self, some: Mapping[int, Shown], moment: int) -> None:
        """Keep what was prepared elsewhere, unless any memory has changed since that `moment`."""
        if moment == self._discarded:
            self._keep(some)

    def _keep(self, some: Mapping[int, Shown]) -> None:
        self._kept.update(some)
        self._slots.update((one.record.id, slot) for slot, one in some.items())
        for oldest in [*islice(self._kept, max(0, len(self._kept) - MAX_KEPT))]:
            del self._slots[self._kept.pop(oldest).record.id]

    def _get(self, slots: Sequence[int]) -> dict[int, Shown]:
        shown = {slot: self._kept[slot] for slot in slots if slot in self._kept}
        missing = [slot for slot in slots if slot not in shown]
        if missing:
            records = memories.by_slot(self._reader, missing)
            made = {slot: show(slot, record, self._count_tokens) for slot, record in records.items()}
            # Only then: what is kept anew may take the place of what was just found.
            self._keep(made)
            shown |= made
        return shown

    def _perhaps_correction(
        self, place: int, found: Found, shown: Mapping[int, Shown], question: Question
    ) -> Shown | None:
        """Return what perhaps corrects a memory that still holds, the surest of those that were found near the top.

        None if the question asks how it was.
        """
        old = found.slots[place]
        if place >= NEAR or shown[old].record.superseded_by is not None:
            return None
        if old not in self._perhaps:
            self._look_for_doubts(found.slots[:NEAR])
        if not self._perhaps[old]:
            return None
        enough = found.scores[place] * NEAR_SHARE
        near = {slot for slot, score in zip(found.slots[:NEAR], found.scores[:NEAR], strict=True) if score >= enough}
        newer = next((shown[slot] for slot in self._perhaps[old] if slot in near and slot in shown), None)
        return None if newer is None or asks_back(question.text, question.asked_at) else newer

    def _look_for_doubts(self, slots: Sequence[int]) -> None:
        """Have at hand what perhaps corrects each of `slots`, surest first."""
        missing = [slot for slot in slots if slot not in self._perhaps]
        if len(self._perhaps) + len(missing) > MAX_KEPT:
            self._perhaps = {slot: self._perhaps[slot] for slot in slots if slot in self._perhaps}
        self._perhaps |= dict.fromkeys(missing, ()) | corrections.perhaps_corrected_by(self._reader, missing)

    def _corrections(self, corrected: Shown, question: Question) -> list[Shown]:
        """Return the visible memories that have replaced one, one after the other, oldest first."""
        next_id = corrected.record.superseded_by
        if next_id is None:
            return []
        chain: list[Shown] = []
        seen = {corrected.record.id}
        while next_id is not None and next_id not in seen:
            seen.add(next_id)
            slot = self._slot(next_id)
            if slot is None:
                break
            newer = self._get([slot])[slot]
            if _is_visible(newer, question):
                chain.append(newer)
            next_id = newer.record.superseded_by
        return chain

    def _slot(self, memory_id: str) -> int | None:
        if memory_id in self._slots:
            return self._slots[memory_id]
        stored = memories.find(self._reader, memory_id)
        return None if stored is None else stored.slot

    def _allowed(self, one: Shown, secrets: AbstractSet[str], question: Question) -> Shown:
        """Return a memory without its secrets and those that others have, unless they are allowed."""
        if question.allow_secrets:
            return show(one.slot, one.record, self._count_tokens, allow_secrets=True) if one.record.secrets else one
        return show(one.slot, one.record, self._count_tokens, hide=secrets)

    def _neighbor(self, question: Question, secrets: AbstractSet[str], one: Shown, after: bool) -> Shown | None:
        """Return the turn after one in its session, or else the one before it, if the asker may see it."""
        slot = self._retriever.neighbor(one.slot, after=after)
        neighbor = None if slot is None else self._get([slot]).get(slot)
        if neighbor is None or not _is_visible(neighbor, question) or neighbor.record.valid_to is not None:
            return None
        return self._allowed(neighbor, secrets, question) if secrets or neighbor.record.secrets else neighbor


def _secrets(found: Iterable[tuple[Shown, float]]) -> set[str]:
    """Return what is secret in any of the memories that were found."""
    return {
        secret for one, _ in found if one.record.secrets for secret in secrets_of(one.record.text, one.record.secrets)
    }


def _widened(question: Question) -> Question:
    """Return a question that finds enough to choose from: what perhaps corrects the best, and variety if asked for."""
    enough = CANDIDATES if question.diversity else NEAR if question.strategy is Strategy.HYBRID else 0
    return replace(question, top_k=enough) if enough > question.top_k else question


def _is_visible(one: Shown, question: Question) -> bool:
    expires_at = one.record.expires_at
    is_expired = expires_at is not None and milliseconds(expires_at) <= question.now_ms
    return one.record.scope in question.scopes and not is_expired
