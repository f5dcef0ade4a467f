"""Which cross-encoder a machine gets: the CPU's, or the one that has an NPU beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
import logging
from pathlib import Path

from ..embedding.manifest import MANIFEST_NAME, ModelKind, load_manifest
from ..embedding.npu.package import find_package
from ..errors import ModelError
from ..npu.board import Board
from ..npu.faults import NpuFault, NpuLastingFault, NpuRequiredError
from ..npu.settings import NpuSettings
from ..npu.watching import watching
from ..wire import NpuReport, NpuState
from .base import Reader
from .cross_encoder import CrossEncoder
from .files import CrossEncoderFiles
from .npu.package import open_package
from .npu.routing import RoutedCrossEncoder

LOGGER = logging.getLogger(__name__)


@contextmanager
def cross_encoder(
    files: CrossEncoderFiles, name: str, models: Path, *, threads: int, npu: NpuSettings, board: Board
) -> Iterator[Reader]:
    """Yield what reads pairs on this machine, and let go of its hardware afterwards.

    `name` is that of its package for the NPU in `models`. Raises ModelError if the model cannot be loaded,
    NpuRequiredError if there is such a package and the settings demand an NPU that cannot be used.
    """
    cpu = CrossEncoder(files, threads=threads)
    if npu.enabled is False:
        cpu.npu = NpuReport(NpuState.DISABLED, "the settings say so")
        yield cpu
        return
    package = find_package(models, ModelKind.CROSS_ENCODER, name)
    if package is None or (npu.enabled is None and not board.has_device):
        cpu.npu = NpuReport(NpuState.ABSENT, _why_absent(package, name, board))
        yield cpu
        return
    try:
        routed = _routed(cpu, files, name, package, npu, board)
    except NpuFault as fault:
        if not npu.fallback:
            raise NpuRequiredError(
                f"The NPU cannot be used for {name}, and the CPU may not do its work: {fault.reason}"
            ) from fault
        LOGGER.error("The NPU is not used for %s until the next start: %s", name, fault.reason)  # noqa: TRY400 - it is no surprise
        cpu.npu = NpuReport(NpuState.FAILED, fault.reason)
        yield cpu
        return
    with closing(routed), watching(routed.accelerator):
        yield routed


def package_name(folder: Path) -> str:
    """Return what a cross-encoder in a folder is called where it was converted: by its manifest, or as its folder."""
    return load_manifest(folder).name if (folder / MANIFEST_NAME).is_file() else folder.resolve().name


def _routed(
    cpu: CrossEncoder, files: CrossEncoderFiles, name: str, package: Path, npu: NpuSettings, board: Board
) -> RoutedCrossEncoder:
    model = open_package(package, files, board, npu.core_mask)
    try:
        return RoutedCrossEncoder(name, cpu, model, npu_only=not npu.fallback)
    except NpuRequiredError:
        raise
    except ModelError as error:
        raise NpuLastingFault(str(error)) from error


def _why_absent(package: Path | None, name: str, board: Board) -> str:
    if board.has_device and package is None:
        return f"there is no model package of {name} for its NPU"
    return "this machine has no device of an NPU"
