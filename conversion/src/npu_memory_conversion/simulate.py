"""Compiles an encoder for the NPU at several lengths, and has Rockchip's simulator read texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
import tempfile

import numpy as np
import onnx
from tqdm import tqdm

from npu_memory_server.embedding.manifest import ModelKind, NpuPrecision
from npu_memory_server.embedding.pooling import Vector

from .export_npu import LOGIT, TOKENS, VECTOR, NpuShape, export_npu
from .host import Tables, prepare
from .recipe import ModelRecipe
from .texts import Encoded, TextReader, calibration
from .toolkit import Job, Step, run_jobs
from .weights import EncoderWeights

TARGET = "rk3588"
MASK_BIAS = {NpuPrecision.FP16: -1e4, NpuPrecision.HYBRID_INT8: -1e4}
"""Attention is computed in FP16 in either precision. -16, which attention in INT8 would need, lets padding through:
three tokens among 29 of padding came out at a cosine of 0.92."""
HYBRID_THRESHOLD = 0.999
SAMPLES = 40
"""Texts to quantize with, as many for each length."""


@dataclass(frozen=True, slots=True)
class NpuOptions:
    """What a user may choose; lengths None are those of the kind of model."""

    lengths: tuple[int, ...] | None = None
    precision: NpuPrecision = NpuPrecision.FP16
    with_table: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """One length. outputs: by name, one row a text. log: all that the toolkit said. seconds: what compiling took."""

    outputs: Mapping[str, Vector]
    log: str
    seconds: float


def simulate(
    folder: Path,
    weights: EncoderWeights,
    recipe: ModelRecipe,
    reader: TextReader,
    tables: Tables | None,
    plan: Mapping[int, Sequence[Encoded]],
    precision: NpuPrecision,
    python: str,
) -> Mapping[int, Simulation]:
    """Compile a model for each length of the plan into a folder, and have it read its texts.

    Without tables they are inside the models. Raises ConversionError if the toolkit fails.
    """
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="npu-memory-rknn-", dir=folder) as scratch:
        jobs = {
            length: _job(Path(scratch) / str(length), folder, weights, recipe, reader, tables, texts, precision)
            for length, texts in plan.items()
        }
        total = sum(len(texts) + 1 for texts in plan.values())
        with tqdm(total=total, desc="compiling and simulating", unit="step", leave=False, disable=None) as bar:

            def advance(step: Step) -> None:
                if step.event == "built":
                    seconds[step.job.output] = step.seconds
                if step.event != "done":
                    bar.update()

            # The longest first: two at a time, they end together then.
            run_jobs(python, [jobs[length] for length in sorted(jobs, reverse=True)], advance)
        return {
            length: Simulation(
                outputs=_load(job),
                log=Path(job.log).read_text(encoding="utf-8", errors="replace"),
                seconds=seconds[job.output],
            )
            for length, job in jobs.items()
        }


def file_name(length: int) -> str:
    """Return the name of the model for a length."""
    return f"model.{length}.rknn"


def _job(
    scratch: Path,
    folder: Path,
    weights: EncoderWeights,
    recipe: ModelRecipe,
    reader: TextReader,
    tables: Tables | None,
    texts: Sequence[Encoded],
    precision: NpuPrecision,
) -> Job:
    length = int(scratch.name)
    scratch.mkdir()
    shape = NpuShape(length, MASK_BIAS[precision], with_table=tables is None)
    onnx.save(export_npu(weights, recipe, shape), scratch / "model.onnx")
    pairs = recipe.kind is ModelKind.CROSS_ENCODER
    inputs = prepare(texts, length, recipe.pad_id, tables, pairs=pairs)
    np.savez(scratch / "inputs.npz", **inputs)  # type: ignore[arg-type]
    dataset = None
    if precision is NpuPrecision.HYBRID_INT8:
        samples = calibration(reader, length, SAMPLES, pairs=pairs)
        dataset = _write_dataset(scratch, prepare(samples, length, recipe.pad_id, tables, pairs=pairs))
    return Job(
        model=str(scratch / "model.onnx"),
        output=str(folder / file_name(length)),
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


def _load(job: Job) -> Mapping[str, Vector]:
    found = {name: np.load(Path(job.outputs) / f"{name}.npy", allow_pickle=False) for name in job.results}
    return {name: values.astype(np.float32) for name, values in found.items()}
