"""Which embedder a machine gets: the CPU's, or the one that has an NPU beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
import logging
from pathlib import Path

from ..npu.board import Board
from ..npu.faults import NpuFault, NpuRequiredError
from ..npu.settings import NpuSettings
from ..npu.watching import watching
from ..wire import NpuReport, NpuState
from .embedder import OnnxEmbedder, TextEmbedder
from .manifest import MANIFEST_NAME, Precision
from .npu.package import find_package, open_package
from .npu.routing import RoutedEncoder

LOGGER = logging.getLogger(__name__)


@contextmanager
def embedder(
    models: Path,
    name: str,
    *,
    precision: Precision = Precision.INT8,
    threads: int = 1,
    npu: NpuSettings | None = None,
    board: Board | None = None,
) -> Iterator[TextEmbedder]:
    """Yield the embedder of a model for this machine, and let go of its hardware afterwards.

    Raises ModelError if the model's package is missing or damaged, NpuRequiredError if the settings demand an NPU that
    cannot be used.
    """
    settings, board = npu or NpuSettings(), board or Board()
    cpu = OnnxEmbedder.load(models / name, precision=precision, threads=threads)
    if settings.enabled is False:
        yield _without_npu(cpu, NpuState.DISABLED, "the settings say so")
        return
    package = _package(models, settings, cpu)
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


def _without_npu(cpu: OnnxEmbedder, state: NpuState, reason: str) -> TextEmbedder:
    report = NpuReport(state, reason)
    return TextEmbedder(cpu.manifest, cpu.tokenizer, cpu.encoder, cpu.fingerprint, lambda: report)


def _package(models: Path, settings: NpuSettings, cpu: OnnxEmbedder) -> Path | None:
    if settings.package is None:
        return find_package(models, cpu.manifest.kind, cpu.manifest.name)
    return settings.package if (settings.package / MANIFEST_NAME).is_file() else settings.package.parent


def _why_absent(package: Path | None, board: Board) -> str:
    if not board.has_device:
        return "this machine has no device of an NPU"
    if package is None:
        return "there is no model package for its NPU"
    return ""
