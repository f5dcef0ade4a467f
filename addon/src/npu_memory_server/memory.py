"""`Memory`: where the store, the indexes and the embedder meet. The protocol and the command line are doors to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
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
from .asking import RecallDefaults, context_of, frame_of, question_of, timings_of, waking_question
from .context.examining import examined
from .correcting import Corrector
from .deriving import derive, proposals, settle as settle_proposal
from .embedding.base import Embedder
from .indexes import Indexes
from .indexing import IndexKeeper
from .inference import InferenceThread
from .loading import Loaded, load
from .recalling import MEANING, Recalled, Recaller
from .records import Record, item_from_record, milliseconds, record_from_request
from .removing import Remover
from .reranking.shelf import Shelf
from .retrieval.question import Question
from .retrieval.weights import Weights
from .right_of_way import RightOfWay
from .showing import Showing
from .store import corrections, derivations, memories
from .store.database import FILE_NAME
from .store.group_commit import GroupCommit
from .store.memories import Addition, Filter, StoredRecord
from .transactions import Transactions
from .vectorizing import Vectorizer
from .waking import wake_files
from .wire import (
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
    RevertCorrectionRequest,
    SettleProposalRequest,
    Status,
    Stored,
    Timings,
)

LOGGER = logging.getLogger(__name__)
Result = TypeVar("Result")

IDLE_SECONDS = 5.0
"""After so long without a question its code, its weights and the database have begun to leave the caches."""
WAKING_SECONDS = 2.0


class Memory:
    """What a household has said and noted. Its methods belong to one event loop, `recall_at_once` to any thread.

    The work is done in four threads: one writes the database and keeps the indexes in step, one has the model and
    answers questions, one does for them what does not need the model, and one reads what no question waits for. A
    question that finds the model free is answered by the thread that it comes on.
    """

    def __init__(
        self, path: Path, embedder: Embedder, loaded: Loaded, defaults: RecallDefaults, shelf: Shelf | None
    ) -> None:
        """Take over what was loaded; `open` is the way to get one."""
        self._path = path
        self._embedder = embedder
        self._defaults = defaults
        self.instance = loaded.instance
        self._indexes = Indexes(loaded, embedder.count_tokens)
        self.right_of_way = RightOfWay()
        self._writer = GroupCommit(loaded.connection, self.right_of_way.wait_in_thread)
        self._inference = InferenceThread()
        self._bulk = [InferenceThread() for _ in range(embedder.lanes)] or [self._inference]
        self._searching = ThreadPoolExecutor(1, "npu-memory-search")
        self._reading = ThreadPoolExecutor(1, "npu-memory-reading")
        self._transactions = Transactions(self._writer, self._reading, self._indexes)
        self._shelf = shelf
        self._recaller = Recaller(self._indexes, embedder, self._inference, self._searching, shelf)
        self._corrector = Corrector(
            self._indexes, self._writer, self._reading, loaded.embedder_number, self.right_of_way
        )
        self._showing = Showing(self._indexes, self._reading, self.right_of_way)
        made_by = (embedder.fingerprint, loaded.comparable, embedder.dimensions)
        self._keeper = IndexKeeper(
            path.parent, self._indexes, self._writer, made_by, loaded.reached, self.right_of_way.wait_in_thread
        )
        self._remover = Remover(self._transactions, self._indexes, self._keeper)
        self._vectorizer = Vectorizer(
            embedder,
            loaded.embedder_number,
            loaded.unembedded,
            self._bulk,
            self._transactions,
            self._indexes,
            self._keeper,
            self.right_of_way,
            self._look_at_embedded,
        )
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
        await self._vectorizer.close()
        await self._showing.close()
        await self._keeper.close()
        await self._remover.close()
        for thread in {self._inference, *self._bulk}:
            await asyncio.to_thread(thread.close)
        if self._shelf is not None:
            await asyncio.to_thread(self._shelf.close)
        await asyncio.to_thread(self._writer.close)
        for executor in (self._searching, self._reading):
            await asyncio.to_thread(executor.shutdown)
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
            addition = await self._transactions.write(adding, self._take_in)
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
        (found, cursor), total = await self._transactions.read(
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
        await self._transactions.write(
            lambda connection: memories.following(connection, settle(connection, request.old_id, request.new_id)),
            self._indexes.relink,
        )
        return CorrectionSettled(id=request.id, old_id=request.old_id, new_id=request.new_id, state=state)

    async def derive(self, request: DeriveRequest) -> Derived:
        """Store or propose a fact that a model has made of memories, if it holds nothing but what they say.

        Raises `NotFoundError` if one of them is gone, and `InvalidRequestError` if nothing may be derived from them.
        """
        now, new_id = datetime.now(UTC).astimezone(), str(ULID())
        outcome, _ = await self._transactions.write(
            lambda connection: derive(connection, request, new_id, now), lambda done: self._take_in(done[1])
        )
        kept = outcome in (Derivation.STORED, Derivation.PROPOSED)
        return Derived(id=request.id, outcome=outcome, memory_id=new_id if kept else None)

    async def proposals(self, request: ProposalsRequest) -> ProposalPage:
        """Return a page of the facts that wait for a yes. Raises `InvalidRequestError` for a wrong cursor."""
        page, cursor, total = await self._transactions.read(
            lambda reader: proposals(reader, request.limit, request.cursor)
        )
        return ProposalPage(id=request.id, proposals=tuple(page), total=total, next_cursor=cursor)

    async def settle_proposal(self, request: SettleProposalRequest) -> ProposalSettled:
        """Remember a fact that was proposed, or decline it. Raises `NotFoundError` and `InvalidRequestError`."""
        now = datetime.now(UTC).astimezone()
        await self._transactions.write(
            lambda connection: settle_proposal(connection, request, now), lambda done: self._take_in(done[1])
        )
        return ProposalSettled(id=request.id, memory_id=request.memory_id, accepted=request.accept)

    async def forget(self, request: ForgetRequest) -> Forgotten:
        """Remove memories from the database, its log and every index; all of them, or none and `NotFoundError`.

        What was derived from them goes too.
        """
        now = datetime.now(UTC)
        removed = await self._remover.remove(lambda connection: memories.forget(connection, request.memory_ids, now))
        return Forgotten(id=request.id, memory_ids=tuple(gone.record.id for gone in removed))

    async def recall(self, request: RecallRequest, began: float | None = None) -> Context:
        """Find the memories that answer a question, best first, within the question's budget.

        When the embedding fails or comes too late, the words alone decide and `degraded` says so. The budget is counted
        from `began` (`perf_counter`), or from now. Raises `StorageError`.
        """
        began = perf_counter() if began is None else began
        deadline = began + request.budget_ms / 1000
        question = self._asked(request)
        if question.strategy in MEANING:
            await self._vectorizer.wait_for_the_turn_before(deadline)
        with self.right_of_way.question():
            recalled = await self._recaller.recall(question, deadline)
        return context_of(request.id, recalled, self._noted(recalled, began), self._incomplete())

    def recall_at_once(self, request: RecallRequest, began: float) -> bytes | None:
        """Return what `recall` does as a frame, for a thread that waits for it; None if it is `recall` that has to.

        It has to if the model fails or is busy for longer than the budget, or if what was just stored is waited for. If
        the model is free the calling thread does the work itself and keeps to no budget: whoever calls it looks after
        that. Raises `StorageError`.
        """
        if self._vectorizer.is_awaited:
            return None
        recalled = self._recaller.recall_here(self._asked(request), began + request.budget_ms / 1000)
        if recalled is None:
            return None
        return frame_of(request.id, recalled, self._noted(recalled, began), self._incomplete())

    def _asked(self, request: RecallRequest) -> Question:
        self._last_asked = monotonic()
        return question_of(request, self._defaults)

    def _noted(self, recalled: Recalled, began: float) -> Timings:
        """Return where the time of a recall has gone, which is noted for the status."""
        timings = timings_of(recalled, began)
        with self._noting:
            self._recalls += 1
            self._last_recall = timings
        return timings

    async def prepare(self, request_id: str = "") -> Prepared:
        """Wake what a question needs, if nobody has asked for a while, by asking one. Raises `StorageError`.

        What the kernel has let go of, the indexes and the database, is brought back into memory behind that.

        A question that comes meanwhile waits for at most this one inference.
        """
        now = monotonic()
        if now - self._last_asked < IDLE_SECONDS:
            return Prepared(id=request_id, woken=False)
        self._last_asked = now
        files = [*saving.index_files(self._path.parent), self._path, *self._indexes.tokens.paths()]
        await asyncio.gather(
            asyncio.to_thread(wake_files, files),
            self._recaller.recall(waking_question(self._defaults), perf_counter() + WAKING_SECONDS),
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
        (records, cursor), total, (scopes, speakers) = await self._transactions.read(
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
        everything, past, waiting = await self._transactions.read(
            lambda reader: (memories.total(reader), memories.past(reader), derivations.count(reader))
        )
        return Status(
            id=request_id,
            version=__version__,
            protocol=PROTOCOL_VERSION,
            instance=self.instance,
            memories=everything,
            past=past,
            pending_embeddings=len(self._vectorizer),
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
        """Save the indexes and move the token vectors of a large memory now instead of in time.

        Returns whether that worked.
        """
        return await self._keeper.save()

    async def embedded(self) -> None:
        """Wait until every memory has its vector."""
        await self._vectorizer.embedded()

    async def shown_ahead(self) -> None:
        """Wait until what was there at the start, the newest of a large memory, is ready to be shown."""
        await self._showing.prepared()

    async def faults(self) -> Sequence[str]:
        """Check the whole database and that the indexes agree with it; returns what is wrong, if anything."""
        return await self._transactions.aside(partial(self._indexes.faults, self._vectorizer.slots))

    def _incomplete(self) -> str:
        share = self._keeper.share
        return "" if share == 1 else f"The indexes are being made anew: {share:.0%} of the memories can be found."

    def _take_in(self, addition: Addition | None) -> None:
        """Runs on the writer's thread after the commit, and so even if whoever asked has gone away meanwhile."""
        if addition is None:
            return
        self._indexes.add(addition)
        if addition.added is not None:
            self._vectorizer.add_from_thread(addition.added)

    async def _look_at_embedded(self, slots: Sequence[int], others_wait: Callable[[], bool], is_all: bool) -> None:
        """Make what was just embedded ready to be shown, and find what it corrects."""
        await self._showing.prepare(slots, make_room=not others_wait())
        if is_all and not others_wait() and self._keeper.share == 1:
            # Only once all that waits has its vector: what is decided must not depend on the order of embedding.
            await self._corrector.examine(others_wait)


def _add(connection: sqlite3.Connection, record: Record, now: datetime, corrects: str | None) -> Addition:
    """Runs on the writer's thread. What is there already is not examined again: an import goes on from there faster."""
    if not memories.is_there(connection, record.id):
        record = examined(record, memories.said_before(connection, record))
    return memories.add(connection, record, now, corrects)
