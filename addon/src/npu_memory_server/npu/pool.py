"""The lanes of a model on the NPU: the first is for who waits, and the others for everything else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
import queue
from typing import Generic

from .faults import NpuBusyError
from .lane import Lane, OpenContext, Output


class ContextPool(Generic[Output]):
    """Some lanes, each with contexts of its own, which it opens when they are first needed."""

    def __init__(self, open_contexts: Sequence[OpenContext[Output]], hang_seconds: float) -> None:
        """Start a thread for each way of opening contexts; nothing is opened yet."""
        self.lanes = [
            Lane(f"npu-memory-npu-{number}", open_context, hang_seconds)
            for number, open_context in enumerate(open_contexts)
        ]
        self._free: queue.SimpleQueue[Lane[Output]] = queue.SimpleQueue()
        for lane in self.lanes[1:]:
            self._free.put(lane)

    @property
    def first(self) -> Lane[Output]:
        """The one that is tried out."""
        return self.lanes[0]

    @property
    def stuck(self) -> int:
        """How many calls were given up and have not come back to this moment."""
        return sum(lane.stuck for lane in self.lanes)

    @contextmanager
    def other_lane(self, seconds: float) -> Iterator[Lane[Output]]:
        """Yield one of the others that nobody else has. Raises NpuBusyError if none becomes free in time."""
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
