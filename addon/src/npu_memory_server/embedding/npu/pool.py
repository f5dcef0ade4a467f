"""The contexts of an NPU: a lane that is kept for questions, and those for everything else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
import queue

from .context import RknnContext
from .faults import NpuBusyError
from .lane import Lane


class ContextPool:
    """One lane for questions and some for bulk work; each opens the context of a length when it first needs it."""

    def __init__(self, open_context: Callable[[int], RknnContext], bulk_lanes: int, hang_seconds: float) -> None:
        """Start the threads; nothing is opened yet."""
        self.questions = Lane("npu-memory-npu-questions", open_context, hang_seconds)
        self._bulk = [Lane(f"npu-memory-npu-bulk-{n}", open_context, hang_seconds) for n in range(1, bulk_lanes + 1)]
        self._free: queue.SimpleQueue[Lane] = queue.SimpleQueue()
        for lane in self._bulk:
            self._free.put(lane)

    @property
    def lanes(self) -> Sequence[Lane]:
        """All of them."""
        return [self.questions, *self._bulk]

    @contextmanager
    def bulk_lane(self, seconds: float) -> Iterator[Lane]:
        """Yield a lane that nobody else has. Raises NpuBusyError if none becomes free in time."""
        try:
            lane = self._free.get(timeout=seconds)
        except queue.Empty:
            raise NpuBusyError("all lanes") from None
        try:
            yield lane
        finally:
            self._free.put(lane)

    def close(self, *, wait: bool) -> None:
        """Release everything that does not hang."""
        for lane in self.lanes:
            lane.close(wait=wait)
