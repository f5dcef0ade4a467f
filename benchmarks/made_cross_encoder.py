"""Cross-encoders made on the spot, in flashrank's layout: for figures of time and tests, where none can be fetched.

The graph is that of a BERT for sequence classification (Devlin et al., 2018), as it is exported after training, with a
batch and a mask; its weights are random or given. What such a model says has no meaning unless its weights have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
import json
from pathlib import Path
import shutil
from typing import Any

import numpy as np
from numpy.typing import NDArray
import onnx
from onnx import helper, numpy_helper

Array = NDArray[Any]
OPSET = 17
IR_VERSION = 8
EPSILON = 1e-12
MASKED = -10_000.0


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a BERT."""

    layers: int
    hidden: int
    heads: int
    vocabulary: int = 30_522
    positions: int = 512

    @property
    def inner(self) -> int:
        """The width of the feed-forward part."""
        return 4 * self.hidden


MINILM_L12 = Shape(layers=12, hidden=384, heads=12)
TINYBERT_L2 = Shape(layers=2, hidden=128, heads=2)


def random_weights(shape: Shape, seed: int = 7) -> dict[str, Array]:
    """Return weights as they are before a training: normal ones with a deviation of 0.02, biases 0."""
    random = np.random.default_rng(seed)

    def normal(*size: int) -> Array:
        return random.normal(0, 0.02, size).astype(np.float32)

    hidden, inner = shape.hidden, shape.inner
    weights = {
        "words": normal(shape.vocabulary, hidden),
        "positions": normal(shape.positions, hidden),
        "types": normal(2, hidden),
        "pooler": normal(hidden, hidden),
        "classifier": normal(hidden, 1),
        "classifier.bias": np.zeros(1, np.float32),
    }
    for layer in range(shape.layers):
        for name in ("query", "key", "value", "attended"):
            weights[f"{layer}.{name}"] = normal(hidden, hidden)
        weights[f"{layer}.inner"] = normal(hidden, inner)
        weights[f"{layer}.outer"] = normal(inner, hidden)
    return weights


def repeated_weights(shape: Shape) -> dict[str, Array]:
    """Return random weights that are the same in all layers: the time of a large model in a small file."""
    one = random_weights(replace(shape, layers=1))
    layers = {
        f"{layer}{name.removeprefix('0')}": array
        for layer in range(shape.layers)
        for name, array in one.items()
        if name.startswith("0.")
    }
    return one | layers


def cross_encoder(shape: Shape, weights: Mapping[str, Array]) -> onnx.ModelProto:
    """Return the graph: `input_ids`, `attention_mask`, `token_type_ids`, int64 [batch, tokens]; `logits` [batch, n]."""
    graph = _Graph(weights)
    embedded = [
        graph.node("Gather", [graph.weight("words"), "input_ids"]),
        graph.node("Gather", [graph.weight("types"), "token_type_ids"]),
    ]
    sizes = graph.node("Shape", ["input_ids"])
    length = graph.node("Gather", [sizes, graph.constant(np.array([1], np.int64))])
    positions = graph.node("Slice", [graph.weight("positions"), graph.constant(np.array([0], np.int64)), length])
    x = graph.normalized(graph.node("Add", [graph.node("Add", embedded), positions]), shape.hidden)
    seen = graph.node("Cast", ["attention_mask"], to=onnx.TensorProto.FLOAT)
    hidden = graph.node("Sub", [graph.constant(np.float32(1)), seen])
    mask = graph.node("Mul", [hidden, graph.constant(np.float32(MASKED))])
    mask = graph.node("Unsqueeze", [mask, graph.constant(np.array([1, 2], np.int64))])
    for layer in range(shape.layers):
        x = _layer(graph, shape, str(layer), x, mask)
    first = graph.node("Gather", [x, graph.constant(np.array(0, np.int64))], axis=1)
    pooled = graph.node("Tanh", [graph.node("MatMul", [first, graph.weight("pooler")])])
    scored = graph.node("MatMul", [pooled, graph.weight("classifier")])
    graph.node("Add", [scored, graph.weight("classifier.bias")], "logits")
    return graph.model(len(weights["classifier.bias"]))


def write_model(folder: Path, file: str, model: onnx.ModelProto, tokenizer: Path, shape: Shape) -> None:
    """Write a cross-encoder into a folder as flashrank has it; `tokenizer` is the tokenizer.json of a BERT."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(folder / file))
    shutil.copy(tokenizer, folder / "tokenizer.json")
    marks = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]"}
    files = {
        "config.json": {"model_type": "bert", "hidden_size": shape.hidden, "pad_token_id": 0},
        "special_tokens_map.json": marks,
        "tokenizer_config.json": {"model_max_length": shape.positions, **marks},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _layer(graph: _Graph, shape: Shape, name: str, x: str, mask: str) -> str:
    heads = np.array([0, 0, shape.heads, shape.hidden // shape.heads], np.int64)

    def split(part: str, order: list[int]) -> str:
        projected = graph.node("MatMul", [x, graph.weight(f"{name}.{part}")])
        parts = graph.node("Reshape", [projected, graph.constant(heads)])
        return graph.node("Transpose", [parts], perm=order)

    likeness = graph.node("MatMul", [split("query", [0, 2, 1, 3]), split("key", [0, 2, 3, 1])])
    scale = np.float32(1 / np.sqrt(shape.hidden // shape.heads))
    scaled = graph.node("Add", [graph.node("Mul", [likeness, graph.constant(scale)]), mask])
    attention = graph.node("Softmax", [scaled], axis=-1)
    context = graph.node("MatMul", [attention, split("value", [0, 2, 1, 3])])
    joined = graph.node("Transpose", [context], perm=[0, 2, 1, 3])
    flat = graph.node("Reshape", [joined, graph.constant(np.array([0, 0, shape.hidden], np.int64))])
    attended = graph.node("MatMul", [flat, graph.weight(f"{name}.attended")])
    x = graph.normalized(graph.node("Add", [x, attended]), shape.hidden)
    inner = graph.node("MatMul", [x, graph.weight(f"{name}.inner")])
    half = graph.node("Mul", [inner, graph.constant(np.float32(0.5))])
    error = graph.node("Erf", [graph.node("Mul", [inner, graph.constant(np.float32(np.sqrt(0.5)))])])
    active = graph.node("Mul", [half, graph.node("Add", [error, graph.constant(np.float32(1))])])
    outer = graph.node("MatMul", [active, graph.weight(f"{name}.outer")])
    return graph.normalized(graph.node("Add", [x, outer]), shape.hidden)


class _Graph:
    def __init__(self, weights: Mapping[str, Array]) -> None:
        self._weights = weights
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._names: dict[int, str] = {}

    def weight(self, name: str) -> str:
        array = self._weights[name]
        known = self._names.setdefault(id(array), name)
        if known not in self._constants:
            self._constants[known] = numpy_helper.from_array(np.ascontiguousarray(array), known)
        return known

    def constant(self, value: Array | np.generic) -> str:
        name = f"constant.{len(self._constants)}"
        self._constants[name] = numpy_helper.from_array(np.asarray(value), name)
        return name

    def node(self, operator: str, inputs: list[str], output: str | None = None, **attributes: Any) -> str:
        name = output or f"{operator}.{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    def normalized(self, x: str, hidden: int) -> str:
        scale, shift = np.ones(hidden, np.float32), np.zeros(hidden, np.float32)
        return self.node("LayerNormalization", [x, self.constant(scale), self.constant(shift)], epsilon=EPSILON)

    def model(self, logits: int) -> onnx.ModelProto:
        shape = ["batch", "tokens"]
        inputs = [
            helper.make_tensor_value_info(name, onnx.TensorProto.INT64, shape)
            for name in ("input_ids", "attention_mask", "token_type_ids")
        ]
        output = helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["batch", logits])
        graph = helper.make_graph(self._nodes, "cross-encoder", inputs, [output], list(self._constants.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        onnx.checker.check_model(model)
        return model
