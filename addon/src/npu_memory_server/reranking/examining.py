"""Examines the cross-encoders that have a package for the NPU, and says what was seen and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from ..embedding.doctor import Finding, Level, fitting, routes
from ..embedding.manifest import MANIFEST_NAME, ModelKind, ModelManifest, load_manifest, verify_file
from ..errors import ModelError
from ..npu.board import Board
from ..npu.settings import NpuSettings
from ..wire import Reranker
from .shelf import Places

QUESTION = "Where did we put the spare key?"
TEXT = "(5 March 2026) Mara: The spare key is in the blue bowl behind the books now, as long as the painters are here."
TEXTS = [TEXT] * 5
REPETITIONS = 5
READING_SECONDS = 30.0


def examine(models: Path, *, threads: int, npu: NpuSettings, board: Board) -> Iterator[Finding]:
    """Look at each, and read with it; nothing raises."""
    for path in sorted(models.glob(f"*/{MANIFEST_NAME}")):
        try:
            manifest = load_manifest(path.parent)
        except ModelError:
            continue
        if manifest.kind is ModelKind.CROSS_ENCODER and manifest.npu is not None:
            yield from _examined(models, path.parent, manifest, threads, npu, board)


def _examined(
    models: Path, folder: Path, manifest: ModelManifest, threads: int, npu: NpuSettings, board: Board
) -> Iterator[Finding]:
    name = manifest.name
    try:
        for file in manifest.files:
            verify_file(folder, file)
    except ModelError as error:
        yield Finding(f"{name} for the NPU", Level.PROBLEM, "not usable", str(error))
        return
    yield fitting(f"{name} for the NPU", folder, manifest, board, "Convert it with --target rknn.")
    known = name in {reranker.value for reranker in Reranker}
    local = models / name
    if not local.is_dir():
        advice = f"npu-memory models fetch {name}" if known else f"Put the folder that the CPU reads with into {local}."
        yield Finding(f"{name} for the CPU", Level.PROBLEM, "not there: without it the NPU is not believed", advice)
        return
    try:
        reranker = Reranker(name) if known else Reranker.LOCAL
        with Places(models, local).open(reranker, threads=threads, npu=npu, board=board) as reader:
            times = []
            for _ in range(REPETITIONS):
                began = perf_counter()
                judged = reader.judge(QUESTION, TEXTS, began + READING_SECONDS)
                times.append((perf_counter() - began) * 1000)
            where = "NPU" if judged.on_npu == len(TEXTS) else "CPU"
            yield Finding(f"{name}", Level.OK, f"{len(TEXTS)} memories read on the {where} in {min(times):.1f} ms")
            yield from routes(reader.npu, name)
    except ModelError as error:
        yield Finding(name, Level.PROBLEM, "cannot be used", str(error))
