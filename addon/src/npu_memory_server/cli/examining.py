"""`npu-memory doctor`: what is there, what is missing, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict
import json
from pathlib import Path
import sys

from ..embedding.doctor import Finding, Level, examine
from ..native.library import kernels
from ..npu.board import Board
from ..reranking import examining as rerankers
from ..settings import EMBEDDER, Settings

SIGNS = {Level.OK: "ok     ", Level.NOTE: "note   ", Level.PROBLEM: "PROBLEM"}


def doctor(settings: Settings, root: Path, *, as_json: bool) -> int:
    """Print what was found; returns the exit code, 1 if there is a problem."""
    if not as_json:
        print("Examining the models and the NPU ...", file=sys.stderr)
    board, models, threads = Board(root), settings.model_directory, settings.threads
    found = [
        *examine(models, EMBEDDER, precision=settings.precision, threads=threads, npu=settings.npu, board=board),
        *rerankers.examine(models, threads=threads, npu=settings.npu, board=board),
        _kernels(),
    ]
    problems = sum(one.level is Level.PROBLEM for one in found)
    if as_json:
        print(json.dumps({"problems": problems, "findings": [asdict(one) for one in found]}))
        return 1 if problems else 0
    width = max(len(one.what) for one in found)
    for one in found:
        print(f"{SIGNS[one.level]}  {one.what.ljust(width)}  {one.seen}")
        if one.advice:
            print(f"{'':9}{'':{width}}  -> {one.advice}")
    print(f"{problems} problems" if problems else "Everything is as it should be.")
    return 1 if problems else 0


def _kernels() -> Finding:
    if kernels().functions:
        return Finding("kernels", Level.OK, kernels().seen)
    advice = "The image has them; in a checkout script/kernels makes them with a C compiler (Debian: gcc libc6-dev)."
    return Finding("kernels", Level.NOTE, kernels().seen, advice)
