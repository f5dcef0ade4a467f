"""What the original answers: its weights in FP32 through onnxruntime, with nothing rounded, fused or padded away."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnx
import onnxruntime as ort

from npu_memory_server.embedding.onnx_session import INPUT
from npu_memory_server.embedding.pooling import Vector, mean_pool

from .calibrate import Feed
from .export_cross_encoder import IDS, MASK, TYPES, export_cross_encoder
from .export_onnx import Fp32Arithmetic, export_encoder
from .recipe import ModelRecipe
from .texts import Encoded
from .weights import EncoderWeights


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What an embedder answers: vectors float32 [n, hidden], L2-normalized, and tokens, n times float32 [., hidden]."""

    vectors: Vector
    tokens: tuple[Vector, ...]


Model: TypeAlias = onnx.ModelProto | Path


def embed(weights: EncoderWeights, recipe: ModelRecipe, texts: Iterable[Encoded]) -> Answers:
    """Return the original vectors of the texts."""
    return embed_with(export_encoder(weights, recipe, Fp32Arithmetic()), texts)


def embed_with(model: Model, texts: Iterable[Encoded]) -> Answers:
    """Return the vectors that an exported embedder gives."""
    session = _session(model)
    tokens = tuple(session.run(None, {INPUT: text.ids[np.newaxis]})[0][0] for text in texts)
    return Answers(np.stack([mean_pool(vectors) for vectors in tokens]), tokens)


def score(weights: EncoderWeights, recipe: ModelRecipe, pairs: Iterable[Encoded]) -> Vector:
    """Return the original scores of the pairs: float32 [n]."""
    return score_with(export_cross_encoder(weights, recipe, Fp32Arithmetic()), pairs)


def score_with(model: Model, pairs: Iterable[Encoded]) -> Vector:
    """Return the scores that an exported cross-encoder gives, one pair at a time: float32 [n]."""
    session = _session(model)
    scores: Vector = np.array([float(session.run(None, dict(feed(pair)))[0][0, 0]) for pair in pairs], np.float32)
    return scores


def feed(pair: Encoded) -> Feed:
    """Return a pair as a cross-encoder takes it: int64 [1, n], by name."""
    ids, types = pair.ids[np.newaxis], pair.types[np.newaxis]
    return {IDS: ids, MASK: np.ones_like(ids), TYPES: types}


def _session(model: Model) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    content = str(model) if isinstance(model, Path) else model.SerializeToString()
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
