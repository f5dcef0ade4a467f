"""A stand-in for the Python module `rknnlite.api` 2.5.0, with the behavior that was observed of it.

It validates nothing when loading, returns -1 rather than raise, does not look at the shapes of its inputs, and, above
all, does not look at what `rknn_run` returned: it hands over whatever is in the output buffers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tests.server.npu.stand_in import SUCCESS, StandInNpu


def rknnlite_api(npu: StandInNpu) -> ModuleType:
    """Return the module, on top of this NPU."""

    class RKNNLite:
        def __init__(self, verbose: bool = False) -> None:
            self._model: bytes | None = None
            self._context: int | None = None

        def load_rknn(self, path: str) -> int:
            self._model = Path(path).read_bytes()
            return 0

        def init_runtime(self, *, core_mask: int = 0) -> int:
            assert self._model is not None
            code, context = npu.init(self._model)
            if code != SUCCESS:
                return -1
            self._context = context
            if npu.set_core_mask(context, core_mask) != SUCCESS and core_mask:
                return -1  # and the context stays usable, as observed
            return 0

        def inference(self, inputs: Sequence[Any]) -> list[Any] | None:
            if self._context is None:
                return None
            embeddings, mask = inputs
            npu.set_inputs(self._context, embeddings, mask)
            npu.run(self._context)
            return [np.array(output) for output in npu.outputs(self._context)]

        def get_sdk_version(self) -> str:
            return "=====\nRKNN VERSION:\n  API: 2.5.0 (stand-in)\n  DRV: 0.9.8\n=====\n"

        def release(self) -> None:
            if self._context is not None:
                npu.destroy(self._context)
                self._context = None

    module = ModuleType("rknnlite.api")
    module.RKNNLite = RKNNLite  # type: ignore[attr-defined]
    return module
