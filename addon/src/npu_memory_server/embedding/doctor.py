"""Examines the machine, the NPU and the models, and says of each thing what was seen and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
import os
from pathlib import Path
import platform
import sys
from time import perf_counter

from ..errors import ModelError
from ..npu.board import CONTAINER_MARKS, DEVICE_NODES, DEVICE_TREE, RENDER_NODE, RUNTIME, Board, is_newer
from ..npu.settings import NpuSettings
from ..wire import NpuReport, NpuState
from .choosing import cpu_model, embedder
from .manifest import FileRole, ModelKind, ModelManifest, Precision, load_manifest, verify_file
from .npu.package import find_package

ROCKET_NODE = "dev/accel/accel0"
"""Of the driver in the mainline kernel, which Rockchip's library does not speak to."""
LIBRARY = "rknn-toolkit-lite2"
NEWEST_PYTHON = (3, 12)
CANARY = "Where did we put the spare key, and who was told about it?"
REPETITIONS = 5


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: its name, what was seen, and what to do, or "" if there is nothing to do."""

    what: str
    level: Level
    seen: str
    advice: str = ""


def examine(
    models: Path, name: str, *, precision: Precision | None, threads: int, npu: NpuSettings, board: Board
) -> Sequence[Finding]:
    """Look at everything, the most basic things first; nothing raises."""
    found = [*_model(models, name, precision, npu, board)]
    wanted = npu.enabled is not False
    found += _board(board, wanted=wanted) if _concerns_npu(board, npu) else [_no_npu(board)]
    if _concerns_npu(board, npu) and wanted:
        found += [*_libraries(board), *_npu_package(models, name, npu, board)]
    return [*found, *_canaries(models, name, precision, threads, npu, board)]


def _concerns_npu(board: Board, npu: NpuSettings) -> bool:
    return bool(board.soc or board.has_device or npu.enabled or npu.package)


def _no_npu(board: Board) -> Finding:
    seen = board.compatible[0] if board.compatible else platform.machine()
    return Finding("NPU", Level.OK, f"none: this is no Rockchip board ({seen}); the CPU does all the work")


def _model(models: Path, name: str, precision: Precision | None, npu: NpuSettings, board: Board) -> Iterator[Finding]:
    what = "model for the CPU"
    try:
        chosen = cpu_model(models, name, precision, npu, board)
        verify_file(chosen.folder, chosen.file)
        verify_file(models / name, chosen.manifest.file(FileRole.TOKENIZER))
    except ModelError as error:
        yield Finding(what, Level.PROBLEM, f"not usable in {models / name}", str(error))
    else:
        seen = f"{chosen.manifest.name} {chosen.manifest.revision}, {chosen.precision}, whole"
        yield Finding(what, Level.NOTE if chosen.advice else Level.OK, seen, chosen.advice)


def _board(board: Board, *, wanted: bool) -> Iterator[Finding]:
    if not wanted:
        yield Finding("NPU", Level.NOTE, "switched off", "Set NPU_EMBEDDER_ENABLED to 1 or auto to use it.")
    marks = [mark for mark in CONTAINER_MARKS if board.path(mark).exists()]
    if marks:
        yield Finding("container", Level.OK, f"yes: /{marks[0]} is there")
    how = "Give the container" if marks else "Check that the system has"
    if board.soc:
        yield Finding("SoC", Level.OK, f"{board.soc} ({board.compatible[0]})")
    elif board.compatible:
        yield Finding("SoC", Level.PROBLEM, f"no Rockchip SoC: {board.compatible[0]}", "Use this machine's CPU.")
    else:
        yield Finding(
            "SoC",
            Level.PROBLEM,
            f"/{DEVICE_TREE} cannot be read",
            f"Containers mask it: mount /{DEVICE_TREE} from the host, read-only, at the same place.",
        )
    yield from _devices(board, how)
    yield _driver(board)


def _devices(board: Board, how: str) -> Iterator[Finding]:
    for node in DEVICE_NODES:
        path = board.path(node)
        if not path.exists():
            other = any(board.path(one).exists() for one in DEVICE_NODES)
            if other and node != RENDER_NODE:
                yield Finding(f"/{node}", Level.OK, "not there; newer kernels have none, and it is not needed")
            elif board.path(ROCKET_NODE).exists():
                yield Finding(
                    f"/{node}",
                    Level.PROBLEM,
                    f"not there, but /{ROCKET_NODE} is: the NPU belongs to the mainline driver",
                    "Rockchip's library needs the driver of Rockchip's kernel (5.10 or 6.1): install the board's own.",
                )
            else:
                yield Finding(
                    f"/{node}",
                    Level.PROBLEM if node == RENDER_NODE else Level.NOTE,
                    "not there",
                    f"{how} the device /{node} (compose.rk3588.yaml does).",
                )
        elif os.access(path, os.R_OK | os.W_OK):
            yield Finding(f"/{node}", Level.OK, "can be read and written")
        else:
            owner = path.stat()
            yield Finding(
                f"/{node}",
                Level.PROBLEM,
                f"belongs to user {owner.st_uid} and group {owner.st_gid}, mode {owner.st_mode & 0o777:o}; "
                f"this is user {os.getuid()}",
                f"Put the user into group {owner.st_gid} (compose: group_add: [{owner.st_gid}]).",
            )
    if board.path("dev/mali0").exists():
        yield Finding("/dev/mali0", Level.OK, "there: it is the GPU, which is not used")


def _driver(board: Board) -> Finding:
    if version := board.driver_version:
        return Finding("kernel driver", Level.OK, f"rknpu {version}")
    return Finding(
        "kernel driver",
        Level.NOTE,
        "its version cannot be read",
        "As root on the host: cat /sys/kernel/debug/rknpu/version",
    )


def _libraries(board: Board) -> Iterator[Finding]:
    if not board.has_runtime:
        yield Finding(
            f"/{RUNTIME}",
            Level.PROBLEM,
            "not there",
            "It comes with the board's system (package rknpu2 or rockchip-npu); mount it read-only into a container.",
        )
    elif version := board.runtime_version:
        yield Finding(f"/{RUNTIME}", Level.OK, f"version {version}")
    else:
        yield Finding(f"/{RUNTIME}", Level.NOTE, "does not say its version", "Check that it is Rockchip's library.")
    try:
        yield Finding(LIBRARY, Level.OK, metadata.version(LIBRARY))
        return
    except metadata.PackageNotFoundError:
        pass
    if platform.machine() != "aarch64" or sys.version_info[:2] > NEWEST_PYTHON:
        yield Finding(
            LIBRARY,
            Level.PROBLEM,
            f"not installed; this is Python {platform.python_version()} on {platform.machine()}",
            "It exists for arm64 and Python 3.7 to 3.12: use the container, which has it.",
        )
    else:
        yield Finding(LIBRARY, Level.PROBLEM, "not installed", f"pip install {LIBRARY}, or use the container.")


def _npu_package(models: Path, name: str, npu: NpuSettings, board: Board) -> Iterator[Finding]:
    what = "model for the NPU"
    convert = f"On a PC: npu-memory-convert {name} --target rknn; copy its folder into {models}."
    folder = npu.package if npu.package is None or npu.package.is_dir() else npu.package.parent
    try:
        folder = folder or find_package(models, ModelKind.EMBEDDER, load_manifest(models / name).name)
        if folder is None:
            yield Finding(what, Level.PROBLEM, f"none in {models}", convert)
            return
        manifest = load_manifest(folder)
        yield fitting(what, folder, manifest, board, convert)
        for file in manifest.files:
            verify_file(folder, file)
    except ModelError as error:
        yield Finding(what, Level.PROBLEM, "not usable", str(error))


def fitting(what: str, folder: Path, manifest: ModelManifest, board: Board, convert: str) -> Finding:
    """Say whether a package is for the board's NPU; `convert` is the advice where it is not for an NPU at all."""
    npu = manifest.npu
    if npu is None:
        return Finding(what, Level.PROBLEM, f"{folder} has nothing for an NPU", convert)
    lengths = ", ".join(map(str, npu.lengths))
    seen = f"{folder.name}: {npu.target}, {npu.precision}, toolkit {npu.toolkit}, lengths {lengths}"
    if board.soc not in (None, npu.target):
        return Finding(what, Level.PROBLEM, seen, f"Convert it for {board.soc}.")
    runtime = board.runtime_version
    if runtime is not None and is_newer(npu.toolkit, than=runtime):
        return Finding(what, Level.PROBLEM, seen, f"Update librknnrt.so from {runtime} to {npu.toolkit} or later.")
    return Finding(what, Level.OK, seen)


def _canaries(
    models: Path, name: str, precision: Precision | None, threads: int, npu: NpuSettings, board: Board
) -> Iterator[Finding]:
    try:
        with embedder(models, name, precision=precision, threads=threads, npu=npu, board=board) as chosen:
            times = []
            for _ in range(REPETITIONS):
                began = perf_counter()
                chosen.embed(CANARY)
                times.append((perf_counter() - began) * 1000)
            report = chosen.npu
            yield Finding("a question", Level.OK, f"embedded on the {chosen.backend} in {min(times):.1f} ms")
    except ModelError as error:
        yield Finding("a question", Level.PROBLEM, "cannot be embedded", str(error))
        return
    yield from routes(report)


def routes(report: NpuReport, model: str = "") -> Iterator[Finding]:
    """Yield what is known of each length, and why the NPU is not used, if so; `model` is named where it is not ""."""
    of = f"{model}, " if model else ""
    for route in report.routes:
        npu = "failed" if route.npu_ms is None else f"{route.npu_ms:.1f} ms"
        measure = "concordance" if model else "cosine"
        cosine = "" if route.cosine is None else f", {measure} {route.cosine:.4f}"
        seen = f"NPU {npu}, CPU {route.cpu_ms:.1f} ms{cosine}: {route.reason}"
        yield Finding(f"{of}up to {route.length} tokens", Level.NOTE if route.npu_ms is None else Level.OK, seen)
    if report.state in (NpuState.RESTING, NpuState.FAILED):
        yield Finding(
            f"{of}NPU", Level.PROBLEM, f"not used: {report.reason}", "Mend what stands above, and start again."
        )
