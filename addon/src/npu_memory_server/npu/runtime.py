"""One model file in the NPU's runtime; whether what it returns can be believed is for its context to say."""

from __future__ import annotations

from collections.abc import Sequence
import importlib
import logging
from pathlib import Path
import re
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .faults import NpuFault, NpuLastingFault
from .settings import CoreMask
from .tables import NpuInput

LOGGER = logging.getLogger(__name__)

Array = npt.NDArray[np.float32]

_VERSION = re.compile(r"(API|DRV): *v?([0-9]+(?:\.[0-9]+)+)")


class RknnModel:
    """One RKNN file, loaded. One caller at a time; `run` blocks for as long as the driver does."""

    def __init__(self, path: Path, length: int, hidden: int, core_mask: CoreMask) -> None:
        """Load a file that was verified. Raises NpuFault if the runtime refuses it."""
        self.length: Final = length
        self._hidden = hidden
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

    def run(self, window: NpuInput, *shapes: tuple[int, ...]) -> Sequence[Array]:
        """Return copies of the outputs of one window, float32 of these shapes.

        Raises NpuFault if the window is of another length, or the outputs are anything else. They may still be those of
        an earlier run: `inference()` of 2.5.0 returns old buffers, and no error, when the run failed.
        """
        found = window.embeddings.shape, window.mask.shape
        if found != ((1, self.length, self._hidden), (1, self.length)):
            raise NpuFault(f"a window of {window.length} tokens was given to a model of {self.length}")
        try:
            outputs = self._runtime.inference(inputs=[window.embeddings, window.mask])
        except Exception as error:
            raise NpuFault(f"the NPU's runtime failed with {type(error).__name__}") from error
        if not isinstance(outputs, list | tuple) or len(outputs) != len(shapes):
            raise NpuFault("the NPU returned nothing: the run failed, or its device is gone")
        return [_output(output, shape) for output, shape in zip(outputs, shapes, strict=True)]

    def release(self) -> None:
        """Let go of the NPU's memory."""
        try:
            self._runtime.release()
        except Exception as error:  # noqa: BLE001 - there is nothing left to be done about it
            LOGGER.debug("The NPU's runtime failed to release a model: %s", type(error).__name__)


def require_finite(*outputs: Array) -> None:
    """Raise NpuFault if a number is not finite."""
    if not all(np.isfinite(output).all() for output in outputs):
        raise NpuFault("the NPU returned numbers that are not finite")


def _output(raw: Any, shape: tuple[int, ...]) -> Array:
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
