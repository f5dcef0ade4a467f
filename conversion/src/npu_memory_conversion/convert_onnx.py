"""Makes the ONNX models of a package, exact and in 8 bits, and compares them with the original."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

import numpy as np
import onnx
from tqdm import tqdm

from npu_memory_server.embedding.manifest import ModelKind, Precision, sha256_of
from npu_memory_server.embedding.onnx_session import INPUT
from npu_memory_server.embedding.pooling import Vector
from npu_memory_server.embedding.tokenizing import TextTokenizer

from . import original
from .accuracy import CORRELATION, COSINE, cosines, demand, spearman
from .calibrate import Feed, activation_ranges
from .export_cross_encoder import export_cross_encoder
from .export_onnx import Fp32Arithmetic, export_encoder
from .quantize import Int8Arithmetic
from .recipe import ModelRecipe
from .report import ModelReport
from .texts import Encoded, TextReader, calibration, check_pairs, check_texts, lines
from .weights import EncoderWeights

PROJECTIONS_PER_LAYER = 4
CALIBRATION_PAIRS = 60
LONGEST_PAIR = 128
"""Tokens of the longest pair to calibrate and to check with: memories are short."""
MINIMUM_CORRELATION = {Precision.FP32: 0.9999, Precision.INT8: 0.99}


@dataclass(frozen=True, slots=True, eq=False)
class _Checked:
    """Texts or pairs, and what the original answers: vectors float32 [n, hidden], or scores float32 [n]."""

    texts: Sequence[Encoded]
    answers: Vector


@dataclass(frozen=True, slots=True)
class OnnxOutcome:
    """The models by precision, with how many texts or pairs they were checked, and what was demanded of each."""

    models: Mapping[Precision, ModelReport]
    checked_with: int
    bars: Mapping[str, float]


def file_name(recipe: ModelRecipe, precision: Precision) -> str:
    """Return the name of a model; that of a cross-encoder is as flashrank, which has its own, expects it."""
    if recipe.kind is ModelKind.CROSS_ENCODER:
        return f"flashrank-{recipe.name}{'_Q' if precision is Precision.INT8 else ''}.onnx"
    return f"model.{precision}.onnx"


def make_onnx(
    folder: Path,
    weights: EncoderWeights,
    recipe: ModelRecipe,
    tokenizer: Path,
    precisions: Sequence[Precision],
    *,
    is_checked: bool,
) -> OnnxOutcome:
    """Write a model of each precision into a folder, and check it, unless `verify` will, which knows the original.

    Raises ConversionError if one is below the bar.
    """
    reader = TextReader(tokenizer, recipe)
    pairs = recipe.kind is ModelKind.CROSS_ENCODER
    export = export_cross_encoder if pairs else export_encoder
    exact = export(weights, recipe, Fp32Arithmetic())
    checked = _texts_to_check(weights, recipe, reader) if is_checked else None
    bars = {f"{_measure(recipe)}, {precision}": _bar(recipe, precision) for precision in precisions}
    models = {}
    for precision in precisions:
        began = monotonic()
        model = exact
        if precision is Precision.INT8:
            ranges = activation_ranges(exact, _feeds(recipe, reader, tokenizer))
            matrices = recipe.layers * PROJECTIONS_PER_LAYER
            with tqdm(total=matrices, desc="quantizing", unit="matrix", leave=False, disable=None) as bar:
                model = export(weights, recipe, Int8Arithmetic(ranges, recipe.int8, report=bar.update))
        path = folder / file_name(recipe, precision)
        onnx.save(model, path)
        made = ModelReport(
            file=path.name, bytes=path.stat().st_size, sha256=sha256_of(path), seconds=monotonic() - began
        )
        models[precision] = _compare(made, path, recipe, precision, checked) if checked else made
    return OnnxOutcome(models, len(checked.texts) if checked else 0, bars)


def _texts_to_check(weights: EncoderWeights, recipe: ModelRecipe, reader: TextReader) -> _Checked:
    """Return what is checked with."""
    if recipe.kind is ModelKind.CROSS_ENCODER:
        pairs = check_pairs(reader, min(LONGEST_PAIR, recipe.max_length))
        return _Checked(pairs, original.score(weights, recipe, pairs))
    texts = check_texts(reader, recipe.max_length)
    return _Checked(texts, original.embed(weights, recipe, texts).vectors)


def _compare(
    made: ModelReport, path: Path, recipe: ModelRecipe, precision: Precision, checked: _Checked
) -> ModelReport:
    texts = tqdm(checked.texts, desc=f"verifying {precision}", unit="text", leave=False, disable=None)
    if recipe.kind is ModelKind.CROSS_ENCODER:
        correlation = spearman(original.score_with(path, texts), checked.answers)
        demand(f"the {precision} model", CORRELATION, correlation, _bar(recipe, precision))
        return replace(made, rank_correlation=correlation)
    found = cosines(original.embed_with(path, texts).vectors, checked.answers)
    demand(f"the {precision} model", COSINE, found.least, _bar(recipe, precision))
    return replace(made, vectors=found)


def _feeds(recipe: ModelRecipe, reader: TextReader, tokenizer: Path) -> list[Feed]:
    """Return what ranges are found with."""
    if recipe.kind is ModelKind.CROSS_ENCODER:
        longest = min(LONGEST_PAIR, recipe.max_length)
        return [original.feed(pair) for pair in calibration(reader, longest, CALIBRATION_PAIRS, pairs=True)]
    cut = TextTokenizer(tokenizer, recipe.max_length)
    windows = [window for line in lines("calibration.txt") for window in cut.windows(cut.encode(line))]
    return [{INPUT: window[np.newaxis]} for window in windows]


def _measure(recipe: ModelRecipe) -> str:
    return CORRELATION if recipe.kind is ModelKind.CROSS_ENCODER else COSINE


def _bar(recipe: ModelRecipe, precision: Precision) -> float:
    if recipe.kind is ModelKind.CROSS_ENCODER:
        return MINIMUM_CORRELATION[precision]
    return recipe.minimum_cosine_fp32 if precision is Precision.FP32 else recipe.minimum_cosine_int8
