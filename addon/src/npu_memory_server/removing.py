"""Removing memories from everything that has them: the database, its log, and every index."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
import contextlib
from datetime import UTC, datetime
from functools import partial
import logging
import sqlite3

from .errors import NpuMemoryError
from .indexes import Indexes
from .indexing import IndexKeeper
from .store import memories
from .store.database import truncate_log
from .store.memories import Removal, StoredRecord
from .transactions import Transactions

LOGGER = logging.getLogger(__name__)

TRUNCATE_AGAIN_SECONDS = 2.0
EXPIRY_SECONDS = 60.0
"""What has expired is neither found nor listed from then on, and deleted so much later at most."""


class Remover:
    """Removes what is to be forgotten and what has expired; belongs to one event loop."""

    def __init__(self, transactions: Transactions, indexes: Indexes, keeper: IndexKeeper) -> None:
        """Begin to look for what expires."""
        self._transactions = transactions
        self._indexes = indexes
        self._keeper = keeper
        self._truncating: asyncio.Task[None] | None = None
        self._expiring = asyncio.create_task(self._remove_expired(), name="npu-memory-expiry")

    async def remove(self, removing: Callable[[sqlite3.Connection], Removal]) -> Sequence[StoredRecord]:
        """Return what `removing` has removed, once it is gone from the log and the indexes too.

        Raises what that raises, and `StorageError`.
        """
        removal = await self._transactions.write(removing, self._indexes.remove)
        self._keeper.forgotten()
        await self._transactions.write_alone(self._indexes.tokens.erase_gone)
        if not await self._truncate() and self._truncating is None:
            self._truncating = asyncio.create_task(self._truncate_later(), name="npu-memory-truncate")
        return removal.removed

    async def close(self) -> None:
        """Stop."""
        for task in (self._expiring, self._truncating):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def _remove_expired(self) -> None:
        """Let go of what was only to be kept until now, as every start does."""
        while True:
            await asyncio.sleep(EXPIRY_SECONDS)
            now = datetime.now(UTC)
            try:
                if await self._transactions.read(partial(memories.has_expired, now=now)):
                    await self.remove(partial(memories.purge_expired, now=now))
            except NpuMemoryError as error:
                LOGGER.warning("What has expired could not be removed and will be later: %s", error)

    async def _truncate(self) -> bool:
        """Empty the log of the database; returns whether nothing that was forgotten is in it any more."""
        try:
            return await self._transactions.write_alone(truncate_log)
        except NpuMemoryError as error:
            LOGGER.warning("The log of the database could not be emptied and will be later: %s", error)
            return False

    async def _truncate_later(self) -> None:
        """Empty the log as soon as nobody reads the database any more; what was forgotten is in it until then."""
        LOGGER.info("What was forgotten stays in the log of the database until another process has read it to its end")
        while True:
            await asyncio.sleep(TRUNCATE_AGAIN_SECONDS)
            if await self._truncate():
                break
        self._truncating = None
