"""A cross-encoder of one length on one core of the NPU, and the checks without which no score of it is used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ...npu.faults import NpuFault
from ...npu.runtime import RknnModel, require_finite
from ...npu.settings import CoreMask
from ...npu.tables import NpuInput

SHAPE = (1, 1)
NEW_BUFFER = 0.0


class PairContext:
    """One RKNN file of a cross-encoder, loaded. One caller at a time."""

    def __init__(self, path: Path, length: int, hidden: int, core: CoreMask, canaries: Sequence[NpuInput]) -> None:
        """Load a file that was verified. Raises NpuFault if the runtime refuses it.

        `canaries` are windows of this length whose logits are not the same.
        """
        self._model = RknnModel(path, length, hidden, core)
        self._canaries = canaries
        self._last = NEW_BUFFER, b""
        self.versions: Final = self._model.versions

    def run(self, window: NpuInput) -> float:
        """Return the logit of a pair of this context's length. Raises NpuFault if it cannot be believed.

        One number may be that of two pairs, or be left from the pair before because the run has failed: where it is the
        same again, or that of a new buffer, another pair and then this one once more have to show that the NPU still
        computes.
        """
        before, came_from = self._last
        logit = self._once(window)
        is_repeated = logit == before and came_from != _identity(window)
        if (is_repeated or logit == NEW_BUFFER) and not self._is_computed(window, logit):
            raise NpuFault("the NPU returned the output of an earlier pair: the run failed")
        return logit

    def release(self) -> None:
        """Let go of the NPU's memory."""
        self._model.release()

    def _is_computed(self, window: NpuInput, logit: float) -> bool:
        return any(self._once(canary) != logit for canary in self._canaries) and self._once(window) == logit

    def _once(self, window: NpuInput) -> float:
        (output,) = self._model.run(window, SHAPE)
        require_finite(output)
        logit = float(output[0, 0])
        self._last = logit, _identity(window)
        return logit


def _identity(window: NpuInput) -> bytes:
    """Return what two windows have in common only if they are the same."""
    return window.ids.tobytes() + (b"" if window.types is None else window.types.tobytes())
