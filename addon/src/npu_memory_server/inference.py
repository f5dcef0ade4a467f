"""One thread for the model, in which questions overtake everything else."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import IntEnum
import itertools
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


@dataclass(order=True, frozen=True, slots=True)
class _Job:
    priority: Priority
    number: int
    work: Callable[[], Any] | None = field(compare=False)
    result: Future[Any] = field(compare=False)


class InferenceThread:
    """Runs one job after the other, the most urgent first; a running job is not interrupted (one text: a few ms)."""

    def __init__(self) -> None:
        """Start the thread."""
        self._waiting: queue.PriorityQueue[_Job] = queue.PriorityQueue()
        self._numbers = itertools.count()
        self._thread = threading.Thread(target=self._run, name="npu-memory-inference", daemon=True)
        self._thread.start()

    def submit(self, priority: Priority, work: Callable[[], Result]) -> Future[Result]:
        """Run `work()` in its turn; a future that is canceled before then costs nothing."""
        result: Future[Result] = Future()
        self._waiting.put(_Job(priority, next(self._numbers), work, result))
        return result

    def close(self) -> None:
        """Finish what is waiting and end the thread; one that hangs in its driver is left behind."""
        self._waiting.put(_Job(Priority.CLOSING, next(self._numbers), None, Future()))
        self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        while (job := self._waiting.get()).work is not None:
            if not job.result.set_running_or_notify_cancel():
                continue
            try:
                value = job.work()
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever asked, not to this thread
                job.result.set_exception(error)
            else:
                job.result.set_result(value)
