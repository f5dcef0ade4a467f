"""A thread with its own contexts: whatever hangs in the driver hangs there, and is left behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
import queue
import threading
from time import perf_counter
from typing import Any, Generic, Protocol, TypeVar

from .faults import NpuBusyError, NpuFault, NpuHangFault, NpuLateFault
from .tables import NpuInput

Result = TypeVar("Result")
Output = TypeVar("Output")
Output_co = TypeVar("Output_co", covariant=True)

CLOSE_SECONDS = 2.0


class Context(Protocol[Output_co]):
    """A model of one length in the NPU's runtime. One caller at a time."""

    @property
    def versions(self) -> dict[str, str]:
        """What the runtime says of itself."""

    def run(self, window: NpuInput) -> Output_co:
        """Compute one window of this length. Raises NpuFault if anything is wrong with what comes back."""

    def release(self) -> None:
        """Let go of the NPU's memory."""


OpenContext = Callable[[int], Context[Output]]


class Lane(Generic[Output]):
    """Runs one window at a time. Any thread may call it; it never keeps one for longer than the caller says."""

    def __init__(self, name: str, open_context: OpenContext[Output], hang_seconds: float) -> None:
        """Start the thread; contexts are opened when they are wanted, by their length."""
        self._hang_seconds = hang_seconds
        self._overdue: Future[Any] | None = None
        self._overdue_since = 0.0
        self._open_context = open_context
        self._contexts: dict[int, Context[Output]] = {}
        self._in_use = threading.Lock()
        self._lost = False
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def stuck(self) -> bool:
        """Whether there is a call that was given up and has not come back to this moment."""
        return self._overdue is not None and not self._overdue.done()

    @property
    def lengths(self) -> Sequence[int]:
        """The lengths whose contexts are open."""
        return sorted(self._contexts)

    @property
    def versions(self) -> dict[str, str]:
        """What the runtime says of itself: `API` and `DRV`, where a context is open."""
        return dict(next((context.versions for context in self._contexts.values()), {}))

    def open(self, length: int, seconds: float) -> None:
        """Open the context of a length. Raises NpuFault; NpuLateFault if that takes too long."""

        def work() -> None:
            if length not in self._contexts:
                self._contexts[length] = self._open_context(length)

        self._call(work, seconds, f"loading the model of {length} tokens")

    def run(self, window: NpuInput, seconds: float) -> Output:
        """Compute one window whose context is open.

        Raises NpuFault; NpuLateFault if that takes too long; NpuBusyError if another call has the lane for as long, or
        an earlier one that was too late; NpuHangFault if that one has been away for so long that it is given up.
        """
        return self._call(lambda: self._contexts[window.length].run(window), seconds, "a run")

    def close(self, *, wait: bool) -> None:
        """Release the contexts and end the thread; one that hangs is left behind and ends when it comes back."""
        self._lost = True
        self._jobs.put(None)
        if wait and not self.stuck:
            self._thread.join(CLOSE_SECONDS)

    def _call(self, work: Callable[[], Result], seconds: float, what: str) -> Result:
        limit = perf_counter() + seconds
        if not self._in_use.acquire(timeout=seconds):
            raise NpuBusyError(what)
        try:
            self._require_free()
            result: Future[Result] = Future()
            self._jobs.put((work, result))
            try:
                return result.result(max(limit - perf_counter(), 0.001))
            except TimeoutError as error:
                if result.done():
                    raise
                self._overdue, self._overdue_since = result, perf_counter()
                raise NpuLateFault(f"{what} did not come back from the NPU within {seconds:.2g} s") from error
        finally:
            self._in_use.release()

    def _require_free(self) -> None:
        if self._lost:
            raise NpuFault("the contexts of the NPU were given up")
        if self._overdue is None or self._overdue.done():
            self._overdue = None
            return
        if perf_counter() - self._overdue_since < self._hang_seconds:
            raise NpuBusyError("an earlier call")
        self._lost = True
        self._jobs.put(None)
        raise NpuHangFault(f"a call did not come back from the NPU within {self._hang_seconds:g} s and was given up")

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            work, result = job
            try:
                value = work()
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever asked, not to this thread
                result.set_exception(error)
            else:
                result.set_result(value)
            del job, work, result
        for context in self._contexts.values():
            context.release()
        self._contexts.clear()
