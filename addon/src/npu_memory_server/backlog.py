"""Memories that have no vector yet, embedded in the background, newest first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence, Set as AbstractSet
import contextlib
from itertools import chain, islice
import logging

LOGGER = logging.getLogger(__name__)

AWAITED_AT_MOST = 8
"""A question waits, within its budget, for some turns of the talk before it."""
EMBEDDED_AT_ONCE = 32
"""How many vectors share a commit; what a crash loses is embedded again at the next start."""


class EmbeddingBacklog:
    """Owns the task that works the backlog off; belongs to one event loop."""

    def __init__(self, slots: Iterable[int], embed: Callable[[Sequence[int]], Awaitable[AbstractSet[int]]]) -> None:
        """Begin with what was left over.

        `embed` gives slots their vectors and copes with what goes wrong; it returns those that it has seen to, and may
        leave some for later.
        """
        self._slots = dict.fromkeys(slots)
        self._just_said: set[int] = set()
        self._none_awaited = asyncio.Event()
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

    @property
    def awaited(self) -> set[int]:
        """Those of them that the next question may be about, and waits for; none while too many come for a talk."""
        return self._just_said if len(self._just_said) <= AWAITED_AT_MOST else set()

    def add(self, slots: Iterable[int], *, awaited: bool = False) -> None:
        """Note memories that need a vector."""
        added = dict.fromkeys(slots)
        self._slots.update(added)
        if awaited:
            self._just_said.update(added)
            self._none_awaited.clear()
        if self._slots:
            self._idle.clear()
            self._wanted.set()
        else:
            self._idle.set()

    def found(self, slot: int) -> None:
        """Note that a memory can be found by its vector, or never will be."""
        self._just_said.discard(slot)
        if not self._just_said:
            self._none_awaited.set()

    async def wait_until_none_awaited(self) -> None:
        """Wait until what the next question may be about has its vector."""
        if self.awaited:
            await self._none_awaited.wait()

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
                newest = islice(reversed(self._slots), EMBEDDED_AT_ONCE)
                some = list(dict.fromkeys(chain(self.awaited, newest)))[:EMBEDDED_AT_ONCE]
                done: AbstractSet[int] = frozenset(some)
                try:
                    done = await self._embed(some)
                except Exception as error:  # noqa: BLE001 - this task is the only one: it has to outlive whatever it meets
                    LOGGER.error("%s memories have no vector until the next start: %s", len(some), type(error).__name__)  # noqa: TRY400 - a traceback may quote a memory
                for slot in done:
                    self._slots.pop(slot, None)
                    self.found(slot)
            self._idle.set()
