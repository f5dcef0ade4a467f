"""Which embedder a machine gets: the CPU's, or the one that has an NPU beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
import logging
from pathlib import Path

from ..errors import ModelError
from ..npu.board import Board
from ..npu.faults import NpuFault, NpuRequiredError
from ..npu.settings import NpuSettings
from ..npu.watching import watching
from ..wire import NpuReport, NpuState
from .embedder import OnnxEmbedder, TextEmbedder
from .manifest import MANIFEST_NAME, FileRole, ModelFile, ModelManifest, Precision, load_manifest
from .npu.package import find_package, open_package
from .npu.routing import RoutedEncoder

LOGGER = logging.getLogger(__name__)


@contextmanager
def embedder(
    models: Path,
    name: str,
    *,
    precision: Precision | None = None,
    threads: int = 1,
    npu: NpuSettings | None = None,
    board: Board | None = None,
) -> Iterator[TextEmbedder]:
    """Yield the embedder of a model for this machine, and let go of its hardware afterwards.

    Without a `precision`, `cpu_model` chooses it. Raises ModelError if the model's package is missing or damaged,
    NpuRequiredError if the settings demand an NPU that cannot be used.
    """
    settings, board = npu or NpuSettings(), board or Board()
    cpu = load_cpu(models, name, precision=precision, threads=threads, npu=settings, board=board)
    if settings.enabled is False:
        yield _without_npu(cpu, NpuState.DISABLED, "the settings say so")
        return
    package = _package(models, settings, cpu.manifest)
    if settings.enabled is None and (absent := _why_absent(package, board)):
        yield _without_npu(cpu, NpuState.ABSENT, absent)
        return
    try:
        if package is None:
            raise NpuFault(f"no package in {models} has {name} for an NPU: convert it with --target rknn")
        model = open_package(package, cpu.manifest, cpu.tokenizer, board, settings.core_mask)
    except NpuFault as fault:
        if not settings.fallback:
            raise NpuRequiredError(
                f"The NPU cannot be used, and the CPU may not do its work: {fault.reason}"
            ) from fault
        LOGGER.error("The NPU is not used until the next start: %s", fault.reason)  # noqa: TRY400 - it is no surprise
        yield _without_npu(cpu, NpuState.FAILED, fault.reason)
        return
    encoder = RoutedEncoder(cpu.encoder, model, npu_only=not settings.fallback)
    with closing(encoder), watching(encoder.accelerator):
        # Their vectors agree, and so they share a fingerprint and an index.
        yield TextEmbedder(cpu.manifest, cpu.tokenizer, encoder, cpu.fingerprint, lambda: encoder.report)


@dataclass(frozen=True, slots=True)
class CpuModel:
    """The model that the CPU runs: an ONNX file, the folder that it is in, and the package that describes it.

    advice: what to do about it, or "".
    """

    manifest: ModelManifest
    folder: Path
    file: ModelFile
    advice: str = ""

    @property
    def precision(self) -> Precision:
        """What its weights are."""
        return self.file.precision or Precision.FP32


def cpu_model(models: Path, name: str, precision: Precision | None, npu: NpuSettings, board: Board) -> CpuModel:
    """Return what the CPU runs: 8 bits, or FP32 on a board whose NPU has a model or is demanded.

    An NPU computes in FP16 what the original does; beside it FP32 alone finds the same memories, down to the last place
    (docs/decisions/0007). It is taken from the NPU's package if the CPU's has none. Raises ModelError.
    """
    folder = models / name
    manifest = load_manifest(folder)
    package = _package(models, npu, manifest) if npu.enabled is not False else None
    beside_npu = npu.enabled or (package is not None and (board.has_device or board.soc is not None))
    wanted = precision or (Precision.FP32 if beside_npu else Precision.INT8)
    for place in (folder, package):
        if place is not None and (file := _onnx(place, manifest, wanted)) is not None:
            return CpuModel(manifest, place, file)
    if precision is None and wanted is Precision.FP32:
        advice = (
            f"{package} has no FP32 model for the CPU, whose 8 bits find other memories than the NPU in the last "
            "places: convert it again with --target rknn"
        )
        return CpuModel(manifest, folder, manifest.file(FileRole.ONNX, Precision.INT8), advice if package else "")
    return CpuModel(manifest, folder, manifest.file(FileRole.ONNX, wanted))


def load_cpu(
    models: Path, name: str, *, precision: Precision | None, threads: int, npu: NpuSettings, board: Board
) -> OnnxEmbedder:
    """Load what `cpu_model` chooses, with so many threads an inference. Raises ModelError."""
    chosen = cpu_model(models, name, precision, npu, board)
    if chosen.advice:
        LOGGER.warning("%s", chosen.advice)
    return OnnxEmbedder(
        models / name,
        chosen.manifest,
        precision=chosen.precision,
        threads=threads,
        model=(chosen.folder, chosen.file),
    )


def _onnx(folder: Path, of: ModelManifest, precision: Precision) -> ModelFile | None:
    try:
        manifest = load_manifest(folder)
        if (manifest.name, manifest.revision) != (of.name, of.revision):
            return None
        return manifest.file(FileRole.ONNX, precision)
    except ModelError:
        return None


def _without_npu(cpu: OnnxEmbedder, state: NpuState, reason: str) -> TextEmbedder:
    report = NpuReport(state, reason)
    return TextEmbedder(cpu.manifest, cpu.tokenizer, cpu.encoder, cpu.fingerprint, lambda: report)


def _package(models: Path, settings: NpuSettings, cpu: ModelManifest) -> Path | None:
    if settings.package is None:
        return find_package(models, cpu.kind, cpu.name)
    return settings.package if (settings.package / MANIFEST_NAME).is_file() else settings.package.parent


def _why_absent(package: Path | None, board: Board) -> str:
    if not board.has_device:
        return "this machine has no device of an NPU"
    if package is None:
        return "there is no model package for its NPU"
    return ""
