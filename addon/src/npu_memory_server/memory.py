"""`Memory`: where the store, the indexes and the embedder meet. The protocol and the command line are doors to it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence, Set as AbstractSet
from concurrent.futures import Future, ThreadPoolExecutor
import contextlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
import logging
from pathlib import Path
import sqlite3
import threading
from time import monotonic, perf_counter
from typing import Self, TypeVar

from ulid import ULID

from . import __version__, saving
from .backlog import EmbeddingBacklog
from .context.examining import examined
from .correcting import Corrector
from .deriving import derive, proposals, settle as settle_proposal
from .embedding.base import Embedder, Embedding
from .embedding.encoding import MadeWayError
from .embedding.projection import kept
from .errors import NpuMemoryError
from .indexes import Indexes
from .indexing import IndexKeeper
from .inference import InferenceThread, Priority
from .loading import Loaded, load
from .npu.faults import NpuRequiredError
from .recalling import MEANING, Recalled, Recaller
from .records import Record, index_prefix, item_from_record, milliseconds, record_from_request
from .reranking.shelf import Shelf
from .retrieval.question import Question
from .retrieval.weights import Weights
from .right_of_way import RightOfWay
from .showing import Showing
from .store import corrections, derivations, memories, vectors
from .store.database import FILE_NAME, truncate_log
from .store.group_commit import GroupCommit
from .store.memories import Addition, Filter, Removal, StoredRecord
from .store.vectors import StoredVector
from .waking import wake_files
from .wire import (
    HOUSEHOLD,
    MAX_NAME_CHARACTERS,
    MAX_OVERVIEW,
    PROTOCOL_VERSION,
    AcceptCorrectionRequest,
    Context,
    CorrectionPage,
    CorrectionSettled,
    CorrectionsRequest,
    CorrectionState,
    Derivation,
    Derived,
    DeriveRequest,
    ForgetRequest,
    Forgotten,
    ListRequest,
    Page,
    Prepared,
    ProposalPage,
    ProposalSettled,
    ProposalsRequest,
    RecallRequest,
    RememberRequest,
    Reranker,
    RevertCorrectionRequest,
    SettleProposalRequest,
    Status,
    Stored,
    Strategy,
    Timings,
    parse_moment,
)

LOGGER = logging.getLogger(__name__)
Result = TypeVar("Result")

TRUNCATE_AGAIN_SECONDS = 2.0
EXPIRY_SECONDS = 60.0
"""What has expired is neither found nor listed from then on, and deleted so much later at most."""
NPU_AGAIN_SECONDS = 5.0
IDLE_SECONDS = 5.0
"""After so long without a question its code, its weights and the database have begun to leave the caches."""
WAKING_SECONDS = 2.0
WAKING_TEXT = "what did we say about that"
JUST_SAID_SECONDS = 60.0
"""What was said longer ago comes from an import, and is not waited for."""


@dataclass(frozen=True, slots=True)
class RecallDefaults:
    """What holds for a recall that does not say otherwise."""

    top_k: int = 5
    strategy: Strategy = Strategy.HYBRID
    reranker: Reranker = Reranker.MAXSIM
    max_tokens: int = 1000
    diversity: float = 0.0


class Memory:
    """What a household has said and noted. Its methods belong to one event loop, `recall_at_once` to any thread.

    The work is done in three threads: one writes the database and keeps the indexes in step, one has the model and
    answers questions, and one does what does not need the model. A question that finds the model free is answered by
    the thread that it comes on.
    """

    def __init__(
        self, path: Path, embedder: Embedder, loaded: Loaded, defaults: RecallDefaults, shelf: Shelf | None
    ) -> None:
        """Take over what was loaded; `open` is the way to get one."""
        self._path = path
        self._embedder = embedder
        self._embedder_number = loaded.embedder_number
        self._defaults = defaults
        self.instance = loaded.instance
        self._loop = asyncio.get_running_loop()
        self._indexes = Indexes(loaded, embedder.count_tokens)
        self.right_of_way = RightOfWay()
        self._writer = GroupCommit(loaded.connection, self.right_of_way.wait_in_thread)
        self._inference = InferenceThread()
        self._bulk = [InferenceThread() for _ in range(embedder.lanes)] or [self._inference]
        self._searching = ThreadPoolExecutor(1, "npu-memory-search")
        self._shelf = shelf
        self._recaller = Recaller(self._indexes, embedder, self._inference, self._searching, shelf)
        self._corrector = Corrector(
            self._indexes, self._writer, self._searching, loaded.embedder_number, self.right_of_way
        )
        self._showing = Showing(self._indexes, self._searching, self.right_of_way)
        self._backlog = EmbeddingBacklog(loaded.unembedded, self._embed)
        made_by = (embedder.fingerprint, loaded.comparable, embedder.dimensions)
        self._keeper = IndexKeeper(
            path.parent, self._indexes, self._writer, made_by, loaded.reached, self.right_of_way.wait_in_thread
        )
        self._truncating: asyncio.Task[None] | None = None
        self._expiring = asyncio.create_task(self._remove_expired(), name="npu-memory-expiry")
        self._started = monotonic()
        self._last_asked = float("-inf")
        self._noting = threading.Lock()
        self._recalls = 0
        self._last_recall: Timings | None = None
        self._remembering = 0

    @classmethod
    async def open(
        cls,
        directory: Path,
        embedder: Embedder,
        defaults: RecallDefaults | None = None,
        shelf: Shelf | None = None,
        weights: Weights | None = None,
    ) -> Self:
        """Open the memories in a folder, making them if there are none. Raises `StorageError`.

        The indexes are built from the database; vectors of another embedder are made anew in the background, and serve
        until then if they may be compared with those of this one. The cross-encoders on the `shelf` become this
        memory's, which closes it; `weights` are for measuring what each is worth.
        """
        path = directory / FILE_NAME
        loaded = await asyncio.to_thread(load, path, embedder, weights)
        return cls(path, embedder, loaded, defaults or RecallDefaults(), shelf)

    async def close(self) -> None:
        """Finish what was begun and let go of the database; what is not embedded yet is embedded at the next start."""
        await self._backlog.close()
        await self._showing.close()
        await self._keeper.close()
        for task in (self._expiring, self._truncating):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        for thread in {self._inference, *self._bulk}:
            await asyncio.to_thread(thread.close)
        if self._shelf is not None:
            await asyncio.to_thread(self._shelf.close)
        await asyncio.to_thread(self._writer.close)
        await asyncio.to_thread(self._searching.shutdown)
        self._indexes.close()

    async def remember(self, request: RememberRequest) -> Stored:
        """Keep something as it was said; returns after the commit, when the next recall finds it.

        With `corrects`, that memory's validity ends where this one begins. Raises `NotFoundError` and `ConflictError`
        about the corrected memory or the id, and `StorageError`: then nothing was stored.
        """
        now = datetime.now(UTC).astimezone()
        record = record_from_request(request, str(ULID()), now)
        adding = partial(_add, record=record, now=now, corrects=request.corrects)
        self._remembering += 1
        try:
            addition = await self._write(adding, self._take_in)
        finally:
            self._remembering -= 1
        return Stored(id=request.id, memory_id=addition.memory_id, outcome=addition.outcome)

    async def let_questions_pass(self) -> None:
        """Wait while somebody asks, if more is being remembered at the moment than one memory."""
        if self._remembering:
            await self.right_of_way.wait()

    async def correct(self, memory_id: str, request: RememberRequest) -> Stored:
        """Keep `request` as what holds now instead of `memory_id`; both remain answerable. Raises as `remember`."""
        return await self.remember(replace(request, corrects=memory_id))

    async def corrections(self, request: CorrectionsRequest) -> CorrectionPage:
        """Return a page of the corrections that were found without being asked for.

        Raises `InvalidRequestError` for a wrong cursor.
        """
        (found, cursor), total = await self._read(
            lambda reader: (
                corrections.page(reader, request.state, request.limit, request.cursor),
                corrections.count(reader, request.state),
            )
        )
        return CorrectionPage(id=request.id, corrections=tuple(found), total=total, next_cursor=cursor)

    async def accept_correction(self, request: AcceptCorrectionRequest) -> CorrectionSettled:
        """Let a correction that was only proposed, or taken back, close the older memory, or one that is `stated`.

        Raises `NotFoundError`; for what is stated also `ConflictError`, if one of the two holds no longer.
        """
        accept = partial(corrections.declare, now=datetime.now(UTC)) if request.stated else corrections.accept
        return await self._settle(request, accept, CorrectionState.CLOSED)

    async def revert_correction(self, request: RevertCorrectionRequest) -> CorrectionSettled:
        """Let a memory hold again that was taken for corrected; it stays so. Raises `NotFoundError`."""
        return await self._settle(request, corrections.revert, CorrectionState.REVERTED)

    async def _settle(
        self,
        request: AcceptCorrectionRequest | RevertCorrectionRequest,
        settle: Callable[[sqlite3.Connection, str, str], Sequence[StoredRecord]],
        state: CorrectionState,
    ) -> CorrectionSettled:
        await self._write(
            lambda connection: memories.following(connection, settle(connection, request.old_id, request.new_id)),
            self._indexes.relink,
        )
        return CorrectionSettled(id=request.id, old_id=request.old_id, new_id=request.new_id, state=state)

    async def derive(self, request: DeriveRequest) -> Derived:
        """Store or propose a fact that a model has made of memories, if it holds nothing but what they say.

        Raises `NotFoundError` if one of them is gone, and `InvalidRequestError` if nothing may be derived from them.
        """
        now, new_id = datetime.now(UTC).astimezone(), str(ULID())
        outcome, _ = await self._write(
            lambda connection: derive(connection, request, new_id, now), lambda done: self._take_in(done[1])
        )
        kept = outcome in (Derivation.STORED, Derivation.PROPOSED)
        return Derived(id=request.id, outcome=outcome, memory_id=new_id if kept else None)

    async def proposals(self, request: ProposalsRequest) -> ProposalPage:
        """Return a page of the facts that wait for a yes. Raises `InvalidRequestError` for a wrong cursor."""
        page, cursor, total = await self._read(lambda reader: proposals(reader, request.limit, request.cursor))
        return ProposalPage(id=request.id, proposals=tuple(page), total=total, next_cursor=cursor)

    async def settle_proposal(self, request: SettleProposalRequest) -> ProposalSettled:
        """Remember a fact that was proposed, or decline it. Raises `NotFoundError` and `InvalidRequestError`."""
        now = datetime.now(UTC).astimezone()
        await self._write(
            lambda connection: settle_proposal(connection, request, now), lambda done: self._take_in(done[1])
        )
        return ProposalSettled(id=request.id, memory_id=request.memory_id, accepted=request.accept)

    async def forget(self, request: ForgetRequest) -> Forgotten:
        """Remove memories from the database, its log and every index; all of them, or none and `NotFoundError`.

        What was derived from them goes too.
        """
        now = datetime.now(UTC)
        removed = await self._remove(lambda connection: memories.forget(connection, request.memory_ids, now))
        return Forgotten(id=request.id, memory_ids=tuple(gone.record.id for gone in removed))

    async def _remove(self, removing: Callable[[sqlite3.Connection], Removal]) -> Sequence[StoredRecord]:
        removal = await self._write(removing, self._indexes.remove)
        self._keeper.forgotten()
        if not await self._await(self._writer.submit_alone(truncate_log)) and self._truncating is None:
            self._truncating = asyncio.create_task(self._truncate_later(), name="npu-memory-truncate")
        return removal.removed

    async def _remove_expired(self) -> None:
        """Let go of what was only to be kept until now, as every start does."""
        while True:
            await asyncio.sleep(EXPIRY_SECONDS)
            now = datetime.now(UTC)
            try:
                if await self._read(partial(memories.has_expired, now=now)):
                    await self._remove(partial(memories.purge_expired, now=now))
            except NpuMemoryError as error:
                LOGGER.warning("What has expired could not be removed and will be later: %s", error)

    async def recall(self, request: RecallRequest, began: float | None = None) -> Context:
        """Find the memories that answer a question, best first, within the question's budget.

        When the embedding fails or comes too late, the words alone decide and `degraded` says so. The budget is counted
        from `began` (`perf_counter`), or from now. Raises `StorageError`.
        """
        began = perf_counter() if began is None else began
        deadline = began + request.budget_ms / 1000
        question = self._question(request)
        if question.strategy in MEANING:
            await self._wait_for_the_turn_before(deadline)
        with self.right_of_way.question():
            return self._context(request.id, began, await self._recaller.recall(question, deadline))

    def recall_at_once(self, request: RecallRequest, began: float) -> Context | None:
        """Return what `recall` does, for a thread that waits for it, whichever; None if it is `recall` that has to.

        It has to if the model fails or is busy for longer than the budget, or if what was just stored is waited for. If
        the model is free the calling thread does the work itself and keeps to no budget: whoever calls it looks after
        that. Raises `StorageError`.
        """
        if self._is_awaiting_the_turn_before():
            return None
        recalled = self._recaller.recall_here(self._question(request), began + request.budget_ms / 1000)
        return None if recalled is None else self._context(request.id, began, recalled)

    def _question(self, request: RecallRequest) -> Question:
        self._last_asked = monotonic()
        return Question(
            text=request.text,
            language=request.language,
            strategy=request.strategy or self._defaults.strategy,
            reranker=request.reranker or self._defaults.reranker,
            scopes=request.scopes,
            now_ms=milliseconds(datetime.now(UTC)),
            asked_at=parse_moment(request.asked_at, "asked_at") if request.asked_at else datetime.now().astimezone(),
            top_k=request.top_k or self._defaults.top_k,
            min_relevance=request.min_relevance,
            max_tokens=request.max_tokens or self._defaults.max_tokens,
            allow_secrets=request.allow_secrets,
            explain=request.explain,
            diversity=self._defaults.diversity if request.diversity is None else request.diversity,
            without_session=request.without_session,
        )

    def _context(self, request_id: str, began: float, recalled: Recalled) -> Context:
        """Return what was recalled as it travels, and note it for the status."""
        embedding, answer = recalled.embedding, recalled.answer
        timings = Timings(
            wait=(recalled.began - began) * 1000,
            tokenize=embedding.tokenize if embedding else 0.0,
            inference=embedding.inference if embedding else 0.0,
            pooling=embedding.pooling if embedding else 0.0,
            lexical=recalled.words_ms,
            vector=answer.vector_ms,
            fusion=answer.fusion_ms,
            rerank=answer.rerank_ms,
            context=answer.context_ms,
            total=(perf_counter() - began) * 1000,
        )
        with self._noting:
            self._recalls += 1
            self._last_recall = timings
        return Context(
            id=request_id,
            context=answer.context,
            memories=answer.memories,
            timings=timings,
            backend=embedding.backend if embedding else "none",
            degraded=(recalled.degraded or self._incomplete())[:MAX_NAME_CHARACTERS],
            left_out=answer.left_out,
            reranked=recalled.reranked,
        )

    async def prepare(self, request_id: str = "") -> Prepared:
        """Wake what a question needs, if nobody has asked for a while, by asking one. Raises `StorageError`.

        What the kernel has let go of, the indexes and the database, is brought back into memory behind that.

        A question that comes meanwhile waits for at most this one inference.
        """
        now = monotonic()
        if now - self._last_asked < IDLE_SECONDS:
            return Prepared(id=request_id, woken=False)
        self._last_asked = now
        question = Question(
            text=WAKING_TEXT,
            language=None,
            strategy=self._defaults.strategy,
            reranker=self._defaults.reranker,
            scopes=(HOUSEHOLD,),
            now_ms=milliseconds(datetime.now(UTC)),
            asked_at=datetime.now().astimezone(),
            top_k=self._defaults.top_k,
            min_relevance=0.0,
        )
        files = [*saving.index_files(self._path.parent), self._path]
        await asyncio.gather(
            asyncio.to_thread(wake_files, files), self._recaller.recall(question, perf_counter() + WAKING_SECONDS)
        )
        return Prepared(id=request_id, woken=True)

    async def list(self, request: ListRequest) -> Page:
        """Return a page of memories, newest first. Raises `InvalidRequestError` for a wrong cursor."""
        filters = Filter(
            now_ms=milliseconds(datetime.now(UTC)),
            scopes=request.scopes,
            kind=request.kind,
            speaker=request.speaker,
            include_past=request.include_past,
            session=request.session,
            history_of=request.history_of,
        )
        (records, cursor), total, (scopes, speakers) = await self._read(
            lambda reader: (
                memories.page(reader, filters, request.limit, request.cursor),
                memories.count(reader, filters),
                memories.overview(reader, MAX_OVERVIEW) if request.overview else ((), ()),
            )
        )
        items = tuple(item_from_record(record) for record in records)
        return Page(id=request.id, memories=items, total=total, next_cursor=cursor, scopes=scopes, speakers=speakers)

    async def status(self, request_id: str = "") -> Status:
        """Return the state of the memory in numbers."""
        everything, past, waiting = await self._read(
            lambda reader: (memories.total(reader), memories.past(reader), derivations.count(reader))
        )
        return Status(
            id=request_id,
            version=__version__,
            protocol=PROTOCOL_VERSION,
            instance=self.instance,
            memories=everything,
            past=past,
            pending_embeddings=len(self._backlog),
            backend=self._embedder.backend,
            model=self._embedder.fingerprint.split("@", maxsplit=1)[0],
            fingerprint=self._embedder.fingerprint,
            database_bytes=self._path.stat().st_size,
            uptime_seconds=monotonic() - self._started,
            recalls=self._recalls,
            last_recall=self._last_recall,
            npu=self._embedder.npu,
            rerankers=self._shelf.reports if self._shelf else (),
            proposals=waiting,
        )

    async def indexed(self) -> None:
        """Wait until every memory can be found, which a large one whose saved indexes are gone takes minutes for."""
        await self._keeper.caught_up()

    @property
    def is_large(self) -> bool:
        """Whether the indexes are those of a large memory, which are saved."""
        return self._indexes.is_large

    async def save_indexes(self) -> bool:
        """Save the indexes of a large memory now instead of in time; returns whether that worked."""
        return await self._keeper.save()

    async def embedded(self) -> None:
        """Wait until every memory has its vector."""
        await self._backlog.wait_until_empty()

    async def shown_ahead(self) -> None:
        """Wait until what was there at the start, the newest of a large memory, is ready to be shown."""
        await self._showing.prepared()

    async def faults(self) -> Sequence[str]:
        """Check the whole database and that the indexes agree with it; returns what is wrong, if anything."""
        return await self._await(self._searching.submit(self._indexes.faults, self._backlog.slots))

    async def _wait_for_the_turn_before(self, deadline: float) -> None:
        """Let what was said a moment ago be found by its meaning as well, for at most half of the budget."""
        if self._is_awaiting_the_turn_before():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout((deadline - perf_counter()) / 2):
                    await self._backlog.wait_until_none_awaited()

    def _is_awaiting_the_turn_before(self) -> bool:
        return bool(self._backlog.awaited)

    def _incomplete(self) -> str:
        share = self._keeper.share
        return "" if share == 1 else f"The indexes are being made anew: {share:.0%} of the memories can be found."

    async def _truncate_later(self) -> None:
        """Empty the log as soon as nobody reads the database any more; what was forgotten is in it until then."""
        LOGGER.info("What was forgotten stays in the log of the database until another process has read it to its end")
        truncated = False
        while not truncated:
            await asyncio.sleep(TRUNCATE_AGAIN_SECONDS)
            truncated = await self._await(self._writer.submit_alone(truncate_log))
        self._truncating = None

    def _take_in(self, addition: Addition | None) -> None:
        """Runs on the writer's thread after the commit, and so even if whoever asked has gone away meanwhile."""
        if addition is None:
            return
        self._indexes.add(addition)
        if addition.added is not None:
            age = datetime.now(UTC) - addition.added.record.created_at
            adding = partial(
                self._backlog.add, [addition.added.slot], awaited=abs(age.total_seconds()) < JUST_SAID_SECONDS
            )
            self._loop.call_soon_threadsafe(adding)

    async def _embed(self, slots: Sequence[int]) -> AbstractSet[int]:
        """Give these memories their vectors; one that cannot be embedded is found by its words alone.

        Returns those that were seen to: what is said meanwhile is not to wait for the others.
        """
        records = await self._read(lambda reader: memories.by_slot(reader, slots))
        waiting = deque(sorted(records.items(), reverse=True))
        made: Sequence[StoredVector] = await self._embed_all(waiting)
        left = {slot for slot, _ in waiting}
        while not await self._await(self._bulk[0].submit(Priority.MEMORY, self._embedder.confirm)):
            LOGGER.warning("%s memories are embedded again: the NPU could not be believed", len(made))
            again = deque((one.slot, records[one.slot]) for one in made)
            made = await self._embed_all(again)
            left.update(slot for slot, _ in again)
        try:
            await self._write(
                lambda connection: self._store(connection, made),
                lambda _: self._indexes.reread([one.slot for one in made if one.windows > 1]),
            )
        except NpuMemoryError as error:
            LOGGER.warning(
                "%s vectors could not be stored and will be made again at the next start: %s", len(made), error
            )
        # Behind the commit: indexes that are being made just now find in the database what they have no row for yet.
        for one in made:
            await self.right_of_way.wait()
            await self._await(self._searching.submit(self._indexes.put_vector, one.slot, one.vector))
            self._backlog.found(one.slot)
        self._keeper.release()
        await self._showing.prepare([one.slot for one in made], make_room=not self._others_wait(slots))
        if not left and not self._others_wait(slots) and self._keeper.share == 1:
            # Only once all that waits has its vector: what is decided must not depend on the order of embedding.
            await self._corrector.examine(partial(self._others_wait, slots))
        return set(slots) - left

    def _store(self, connection: sqlite3.Connection, made: Sequence[StoredVector]) -> None:
        self._keeper.hold(connection)
        vectors.put(connection, self._embedder_number, made)

    def _others_wait(self, slots: Sequence[int]) -> bool:
        return len(self._backlog) > len(slots)

    async def _embed_all(self, waiting: deque[tuple[int, Record]]) -> Sequence[StoredVector]:
        """Embed what waits; what is left in `waiting` has to wait for what was said meanwhile."""
        batch = {slot for slot, _ in waiting}
        parts = await asyncio.gather(*(self._embed_on(thread, waiting, batch) for thread in self._bulk))
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
        await self.right_of_way.wait()
        with contextlib.suppress(MadeWayError):
            return await self._embed_when_possible(thread, partial(embed, bulk=True), self._embedder.make_way)
        await self.right_of_way.wait()
        return await self._embed_when_possible(thread, embed)

    async def _embed_when_possible(
        self, thread: InferenceThread, embed: Callable[[], Embedding], make_way: Callable[[], None] | None = None
    ) -> Embedding:
        """Return an embedding; while only the NPU may make it and cannot, wait for the NPU."""
        while True:
            try:
                return await self._await(thread.submit(Priority.MEMORY, embed, make_way))
            except NpuRequiredError:
                await asyncio.sleep(NPU_AGAIN_SECONDS)

    async def _write(
        self,
        operation: Callable[[sqlite3.Connection], Result],
        after_commit: Callable[[Result], None] | None = None,
    ) -> Result:
        return await self._await(self._writer.submit(operation, after_commit))

    async def _read(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        return await self._await(self._searching.submit(self._indexes.read, work))

    async def _await(self, future: Future[Result]) -> Result:
        # Shielded: what was begun is finished even when nobody waits for it any more.
        return await asyncio.shield(asyncio.wrap_future(future))


def _add(connection: sqlite3.Connection, record: Record, now: datetime, corrects: str | None) -> Addition:
    """Runs on the writer's thread. What is there already is not examined again: an import goes on from there faster."""
    if not memories.is_there(connection, record.id):
        record = examined(record, memories.said_before(connection, record))
    return memories.add(connection, record, now, corrects)
