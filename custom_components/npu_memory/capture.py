"""What was said is remembered behind the answer's back: in order, and also when the server is away for a while."""

import asyncio
from collections import deque
import logging

from .client import MemoryClient
from .connection import CannotConnect, MemoryClientError, RequestFailed, TooLate
from .wire import ErrorCode, RememberRequest

_LOGGER = logging.getLogger(__name__)

MAX_WAITING = 500
"""Turns kept while the server is away: an evening's talk, and at most a few MB."""
REMEMBER_SECONDS = 30.0
FIRST_RETRY_SECONDS = 1.0
LAST_RETRY_SECONDS = 60.0


class CaptureQueue:
    """Turns on their way to the server; each has its id already, so that sending one twice stores it once.

    A queue outlives its client: what waits when an entry is loaded again, with a new token for instance, goes to the
    next.
    """

    def __init__(self) -> None:
        """Make an empty queue; `run` empties it."""
        self._waiting: deque[RememberRequest] = deque()
        self._filled = asyncio.Event()

    @property
    def unsent(self) -> int:
        """Return how many turns the server has not confirmed yet."""
        return len(self._waiting)

    def add(self, request: RememberRequest) -> None:
        """Queue a turn; when the queue is full it is dropped, and the log says so."""
        if len(self._waiting) >= MAX_WAITING:
            _LOGGER.warning("A turn is not remembered: %s are waiting for the memory server already", MAX_WAITING)
            return
        self._waiting.append(request)
        self._filled.set()

    async def run(self, client: MemoryClient) -> None:
        """Send turn after turn until cancelled."""
        try:
            while True:
                while self._waiting:
                    await _send(client, self._waiting[0])
                    self._waiting.popleft()
                self._filled.clear()
                await self._filled.wait()
        finally:
            if self._waiting:
                _LOGGER.warning("%s turns have not reached the memory server yet", len(self._waiting))


async def _send(client: MemoryClient, request: RememberRequest) -> None:
    delay = FIRST_RETRY_SECONDS
    while True:
        try:
            await client.remember(request, REMEMBER_SECONDS)
        except MemoryClientError as error:
            if not _is_passing(error):
                _LOGGER.warning("The memory server does not accept turn %s: %s", request.memory_id, error)
                return
            await asyncio.sleep(delay)
            delay = min(2 * delay, LAST_RETRY_SECONDS)
        else:
            return


def _is_passing(error: MemoryClientError) -> bool:
    if isinstance(error, RequestFailed):
        return error.code in (ErrorCode.BUSY, ErrorCode.STORAGE, ErrorCode.INTERNAL)
    return isinstance(error, CannotConnect | TooLate)
