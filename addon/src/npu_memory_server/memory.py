"""`Memory`: where the store, the indexes and the embedder meet. The protocol and the command line are doors to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
import contextlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
import logging
from pathlib import Path
import sqlite3
from time import monotonic, perf_counter
from typing import Generic, Self, TypeVar

from ulid import ULID

from . import __version__
from .backlog import EmbeddingBacklog
from .embedding.base import Embedder, Embedding
from .errors import NpuMemoryError
from .inference import InferenceThread, Priority
from .loading import Loaded, faults, indexed, load
from .lookup import Answer, Lookup
from .records import indexed_text, item_from_record, milliseconds, record_from_request
from .retrieval.fusion import Scores
from .retrieval.retriever import Question
from .store import memories, vectors
from .store.database import FILE_NAME, storage_errors, truncate_log
from .store.group_commit import GroupCommit
from .store.memories import Addition, Filter, Removal, StoredRecord
from .wire import (
    PROTOCOL_VERSION,
    Context,
    ForgetRequest,
    Forgotten,
    ListRequest,
    Page,
    RecallRequest,
    RememberRequest,
    Status,
    Stored,
    Strategy,
    Timings,
)

LOGGER = logging.getLogger(__name__)
First = TypeVar("First")
Result = TypeVar("Result")

AWAITED_EMBEDDINGS = 2
"""A question waits, within its budget, for so many memories that were just stored: both sides of the turn before it."""
WORDS = frozenset({Strategy.HYBRID, Strategy.LEXICAL})
MEANING = frozenset({Strategy.HYBRID, Strategy.VECTOR})


@dataclass(frozen=True, slots=True)
class RecallDefaults:
    """What holds for a recall that does not say otherwise."""

    top_k: int = 5
    strategy: Strategy = Strategy.HYBRID


@dataclass(frozen=True, slots=True)
class _Timed(Generic[Result]):
    """A result, when its work began (`perf_counter`) and how many ms it took."""

    value: Result
    began: float
    ms: float


class Memory:
    """What a household has said and noted. Its methods belong to one event loop; all work is done in three threads.

    One thread writes the database, one embeds, and one has the indexes and reads the database: each is the only one
    that touches what it has, so that nothing needs a lock.
    """

    def __init__(self, path: Path, embedder: Embedder, loaded: Loaded, defaults: RecallDefaults) -> None:
        """Take over what was loaded; `open` is the way to get one."""
        self._path = path
        self._embedder = embedder
        self._embedder_number = loaded.embedder_number
        self._defaults = defaults
        self._reader = loaded.reader
        self._retriever = loaded.retriever
        self._lookup = Lookup(loaded.reader, loaded.retriever)
        self._writer = GroupCommit(loaded.connection)
        self._inference = InferenceThread()
        self._searching = ThreadPoolExecutor(1, "npu-memory-search")
        self._loop = asyncio.get_running_loop()
        self._backlog = EmbeddingBacklog(loaded.retriever.slots_without_vector(), self._embed)
        self._started = monotonic()
        self._recalls = 0
        self._last_recall: Timings | None = None
        self.instance = memories.instance_id(loaded.reader)

    @classmethod
    async def open(cls, directory: Path, embedder: Embedder, defaults: RecallDefaults | None = None) -> Self:
        """Open the memories in a folder, making them if there are none. Raises `StorageError`.

        The indexes are built from the database; vectors of another embedder count as missing and are made anew in the
        background.
        """
        path = directory / FILE_NAME
        return cls(path, embedder, await asyncio.to_thread(load, path, embedder), defaults or RecallDefaults())

    async def close(self) -> None:
        """Finish what was begun and let go of the database; what is not embedded yet is embedded at the next start."""
        await self._backlog.close()
        await asyncio.to_thread(self._inference.close)
        await asyncio.to_thread(self._writer.close)
        await asyncio.to_thread(self._searching.shutdown)
        self._reader.close()

    async def remember(self, request: RememberRequest) -> Stored:
        """Keep something as it was said; returns after the commit, when the next recall finds it.

        With `corrects`, that memory's validity ends where this one begins. Raises `NotFoundError` and `ConflictError`
        about the corrected memory or the id, and `StorageError`: then nothing was stored.
        """
        now = datetime.now(UTC).astimezone()
        record = record_from_request(request, str(ULID()), now)
        addition = await self._write(
            lambda connection: memories.add(connection, record, now, request.corrects), self._index_addition
        )
        return Stored(id=request.id, memory_id=addition.memory_id, outcome=addition.outcome)

    async def correct(self, memory_id: str, request: RememberRequest) -> Stored:
        """Keep `request` as what holds now instead of `memory_id`; both remain answerable. Raises as `remember`."""
        return await self.remember(replace(request, corrects=memory_id))

    async def forget(self, request: ForgetRequest) -> Forgotten:
        """Remove memories from the database, its log and every index; all of them, or none and `NotFoundError`."""
        now = datetime.now(UTC)
        removal = await self._write(
            lambda connection: memories.forget(connection, request.memory_ids, now), self._index_removal
        )
        await self._await(self._writer.submit_alone(truncate_log))
        return Forgotten(id=request.id, memory_ids=tuple(gone.record.id for gone in removal.removed))

    async def recall(self, request: RecallRequest) -> Context:
        """Find the memories that answer a question, best first, within the question's budget.

        When the embedding fails or comes too late, the words alone decide and `degraded` says so. Raises
        `StorageError`.
        """
        started = perf_counter()
        deadline = started + request.budget_ms / 1000
        strategy = request.strategy or self._defaults.strategy
        question = Question(
            strategy=strategy,
            scopes=request.scopes,
            now_ms=milliseconds(datetime.now(UTC)),
            top_k=request.top_k or self._defaults.top_k,
            min_relevance=request.min_relevance,
        )
        embedding = lexical = None
        degraded = ""
        if strategy in MEANING:
            await self._wait_for_the_turn_before(deadline)
            embedding = self._inference.submit(Priority.QUESTION, _timed(partial(self._embedder.embed, request.text)))
        if strategy in WORDS:
            # After the embedding, which is the longer of the two: whoever is first gets the interpreter's lock first.
            search_words = partial(self._retriever.lexical_scores, request.text, request.language)
            lexical = self._searching.submit(_timed(search_words))
        if embedding is not None:
            answer, degraded = await self._look_up_in_time(question, lexical, embedding, deadline)
        else:
            answer = await self._search(partial(self._look_up, question, lexical))
        embedded = embedding.result() if embedding is not None and not degraded else None
        timings = Timings(
            wait=(embedded.began - started) * 1000 if embedded else 0.0,
            tokenize=embedded.value.timings.tokenize if embedded else 0.0,
            inference=embedded.value.timings.inference if embedded else 0.0,
            pooling=embedded.value.timings.pooling if embedded else 0.0,
            lexical=lexical.result().ms if lexical else 0.0,
            vector=answer.vector_ms,
            fusion=answer.fusion_ms,
            context=answer.context_ms,
            total=(perf_counter() - started) * 1000,
        )
        self._recalls += 1
        self._last_recall = timings
        return Context(
            id=request.id,
            context=answer.context,
            memories=answer.memories,
            timings=timings,
            backend=self._embedder.backend if embedded else "none",
            degraded=degraded,
        )

    async def list(self, request: ListRequest) -> Page:
        """Return a page of memories, newest first. Raises `InvalidRequestError` for a wrong cursor."""
        filters = Filter(
            scopes=request.scopes, kind=request.kind, speaker=request.speaker, include_past=request.include_past
        )
        (records, cursor), total = await self._search(
            lambda: (
                memories.page(self._reader, filters, request.limit, request.cursor),
                memories.count(self._reader, filters),
            )
        )
        items = tuple(item_from_record(record) for record in records)
        return Page(id=request.id, memories=items, total=total, next_cursor=cursor)

    async def status(self, request_id: str = "") -> Status:
        """Return the state of the memory in numbers."""
        everything, current = await self._search(
            lambda: (
                memories.count(self._reader, Filter()),
                memories.count(self._reader, Filter(include_past=False)),
            )
        )
        return Status(
            id=request_id,
            version=__version__,
            protocol=PROTOCOL_VERSION,
            instance=self.instance,
            memories=everything,
            past=everything - current,
            pending_embeddings=len(self._backlog),
            backend=self._embedder.backend,
            model=self._embedder.fingerprint.split("@", maxsplit=1)[0],
            fingerprint=self._embedder.fingerprint,
            database_bytes=self._path.stat().st_size,
            uptime_seconds=monotonic() - self._started,
            recalls=self._recalls,
            last_recall=self._last_recall,
        )

    async def embedded(self) -> None:
        """Wait until every memory has its vector."""
        await self._backlog.wait_until_empty()

    async def faults(self) -> Sequence[str]:
        """Check the whole database and that the indexes agree with it; returns what is wrong, if anything."""
        pending = self._backlog.slots
        return await self._search(lambda: faults(self._reader, self._retriever, self._embedder_number, pending))

    async def _wait_for_the_turn_before(self, deadline: float) -> None:
        """Let what was said a moment ago be found by its meaning as well, for at most half of the budget."""
        if 0 < len(self._backlog) <= AWAITED_EMBEDDINGS:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout((deadline - perf_counter()) / 2):
                    await self._backlog.wait_until_empty()

    async def _look_up_in_time(
        self,
        question: Question,
        lexical: Future[_Timed[Scores]] | None,
        embedding: Future[_Timed[Embedding]],
        deadline: float,
    ) -> tuple[Answer, str]:
        """Return the answer with the embedding, or without it and the reason."""
        with_vector = _then(
            embedding,
            self._searching,
            lambda embedded: self._look_up(replace(question, vector=embedded.value.vector), lexical),
        )
        try:
            async with asyncio.timeout(deadline - perf_counter()):
                # Inside: TimeoutError is an OSError, which would be taken for one of the database.
                with storage_errors("The database could not be read"):
                    return await asyncio.wrap_future(with_vector), ""
        except TimeoutError:
            embedding.cancel()
            degraded = "The embedding came later than the budget allows."
        except Exception as error:
            if embedding.exception() is None:
                raise
            LOGGER.warning("A question could not be embedded: %s", type(error).__name__)
            degraded = "The question could not be embedded."
        if lexical is None:
            return Answer(), degraded
        return await self._search(partial(self._look_up, question, lexical)), degraded

    def _look_up(self, question: Question, lexical: Future[_Timed[Scores]] | None) -> Answer:
        """Runs on the thread of the indexes, where the lexical search was finished before this could begin."""
        scored = replace(question, lexical=lexical.result().value) if lexical else question
        return self._lookup.answer(scored)

    def _index_addition(self, addition: Addition) -> None:
        if addition.added is not None:
            self._searching.submit(self._add_to_indexes, addition.added, addition.closed)
            self._loop.call_soon_threadsafe(self._backlog.add, [addition.added.slot])

    def _add_to_indexes(self, added: StoredRecord, closed: StoredRecord | None) -> None:
        self._retriever.add(indexed(added))
        if closed is not None:
            self._retriever.set_current(closed.slot, current=False)
            self._lookup.discard([closed.slot])

    def _index_removal(self, removal: Removal) -> None:
        self._searching.submit(self._remove_from_indexes, removal)

    def _remove_from_indexes(self, removal: Removal) -> None:
        for gone in removal.removed:
            self._retriever.remove(gone.slot, indexed_text(gone.record), gone.record.language)
        for old in removal.relinked:
            self._retriever.set_current(old.slot, current=old.record.valid_to is None)
        self._lookup.discard(changed.slot for changed in (*removal.removed, *removal.relinked))

    async def _embed(self, slots: Sequence[int]) -> None:
        """Give these memories their vectors; one that cannot be embedded is found by its words alone."""
        records = await self._search(lambda: memories.by_slot(self._reader, slots))
        made = []
        for slot, record in sorted(records.items(), reverse=True):
            embed = partial(self._embedder.embed, indexed_text(record))
            try:
                embedding = await self._await(self._inference.submit(Priority.MEMORY, embed))
            except Exception as error:  # noqa: BLE001 - a driver's as well; the next text may do better
                LOGGER.warning(
                    "Memory %s has no vector, its words alone are found: %s", record.id, type(error).__name__
                )
                continue
            made.append((slot, embedding.vector))
            await self._search(partial(self._retriever.put_vector, slot, embedding.vector))
        try:
            await self._write(lambda connection: vectors.put(connection, self._embedder_number, made))
        except NpuMemoryError as error:
            LOGGER.warning(
                "%s vectors could not be stored and will be made again at the next start: %s", len(made), error
            )

    async def _write(
        self,
        operation: Callable[[sqlite3.Connection], Result],
        after_commit: Callable[[Result], None] | None = None,
    ) -> Result:
        result = await self._await(self._writer.submit(operation, after_commit))
        if after_commit is not None:
            # The indexes have one thread and its work is in order: once this has run, so has the change.
            await self._search(lambda: None)
        return result

    async def _search(self, work: Callable[[], Result]) -> Result:
        with storage_errors("The database could not be read"):
            return await self._await(self._searching.submit(work))

    async def _await(self, future: Future[Result]) -> Result:
        # Shielded: what was begun is finished even when nobody waits for it any more.
        return await asyncio.shield(asyncio.wrap_future(future))


def _then(first: Future[First], executor: ThreadPoolExecutor, work: Callable[[First], Result]) -> Future[Result]:
    """Run `work(result)` on `executor` once `first` has its result, without a detour through the event loop."""
    second: Future[Result] = Future()

    def run(result: First) -> None:
        if second.set_running_or_notify_cancel():
            try:
                second.set_result(work(result))
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for the result
                second.set_exception(error)

    def begin(done: Future[First]) -> None:
        if done.cancelled():
            second.cancel()
        elif (error := done.exception()) is not None:
            if second.set_running_or_notify_cancel():
                second.set_exception(error)
        else:
            executor.submit(run, done.result())

    first.add_done_callback(begin)
    return second


def _timed(work: Callable[[], Result]) -> Callable[[], _Timed[Result]]:
    def timed() -> _Timed[Result]:
        began = perf_counter()
        value = work()
        return _Timed(value, began, (perf_counter() - began) * 1000)

    return timed
