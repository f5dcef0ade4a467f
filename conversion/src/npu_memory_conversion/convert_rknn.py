"""Makes the models for the NPU, one for each length, and compares what the simulator computes with the original."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from npu_memory_server.embedding.manifest import ModelKind, NpuModel, NpuPrecision, sha256_of
from npu_memory_server.embedding.pooling import Vector

from . import original
from .accuracy import AGREEMENT, CORRELATION, COSINE, Cosines, Neighbors, cosines, demand, neighbors, spearman
from .errors import ConversionError
from .estimate import estimate
from .export_npu import LOGIT, TOKENS, VECTOR
from .host import EMBEDDING_TABLE, POSITION_TABLE, TYPE_TABLE, make_tables
from .recipe import ModelRecipe
from .report import ModelReport
from .simulate import MASK_BIAS, TARGET, NpuOptions, Simulation, file_name, simulate
from .texts import Encoded, TextReader, check_pairs, check_texts
from .toolkit import VERSION
from .toolkit_log import read_layers, split_warnings
from .weights import EncoderWeights

LENGTHS = {ModelKind.EMBEDDER: (32, 64, 128, 256), ModelKind.CROSS_ENCODER: (64, 96, 128)}
VISITORS = 12
"""Texts of each shorter length that are checked in a longer model too."""
BARS: Mapping[ModelKind, Mapping[NpuPrecision, Mapping[str, float]]] = {
    ModelKind.EMBEDDER: {
        NpuPrecision.FP16: {COSINE: 0.99999, AGREEMENT: 1.0},
        NpuPrecision.HYBRID_INT8: {COSINE: 0.999, AGREEMENT: 1.0},
    },
    ModelKind.CROSS_ENCODER: {
        NpuPrecision.FP16: {CORRELATION: 0.999},
        NpuPrecision.HYBRID_INT8: {CORRELATION: 0.99},
    },
}


@dataclass(frozen=True, slots=True)
class NpuOutcome:
    """What was made and how good it is; the fields are those of a Report."""

    npu: NpuModel
    tables: tuple[str, ...]
    models: tuple[ModelReport, ...]
    checked_with: int
    neighbors: Neighbors | None
    rank_correlation: float | None
    harmless: Mapping[str, int]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Reference:
    """The texts, and what the original answers to them: vectors and tokens, or scores."""

    texts: tuple[Encoded, ...]
    answers: original.Answers | None
    scores: Vector | None


def chosen_lengths(recipe: ModelRecipe, options: NpuOptions) -> tuple[int, ...]:
    """Return the lengths to make, ascending. Raises ConversionError for one that the model does not have."""
    wanted = options.lengths or tuple(length for length in LENGTHS[recipe.kind] if length <= recipe.max_length)
    for length in wanted:
        if not 8 <= length <= recipe.max_length:
            raise ConversionError(f"{recipe.name} reads 8 to {recipe.max_length} tokens at once, not {length}")
    return tuple(sorted(set(wanted)))


def make_rknn(
    folder: Path, weights: EncoderWeights, recipe: ModelRecipe, tokenizer: Path, options: NpuOptions, python: str
) -> NpuOutcome:
    """Compile all lengths into a folder, and check them. Raises ConversionError if one is below the bar."""
    lengths = chosen_lengths(recipe, options)
    reader = TextReader(tokenizer, recipe)
    reference = _reference(weights, recipe, reader, lengths[-1])
    tables = None if options.with_table else make_tables(weights)
    names = tables.save(folder) if tables else []
    plan = {length: _texts_for(length, lengths, reference.texts) for length in lengths}
    read = {length: [reference.texts[index] for index in indices] for length, indices in plan.items()}
    done = simulate(folder, weights, recipe, reader, tables, read, options.precision, python)
    harmless, warnings = split_warnings("\n".join(one.log for one in done.values()))
    models = tuple(_model_report(folder, recipe, length, plan[length], done[length], reference) for length in lengths)
    npu = NpuModel(
        target=TARGET,
        toolkit=VERSION,
        precision=options.precision,
        mask_bias=MASK_BIAS[options.precision],
        lengths={length: file_name(length) for length in lengths},
        embedding_table=EMBEDDING_TABLE if tables else None,
        position_table=POSITION_TABLE if tables else None,
        type_table=TYPE_TABLE if TYPE_TABLE in names else None,
        pad_id=recipe.pad_id,
    )
    near, correlation = _overall(lengths, plan, done, reference)
    outcome = NpuOutcome(npu, tuple(names), models, len(reference.texts), near, correlation, harmless, tuple(warnings))
    _demand(outcome, BARS[recipe.kind][options.precision])
    return outcome


def _reference(weights: EncoderWeights, recipe: ModelRecipe, reader: TextReader, longest: int) -> _Reference:
    if recipe.kind is ModelKind.CROSS_ENCODER:
        pairs = tuple(check_pairs(reader, longest))
        return _Reference(pairs, None, original.score(weights, recipe, pairs))
    texts = tuple(check_texts(reader, longest))
    return _Reference(texts, original.embed(weights, recipe, texts), None)


def _texts_for(length: int, lengths: Sequence[int], texts: Sequence[Encoded]) -> list[int]:
    """Return which texts to check a length with: those that it is the shortest for, then some shorter ones."""
    shorter = max((other for other in lengths if other < length), default=0)
    own = [index for index, text in enumerate(texts) if shorter < len(text.ids) <= length]
    visitors: list[int] = []
    below = 0
    for other in (other for other in lengths if other < length):
        fitting = [index for index, text in enumerate(texts) if below < len(text.ids) <= other]
        visitors += fitting[:: max(1, len(fitting) // VISITORS)][:VISITORS]
        below = other
    return own + visitors


def _model_report(
    folder: Path,
    recipe: ModelRecipe,
    length: int,
    texts: Sequence[int],
    done: Simulation,
    reference: _Reference,
) -> ModelReport:
    path = folder / file_name(length)
    layers = read_layers(done.log)
    products = [layer for layer in layers if layer.operator.startswith("Conv") and layer.total_cycles > 1000]
    vectors = tokens = correlation = None
    if reference.answers is not None:
        vectors = cosines(done.outputs[VECTOR], reference.answers.vectors[texts])
        tokens = _token_cosines(done.outputs[TOKENS], [reference.answers.tokens[index] for index in texts])
    if reference.scores is not None:
        correlation = spearman(done.outputs[LOGIT][:, 0], reference.scores[texts])
    return ModelReport(
        file=path.name,
        bytes=path.stat().st_size,
        sha256=sha256_of(path),
        seconds=done.seconds,
        length=length,
        vectors=vectors,
        tokens=tokens,
        rank_correlation=correlation,
        estimate=estimate(layers, recipe, length) if layers else None,
        layers_in_8_bits=(sum(layer.data_type == "INT8" for layer in products), len(products)),
    )


def _token_cosines(found: Vector, wanted: Sequence[Vector]) -> Cosines:
    """Compare the token vectors of texts, padding left out; `texts` counts tokens then."""
    rows = [answer[: len(tokens)] for answer, tokens in zip(found, wanted, strict=True)]
    return cosines(np.concatenate(rows), np.concatenate(wanted))


def _overall(
    lengths: Sequence[int],
    plan: Mapping[int, Sequence[int]],
    done: Mapping[int, Simulation],
    reference: _Reference,
) -> tuple[Neighbors | None, float | None]:
    """Compare neighbors, or ranks, over all texts, each answered by the shortest model that it fits in."""
    name = VECTOR if reference.scores is None else LOGIT
    found: dict[int, Vector] = {}
    for length in lengths:
        for index, row in zip(plan[length], done[length].outputs[name], strict=True):
            found.setdefault(index, row)
    together = np.stack([found[index] for index in range(len(reference.texts))])
    if reference.scores is not None:
        return None, spearman(together[:, 0], reference.scores)
    assert reference.answers is not None  # noqa: S101 - one of the two is there
    return neighbors(together, reference.answers.vectors), None


def _demand(outcome: NpuOutcome, bars: Mapping[str, float]) -> None:
    """Raise ConversionError if a model is below its bar."""
    for model in outcome.models:
        if model.vectors is not None:
            demand(model.file, COSINE, model.vectors.least, bars[COSINE])
        if model.rank_correlation is not None:
            demand(model.file, CORRELATION, model.rank_correlation, bars[CORRELATION])
    if outcome.neighbors is not None:
        demand("the package", AGREEMENT, outcome.neighbors.agreement, bars[AGREEMENT])
    if outcome.rank_correlation is not None:
        demand("the package", CORRELATION, outcome.rank_correlation, bars[CORRELATION])
