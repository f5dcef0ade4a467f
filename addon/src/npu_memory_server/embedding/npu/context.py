"""An embedder's model of one length on the NPU, and the checks without which no vector of it is used."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from ...npu.faults import NpuFault
from ...npu.runtime import RknnModel, require_finite
from ...npu.settings import CoreMask
from ...npu.tables import NpuInput
from ..pooling import Vector, mean_pool

NORM_TOLERANCE = 0.01
"""16 bits leave a normalized vector of 384 dimensions within 0.002 of length 1; a buffer of anything else is far."""
LEAST_AGREEMENT_WITH_TOKENS = 0.99
"""Cosine of the vector with the mean of the token vectors that came with it; both are read from the same run."""
REMEMBERED_OUTPUTS = 16


@dataclass(frozen=True, slots=True, eq=False)
class NpuOutput:
    """What the NPU made of one window: float32 [d], L2-normalized, and float32 [n, d], both checked."""

    vector: Vector
    token_vectors: Vector


class EmbeddingContext:
    """One RKNN file of an embedder, loaded. One caller at a time."""

    def __init__(self, path: Path, length: int, hidden: int, core_mask: CoreMask) -> None:
        """Load a file that was verified. Raises NpuFault if the runtime refuses it."""
        self._model = RknnModel(path, length, hidden, core_mask)
        self._shapes = (1, hidden), (1, length, hidden)
        self._seen: OrderedDict[bytes, bytes] = OrderedDict()
        self.versions: Final = self._model.versions

    def run(self, window: NpuInput) -> NpuOutput:
        """Compute one window of this context's length. Raises NpuFault if anything is wrong with what comes back."""
        vectors, tokens = self._model.run(window, *self._shapes)
        vector, token_vectors = vectors[0], tokens[0, : len(window.ids)]
        require_finite(vector, token_vectors)
        norm = float(np.linalg.norm(vector))
        if abs(norm - 1) > NORM_TOLERANCE:
            raise NpuFault("the NPU returned a vector whose length is not 1")
        self._refuse_old_output(vector, window)
        try:
            agreement = float(mean_pool(token_vectors) @ vector) / norm
        except ValueError:
            agreement = 0.0
        if agreement < LEAST_AGREEMENT_WITH_TOKENS:
            raise NpuFault("the NPU returned a vector that is not the mean of its tokens")
        return NpuOutput((vector / np.float32(norm)).astype(np.float32, copy=False), token_vectors)

    def release(self) -> None:
        """Let go of the NPU's memory."""
        self._model.release()

    def _refuse_old_output(self, vector: Vector, window: NpuInput) -> None:
        output, came_from = vector.tobytes(), window.ids.tobytes()
        if self._seen.setdefault(output, came_from) != came_from:
            raise NpuFault("the NPU returned the output of an earlier text: the run failed")
        self._seen.move_to_end(output)
        if len(self._seen) > REMEMBERED_OUTPUTS:
            self._seen.popitem(last=False)
