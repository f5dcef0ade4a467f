"""Finding in the background what a new memory corrects, and closing that."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
import logging
import sqlite3
from typing import TypeVar

from .correction import Decision
from .indexes import Indexes
from .records import Record, milliseconds
from .retrieval.analysis import fold
from .retrieval.corrections import corrections, may_correct
from .retrieval.cues import TITLES
from .retrieval.fitting import ASSISTANT, Candidate, Said
from .retrieval.likeness import STEM, are_alike, rarity
from .retrieval.retriever import Retriever
from .retrieval.statements import about, statement
from .retrieval.suspecting import suspected
from .retrieval.values import language_of
from .right_of_way import RightOfWay
from .store import corrections as store, memories
from .store.group_commit import GroupCommit
from .store.memories import StoredRecord
from .transactions import finished

LOGGER = logging.getLogger(__name__)
Result = TypeVar("Result")

CANDIDATES = 12
"""What is corrected was the nearest of all earlier memories in 8 of 10 cases, and among the twelve nearest in most
others."""
LATER = 5
EXAMINED_AT_ONCE = 32
"""How many memories share a commit; what a crash loses is examined again."""
MAX_KEPT = 2048
MAIN_LANGUAGE = "en"
"""What is said in another one is also looked for by words that are alike: the embedder may know English alone."""


class Corrector:
    """Examines memories once they have their vectors, in the order in which they were said.

    So the order in which they were stored or embedded does not matter. What was derived follows its sources. It belongs
    to one event loop; the work is done on the thread that does not have the model, one memory at a time, so that a
    question never waits for more than one.
    """

    def __init__(
        self,
        indexes: Indexes,
        writer: GroupCommit,
        reading: ThreadPoolExecutor,
        embedder: int,
        right_of_way: RightOfWay,
    ) -> None:
        """Use the threads and indexes of a memory, and the number of its embedder; questions go first."""
        self._right_of_way = right_of_way
        self._indexes = indexes
        self._writer = writer
        self._reading = reading
        self._embedder = embedder
        self._people: frozenset[str] = frozenset()
        self._newest_ms = 0
        self._examined: set[int] = set()
        self._kept: dict[int, Said] = {}

    async def examine(self, is_wanted: Callable[[], bool]) -> None:
        """Examine whatever has a vector and was not examined yet, until something else `is_wanted`.

        What fails is logged and tried again later.
        """
        try:
            slots = await self._run(lambda: self._indexes.read(self._begin))
            waiting = set(slots)
            for start in range(0, len(slots), EXAMINED_AT_ONCE):
                done: list[int] = []
                decided: list[Decision] = []
                for slot in slots[start : start + EXAMINED_AT_ONCE]:
                    if is_wanted():
                        break
                    await self._right_of_way.wait()
                    decided += await self._run(partial(self._decide, slot, decided, waiting))
                    done.append(slot)
                waiting.difference_update(done)
                self._examined.update(done)
                if decided or len(self._examined) >= EXAMINED_AT_ONCE:
                    await self._write(tuple(self._examined), decided)
                    self._examined.clear()
                if is_wanted():
                    break
        except Exception as error:  # noqa: BLE001 - the embedding, which this follows, has to go on
            LOGGER.warning("Corrections were not looked for and will be later: %s", type(error).__name__)

    def _begin(self, reader: sqlite3.Connection) -> list[int]:
        slots = [slot for slot in store.unexamined(reader, self._embedder) if slot not in self._examined]
        if slots:
            names = store.speakers(reader, of_unexamined=bool(self._people))
            people = self._people | {first_name(name) for name in names} - {ASSISTANT}
            if people != self._people or len(self._kept) > MAX_KEPT:
                self._kept.clear()
            self._people = people
            self._newest_ms = store.newest_examined(reader, self._examined)
        return slots

    def _decide(self, slot: int, decided: Sequence[Decision], waiting: AbstractSet[int]) -> list[Decision]:
        """Return what a memory corrects and what corrects it. `decided` is not written yet, `waiting` comes later."""
        new = self._indexes.read(lambda reader: self._load(reader, [slot])).get(slot)
        if new is None:
            return []
        stored, said = new
        found = self._corrected(stored, said, decided)
        if milliseconds(stored.record.created_at) < self._newest_ms:
            # Something older than what is known already, e.g. an import: what was said since may correct it.
            later = self._indexes.search(lambda retriever: _alike(retriever, stored, LATER, earlier=False))
            known = [number for number, _ in later if number not in waiting]
            for since, said_since in self._indexes.read(lambda reader: self._load(reader, known)).values():
                about_it = self._corrected(since, said_since, decided)
                found += [decision for decision in about_it if decision.old_slot == slot]
        return found

    def _corrected(self, stored: StoredRecord, said: Said, decided: Sequence[Decision]) -> list[Decision]:
        if stored.record.derived_from or not may_correct(said):
            return []
        if self._indexes.read(lambda reader: store.corrects_on_request(reader, stored)):
            return []
        cosines = dict(self._indexes.search(lambda retriever: _alike(retriever, stored, CANDIDATES, earlier=True)))
        if said.statement.cues and said.language != MAIN_LANGUAGE:
            content = {term for term in said.statement.terms if len(term) >= STEM}
            cosines |= dict(
                self._indexes.search(
                    lambda retriever: retriever.cognates(
                        stored.slot, content, partial(are_alike, foreign=True), CANDIDATES
                    )
                )
            )
        candidates = self._indexes.read(lambda reader: self._load(reader, list(cosines)))
        closed = {decision.old_slot for decision in decided if decision.closes}
        current = [
            Candidate(old, cosines[slot])
            for slot, (old_stored, old) in candidates.items()
            if slot not in closed and not old_stored.record.derived_from and _held(old_stored.record, stored.record)
        ]
        terms = said.statement.terms.union(*(one.said.statement.terms for one in current))
        frequencies, total = self._indexes.search(lambda retriever: (retriever.frequencies(terms), len(retriever)))
        slots = {old.id: slot for slot, (_, old) in candidates.items()}

        def rare(term: str) -> float:
            return rarity(frequencies[term], total)

        decisions = [
            Decision(slots[one.corrected_id], stored.slot, one.confidence, one.reason, one.closes)
            for one in corrections(said, current, rare)
        ]
        if (doubt := suspected(said, current, rare)) is not None:
            slot = slots[doubt.corrected_id]
            if slot not in {one.old_slot for one in decisions}:
                decisions.append(
                    Decision(slot, stored.slot, doubt.confidence, doubt.reason, closes=False, is_suspected=True)
                )
        return decisions

    def _load(self, reader: sqlite3.Connection, slots: Sequence[int]) -> dict[int, tuple[StoredRecord, Said]]:
        records = memories.by_slot(reader, slots)
        return {
            slot: (StoredRecord(slot, record), self._said(reader, slot, record)) for slot, record in records.items()
        }

    def _said(self, reader: sqlite3.Connection, slot: int, record: Record) -> Said:
        kept = self._kept.get(slot)
        if kept is None:
            speaker = first_name(record.speaker) if record.speaker else None
            taken_apart = statement(record.text, record.language, speaker, self._people)
            if taken_apart.is_elliptic:
                before = memories.by_slot(reader, store.said_before(reader, record, 1)).values()
                earlier = [statement(one.text, one.language, None, self._people) for one in before]
                taken_apart = about(taken_apart, earlier)
            kept = Said(
                id=record.id,
                statement=taken_apart,
                created_at=record.created_at,
                speaker=speaker,
                session=record.session,
                language=language_of(record.language),
            )
            self._kept[slot] = kept
        return kept

    async def _write(self, slots: Sequence[int], decided: Sequence[Decision]) -> None:
        now = datetime.now(UTC)
        await finished(
            self._writer.submit(
                lambda connection: memories.following(connection, store.examined(connection, slots, decided, now)),
                self._indexes.relink,
            )
        )

    async def _run(self, work: Callable[[], Result]) -> Result:
        return await finished(self._reading.submit(work))


def first_name(name: str) -> str:
    """Return the folded first name of a speaker, as others say it, without a title."""
    parts = [fold(part).strip(".") for part in name.split()]
    return next((part for part in parts if part not in TITLES), parts[0] if parts else "")


def _held(old: Record, new: Record) -> bool:
    """Return whether `old` still held when `new` was said."""
    return old.valid_to is None or old.valid_to >= new.created_at


def _alike(retriever: Retriever, stored: StoredRecord, count: int, *, earlier: bool) -> list[tuple[int, float]]:
    return retriever.alike(stored.slot, stored.record.text, stored.record.language, count, earlier=earlier)
