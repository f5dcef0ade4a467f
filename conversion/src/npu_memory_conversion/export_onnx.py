"""Writes an encoder as an ONNX graph, with the fused operators of onnxruntime and without padding or a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

import numpy as np
import onnx

from npu_memory_server.embedding.onnx_session import INPUT, OUTPUT
from npu_memory_server.embedding.pooling import Vector

from .graph import FUSED, Graph, floats, integers
from .recipe import ModelRecipe
from .weights import EncoderWeights, LayerNorm, Linear

AXIS_0 = "axis_0"


Attention: TypeAlias = Callable[[Graph, str, str, ModelRecipe], str]


class Arithmetic(Protocol):
    """How a precision does what the encoder needs; each method adds nodes and returns the name of their result."""

    def lookup(self, graph: Graph, name: str, table: Vector, ids: str) -> str:
        """Look up rows of a table, float32 [rows, hidden], by ids, int64 [n]: float32 [n, hidden]."""

    def project(self, graph: Graph, name: str, x: str, linear: Linear) -> str:
        """Compute x @ weight + bias: float32 [n, inputs] to [n, outputs]."""

    def project_residual(self, graph: Graph, name: str, x: str, linear: Linear) -> str:
        """Do the same with what comes from the residual stream, whose channels differ most in range."""

    def feed_forward(self, graph: Graph, name: str, x: str, into: Linear, out: Linear) -> tuple[str, str]:
        """Give two float32 [n, hidden] whose sum is x + out(gelu(into(x))), gelu being the exact one with erf."""


class Fp32Arithmetic:
    """Everything as it was trained."""

    def lookup(self, graph: Graph, name: str, table: Vector, ids: str) -> str:
        """Look up rows of the table."""
        return graph.node("Gather", [graph.constant(f"{name}.table", table), ids], name)

    def project(self, graph: Graph, name: str, x: str, linear: Linear) -> str:
        """Multiply and add the bias in one operator."""
        weight = graph.constant(f"{name}.weight", linear.weight)
        return graph.node("Gemm", [x, weight, graph.constant(f"{name}.bias", linear.bias)], name)

    project_residual = project

    def feed_forward(self, graph: Graph, name: str, x: str, into: Linear, out: Linear) -> tuple[str, str]:
        """Multiply twice with a Gelu between."""
        hidden = self.project(graph, f"{name}_in", x, into)
        active = graph.node("Gelu", [hidden], f"{name}_active", domain=FUSED)
        return x, self.project(graph, f"{name}_out", active, out)


def export_encoder(weights: EncoderWeights, recipe: ModelRecipe, arithmetic: Arithmetic) -> onnx.ModelProto:
    """Return the encoder, BERT (Devlin et al., 2018) with post-normalization, in the given arithmetic.

    In: `input_ids` int64 [1, n]. Out: `token_vectors` float32 [1, n, hidden]. Inside, all is [n, hidden]: there is one
    text at a time, since texts of different lengths would have to be padded.
    """
    graph = Graph()
    axis = graph.constant(AXIS_0, np.array([0], np.int64))
    ids = graph.node("Squeeze", [INPUT, axis], "ids")
    words = arithmetic.lookup(graph, "words", weights.words, ids)
    length = graph.node("Shape", [ids], "length")
    table = graph.constant("positions.table", weights.positions + weights.types[0])
    positions = graph.node("Slice", [table, axis, length], "positions")
    x = _add_and_normalize(graph, "embeddings", words, positions, weights.norm, recipe)
    x = layers(graph, x, weights, recipe, arithmetic, _attention)
    graph.node("Unsqueeze", [x, axis], OUTPUT)
    shape: list[int | str] = [1, "tokens"]
    return graph.model(recipe.name, [integers(INPUT, shape)], [floats(OUTPUT, [*shape, recipe.hidden])])


def layers(
    graph: Graph, x: str, weights: EncoderWeights, recipe: ModelRecipe, arithmetic: Arithmetic, attention: Attention
) -> str:
    """Add all layers behind the embeddings: float32 [n, hidden] to [n, hidden].

    `attention` adds what turns query, key and value side by side, [n, 3 * hidden], into the context, [n, hidden].
    """
    for index, layer in enumerate(weights.layers):
        name = f"layer.{index}"
        joined = arithmetic.project_residual(graph, f"{name}.attention_in", x, layer.attention_in)
        context = attention(graph, f"{name}.attention", joined, recipe)
        attended = arithmetic.project(graph, f"{name}.attention_out", context, layer.attention_out)
        x = _add_and_normalize(graph, f"{name}.attended", x, attended, layer.attention_norm, recipe)
        skip, fed = arithmetic.feed_forward(
            graph, f"{name}.feed_forward", x, layer.feed_forward_in, layer.feed_forward_out
        )
        x = _add_and_normalize(graph, f"{name}.fed", skip, fed, layer.feed_forward_norm, recipe)
    return x


def normalize(graph: Graph, name: str, x: str, norm: LayerNorm, recipe: ModelRecipe) -> str:
    """Add layer normalization (Ba et al., 2016) of float32 [..., hidden]."""
    parameters = [graph.constant(f"{name}.scale", norm.scale), graph.constant(f"{name}.shift", norm.shift)]
    return graph.node("LayerNormalization", [x, *parameters], name, epsilon=recipe.layer_norm_epsilon)


def _add_and_normalize(graph: Graph, name: str, x: str, y: str, norm: LayerNorm, recipe: ModelRecipe) -> str:
    # onnxruntime's SkipLayerNormalization does both in one, three to six times slower than these two.
    return normalize(graph, name, graph.node("Add", [x, y], f"{name}_sum"), norm, recipe)


def _attention(graph: Graph, name: str, joined: str, recipe: ModelRecipe) -> str:
    """Softmax attention over query, key and value side by side, [n, 3 * hidden]; every token sees every other."""
    batch = graph.node("Unsqueeze", [joined, AXIS_0], f"{name}_batch")
    parts = [f"{name}_{part}" for part in ("query", "key", "value")]
    graph.nodes("Split", [batch], parts, axis=2)
    context = graph.node("MultiHeadAttention", parts, f"{name}_context", domain=FUSED, num_heads=recipe.heads)
    return graph.node("Squeeze", [context, AXIS_0], name)
