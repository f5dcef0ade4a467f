"""Opening the package of a cross-encoder for this board's NPU; each refusal says what to do."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ...embedding.manifest import ModelKind
from ...embedding.npu.package import NpuPackage, require_device, verified_package
from ...errors import ModelError
from ...npu.board import Board
from ...npu.faults import NpuLastingFault
from ...npu.settings import CoreMask
from ...npu.tables import NpuInput
from ..files import CrossEncoderFiles
from .context import PairContext
from .routing import PairModel


def open_package(folder: Path, cpu: CrossEncoderFiles, board: Board, core_mask: CoreMask) -> PairModel:
    """Check everything about a cross-encoder's package that can be checked without running it.

    Raises NpuLastingFault: it is damaged, of another shape than the CPU's, for another SoC, or too new for the board's
    runtime.
    """
    try:
        package = verified_package(folder, board)
        _require_same_shape(package, cpu)
    except ModelError as error:
        raise NpuLastingFault(str(error)) from error
    return PairModel(
        tables=package.tables,
        lengths=tuple(length for length in package.npu.lengths if length <= cpu.max_length),
        cores=core_mask.single_cores,
        open_context=partial(_open, board, package),
    )


def _require_same_shape(package: NpuPackage, cpu: CrossEncoderFiles) -> None:
    """Raise ModelError for what is seen without running it; whether the scores are the same, the canaries tell."""
    folder, manifest = package.folder, package.manifest
    if manifest.kind is not ModelKind.CROSS_ENCODER or package.npu.type_table is None:
        raise ModelError(f"the package in {folder} is no cross-encoder: convert one with --target rknn")
    if manifest.dimensions != cpu.hidden:
        raise ModelError(
            f"the package in {folder} is {manifest.dimensions} wide, and the CPU's model {cpu.hidden}: "
            "convert the model that the CPU has"
        )
    if min(package.npu.lengths) > cpu.max_length:
        raise ModelError(f"the package in {folder} has lengths that its model does not: convert it again")


def _open(board: Board, package: NpuPackage, core: CoreMask, canaries: Sequence[NpuInput], length: int) -> PairContext:
    require_device(board)
    path = package.folder / package.npu.lengths[length]
    return PairContext(path, length, package.manifest.dimensions, core, canaries)
