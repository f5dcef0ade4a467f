"""One conversion from beginning to end: read, write, check, report, and only then put in its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
import shutil
from time import monotonic

from npu_memory_server.embedding.manifest import (
    Agreement,
    FileRole,
    ModelFile,
    ModelKind,
    ModelManifest,
    NpuModel,
    Precision,
)

from . import __version__
from .accuracy import Cosines
from .convert_onnx import make_onnx
from .convert_rknn import BARS, chosen_lengths, make_rknn
from .local import TOKENIZER, local_files
from .package import check_output, describe, staged, write_manifest
from .recipe import ModelRecipe, Target
from .report import JSON_NAME, MARKDOWN_NAME, ModelReport, Report, write
from .simulate import MASK_BIAS, TARGET, NpuOptions
from .source import SourceFiles, open_source
from .tokenizer_settings import write_settings
from .toolkit import VERSION, find_toolkit
from .verify import known_answers, verify
from .weights import EncoderWeights, read_weights

PRECISIONS = {
    Target.ONNX: (Precision.FP32,),
    Target.ONNX_INT8: (Precision.INT8,),
    Target.ALL: (Precision.FP32, Precision.INT8),
}
TOOLS = ("numpy", "onnx", "onnxruntime", "safetensors", "tokenizers")


@dataclass(frozen=True, slots=True)
class Converted:
    """What a conversion has made."""

    manifest: ModelManifest
    report: Report


@dataclass(frozen=True, slots=True)
class _Made:
    """What a target has put into the folder; `verification` of it if that is done already."""

    files: tuple[ModelFile, ...]
    report: Report
    npu: NpuModel | None
    verification: Mapping[Precision, Agreement] = field(default_factory=dict)


def convert(
    recipe: ModelRecipe,
    target: Target,
    output: Path,
    source: Path | None,
    *,
    force: bool,
    options: NpuOptions = NpuOptions(),  # noqa: B008 - frozen
) -> Converted:
    """Convert a model into a package at `output`.

    Raises ConversionError, ModelError or OSError; whatever was at `output` is still there then.
    """
    began = monotonic()
    check_output(output, force=force)
    lengths = chosen_lengths(recipe, options)
    python = find_toolkit() if target is Target.RKNN else ""
    with staged(output) as folder, _files(recipe, source, folder) as files:
        weights = read_weights(files.weights, recipe)
        shutil.copyfile(files.tokenizer, folder / TOKENIZER)
        if target is Target.RKNN:
            made = _npu(folder, weights, recipe, options, python, began)
        else:
            made = _onnx(folder, weights, recipe, target, began)
        settings = write_settings(recipe, source, folder) if recipe.kind is ModelKind.CROSS_ENCODER else []
        manifest = ModelManifest(
            name=recipe.name,
            revision=recipe.revision,
            kind=recipe.kind,
            dimensions=recipe.hidden,
            max_length=max(lengths) if made.npu else recipe.max_length,
            pooling=recipe.pooling,
            normalize=recipe.kind is ModelKind.EMBEDDER,
            license=recipe.license,
            files=(
                *made.files,
                describe(folder, TOKENIZER, FileRole.TOKENIZER),
                *(describe(folder, name, FileRole.TOKENIZER_SETTINGS) for name in settings),
            ),
            tools=made.report.tools,
            verification=made.verification,
            npu=made.npu,
        )
        done = Converted(manifest, made.report)
        if made.npu is None:
            # Such a package is the same each time; the report, with its times, stays out of the manifest.
            done = _verified(done, folder, recipe)
            write(done.report, folder)
        write_manifest(folder, done.manifest)
    return done


@contextmanager
def _files(recipe: ModelRecipe, source: Path | None, folder: Path) -> Iterator[SourceFiles]:
    if recipe.source is not None:
        with open_source(recipe.source, source, folder) as files:
            yield files
    elif source is not None:
        yield local_files(source)


def _verified(done: Converted, folder: Path, recipe: ModelRecipe) -> Converted:
    """Add to the manifest how the ONNX models of an embedder agree with the original."""
    manifest, report = done.manifest, done.report
    if manifest.kind is not ModelKind.EMBEDDER:
        return done
    precisions = {file.name: file.precision for file in manifest.files if file.precision is not None}
    if recipe.source is not None:
        found = {precision: verify(folder, manifest, precision, recipe) for precision in precisions.values()}
        count = len(known_answers(recipe.name)[0])
        models = tuple(
            replace(model, vectors=Cosines(count, agreement.cosine_mean, agreement.cosine_min))
            for model in report.models
            for agreement in (found[precisions[model.file]],)
        )
        report = replace(report, models=models, checked_with=count)
    verification = {
        precisions[model.file]: Agreement(model.vectors.mean, model.vectors.least)
        for model in report.models
        if model.vectors is not None
    }
    return Converted(replace(manifest, verification=verification), report)


def _onnx(folder: Path, weights: EncoderWeights, recipe: ModelRecipe, target: Target, began: float) -> _Made:
    outcome = make_onnx(
        folder, weights, recipe, folder / TOKENIZER, PRECISIONS[target], is_checked=recipe.source is None
    )
    models = outcome.models
    report = Report(
        model=recipe.name,
        revision=recipe.revision,
        kind=recipe.kind,
        target="onnxruntime",
        precision=" and ".join(models),
        seconds=monotonic() - began,
        checked_with=outcome.checked_with,
        bars=outcome.bars,
        models=tuple(models.values()),
        tools=_tools(),
    )
    files = tuple(describe(folder, made.file, FileRole.ONNX, precision) for precision, made in models.items())
    return _Made(files, report, None)


def _npu(
    folder: Path, weights: EncoderWeights, recipe: ModelRecipe, options: NpuOptions, python: str, began: float
) -> _Made:
    outcome = make_rknn(folder, weights, recipe, folder / TOKENIZER, options, python)
    beside = _beside(folder, weights, recipe)
    tables = tuple(describe(folder, name, FileRole.TABLE) for name in outcome.tables)
    report = Report(
        model=recipe.name,
        revision=recipe.revision,
        kind=recipe.kind,
        target=TARGET,
        precision=options.precision,
        seconds=monotonic() - began,
        checked_with=outcome.checked_with,
        bars=BARS[recipe.kind][options.precision],
        models=outcome.models,
        tools={**_tools(), "rknn-toolkit2": VERSION},
        mask_bias=MASK_BIAS[options.precision],
        neighbors=outcome.neighbors,
        rank_correlation=outcome.rank_correlation,
        tables={table.name: table.bytes for table in tables},
        for_cpu=beside,
        harmless=outcome.harmless,
        warnings=outcome.warnings,
    )
    write(report, folder)
    files = tuple(describe(folder, made.file, FileRole.RKNN) for made in outcome.models)
    reports = tuple(describe(folder, name, FileRole.REPORT) for name in (JSON_NAME, MARKDOWN_NAME))
    if beside is None or beside.vectors is None:
        return _Made((*files, *tables, *reports), report, outcome.npu)
    onnx = describe(folder, beside.file, FileRole.ONNX, Precision.FP32)
    agreement = Agreement(beside.vectors.mean, beside.vectors.least)
    return _Made((*files, *tables, onnx, *reports), report, outcome.npu, {Precision.FP32: agreement})


def _beside(folder: Path, weights: EncoderWeights, recipe: ModelRecipe) -> ModelReport | None:
    """Write what the CPU runs beside the NPU, so that both find the same; a cross-encoder has no vectors to share."""
    if recipe.kind is not ModelKind.EMBEDDER:
        return None
    outcome = make_onnx(folder, weights, recipe, folder / TOKENIZER, (Precision.FP32,), is_checked=True)
    return outcome.models[Precision.FP32]


def _tools() -> dict[str, str]:
    return {"npu-memory-conversion": __version__, **{tool: version(tool) for tool in TOOLS}}
