"""Memories that have no vector yet, embedded in the background, newest first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
import contextlib
from itertools import islice
import logging

LOGGER = logging.getLogger(__name__)

EMBEDDED_AT_ONCE = 32
"""How many vectors share a commit; what a crash loses is embedded again at the next start."""


class EmbeddingBacklog:
    """Owns the task that works the backlog off; belongs to one event loop."""

    def __init__(self, slots: Iterable[int], embed: Callable[[Sequence[int]], Awaitable[None]]) -> None:
        """Begin with what was left over; `embed` gives some slots their vectors and copes with what goes wrong."""
        self._slots = dict.fromkeys(slots)
        self._embed = embed
        self._wanted = asyncio.Event()
        self._idle = asyncio.Event()
        self.add([])
        self._task = asyncio.create_task(self._run(), name="npu-memory-embedding")

    def __len__(self) -> int:
        """Return how many memories wait for their vector."""
        return len(self._slots)

    @property
    def slots(self) -> frozenset[int]:
        """The memories that wait for their vector, those that are being embedded included."""
        return frozenset(self._slots)

    def add(self, slots: Iterable[int]) -> None:
        """Note memories that need a vector."""
        self._slots.update(dict.fromkeys(slots))
        if self._slots:
            self._idle.clear()
            self._wanted.set()
        else:
            self._idle.set()

    async def wait_until_empty(self) -> None:
        """Wait until every memory has its vector."""
        await self._idle.wait()

    async def close(self) -> None:
        """Stop; what is left is found at the next start, since it has no vector."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while self._slots:
                some = list(islice(reversed(self._slots), EMBEDDED_AT_ONCE))
                try:
                    await self._embed(some)
                except Exception as error:  # noqa: BLE001 - this task is the only one: it has to outlive whatever it meets
                    LOGGER.error("%s memories have no vector until the next start: %s", len(some), type(error).__name__)  # noqa: TRY400 - a traceback may quote a memory
                for slot in some:
                    self._slots.pop(slot, None)
            self._idle.set()
