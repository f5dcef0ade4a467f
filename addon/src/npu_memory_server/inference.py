"""Who has the model: one thread, in which questions overtake everything else, or whoever comes while it is free."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from enum import IntEnum
import queue
import threading
from typing import Any, TypeVar

Result = TypeVar("Result")

CLOSE_SECONDS = 5.0
"""Less than what Home Assistant and Docker give a server to stop (10 s)."""


class Priority(IntEnum):
    """Who is served first; within one priority it is first come, first served."""

    QUESTION = 0
    MEMORY = 1
    CLOSING = 2


@dataclass(frozen=True, slots=True)
class _Job:
    work: Callable[[], Any]
    result: Future[Any]
    priority: Priority
    make_way: Callable[[], None] | None = None


class InferenceThread:
    """Runs one job after the other, the most urgent first; a running one is told, if it knows how to make way."""

    def __init__(self) -> None:
        """Start the thread."""
        self._waiting: dict[Priority, deque[_Job | None]] = {priority: deque() for priority in Priority}
        # In C, which wakes the thread in half the time that Python's own locks take: one for each job.
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._in_use = threading.Lock()
        self._running: _Job | None = None
        self._thread = threading.Thread(target=self._run, name="npu-memory-inference", daemon=True)
        self._thread.start()

    def submit(
        self, priority: Priority, work: Callable[[], Result], make_way: Callable[[], None] | None = None
    ) -> Future[Result]:
        """Run `work()` in its turn; a future that is canceled before then costs nothing.

        `make_way` is called when something more urgent comes while it runs, on that thread: it may be called late, when
        other work is running already.
        """
        result: Future[Result] = Future()
        self._waiting[priority].append(_Job(work, result, priority, make_way))
        self._bell.put(None)
        running = self._running
        if running is not None and running.make_way is not None and priority < running.priority:
            running.make_way()
        return result

    def run_here(self, work: Callable[[], Result]) -> Result | None:
        """Return `work()`, run by the calling thread; None if anything runs or waits already: submit it then.

        Whatever it raises is raised.
        """
        if any(self._waiting.values()) or not self._in_use.acquire(blocking=False):
            return None
        try:
            return work()
        finally:
            self._in_use.release()

    def close(self) -> None:
        """Finish what is waiting and end the thread; one that hangs in its driver is left behind."""
        self._waiting[Priority.CLOSING].append(None)
        self._bell.put(None)
        self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        while self._run_next():
            pass

    def _run_next(self) -> bool:
        """Run the most urgent job; returns whether there may be more."""
        self._bell.get()
        with self._in_use:
            job = next(jobs for jobs in self._waiting.values() if jobs).popleft()
            if job is None:
                return False
            if not job.result.set_running_or_notify_cancel():
                return True
            self._running = job
            try:
                value = job.work()
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever asked, not to this thread
                job.result.set_exception(error)
            else:
                job.result.set_result(value)
            finally:
                self._running = None
        return True
