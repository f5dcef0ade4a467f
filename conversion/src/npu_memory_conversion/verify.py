"""Compares a converted package with what the original model answered to known sentences."""

from __future__ import annotations

from importlib.resources import as_file, files
import json
from pathlib import Path

import numpy as np
from tqdm import tqdm

from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.embedding.manifest import Agreement, ModelManifest, Precision
from npu_memory_server.embedding.pooling import Vector

from .accuracy import COSINE, demand
from .recipe import ModelRecipe


def known_answers(model: str) -> tuple[list[str], Vector]:
    """Return sentences and the original model's vectors for them, float32 [sentences, dimensions], L2-normalized.

    How they were made is in the README of the conversion.
    """
    data = files(__package__).joinpath("data")
    sentences: list[str] = json.loads(data.joinpath(f"{model}.sentences.json").read_text(encoding="utf-8"))
    with as_file(data.joinpath(f"{model}.vectors.npy")) as path:
        vectors: Vector = np.load(path, allow_pickle=False)
    return sentences, vectors


def verify(directory: Path, manifest: ModelManifest, precision: Precision, recipe: ModelRecipe) -> Agreement:
    """Run the server's embedder over the known sentences. Raises ConversionError if one is below the recipe's bar."""
    embedder = OnnxEmbedder(directory, manifest, precision=precision, threads=1)
    sentences, vectors = known_answers(recipe.name)
    bar = tqdm(sentences, desc=f"verifying {precision}", unit="sentence", leave=False, disable=None)
    cosines = [float(embedder.embed(sentence).vector @ vector) for sentence, vector in zip(bar, vectors, strict=True)]
    agreement = Agreement(cosine_mean=float(np.mean(cosines)), cosine_min=min(cosines))
    least = recipe.minimum_cosine_fp32 if precision is Precision.FP32 else recipe.minimum_cosine_int8
    demand(f"the {precision} model", COSINE, agreement.cosine_min, least)
    return agreement
