"""Giving memories their vectors, behind everybody's back: what has none is embedded, stored, and found by it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence, Set as AbstractSet
import contextlib
from datetime import UTC, datetime
from functools import partial
import logging
import sqlite3
from time import perf_counter
from typing import TypeAlias

from .backlog import EmbeddingBacklog
from .embedding.base import Embedder, Embedding
from .embedding.encoding import MadeWayError
from .embedding.projection import kept
from .errors import NpuMemoryError
from .indexes import Indexes
from .indexing import IndexKeeper
from .inference import InferenceThread, Priority
from .npu.faults import NpuRequiredError
from .records import Record, index_prefix
from .right_of_way import RightOfWay
from .store import memories, vectors
from .store.memories import StoredRecord
from .store.vectors import StoredVector
from .transactions import Transactions, finished

LOGGER = logging.getLogger(__name__)

NPU_AGAIN_SECONDS = 5.0
JUST_SAID_SECONDS = 60.0
"""What was said longer ago comes from an import, and is not waited for."""

Behind: TypeAlias = Callable[[Sequence[int], Callable[[], bool], bool], Awaitable[None]]
"""What is done once memories have their vectors: with their slots, what tells whether others wait by now, and whether
all that waited before has been seen to."""


class Vectorizer:
    """Owns the backlog of what has no vector yet; belongs to one event loop."""

    def __init__(
        self,
        embedder: Embedder,
        number: int,
        unembedded: Iterable[int],
        threads: Sequence[InferenceThread],
        transactions: Transactions,
        indexes: Indexes,
        keeper: IndexKeeper,
        right_of_way: RightOfWay,
        behind: Behind,
    ) -> None:
        """Begin with the slots that are `unembedded`, on these threads; `number` is the embedder's in the database."""
        self._loop = asyncio.get_running_loop()
        self._embedder = embedder
        self._number = number
        self._threads = threads
        self._transactions = transactions
        self._indexes = indexes
        self._keeper = keeper
        self._right_of_way = right_of_way
        self._behind = behind
        self._backlog = EmbeddingBacklog(unembedded, self._embed)

    def __len__(self) -> int:
        """Return how many memories wait for their vector."""
        return len(self._backlog)

    @property
    def slots(self) -> frozenset[int]:
        """The memories that wait for their vector."""
        return self._backlog.slots

    @property
    def is_awaited(self) -> bool:
        """Whether something was just said that the next question may be about, and that has no vector yet."""
        return bool(self._backlog.awaited)

    def add_from_thread(self, stored: StoredRecord) -> None:
        """Have a new memory embedded; from any thread."""
        age = datetime.now(UTC) - stored.record.created_at
        is_awaited = abs(age.total_seconds()) < JUST_SAID_SECONDS
        self._loop.call_soon_threadsafe(partial(self._backlog.add, [stored.slot], awaited=is_awaited))

    async def wait_for_the_turn_before(self, deadline: float) -> None:
        """Let what was said a moment ago be found by its meaning as well, for at most half of a question's budget.

        The budget ends at `deadline` (`perf_counter`).
        """
        if self.is_awaited:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout((deadline - perf_counter()) / 2):
                    await self._backlog.wait_until_none_awaited()

    async def embedded(self) -> None:
        """Wait until every memory has its vector."""
        await self._backlog.wait_until_empty()

    async def close(self) -> None:
        """Stop; what is not embedded yet is embedded at the next start."""
        await self._backlog.close()

    async def _embed(self, slots: Sequence[int]) -> AbstractSet[int]:
        """Give these memories their vectors; one that cannot be embedded is found by its words alone.

        Returns those that were seen to: what is said meanwhile is not to wait for the others.
        """
        records = await self._transactions.read(lambda reader: memories.by_slot(reader, slots))
        waiting = deque(sorted(records.items(), reverse=True))
        made: Sequence[StoredVector] = await self._embed_all(waiting)
        left = {slot for slot, _ in waiting}
        while not await finished(self._threads[0].submit(Priority.MEMORY, self._embedder.confirm)):
            LOGGER.warning("%s memories are embedded again: the NPU could not be believed", len(made))
            again = deque((one.slot, records[one.slot]) for one in made)
            made = await self._embed_all(again)
            left.update(slot for slot, _ in again)
        try:
            await self._transactions.write(
                lambda connection: self._store(connection, made),
                lambda _: self._indexes.embedded(made),
            )
        except NpuMemoryError as error:
            LOGGER.warning(
                "%s vectors could not be stored and will be made again at the next start: %s", len(made), error
            )
        # Behind the commit: indexes that are being made just now find in the database what they have no row for yet.
        for one in made:
            await self._right_of_way.wait()
            await self._transactions.aside(partial(self._indexes.put_vector, one.slot, one.vector))
            self._backlog.found(one.slot)
        self._keeper.release()
        is_all = not left and not self._others_wait(slots)
        await self._behind([one.slot for one in made], partial(self._others_wait, slots), is_all)
        return set(slots) - left

    def _store(self, connection: sqlite3.Connection, made: Sequence[StoredVector]) -> None:
        self._keeper.hold(connection)
        vectors.put(connection, self._number, made)

    def _others_wait(self, slots: Sequence[int]) -> bool:
        return len(self._backlog) > len(slots)

    async def _embed_all(self, waiting: deque[tuple[int, Record]]) -> Sequence[StoredVector]:
        """Embed what waits; what is left in `waiting` has to wait for what was said meanwhile."""
        batch = {slot for slot, _ in waiting}
        parts = await asyncio.gather(*(self._embed_on(thread, waiting, batch) for thread in self._threads))
        return [vector for part in parts for vector in part]

    async def _embed_on(
        self, thread: InferenceThread, waiting: deque[tuple[int, Record]], batch: AbstractSet[int]
    ) -> Sequence[StoredVector]:
        """Embed one waiting memory after the other on a thread, beside others that do the same."""
        made = []
        while waiting and not (self._backlog.awaited and self._backlog.awaited.isdisjoint(batch)):
            slot, record = waiting.popleft()
            try:
                embedding = await self._embed_behind_questions(thread, record)
            except Exception as error:  # noqa: BLE001 - a driver's as well; the next text may do better
                LOGGER.warning(
                    "Memory %s has no vector, its words alone are found: %s", record.id, type(error).__name__
                )
                continue
            made.append(StoredVector(slot, embedding.vector, kept(embedding.token_vectors), embedding.windows))
        return made

    async def _embed_behind_questions(self, thread: InferenceThread, record: Record) -> Embedding:
        """Return the embedding of a memory, which a question may end and have begun again, but not twice."""
        embed = partial(self._embedder.embed, record.text, index_prefix(record))
        await self._right_of_way.wait()
        with contextlib.suppress(MadeWayError):
            return await self._embed_when_possible(thread, partial(embed, bulk=True), self._embedder.make_way)
        await self._right_of_way.wait()
        return await self._embed_when_possible(thread, embed)

    async def _embed_when_possible(
        self, thread: InferenceThread, embed: Callable[[], Embedding], make_way: Callable[[], None] | None = None
    ) -> Embedding:
        """Return an embedding; while only the NPU may make it and cannot, wait for the NPU."""
        while True:
            try:
                return await finished(thread.submit(Priority.MEMORY, embed, make_way))
            except NpuRequiredError:
                await asyncio.sleep(NPU_AGAIN_SECONDS)
