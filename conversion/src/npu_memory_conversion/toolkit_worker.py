"""Compiles for the NPU and simulates what it computes; runs in the environment of rknn-toolkit2, as a program.

It imports nothing of this package. Jobs come in on standard input, one JSON object a line (see `toolkit.Job`); what
happens goes out on standard output in the same form; what the toolkit prints goes to the log that the job names.
"""

from __future__ import annotations

from collections.abc import Iterator
import json
import os
from pathlib import Path
import sys
import time
from typing import IO, Any

import numpy as np


def main() -> None:
    """Do the jobs one after another."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        for line in sys.stdin:
            job = json.loads(line)
            os.chdir(job["scratch"])  # a verbose build leaves its intermediate graphs where it runs
            log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            for descriptor in (1, 2):  # the compiler is a library that knows nothing of Python's streams
                os.dup2(log, descriptor)
            os.close(log)
            try:
                for event in run(job):
                    _say(answers, event)
            except Exception as error:  # noqa: BLE001 - the toolkit raises whatever comes to its mind
                _say(answers, {"event": "failed", "reason": f"{type(error).__name__}: {error}"})
            sys.stdout.flush()


def run(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Compile the model, write it, and simulate it; yields events and ends with `done`.

    Raises RuntimeError if a step of the toolkit reports a failure.
    """
    from rknn.api import RKNN  # noqa: PLC0415 - several seconds, and its output belongs into the log

    toolkit = RKNN(verbose=True)  # the table of estimated cycles is printed for the verbose only
    try:
        quantize = job["dataset"] is not None
        hybrid = {"auto_hybrid_cos_thresh": job["threshold"]} if quantize else {}
        _done(toolkit.config(target_platform=job["target"], **hybrid), "config")
        _done(toolkit.load_onnx(model=job["model"]), "load_onnx")
        began = time.monotonic()
        _done(toolkit.build(do_quantization=quantize, dataset=job["dataset"], auto_hybrid=quantize), "build")
        seconds = time.monotonic() - began
        _done(toolkit.export_rknn(job["output"]), "export_rknn")
        yield {"event": "built", "seconds": seconds}
        _done(toolkit.init_runtime(), "init_runtime")  # without a target it is the simulator
        with np.load(job["inputs"], allow_pickle=False) as stored:
            inputs = [stored[name] for name in job["names"]]
        answers: list[list[Any]] = []
        for values in zip(*inputs, strict=True):
            outputs = toolkit.inference(inputs=[value[np.newaxis] for value in values])
            if outputs is None:
                raise RuntimeError("the simulator gave no output")
            answers.append([output[0] for output in outputs])
            yield {"event": "simulated"}
        for name, values in zip(job["results"], zip(*answers, strict=True), strict=True):
            np.save(Path(job["outputs"]) / f"{name}.npy", np.stack(values), allow_pickle=False)
        yield {"event": "done"}
    finally:
        toolkit.release()


def _done(code: int, step: str) -> None:
    if code != 0:
        raise RuntimeError(f"{step} returned {code}")


def _say(answers: IO[str], event: dict[str, Any]) -> None:
    print(json.dumps(event), file=answers, flush=True)


if __name__ == "__main__":
    main()
