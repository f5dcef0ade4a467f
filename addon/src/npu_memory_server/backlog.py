"""Memories that have no vector yet, embedded in the background, newest first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
import contextlib

EMBEDDED_AT_ONCE = 32
"""How many vectors share a commit; what a crash loses is embedded again at the next start."""


class EmbeddingBacklog:
    """Owns the task that works the backlog off; belongs to one event loop."""

    def __init__(self, slots: Iterable[int], embed: Callable[[Sequence[int]], Awaitable[None]]) -> None:
        """Begin with what was left over; `embed` gives some slots their vectors and copes with what goes wrong."""
        self._slots = list(slots)
        self._embed = embed
        self._wanted = asyncio.Event()
        self._idle = asyncio.Event()
        self.add([])
        self._task = asyncio.create_task(self._run(), name="npu-memory-embedding")

    def __len__(self) -> int:
        """Return how many memories wait for their vector."""
        return len(self._slots)

    def add(self, slots: Iterable[int]) -> None:
        """Note memories that need a vector."""
        self._slots += slots
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
                some = self._slots[-EMBEDDED_AT_ONCE:]
                await self._embed(some)
                done = set(some)
                self._slots = [slot for slot in self._slots if slot not in done]
            self._idle.set()
