"""The database from the event loop: what is written and read there, on the threads that do it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
import sqlite3
from typing import TypeVar

from .indexes import Indexes
from .store.group_commit import GroupCommit

Result = TypeVar("Result")


async def finished(future: Future[Result]) -> Result:
    """Return the result of work on a thread; what was begun is finished even when nobody waits for it any more."""
    return await asyncio.shield(asyncio.wrap_future(future))


class Transactions:
    """Writes on the thread that keeps the indexes in step, reads on one that no question waits for."""

    def __init__(self, writer: GroupCommit, reading: ThreadPoolExecutor, indexes: Indexes) -> None:
        """Use the threads of a memory, and the connection of its indexes that no question waits for."""
        self._writer = writer
        self._reading = reading
        self._indexes = indexes

    async def write(
        self,
        operation: Callable[[sqlite3.Connection], Result],
        after_commit: Callable[[Result], None] | None = None,
    ) -> Result:
        """Return what the operation does, after its commit; see `GroupCommit.submit`. Raises `StorageError`."""
        return await finished(self._writer.submit(operation, after_commit))

    async def write_alone(self, operation: Callable[[sqlite3.Connection], Result]) -> Result:
        """Return what the operation does outside any transaction. Raises `StorageError`."""
        return await finished(self._writer.submit_alone(operation))

    async def read(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Return what is read. Raises `StorageError`."""
        return await self.aside(lambda: self._indexes.read(work))

    async def aside(self, work: Callable[[], Result]) -> Result:
        """Return what `work` does on the thread that reads."""
        return await finished(self._reading.submit(work))
