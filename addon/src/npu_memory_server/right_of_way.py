"""Questions have the right of way: bulk work lets those under way pass, between one item and the next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
import contextlib
from contextlib import contextmanager
import select
import threading
from time import monotonic, sleep

PATIENCE_SECONDS = 0.25
"""Where somebody asks all the time, what is stored in bulk goes on after so long, beside the questions."""
COMING_SECONDS = 0.02
"""How long each piece of bulk work waits for a thread to take what has reached its socket."""
LOOK_AGAIN_SECONDS = 0.0001


class Door:
    """A socket that a question may come by; the thread that reads from it tells when it has something.

    Before it can, it needs a processor and the interpreter. Bulk work that lets the interpreter go a moment, as each
    statement to the database does, takes it back before a waiting thread has woken up, item by item: so it has to look
    for who is coming.
    """

    def __init__(self, number: int, is_watched: Callable[[], bool]) -> None:
        """`number` is the socket's; whoever comes while not `is_watched()` is left out."""
        self.number = number
        self.is_watched = is_watched
        self.has_something = False

    def is_somebody_there(self) -> bool:
        """Return whether something has come that was not handled yet."""
        if not self.is_watched():
            return False
        if self.has_something:
            return True
        waiting = select.poll()
        waiting.register(self.number, select.POLLIN)
        return bool(waiting.poll(0))


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
        self._doors: dict[Door, None] = {}

    def watch(self, door: Door) -> None:
        """Let questions that come by this door have the right of way before anybody has read them."""
        self._doors[door] = None

    def unwatch(self, door: Door) -> None:
        """Look at this door no more."""
        self._doors.pop(door, None)

    @property
    def quiet_seconds(self) -> float:
        """How long ago the last question was begun; 0 while one is answered."""
        return monotonic() - self._since if self._clear.is_set() else 0.0

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
                until = monotonic() + COMING_SECONDS
                while self._is_somebody_coming() and monotonic() < until:  # noqa: ASYNC110 - on another thread
                    await asyncio.sleep(LOOK_AGAIN_SECONDS)
                if not self._clear.is_set():
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(self._patience()):
                            await self._first_in_line
            finally:
                self._first_in_line = None

    def wait_in_thread(self) -> None:
        """Let questions pass, as a thread."""
        until = monotonic() + COMING_SECONDS
        while self._is_somebody_coming() and monotonic() < until:
            sleep(LOOK_AGAIN_SECONDS)
        if not self._clear.is_set():
            self._clear.wait(self._patience())

    def _is_somebody_coming(self) -> bool:
        """Return whether a question has come, maybe, that nobody answers yet."""
        return self._clear.is_set() and any(door.is_somebody_there() for door in tuple(self._doors))

    def _patience(self) -> float:
        return max(0.0, self._since + PATIENCE_SECONDS - monotonic())

    def _go(self) -> None:
        waiting = self._first_in_line
        if waiting is not None and not waiting.done() and self._clear.is_set():
            waiting.set_result(None)
