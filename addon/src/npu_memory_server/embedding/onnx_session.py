"""One ONNX model in onnxruntime, on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from ..errors import ModelError
from .pooling import Vector

INPUT = "input_ids"
OUTPUT = "token_vectors"


class OnnxSession:
    """Token ids in, token vectors out."""

    def __init__(self, path: Path, *, threads: int, dimensions: int) -> None:
        """Load the model with so many threads. Raises ModelError if it is no model, or one with another interface."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the exceptions of onnxruntime share no public base
            raise ModelError(f"onnxruntime cannot load {path.name}; convert the model again") from error
        inputs = [node.name for node in self._session.get_inputs()]
        outputs = [node.name for node in self._session.get_outputs()]
        if inputs != [INPUT] or outputs != [OUTPUT]:
            raise ModelError(f"{path.name} is not an embedder: its inputs are {inputs}, its outputs {outputs}")
        self._dimensions = dimensions

    def run(self, ids: npt.NDArray[np.int64], options: ort.RunOptions | None = None) -> Vector:
        """Turn token ids, int64 [n], into token vectors, float32 [n, dimensions].

        Raises ModelError if it fails, also where `options` end it.
        """
        try:
            (output,) = self._session.run([OUTPUT], {INPUT: ids[np.newaxis]}, options)
        except Exception as error:  # the exceptions of onnxruntime share no public base
            raise ModelError(f"the model failed on {len(ids)} tokens") from error
        vectors: Vector = output[0]
        if vectors.shape != (len(ids), self._dimensions) or vectors.dtype != np.float32:
            raise ModelError(f"the model answered {vectors.dtype} {list(vectors.shape)} to {len(ids)} tokens")
        return vectors
