"""Has the toolkit of Rockchip compile models and simulate them, in programs of its own environment.

rknn-toolkit2 demands old versions of half of what this package uses, and a failing compiler takes its process along.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
import json
import os
from pathlib import Path
import queue
import subprocess
from typing import Any

from .errors import ConversionError

PYTHON_VARIABLE = "NPU_MEMORY_RKNN_PYTHON"
VERSION = "2.5.0"
PROCESSES = 2
"""More do not help: a build and a simulation keep one core busy each, and take 1 GB."""
HOW_TO_GET_IT = (
    "`script/convert` sets it up by itself. By hand: make an environment with Python 3.11, `pip install --no-deps"
    " --require-hashes -r conversion/rknn-requirements.lock` into it, and set"
    f" {PYTHON_VARIABLE} to its interpreter"
)
PROBE = "import importlib.metadata, torch, rknn.api; print(importlib.metadata.version('rknn-toolkit2'))"
PROBE_SECONDS = 180
SILENCE_SECONDS = 3600
"""Compiling a model of 12 layers takes half a minute of an idle machine."""


@dataclass(frozen=True, slots=True)
class Job:
    """One model to compile and to simulate.

    model, output: the ONNX file and the RKNN file to write. target: the SoC. dataset: what to quantize with, a line of
    `.npy` files for each sample, or None for FP16. threshold: the least cosine of a layer that stays in 8 bits.
    inputs: an `.npz` with the arrays `names`, [texts, ...]. outputs: the folder for one `.npy` for each of `results`,
    [texts, ...]. scratch: a folder for what the toolkit leaves behind. log: where its words go.
    """

    model: str
    output: str
    target: str
    dataset: str | None
    threshold: float
    inputs: str
    names: tuple[str, ...]
    outputs: str
    results: tuple[str, ...]
    scratch: str
    log: str


@dataclass(frozen=True, slots=True)
class Step:
    """What a job has reached: `built` with the seconds it took, `simulated` a text, or `done`."""

    job: Job
    event: str
    seconds: float = 0.0


def find_toolkit() -> str:
    """Return the interpreter of the toolkit's environment. Raises ConversionError with how to get one."""
    python = os.environ.get(PYTHON_VARIABLE)
    if not python:
        raise ConversionError(f"a model for the NPU needs rknn-toolkit2 {VERSION}. {HOW_TO_GET_IT}")
    try:
        probe = subprocess.run(
            [python, "-c", PROBE], capture_output=True, text=True, check=True, timeout=PROBE_SECONDS, env=_environment()
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise ConversionError(f"{python} has no rknn-toolkit2 that starts ({said[-1:]}). {HOW_TO_GET_IT}") from error
    if probe.stdout.split()[-1:] != [VERSION]:
        raise ConversionError(f"{python} has rknn-toolkit2 {probe.stdout.strip()}, and {VERSION} is needed")
    return python


def run_jobs(python: str, jobs: Sequence[Job], report: Callable[[Step], object]) -> None:
    """Do all jobs, two at a time; `report` is called for each step, one call at a time, from this thread.

    Raises ConversionError with the end of the log if one fails; the others are ended then.
    """
    steps: queue.Queue[Step | ConversionError | None] = queue.Queue()
    waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    count = min(PROCESSES, len(jobs))
    with ExitStack() as stack:
        workers = [stack.enter_context(_start(python)) for _ in range(count)]
        pool = stack.enter_context(ThreadPoolExecutor(count))
        for worker in workers:
            stack.callback(worker.kill)
            pool.submit(_serve, worker, waiting, steps)
        while count:
            try:
                step = steps.get(timeout=SILENCE_SECONDS)
            except queue.Empty as error:
                minutes = SILENCE_SECONDS // 60
                raise ConversionError(f"rknn-toolkit2 gave no sign of life for {minutes} minutes") from error
            if step is None:
                count -= 1
            elif isinstance(step, ConversionError):
                raise step
            else:
                report(step)


def _serve(
    worker: subprocess.Popen[str],
    waiting: queue.SimpleQueue[Job],
    steps: queue.Queue[Step | ConversionError | None],
) -> None:
    assert worker.stdin is not None and worker.stdout is not None  # noqa: PT018, S101 - both are pipes
    while not waiting.empty():
        try:
            job = waiting.get_nowait()
        except queue.Empty:
            break
        try:
            worker.stdin.write(json.dumps(asdict(job)) + "\n")
            worker.stdin.flush()
            for line in worker.stdout:
                event: dict[str, Any] = json.loads(line)
                if event["event"] == "failed":
                    steps.put(_failure(job, event["reason"]))
                    return
                steps.put(Step(job, event["event"], event.get("seconds", 0.0)))
                if event["event"] == "done":
                    break
            else:
                steps.put(_failure(job, "its process ended"))
                return
        except (OSError, ValueError) as error:
            steps.put(_failure(job, str(error)))
            return
    worker.stdin.close()
    steps.put(None)


def _start(python: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [python, str(Path(__file__).with_name("toolkit_worker.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=_environment(),
    )


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}


def _failure(job: Job, reason: str) -> ConversionError:
    try:
        lines = Path(job.log).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    errors = [line for line in lines if line.lstrip("\x1b[0123456789;m").startswith("E ")] or lines
    ending = "".join(f"\n  {line}" for line in errors[-8:])
    return ConversionError(f"rknn-toolkit2 could not make {Path(job.output).name}: {reason}{ending}")
