"""Makes the models for the NPU, one for each length, and compares what the simulator computes with the original."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
import tempfile

import numpy as np
import onnx
from tqdm import tqdm

from npu_memory_server.embedding.manifest import ModelKind, NpuModel, NpuPrecision, sha256_of
from npu_memory_server.embedding.pooling import Vector

from . import original
from .accuracy import AGREEMENT, CORRELATION, COSINE, Cosines, Neighbors, cosines, demand, neighbors, spearman
from .errors import ConversionError
from .estimate import estimate
from .export_npu import LOGIT, TOKENS, VECTOR, NpuShape, export_npu
from .host import EMBEDDING_TABLE, POSITION_TABLE, TYPE_TABLE, Tables, make_tables, prepare
from .recipe import ModelRecipe
from .report import ModelReport
from .texts import Encoded, TextReader, calibration, check_pairs, check_texts
from .toolkit import VERSION, Job, Step, run_jobs
from .toolkit_log import read_layers, split_warnings
from .weights import EncoderWeights

TARGET = "rk3588"
LENGTHS = {ModelKind.EMBEDDER: (32, 64, 128, 256), ModelKind.CROSS_ENCODER: (64, 96, 128)}
MASK_BIAS = {NpuPrecision.FP16: -1e4, NpuPrecision.HYBRID_INT8: -1e4}
"""Attention is computed in FP16 in either precision. -16, which attention in INT8 would need, lets padding through:
three tokens among 29 of padding came out at a cosine of 0.92."""
HYBRID_THRESHOLD = 0.999
SAMPLES = 40
"""Texts to quantize with, as many for each length."""
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
class NpuOptions:
    """What a user may choose; lengths None are those of the kind of model."""

    lengths: tuple[int, ...] | None = None
    precision: NpuPrecision = NpuPrecision.FP16
    with_table: bool = False


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
    seconds: dict[int, float] = {}
    with tempfile.TemporaryDirectory(prefix="npu-memory-rknn-") as scratch:
        jobs = {
            length: _job(
                Path(scratch) / str(length), folder, weights, recipe, reader, options, tables, texts, reference
            )
            for length, texts in plan.items()
        }
        by_job = {id(job): length for length, job in jobs.items()}
        total = sum(len(texts) + 1 for texts in plan.values())
        with tqdm(total=total, desc="compiling and simulating", unit="step", leave=False, disable=None) as bar:

            def advance(step: Step) -> None:
                if step.event == "built":
                    seconds[by_job[id(step.job)]] = step.seconds
                if step.event != "done":
                    bar.update()

            # The longest first: two at a time, they end together then.
            run_jobs(python, [jobs[length] for length in sorted(jobs, reverse=True)], advance)
        logs = {length: Path(job.log).read_text(encoding="utf-8", errors="replace") for length, job in jobs.items()}
        outputs = {length: _load(job) for length, job in jobs.items()}
    harmless, warnings = split_warnings("\n".join(logs.values()))
    models = tuple(
        _model_report(folder, recipe, length, plan[length], outputs[length], reference, logs[length], seconds[length])
        for length in lengths
    )
    npu = NpuModel(
        target=TARGET,
        toolkit=VERSION,
        precision=options.precision,
        mask_bias=MASK_BIAS[options.precision],
        lengths={length: _file_name(length) for length in lengths},
        embedding_table=EMBEDDING_TABLE if tables else None,
        position_table=POSITION_TABLE if tables else None,
        type_table=TYPE_TABLE if TYPE_TABLE in names else None,
        pad_id=recipe.pad_id,
    )
    near, correlation = _overall(lengths, plan, outputs, reference)
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


def _job(
    scratch: Path,
    folder: Path,
    weights: EncoderWeights,
    recipe: ModelRecipe,
    reader: TextReader,
    options: NpuOptions,
    tables: Tables | None,
    texts: Sequence[int],
    reference: _Reference,
) -> Job:
    length = int(scratch.name)
    scratch.mkdir()
    shape = NpuShape(length, MASK_BIAS[options.precision], options.with_table)
    onnx.save(export_npu(weights, recipe, shape), scratch / "model.onnx")
    pairs = recipe.kind is ModelKind.CROSS_ENCODER
    inputs = prepare([reference.texts[index] for index in texts], length, recipe.pad_id, tables, pairs=pairs)
    np.savez(scratch / "inputs.npz", **inputs)  # type: ignore[arg-type]
    dataset = None
    if options.precision is NpuPrecision.HYBRID_INT8:
        samples = calibration(reader, length, SAMPLES, pairs=pairs)
        dataset = _write_dataset(scratch, prepare(samples, length, recipe.pad_id, tables, pairs=pairs))
    return Job(
        model=str(scratch / "model.onnx"),
        output=str(folder / _file_name(length)),
        target=TARGET,
        dataset=dataset,
        threshold=HYBRID_THRESHOLD,
        inputs=str(scratch / "inputs.npz"),
        names=tuple(inputs),
        outputs=str(scratch),
        results=(LOGIT,) if pairs else (VECTOR, TOKENS),
        scratch=str(scratch),
        log=str(scratch / "toolkit.log"),
    )


def _write_dataset(scratch: Path, inputs: Mapping[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]) -> str:
    lines = []
    for row in range(SAMPLES):
        files = []
        for name, values in inputs.items():
            path = scratch / f"{name}.{row}.npy"
            np.save(path, values[row : row + 1], allow_pickle=False)
            files.append(str(path))
        lines.append(" ".join(files))
    dataset = scratch / "dataset.txt"
    dataset.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(dataset)


def _model_report(
    folder: Path,
    recipe: ModelRecipe,
    length: int,
    texts: Sequence[int],
    outputs: Mapping[str, Vector],
    reference: _Reference,
    log: str,
    seconds: float,
) -> ModelReport:
    path = folder / _file_name(length)
    layers = read_layers(log)
    products = [layer for layer in layers if layer.operator.startswith("Conv") and layer.total_cycles > 1000]
    vectors = tokens = correlation = None
    if reference.answers is not None:
        vectors = cosines(outputs[VECTOR], reference.answers.vectors[texts])
        tokens = _token_cosines(outputs[TOKENS], [reference.answers.tokens[index] for index in texts])
    if reference.scores is not None:
        correlation = spearman(outputs[LOGIT][:, 0], reference.scores[texts])
    return ModelReport(
        file=path.name,
        bytes=path.stat().st_size,
        sha256=sha256_of(path),
        seconds=seconds,
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
    outputs: Mapping[int, Mapping[str, Vector]],
    reference: _Reference,
) -> tuple[Neighbors | None, float | None]:
    """Compare neighbors, or ranks, over all texts, each answered by the shortest model that it fits in."""
    name = VECTOR if reference.scores is None else LOGIT
    found: dict[int, Vector] = {}
    for length in lengths:
        for index, row in zip(plan[length], outputs[length][name], strict=True):
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


def _load(job: Job) -> Mapping[str, Vector]:
    found = {name: np.load(Path(job.outputs) / f"{name}.npy", allow_pickle=False) for name in job.results}
    return {name: values.astype(np.float32) for name, values in found.items()}


def _file_name(length: int) -> str:
    return f"model.{length}.rknn"
