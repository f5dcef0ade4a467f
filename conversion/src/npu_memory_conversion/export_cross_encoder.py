"""Writes a cross-encoder as an ONNX graph: pairs of texts in, one score each out, padded where lengths differ."""

from __future__ import annotations

import numpy as np
import onnx

from .errors import ConversionError
from .export_onnx import Arithmetic, layers, normalize
from .graph import FUSED, Graph, floats, integers
from .recipe import ModelRecipe
from .weights import EncoderWeights, HeadWeights, Linear

IDS = "input_ids"
MASK = "attention_mask"
TYPES = "token_type_ids"
LOGITS = "logits"
SHAPE = "shape"
FLAT = "flat"


def export_cross_encoder(weights: EncoderWeights, recipe: ModelRecipe, arithmetic: Arithmetic) -> onnx.ModelProto:
    """Return the cross-encoder: BERT (Devlin et al., 2018) with a classifier of one output behind its pooler.

    In: `input_ids`, `attention_mask` (1 text, 0 padding) and `token_type_ids`, int64 [n, tokens]. Out: `logits`,
    float32 [n, 1]. Projections see all tokens of all pairs as one matrix, [n * tokens, hidden].
    """
    if weights.head is None:
        raise ConversionError(f"{recipe.name} has no classifier: it is no cross-encoder")
    graph = Graph()
    hidden = recipe.hidden
    flat = graph.constant(FLAT, np.array([-1, hidden], np.int64))
    every = graph.constant("every", np.array([-1], np.int64))
    pairs = graph.node("Shape", [IDS], "pairs")
    graph.node("Concat", [pairs, every], SHAPE, axis=0)
    graph.node("Cast", [MASK], "padding", to=onnx.TensorProto.INT32)

    words = arithmetic.lookup(graph, "words", weights.words, graph.node("Reshape", [IDS, every], "ids"))
    kinds = graph.node("Reshape", [TYPES, every], "kinds")
    typed = graph.node("Gather", [graph.constant("types.table", weights.types), kinds], "types")
    texts = graph.node("Add", [words, typed], "texts")
    length = graph.node("Gather", [pairs, graph.constant("one", np.array([1], np.int64))], "length")
    table = graph.constant("positions.table", weights.positions)
    start = graph.constant("start", np.array([0], np.int64))
    positions = graph.node("Slice", [table, start, length], "positions")
    placed = graph.node("Add", [graph.node("Reshape", [texts, SHAPE], "texts_by_pair"), positions], "placed")
    x = normalize(graph, "embeddings", graph.node("Reshape", [placed, flat], "placed_flat"), weights.norm, recipe)
    x = layers(graph, x, weights, recipe, arithmetic, _attention)
    _classify(graph, graph.node("Reshape", [x, SHAPE], "encoded"), weights.head)
    inputs = [integers(name, ["pairs", "tokens"]) for name in (IDS, MASK, TYPES)]
    return graph.model(recipe.name, inputs, [floats(LOGITS, ["pairs", 1])])


def _classify(graph: Graph, x: str, head: HeadWeights) -> None:
    def project(name: str, value: str, linear: Linear, result: str) -> str:
        weight = graph.constant(f"{name}.weight", linear.weight)
        return graph.node("Gemm", [value, weight, graph.constant(f"{name}.bias", linear.bias)], result)

    tokens = graph.node("Gather", [x, graph.constant("first", np.array([0], np.int64))], "first_tokens", axis=1)
    first = graph.node("Reshape", [tokens, FLAT], "first_token_flat")
    pooled = graph.node("Tanh", [project("pooler", first, head.pooler, "pooler")], "pooled")
    project("classifier", pooled, head.classifier, LOGITS)


def _attention(graph: Graph, name: str, joined: str, recipe: ModelRecipe) -> str:
    """Softmax attention within each pair, in which no token sees padding."""
    batch = graph.node("Reshape", [joined, SHAPE], f"{name}_batch")
    parts = [f"{name}_{part}" for part in ("query", "key", "value")]
    graph.nodes("Split", [batch], parts, axis=2)
    context = graph.node(
        "MultiHeadAttention", [*parts, "", "padding"], f"{name}_context", domain=FUSED, num_heads=recipe.heads
    )
    return graph.node("Reshape", [context, FLAT], name)
