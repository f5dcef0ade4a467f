"""Finds how large the activations of each channel get, over sentences of the kind that a household says."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

import numpy as np
import onnx
import onnxruntime as ort
from tqdm import tqdm

from npu_memory_server.embedding.onnx_session import INPUT
from npu_memory_server.embedding.pooling import Vector
from npu_memory_server.embedding.tokenizing import TextTokenizer

PROJECTION = "Gemm"


def calibration_sentences() -> list[str]:
    """Return the sentences that come with this package, one a line of data/calibration.txt."""
    text = files(__package__).joinpath("data/calibration.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line]


def activation_ranges(model: onnx.ModelProto, tokenizer: TextTokenizer) -> Mapping[str, Vector]:
    """Run the FP32 model over the calibration sentences.

    Returns for each projection, by its name, the largest absolute value in each input channel: float32 [inputs].
    """
    inputs = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == PROJECTION}
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    for value in dict.fromkeys(inputs.values()):
        observed.graph.output.append(onnx.helper.make_tensor_value_info(value, onnx.TensorProto.FLOAT, None))
    session = ort.InferenceSession(observed.SerializeToString(), providers=["CPUExecutionProvider"])
    ranges: dict[str, Vector] = {}
    for sentence in tqdm(calibration_sentences(), desc="calibrating", unit="sentence", leave=False, disable=None):
        for window in tokenizer.windows(tokenizer.encode(sentence)):
            values = dict(zip(inputs, session.run(list(inputs.values()), {INPUT: window[np.newaxis]}), strict=True))
            for name, value in values.items():
                widest = np.abs(value).max(axis=0)
                ranges[name] = np.maximum(ranges.get(name, widest), widest)
    return ranges
