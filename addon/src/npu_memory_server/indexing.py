"""Keeping the indexes of a large memory: saving them, and catching up with what the saved ones lack."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
import contextlib
from functools import partial
import logging
from pathlib import Path
import sqlite3
import threading
from time import monotonic
from typing import TypeVar

from . import moving, saving
from .indexes import Indexes
from .saving import Reached
from .store import changes, memories, vectors
from .store.group_commit import GroupCommit
from .store.memories import StoredRecord

LOGGER = logging.getLogger(__name__)
Result = TypeVar("Result")

TICK_SECONDS = 1.0
RECENT_SHARE = 8
"""The indexes are saved when the memories that came since are this part of all."""
QUIET_SECONDS = 60.0
WORTH_SAVING = 2_000
"""After a quiet minute so many new memories are enough, so that the next start has few to catch up with."""
AGAIN_SECONDS = 60.0
"""After saving has failed, a full disk for instance."""
LAST_CHANCE_SECONDS = 5.0
"""How long a closing memory may take to get what was forgotten out of the file."""
READ_AT_ONCE = 256
DISCARDED_AT_ONCE = 20_000


class IndexKeeper:
    """Owns the task and the thread that save and catch up; belongs to one event loop."""

    def __init__(
        self,
        directory: Path,
        indexes: Indexes,
        writer: GroupCommit,
        embedder: tuple[str, Sequence[int], int],
        reached: Reached,
        let_questions_pass: Callable[[], None],
    ) -> None:
        """`embedder` is fingerprint, comparable numbers and dimensions; `reached` says how far the indexes go.

        `let_questions_pass` waits in a thread while somebody asks.
        """
        self._let_questions_pass = let_questions_pass
        self._directory = directory
        self._indexes = indexes
        self._writer = writer
        self._fingerprint, self._comparable, self._dimensions = embedder
        self._stopping = threading.Event()
        self._thread = ThreadPoolExecutor(1, "npu-memory-indexing")
        self._forgotten = False
        self._is_partial = reached.slot is not None
        self._rows = 0
        self._grown_at = monotonic()
        self._not_before = 0.0
        self._share = 1.0 if reached.slot is None else 0.0
        self._reached = reached
        self._held_at: int | None = None
        self._caught_up = asyncio.Event()
        if reached.slot is not None or indexes.is_large:
            indexes.fall_behind()
        else:
            self._caught_up.set()
        self._saving: asyncio.Task[bool] | None = None
        self._moving: asyncio.Task[bool] | None = None
        self._closing = threading.Event()
        self._task = asyncio.create_task(self._run(), name="npu-memory-indexing")

    @property
    def share(self) -> float:
        """How much of the memory can be found: less than 1 while the indexes are made anew."""
        return 1.0 if self._caught_up.is_set() else self._share

    async def caught_up(self) -> None:
        """Wait until everything that is stored can be found."""
        await self._caught_up.wait()

    def hold(self, connection: sqlite3.Connection) -> None:
        """Note that vectors are being stored, which the indexes get afterwards; runs on the writer's thread.

        Until `release`, what is saved does not count as holding any change from now on: the next start looks again.
        """
        self._held_at = changes.newest(connection)

    def release(self) -> None:
        """Note that the indexes have the vectors that were stored."""
        self._held_at = None

    def forgotten(self) -> None:
        """Note that something was forgotten that may be in the file."""
        self._forgotten = True

    async def close(self) -> None:
        """Stop; what is not saved is caught up with at the next start. What was forgotten leaves the file before."""
        self._closing.set()
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        timer = asyncio.get_running_loop().call_later(LAST_CHANCE_SECONDS, self._stopping.set)
        for task in (self._moving, self._saving):
            if task is not None and not task.done():
                await task
        if self._forgotten and self._indexes.is_large and self._caught_up.is_set():
            await self._save()
        timer.cancel()
        self._stopping.set()
        await asyncio.to_thread(self._thread.shutdown)

    async def save(self) -> bool:
        """Save the indexes now, and move what is due; returns whether that worked."""
        if self._saving is None or self._saving.done():
            self._saving = asyncio.create_task(self._save(), name="npu-memory-saving")
        saved = await asyncio.shield(self._saving)
        return saved and (not self._caught_up.is_set() or await self._move())

    async def _run(self) -> None:
        if not self._caught_up.is_set():
            try:
                await self._catch_up()
            except Exception as error:  # noqa: BLE001 - what was found so far stays findable
                LOGGER.error("The indexes lack memories until the next start: %s", type(error).__name__)  # noqa: TRY400 - a traceback may quote a memory
                return
        while True:
            await asyncio.sleep(TICK_SECONDS)
            if self._is_due():
                await self.save()
            elif self._indexes.is_large and monotonic() >= self._not_before:
                await self._move()

    async def _move(self) -> bool:
        """Move token vectors into files; returns whether that worked."""
        if self._moving is None or self._moving.done():
            self._moving = asyncio.create_task(self._move_all(), name="npu-memory-moving")
        return await asyncio.shield(self._moving)

    async def _move_all(self) -> bool:
        """Runs to its end or until `_closing`."""
        try:
            await moving.move(self._indexes, self._writer, self._work, self._between_moves)
        except Exception as error:  # noqa: BLE001 - the database has them still, whatever it was
            self._not_before = monotonic() + AGAIN_SECONDS
            if not self._closing.is_set():
                reason = error.strerror if isinstance(error, OSError) else type(error).__name__
                LOGGER.warning("Token vectors could not be moved and will be later: %s", reason)
            return False
        return True

    def _is_due(self) -> bool:
        now = monotonic()
        rows, recent, large = self._indexes.search(lambda found: (len(found), found.recent, found.is_large))
        if rows != self._rows:
            self._rows, self._grown_at = rows, now
        if now < self._not_before or rows < saving.LARGE:
            return False
        quiet = now - self._grown_at > QUIET_SECONDS and recent >= WORTH_SAVING
        whole = self._is_partial and self._caught_up.is_set()
        return not large or self._forgotten or whole or quiet or recent >= max(saving.LARGE, rows // RECENT_SHARE)

    async def _save(self) -> bool:
        """Runs to its end or until `_stopping`; the old indexes serve meanwhile."""
        forgotten, self._forgotten = self._forgotten, False
        try:
            reached = await self._write(self._in_both) if self._caught_up.is_set() else self._reached
            name, frozen = await self._work(
                lambda: saving.save(self._directory, self._indexes.search, self._fingerprint, reached, self._between)
            )
            await self._write(lambda connection: changes.note_saved(connection, name))
            await self._work(lambda: saving.take_over(self._directory, name, self._indexes.search, frozen))
            saving.remove_others(self._directory, name)
            while await self._write(lambda connection: changes.discard(connection, reached.change, DISCARDED_AT_ONCE)):
                pass
        except Exception as error:  # noqa: BLE001 - the old indexes go on serving, whatever it was
            self._forgotten |= forgotten
            self._not_before = monotonic() + AGAIN_SECONDS
            if not self._stopping.is_set():
                reason = error.strerror if isinstance(error, OSError) else type(error).__name__
                LOGGER.warning("The indexes could not be saved and will be later: %s", reason)
            return False
        self._is_partial = reached.slot is not None
        return True

    def _in_both(self, connection: sqlite3.Connection) -> Reached:
        """Runs on the writer's thread: up to which change the indexes have what the database has."""
        newest = changes.newest(connection)
        return Reached(newest if self._held_at is None else min(newest, self._held_at))

    async def _catch_up(self) -> None:
        """Take in what the indexes lack: everything behind the newest slot, then whatever has changed."""
        total = await self._work(lambda: self._read(memories.total))
        slot = self._reached.slot
        if slot is not None:
            LOGGER.info("The indexes of %s memories are made anew in the background", total)
            while batch := await self._work(
                partial(self._read, partial(memories.after, slot=slot, count=READ_AT_ONCE))
            ):
                await self._work(partial(self._take_in, batch, ()))
                slot = batch[-1].slot
                self._reached = Reached(self._reached.change, slot)
                self._share = self._indexes.search(len) / max(total, 1)
                if self._is_due():
                    await self.save()
        while True:
            now = await self._write(changes.newest)
            slots = await self._work(partial(self._read, partial(changes.since, number=self._reached.change)))
            for start in range(0, len(slots), READ_AT_ONCE):
                await self._work(partial(self._refresh, slots[start : start + READ_AT_ONCE]))
                if self._is_due():
                    await self.save()
            self._reached = Reached(now)
            if await self._write(partial(self._is_all, known=now)):
                break
        self._caught_up.set()

    def _behind(self, slot: int) -> list[StoredRecord]:
        return self._read(lambda reader: memories.after(reader, slot, READ_AT_ONCE))

    def _is_all(self, connection: sqlite3.Connection, known: int) -> bool:
        """Runs on the writer's thread, so that nothing is stored between the look and the change."""
        if changes.newest(connection) != known:
            return False
        self._indexes.caught_up()
        return True

    def _refresh(self, slots: list[int]) -> None:
        records = self._read(lambda reader: memories.by_slot(reader, slots))
        gone = [slot for slot in slots if slot not in records]
        if gone:
            self._forgotten = True
        self._take_in([StoredRecord(slot, records[slot]) for slot in sorted(records)], gone)

    def _take_in(self, stored: list[StoredRecord], gone: list[int] | tuple[()]) -> None:
        slots = [one.slot for one in stored]
        made = self._read(lambda reader: dict(vectors.by_slot(reader, self._comparable, self._dimensions, slots)))
        self._indexes.discard(gone)
        for one in stored:
            self._between()
            self._indexes.catch_up(one, made.get(one.slot))

    def _between(self) -> None:
        """Runs on this keeper's thread, between one memory or piece and the next. Raises `StoppedError`."""
        self._let_questions_pass()
        if self._stopping.is_set():
            raise saving.StoppedError("the memory is being closed")

    def _between_moves(self) -> None:
        """Runs on this keeper's thread. Raises `StoppedError`: what was not moved stays in the database."""
        if self._closing.is_set():
            raise saving.StoppedError("the memory is being closed")
        self._between()

    def _read(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        return self._indexes.read(work)

    async def _work(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _write(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        return await asyncio.wrap_future(self._writer.submit_alone(work))
