"""The weights of a BERT-like encoder, by name and with checked shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from npu_memory_server.embedding.manifest import ModelKind
from npu_memory_server.embedding.pooling import Vector

from .errors import ConversionError
from .recipe import ModelRecipe


@dataclass(frozen=True, slots=True)
class Linear:
    """y = x @ weight + bias: weight float32 [inputs, outputs], bias float32 [outputs]."""

    weight: Vector
    bias: Vector


@dataclass(frozen=True, slots=True)
class LayerNorm:
    """Scale and shift of a layer normalization, each float32 [hidden]."""

    scale: Vector
    shift: Vector


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """One layer. attention_in makes query, key and value side by side: [hidden, 3 * hidden]."""

    attention_in: Linear
    attention_out: Linear
    attention_norm: LayerNorm
    feed_forward_in: Linear
    feed_forward_out: Linear
    feed_forward_norm: LayerNorm


@dataclass(frozen=True, slots=True)
class HeadWeights:
    """logit = classifier(tanh(pooler(first token))): pooler [hidden, hidden], classifier [hidden, 1]."""

    pooler: Linear
    classifier: Linear


@dataclass(frozen=True, slots=True)
class EncoderWeights:
    """The encoder, and what a cross-encoder has behind it.

    words: float32 [vocabulary, hidden]; positions: float32 [max_length, hidden]; types: float32 [2, hidden].
    """

    words: Vector
    positions: Vector
    types: Vector
    norm: LayerNorm
    layers: tuple[LayerWeights, ...]
    head: HeadWeights | None = None


def read_weights(path: Path, recipe: ModelRecipe) -> EncoderWeights:
    """Read a safetensors file. Raises ConversionError if a tensor is missing or has another shape than the recipe's."""
    try:
        tensors: Mapping[str, Vector] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ConversionError(f"{path.name} cannot be read as safetensors: {error}") from error
    hidden, wide = recipe.hidden, recipe.intermediate

    def tensor(name: str, *shape: int) -> Vector:
        found = tensors.get(name)
        if found is None or found.shape != shape or found.dtype not in {np.dtype(np.float32), np.dtype(np.float16)}:
            raise ConversionError(f"{path.name} has no float32 tensor `{name}` of the shape {list(shape)}")
        return found.astype(np.float32, copy=False)

    def linear(name: str, inputs: int, outputs: int) -> Linear:
        # PyTorch stores [outputs, inputs].
        weight = np.ascontiguousarray(tensor(f"{name}.weight", outputs, inputs).T)
        return Linear(weight, tensor(f"{name}.bias", outputs))

    def norm(name: str) -> LayerNorm:
        return LayerNorm(tensor(f"{name}.weight", hidden), tensor(f"{name}.bias", hidden))

    def layer(prefix: str) -> LayerWeights:
        parts = [linear(f"{prefix}.attention.self.{part}", hidden, hidden) for part in ("query", "key", "value")]
        return LayerWeights(
            attention_in=Linear(
                np.concatenate([part.weight for part in parts], axis=1), np.concatenate([part.bias for part in parts])
            ),
            attention_out=linear(f"{prefix}.attention.output.dense", hidden, hidden),
            attention_norm=norm(f"{prefix}.attention.output.LayerNorm"),
            feed_forward_in=linear(f"{prefix}.intermediate.dense", hidden, wide),
            feed_forward_out=linear(f"{prefix}.output.dense", wide, hidden),
            feed_forward_norm=norm(f"{prefix}.output.LayerNorm"),
        )

    start = recipe.prefix
    head = None
    if recipe.kind is ModelKind.CROSS_ENCODER:
        head = HeadWeights(linear(f"{start}pooler.dense", hidden, hidden), linear("classifier", hidden, 1))
    return EncoderWeights(
        words=tensor(f"{start}embeddings.word_embeddings.weight", recipe.vocabulary, hidden),
        positions=tensor(f"{start}embeddings.position_embeddings.weight", recipe.positions, hidden)[
            : recipe.max_length
        ],
        types=tensor(f"{start}embeddings.token_type_embeddings.weight", 2, hidden),
        norm=norm(f"{start}embeddings.LayerNorm"),
        layers=tuple(layer(f"{start}encoder.layer.{index}") for index in range(recipe.layers)),
        head=head,
    )
