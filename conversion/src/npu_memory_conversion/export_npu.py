"""Writes an encoder as the ONNX graph that Rockchip's compiler takes: one text, one length, standard operators only.

Each pattern is one that the compiler of rknn-toolkit2 2.5.0 fuses: attention to exSDPAttention, the exact Gelu to
ConvExGelu, a projection and the sum behind it to ConvAdd. Nothing is left for the CPU of the board but the embedding
table, and that stays outside unless asked for: within, each context of each length would hold a copy in 32 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
import math

import numpy as np
import onnx

from npu_memory_server.embedding.pooling import Vector

from .graph import Graph, floats, integers
from .recipe import ModelRecipe
from .weights import EncoderWeights, HeadWeights, LayerNorm, LayerWeights, Linear

EMBEDDINGS = "embeddings"
IDS = "input_ids"
TYPES = "token_type_ids"
MASK = "mask"
VECTOR = "vector"
TOKENS = "tokens"
LOGIT = "logit"


@dataclass(frozen=True, slots=True)
class NpuShape:
    """What is fixed in a graph for the NPU.

    length: tokens, special tokens and padding included. mask_bias: added to the attention scores of padding. FP16 ends
    at -65504; the value that PyTorch would use, -3.4e38, becomes an infinity and the result no number. with_table:
    whether token ids enter instead of their embeddings.
    """

    length: int
    mask_bias: float
    with_table: bool = False


def export_npu(weights: EncoderWeights, recipe: ModelRecipe, shape: NpuShape) -> onnx.ModelProto:
    """Return the encoder for one length.

    In: `embeddings` float32 [1, length, hidden], the sum of the rows of the tables (or `input_ids` int64 [1, length],
    and `token_type_ids` for a cross-encoder), and `mask` float32 [1, length], 1 for tokens and 0 for padding.
    Out, of an embedder: `vector` float32 [1, hidden], the L2-normalized mean over the mask, and `tokens` float32
    [1, length, hidden]; of a cross-encoder: `logit` float32 [1, 1].
    """
    graph = Graph()
    inputs = [floats(MASK, [1, shape.length])]
    if not shape.with_table:
        inputs.insert(0, floats(EMBEDDINGS, [1, shape.length, recipe.hidden]))
        x = EMBEDDINGS
    elif weights.head is None:
        inputs.insert(0, integers(IDS, [1, shape.length]))
        x = _look_up(graph, "words", weights.words, IDS, weights.positions[: shape.length] + weights.types[0])
    else:
        inputs[:0] = [integers(IDS, [1, shape.length]), integers(TYPES, [1, shape.length])]
        x = _look_up(graph, "words", weights.words, IDS, weights.positions[: shape.length])
        x = _look_up(graph, "types", weights.types, TYPES, x)
    bias = _mask_bias(graph, shape)
    x = _normalize(graph, "embeddings_normalized", x, weights.norm, recipe)
    for index, layer in enumerate(weights.layers):
        last = weights.head is None and index == recipe.layers - 1
        x = _layer(graph, f"layer.{index}", x, bias, layer, recipe, shape.length, TOKENS if last else None)
    if weights.head is not None:
        _classify(graph, x, weights.head)
        outputs = [floats(LOGIT, [1, 1])]
    else:
        _pool(graph, x)
        outputs = [floats(VECTOR, [1, recipe.hidden]), floats(TOKENS, [1, shape.length, recipe.hidden])]
    return graph.model(recipe.name, inputs, outputs, fused=False)


def _look_up(graph: Graph, name: str, table: Vector, ids: str, add: Vector | str) -> str:
    found = graph.node("Gather", [graph.constant(f"{name}.table", table), ids], f"{name}_found")
    other = add if isinstance(add, str) else graph.constant(f"{name}.added", add[np.newaxis])
    return graph.node("Add", [found, other], name)


def _mask_bias(graph: Graph, shape: NpuShape) -> str:
    """0 for tokens and the bias for padding: float32 [1, 1, 1, length]."""
    axes = graph.constant("axes_1_2", np.array([1, 2], np.int64))
    mask = graph.node("Unsqueeze", [MASK, axes], "mask_4d")
    padding = graph.node("Sub", [graph.constant("one", np.array(1, np.float32)), mask], "padding")
    return graph.node("Mul", [padding, graph.constant("bias", np.array(shape.mask_bias, np.float32))], "mask_bias")


def _layer(
    graph: Graph,
    name: str,
    x: str,
    bias: str,
    layer: LayerWeights,
    recipe: ModelRecipe,
    length: int,
    result: str | None,
) -> str:
    context = _attention(graph, f"{name}.attention", x, bias, layer.attention_in, recipe, length)
    attended = _project(graph, f"{name}.attention_out", context, layer.attention_out)
    x = _normalize(
        graph, f"{name}.attended", graph.node("Add", [attended, x], f"{name}.sum"), layer.attention_norm, recipe
    )
    hidden = _project(graph, f"{name}.feed_forward_in", x, layer.feed_forward_in)
    fed = _project(graph, f"{name}.feed_forward_out", _gelu(graph, f"{name}.gelu", hidden), layer.feed_forward_out)
    total = graph.node("Add", [fed, x], f"{name}.fed_sum")
    return _normalize(graph, result or f"{name}.fed", total, layer.feed_forward_norm, recipe)


def _attention(graph: Graph, name: str, x: str, bias: str, joined: Linear, recipe: ModelRecipe, length: int) -> str:
    """Softmax attention (Vaswani et al., 2017, equation 1), written with one projection each as PyTorch exports it."""
    hidden, heads = recipe.hidden, recipe.heads
    split = graph.constant("split", np.array([1, length, heads, hidden // heads], np.int64))
    parts = []
    for index, (part, order) in enumerate((("query", [0, 2, 1, 3]), ("key", [0, 2, 3, 1]), ("value", [0, 2, 1, 3]))):
        columns = slice(index * hidden, (index + 1) * hidden)
        own = Linear(joined.weight[:, columns], joined.bias[columns])
        by_head = graph.node("Reshape", [_project(graph, f"{name}.{part}", x, own), split], f"{name}.{part}_split")
        parts.append(graph.node("Transpose", [by_head], f"{name}.{part}_heads", perm=order))
    query, key, value = parts
    root = graph.constant("root", np.array(math.sqrt(hidden // heads), np.float32))
    scores = graph.node("Div", [graph.node("MatMul", [query, key], f"{name}.products"), root], f"{name}.scores")
    shares = graph.node("Softmax", [graph.node("Add", [scores, bias], f"{name}.masked")], f"{name}.shares", axis=-1)
    mixed = graph.node("MatMul", [shares, value], f"{name}.mixed")
    together = graph.node("Transpose", [mixed], f"{name}.together", perm=[0, 2, 1, 3])
    return graph.node(
        "Reshape", [together, graph.constant("joined", np.array([1, length, hidden], np.int64))], f"{name}.context"
    )


def _gelu(graph: Graph, name: str, x: str) -> str:
    """Add x / 2 * (1 + erf(x / sqrt(2))): the exact Gelu (Hendrycks and Gimpel, 2016), in PyTorch's order."""
    scaled = graph.node("Div", [x, graph.constant("root_2", np.array(math.sqrt(2), np.float32))], f"{name}.scaled")
    one = graph.constant("one", np.array(1, np.float32))
    above = graph.node("Add", [graph.node("Erf", [scaled], f"{name}.erf"), one], f"{name}.above")
    product = graph.node("Mul", [x, above], f"{name}.product")
    return graph.node("Mul", [product, graph.constant("half", np.array(0.5, np.float32))], name)


def _pool(graph: Graph, x: str) -> None:
    """The mean of the token vectors over the mask, Sentence-BERT (Reimers and Gurevych, 2019), L2-normalized."""
    mask = graph.node("Unsqueeze", [MASK, graph.constant("axis_2", np.array([2], np.int64))], "mask_3d")
    axis = graph.constant("axis_1", np.array([1], np.int64))
    total = graph.node("ReduceSum", [graph.node("Mul", [x, mask], "masked"), axis], "total", keepdims=0)
    mean = graph.node("Div", [total, graph.node("ReduceSum", [mask, axis], "count", keepdims=0)], "mean")
    graph.node("Div", [mean, graph.node("ReduceL2", [mean], "length", axes=[1], keepdims=1)], VECTOR)


def _classify(graph: Graph, x: str, head: HeadWeights) -> None:
    start, end, axis = (graph.constant(f"slice_{value}", np.array([value], np.int64)) for value in (0, 1, 1))
    first = graph.node("Slice", [x, start, end, axis], "first")
    token = graph.node("Squeeze", [first, axis], "first_token")
    pooled = graph.node("Tanh", [_project(graph, "pooler", token, head.pooler)], "pooled")
    _project(graph, "classifier", pooled, head.classifier, LOGIT)


def _normalize(graph: Graph, name: str, x: str, norm: LayerNorm, recipe: ModelRecipe) -> str:
    parameters = [graph.constant(f"{name}.scale", norm.scale), graph.constant(f"{name}.shift", norm.shift)]
    return graph.node("LayerNormalization", [x, *parameters], name, axis=-1, epsilon=recipe.layer_norm_epsilon)


def _project(graph: Graph, name: str, x: str, linear: Linear, result: str | None = None) -> str:
    product = graph.node("MatMul", [x, graph.constant(f"{name}.weight", linear.weight)], f"{name}_product")
    return graph.node("Add", [product, graph.constant(f"{name}.bias", linear.bias)], result or name)
