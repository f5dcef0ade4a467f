"""Questions have the right of way: bulk work lets those under way pass, between one item and the next."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
import contextlib
from contextlib import contextmanager
import threading
from time import monotonic

PATIENCE_SECONDS = 0.25
"""Where somebody asks all the time, what is stored in bulk goes on after so long, beside the questions."""


class RightOfWay:
    """Questions come and go on any thread; other threads, and tasks of one event loop, wait for them.

    A thread that a question may need itself must not wait.
    """

    def __init__(self) -> None:
        """Begin without a question, for tasks of the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._counting = threading.Lock()
        self._asking = 0
        self._since = 0.0
        self._clear = threading.Event()
        self._clear.set()
        self._line = asyncio.Lock()
        self._first_in_line: asyncio.Future[None] | None = None

    @contextmanager
    def question(self) -> Iterator[None]:
        """Have the right of way until the answer is made, or better: sent."""
        with self._counting:
            self._asking += 1
            if self._asking == 1:
                self._since = monotonic()
                self._clear.clear()
        try:
            yield
        finally:
            with self._counting:
                self._asking -= 1
                if not self._asking:
                    self._clear.set()
            if self._first_in_line is not None and not self._asking:
                with contextlib.suppress(RuntimeError):  # the loop has ended
                    self._loop.call_soon_threadsafe(self._go)

    async def wait(self) -> None:
        """Let questions pass, as a task: one after the other, so that a question finds one item before it."""
        async with self._line:
            self._first_in_line = self._loop.create_future()
            try:
                if not self._clear.is_set():
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(self._patience()):
                            await self._first_in_line
            finally:
                self._first_in_line = None

    def wait_in_thread(self) -> None:
        """Let questions pass, as a thread."""
        if not self._clear.is_set():
            self._clear.wait(self._patience())

    def _patience(self) -> float:
        return max(0.0, self._since + PATIENCE_SECONDS - monotonic())

    def _go(self) -> None:
        waiting = self._first_in_line
        if waiting is not None and not waiting.done() and self._clear.is_set():
            waiting.set_result(None)
