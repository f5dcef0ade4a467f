"""Memories are made ready to be shown behind everybody's back, so that a question waits for its own search alone.

To read a memory from the database, to count its tokens and to see what it says takes 0.1 ms, and a question of a voice
finds up to fifteen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
import contextlib
from functools import partial
import logging

from .errors import StorageError
from .indexes import Indexes
from .lookup import MAX_KEPT
from .right_of_way import RightOfWay
from .store import memories

LOGGER = logging.getLogger(__name__)

AT_ONCE = 8


class Showing:
    """Owns the task that begins with the newest memories; belongs to one event loop."""

    def __init__(self, indexes: Indexes, reading: ThreadPoolExecutor, right_of_way: RightOfWay) -> None:
        """Begin, in the thread that no question waits for."""
        self._indexes = indexes
        self._reading = reading
        self._right_of_way = right_of_way
        self._task = asyncio.create_task(self._prepare_newest(), name="npu-memory-showing")

    async def prepare(self, slots: Sequence[int], *, make_room: bool) -> None:
        """Make memories ready to be shown, while nobody asks; what cannot be read now is read when it is found.

        With `make_room` they take the place of others where only so many can be kept.
        """
        for start in range(0, len(slots), AT_ONCE):
            await self._right_of_way.wait()
            some = slots[start : start + AT_ONCE]
            showing = partial(self._indexes.show_ahead, some, make_room=make_room)
            try:
                await asyncio.wrap_future(self._reading.submit(showing))
            except StorageError as error:
                LOGGER.warning("%s memories could not be read ahead: %s", len(some), error)
                return

    async def prepared(self) -> None:
        """Wait until those that were there at the start are ready."""
        await asyncio.shield(self._task)

    async def close(self) -> None:
        """Stop."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _prepare_newest(self) -> None:
        reading = self._reading.submit(self._indexes.read, lambda reader: memories.newest(reader, MAX_KEPT))
        try:
            slots = await asyncio.wrap_future(reading)
        except StorageError as error:
            LOGGER.warning("The memories could not be read ahead: %s", error)
        else:
            await self.prepare(slots, make_room=False)
