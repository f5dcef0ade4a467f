"""Finding the package for this board's NPU, and refusing one that does not fit: each refusal says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ...errors import ModelError
from ...npu.board import RUNTIME, Board, is_newer
from ...npu.faults import NpuFault, NpuLastingFault
from ...npu.rknn_file import read_rknn_file
from ...npu.settings import CoreMask
from ...npu.tables import EmbeddingTables
from ..manifest import MANIFEST_NAME, FileRole, ModelKind, ModelManifest, NpuModel, load_manifest, verify_file
from ..tokenizing import TextTokenizer
from .context import EmbeddingContext
from .routing import Model


@dataclass(frozen=True, slots=True)
class NpuPackage:
    """A package whose files are whole, and made for this board; the tables are in front of its models."""

    folder: Path
    manifest: ModelManifest
    npu: NpuModel
    tables: EmbeddingTables


def find_package(models: Path, kind: ModelKind, name: str) -> Path | None:
    """Return the folder of the package in `models` that has this model for an NPU, or None if there is none."""
    return next(_packages(models, kind, name), None)


def _packages(models: Path, kind: ModelKind, name: str) -> Iterator[Path]:
    for path in sorted(models.glob(f"*/{MANIFEST_NAME}")):
        try:
            other = load_manifest(path.parent)
        except ModelError:
            continue
        if other.npu is not None and (other.kind, other.name) == (kind, name):
            yield path.parent


def open_package(
    folder: Path, cpu: ModelManifest, tokenizer: TextTokenizer, board: Board, core_mask: CoreMask
) -> Model:
    """Check everything about an embedder's package that can be checked without running it.

    Raises NpuLastingFault: it is damaged, of another model than the CPU's, for another SoC, or too new for the board's
    runtime.
    """
    try:
        manifest = load_manifest(folder)
        _npu_of(folder, manifest)
        _require_same_model(folder, manifest, cpu)
        package = verified_package(folder, board)
    except ModelError as error:
        raise NpuLastingFault(str(error)) from error
    return Model(
        tables=package.tables,
        open_context=partial(_open, board, package, core_mask),
        lengths=tuple(length for length in package.npu.lengths if length <= cpu.max_length),
        tokenizer=tokenizer,
    )


def verified_package(folder: Path, board: Board) -> NpuPackage:
    """Check the files of a package, and that they are for this board. Raises ModelError."""
    manifest = load_manifest(folder)
    npu = _npu_of(folder, manifest)
    _require_board(board, npu)
    words, positions = _tables(folder, npu)
    types = npu.type_table
    for name in (*npu.lengths.values(), words, positions, *([types] if types else [])):
        verify_file(folder, manifest.named(name))
    for name in npu.lengths.values():
        _require_own_description(folder / name, npu)
    tables = EmbeddingTables(
        folder / words,
        folder / positions,
        folder / types if types else None,
        hidden=manifest.dimensions,
        longest=max(npu.lengths),
        pad_id=npu.pad_id,
    )
    return NpuPackage(folder, manifest, npu, tables)


def require_device(board: Board) -> None:
    """Raise NpuFault if the NPU's device is gone, which its runtime would take for something else."""
    if not board.has_device:
        raise NpuFault("the device of the NPU is gone")


def _open(board: Board, package: NpuPackage, core_mask: CoreMask, length: int) -> EmbeddingContext:
    require_device(board)
    return EmbeddingContext(
        package.folder / package.npu.lengths[length], length, package.manifest.dimensions, core_mask
    )


def _npu_of(folder: Path, manifest: ModelManifest) -> NpuModel:
    if manifest.npu is None:
        raise ModelError(f"the package in {folder} has nothing for an NPU: convert the model with --target rknn")
    if min(manifest.npu.lengths) > manifest.max_length:
        raise ModelError(f"the package in {folder} has lengths that its model does not: convert it again")
    return manifest.npu


def _require_same_model(folder: Path, manifest: ModelManifest, cpu: ModelManifest) -> None:
    for what, here, there in (
        ("model", manifest.name, cpu.name),
        ("revision", manifest.revision, cpu.revision),
        ("kind", manifest.kind, cpu.kind),
        ("size of a vector", manifest.dimensions, cpu.dimensions),
        ("tokenizer", manifest.file(FileRole.TOKENIZER).sha256, cpu.file(FileRole.TOKENIZER).sha256),
    ):
        if here != there:
            raise ModelError(
                f"the package in {folder} has another {what} ({here}) than that of the CPU ({there}): "
                "convert both from one source"
            )


def _require_board(board: Board, npu: NpuModel) -> None:
    if not board.has_device:
        raise ModelError("there is no device of an NPU: neither /dev/dri/renderD129 nor /dev/rknpu")
    if (soc := board.soc) is None:
        raise ModelError("/proc/device-tree/compatible does not name a Rockchip SoC; a container needs it mounted")
    if soc != npu.target:
        raise ModelError(f"the model was converted for {npu.target}, and this is an {soc}: convert it for {soc}")
    if not board.has_runtime:
        raise ModelError(f"there is no /{RUNTIME}; it comes with the board's system, and a container needs it mounted")
    runtime = board.runtime_version
    if runtime is not None and is_newer(npu.toolkit, than=runtime):
        raise ModelError(
            f"the model was converted with rknn-toolkit2 {npu.toolkit}, and the runtime of the board is {runtime}: "
            f"update librknnrt.so to {npu.toolkit} or later"
        )


def _tables(folder: Path, npu: NpuModel) -> tuple[str, str]:
    if npu.embedding_table is None or npu.position_table is None:
        raise ModelError(
            f"the package in {folder} has its word table inside the NPU's model: "
            "convert it without --with-embedding-table"
        )
    return npu.embedding_table, npu.position_table


def _require_own_description(path: Path, npu: NpuModel) -> None:
    found = read_rknn_file(path)
    if npu.target not in found.targets:
        raise ModelError(f"{path} says it is for {', '.join(sorted(found.targets))}, and its manifest {npu.target}")
    if found.toolkit != npu.toolkit:
        raise ModelError(f"{path} says it was made by version {found.toolkit}, and its manifest {npu.toolkit}")
