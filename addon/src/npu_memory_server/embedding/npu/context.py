"""One model file in the NPU's runtime, and the checks without which nothing of it is used."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import IntEnum
import importlib
import logging
from pathlib import Path
import re
from typing import Any, Final

import numpy as np

from ..pooling import Vector, mean_pool
from .faults import NpuFault, NpuLastingFault
from .tables import NpuInput

LOGGER = logging.getLogger(__name__)

NORM_TOLERANCE = 0.01
"""16 bits leave a normalized vector of 384 dimensions within 0.002 of length 1; a buffer of anything else is far."""
LEAST_AGREEMENT_WITH_TOKENS = 0.99
"""Cosine of the vector with the mean of the token vectors that came with it; both are read from the same run."""
REMEMBERED_OUTPUTS = 16

_VERSION = re.compile(r"(API|DRV): *v?([0-9]+(?:\.[0-9]+)+)")


class CoreMask(IntEnum):
    """The cores of an RK3588 that a context may use, as Rockchip's library numbers them."""

    AUTO = 0
    CORE_0 = 1
    CORE_1 = 2
    CORE_2 = 4
    CORE_0_1 = 3
    CORE_0_1_2 = 7


@dataclass(frozen=True, slots=True, eq=False)
class NpuOutput:
    """What the NPU made of one window: float32 [d], L2-normalized, and float32 [n, d], both checked."""

    vector: Vector
    token_vectors: Vector


class RknnContext:
    """One RKNN file, loaded. One caller at a time; `run` blocks for as long as the driver does."""

    def __init__(self, path: Path, length: int, hidden: int, core_mask: CoreMask) -> None:
        """Load a file that was verified. Raises NpuFault if the runtime refuses it."""
        self.length: Final = length
        self._hidden = hidden
        self._seen: OrderedDict[bytes, bytes] = OrderedDict()
        self._runtime = _new_runtime()
        try:
            if self._runtime.load_rknn(str(path)) != 0:
                raise NpuFault(f"{path.name} could not be loaded")
            if self._runtime.init_runtime(core_mask=int(core_mask)) != 0:
                raise NpuFault(
                    f"the NPU's runtime refused {path.name} with the core mask {int(core_mask)}; its log says why"
                )
            self.versions: Final = dict(_VERSION.findall(str(self._runtime.get_sdk_version())))
        except NpuFault:
            self.release()
            raise
        except Exception as error:
            self.release()
            raise NpuFault(f"the NPU's runtime failed with {type(error).__name__}: {str(error)[:200]}") from error

    def run(self, window: NpuInput) -> NpuOutput:
        """Compute one window of this context's length. Raises NpuFault if anything is wrong with what comes back."""
        shapes = window.embeddings.shape, window.mask.shape
        if shapes != ((1, self.length, self._hidden), (1, self.length)):
            raise NpuFault(f"a window of {window.length} tokens was given to a model of {self.length}")
        try:
            outputs = self._runtime.inference(inputs=[window.embeddings, window.mask])
        except Exception as error:
            raise NpuFault(f"the NPU's runtime failed with {type(error).__name__}") from error
        return self._checked(outputs, window)

    def release(self) -> None:
        """Let go of the NPU's memory."""
        try:
            self._runtime.release()
        except Exception as error:  # noqa: BLE001 - there is nothing left to be done about it
            LOGGER.debug("The NPU's runtime failed to release a model: %s", type(error).__name__)

    def _checked(self, outputs: Any, window: NpuInput) -> NpuOutput:
        """Return copies of the outputs: `inference()` of 2.5.0 gives old buffers, and no error, when the run failed."""
        if not isinstance(outputs, list | tuple) or len(outputs) != 2:
            raise NpuFault("the NPU returned nothing: the run failed, or its device is gone")
        vector = _output(outputs[0], (1, self._hidden))[0]
        token_vectors = _output(outputs[1], (1, self.length, self._hidden))[0, : len(window.ids)]
        if not (np.isfinite(vector).all() and np.isfinite(token_vectors).all()):
            raise NpuFault("the NPU returned numbers that are not finite")
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

    def _refuse_old_output(self, vector: Vector, window: NpuInput) -> None:
        output, came_from = vector.tobytes(), window.ids.tobytes()
        if self._seen.setdefault(output, came_from) != came_from:
            raise NpuFault("the NPU returned the output of an earlier text: the run failed")
        self._seen.move_to_end(output)
        if len(self._seen) > REMEMBERED_OUTPUTS:
            self._seen.popitem(last=False)


def _output(raw: Any, shape: tuple[int, ...]) -> Vector:
    """Return a copy, since the runtime may write into what it returned."""
    if not isinstance(raw, np.ndarray) or raw.shape != shape or raw.dtype != np.float32:
        found = f"{raw.dtype} {list(raw.shape)}" if isinstance(raw, np.ndarray) else type(raw).__name__
        raise NpuFault(f"the NPU returned {found} instead of float32 {list(shape)}")
    return raw.copy()


def _new_runtime() -> Any:
    """Return a new `RKNNLite`; imported here, since most machines have none."""
    try:
        return importlib.import_module("rknnlite.api").RKNNLite()
    except ImportError as error:
        raise NpuLastingFault(
            "the Python package rknn-toolkit-lite2 is not installed (it exists for arm64 and Python 3.7 to 3.12)"
        ) from error
    except Exception as error:
        raise NpuFault(f"rknn-toolkit-lite2 failed with {type(error).__name__}") from error
