"""Finds how large the activations of each channel get, over sentences of the kind that a household says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from tqdm import tqdm

from npu_memory_server.embedding.pooling import Vector

PROJECTION = "Gemm"
Feed = Mapping[str, npt.NDArray[np.int64]]


def activation_ranges(model: onnx.ModelProto, feeds: Sequence[Feed]) -> Mapping[str, Vector]:
    """Run the FP32 model over inputs, each by name.

    Returns for each projection, by its name, the largest absolute value in each input channel: float32 [inputs].
    """
    inputs = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == PROJECTION}
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    for value in dict.fromkeys(inputs.values()):
        observed.graph.output.append(onnx.helper.make_tensor_value_info(value, onnx.TensorProto.FLOAT, None))
    session = ort.InferenceSession(observed.SerializeToString(), providers=["CPUExecutionProvider"])
    ranges: dict[str, Vector] = {}
    for feed in tqdm(feeds, desc="calibrating", unit="text", leave=False, disable=None):
        values = dict(zip(inputs, session.run(list(inputs.values()), dict(feed)), strict=True))
        for name, value in values.items():
            widest = np.abs(value).max(axis=0)
            ranges[name] = np.maximum(ranges.get(name, widest), widest)
    return ranges
