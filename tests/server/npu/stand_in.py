"""A stand-in for Rockchip's runtime and the NPU behind it: computes what the model would, and fails on command.

It speaks the terms of `librknnrt.so` (contexts, inputs, run, outputs, return codes), and is reached in two ways: by the
stand-in Python module `rknnlite` of the fast tests, and by the stand-in library under emulated arm64.
"""

from __future__ import annotations

from dataclasses import dataclass, field
import itertools
import math
from pathlib import Path
import threading

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from tests.server.npu.model_files import INPUT, OUTPUT, length_of

Array = npt.NDArray[np.float32]

SUCCESS = 0
FAIL = -1
TIMEOUT = -2
DEVICE_UNAVAILABLE = -3
MODEL_INVALID = -6
HANG_SECONDS = 60.0


@dataclass
class Faults:
    """What goes wrong, now; return codes are Rockchip's."""

    init: int = SUCCESS
    core_mask: int = SUCCESS
    run: int = SUCCESS
    """The outputs stay what they were, as in Rockchip's runtime."""
    runs_before: int = 0
    """So many runs go well before `run`, `nan`, `other_text`, `hang` or `gone` begin."""
    nan: bool = False
    zeros: bool = False
    other_text: bool = False
    """Finite, of length 1, and wrong: what a core that mixes up its buffers would say."""
    tokens_differ: bool = False
    wrong_length: bool = False
    """The outputs have the shape of another length."""
    hang: bool = False
    gone: bool = False
    only_length: int | None = None
    """The faults of a run concern this length alone."""


@dataclass
class Context:
    """A loaded model: its length, and its buffers."""

    length: int
    core_mask: int = 0
    inputs: tuple[Array, Array] | None = None
    outputs: tuple[Array, Array] | None = None


@dataclass
class Seen:
    """What was asked of the stand-in."""

    core_masks: list[int] = field(default_factory=list)
    opened: list[int] = field(default_factory=list)
    released: int = 0
    runs: int = 0
    most_at_a_time: int = 0
    threads: set[int] = field(default_factory=set)


class StandInNpu:
    """One NPU with any number of contexts; any number of threads."""

    def __init__(self, encoder: Path, hidden: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = ort.InferenceSession(str(encoder), options, providers=["CPUExecutionProvider"])
        self._hidden = hidden
        self._numbers = itertools.count(1)
        self._contexts: dict[int, Context] = {}
        self._lock = threading.Lock()
        self._running = 0
        self.hang_seconds = HANG_SECONDS
        self.released = threading.Event()
        """Set to let what hangs go on."""
        self.faults = Faults()
        self.seen = Seen()

    @property
    def open_contexts(self) -> int:
        return len(self._contexts)

    def init(self, model: bytes) -> tuple[int, int, int]:
        """Return (return code, context, length)."""
        if self.faults.init or self.faults.gone:
            return self.faults.init or DEVICE_UNAVAILABLE, 0, 0
        length = length_of(model)
        if length is None:
            return MODEL_INVALID, 0, 0
        number = next(self._numbers)
        with self._lock:
            self._contexts[number] = Context(length)
            self.seen.opened.append(length)
        return SUCCESS, number, length

    def set_core_mask(self, number: int, mask: int) -> int:
        self.seen.core_masks.append(mask)
        if self.faults.core_mask:
            return self.faults.core_mask
        self._contexts[number].core_mask = mask
        return SUCCESS

    def set_inputs(self, number: int, embeddings: Array, mask: Array) -> int:
        context = self._contexts[number]
        context.inputs = embeddings.reshape(context.length, self._hidden).copy(), mask.reshape(context.length).copy()
        return SUCCESS

    def run(self, number: int) -> int:
        context = self._contexts[number]
        with self._lock:
            self.seen.runs += 1
            self.seen.threads.add(threading.get_ident())
            self._running += 1
            self.seen.most_at_a_time = max(self.seen.most_at_a_time, self._running)
            faults = self._due_faults(context)
        try:
            if faults.hang:
                self.released.wait(self.hang_seconds)
            if faults.gone:
                return DEVICE_UNAVAILABLE
            if faults.run:
                return faults.run
            assert context.inputs is not None
            context.outputs = self._compute(context, *context.inputs, faults)
            return SUCCESS
        finally:
            with self._lock:
                self._running -= 1

    def outputs(self, number: int) -> tuple[Array, Array]:
        """Return whatever is in the buffers: float32 [1, hidden] and [1, length, hidden]."""
        context = self._contexts[number]
        vector, tokens = context.outputs or (np.zeros(self._hidden), np.zeros((context.length, self._hidden)))
        return vector[np.newaxis].astype(np.float32), tokens[np.newaxis].astype(np.float32)

    def destroy(self, number: int) -> None:
        with self._lock:
            self.seen.released += self._contexts.pop(number, None) is not None

    def _due_faults(self, context: Context) -> Faults:
        if self.faults.only_length not in (None, context.length):
            return Faults()
        if self.faults.runs_before > 0:
            self.faults.runs_before -= 1
            return Faults()
        return self.faults

    def _compute(self, context: Context, embeddings: Array, mask: Array, faults: Faults) -> tuple[Array, Array]:
        count = int(mask.sum())
        if not (mask[:count] == 1).all() or not (mask[count:] == 0).all():
            return np.full(self._hidden, math.nan), np.full((context.length, self._hidden), math.nan)
        if (embeddings[count:].var(axis=1) == 0).any():  # the epsilon of the normalization is 0 in 16 bits
            return np.full(self._hidden, math.nan), np.full((context.length, self._hidden), math.nan)
        text = np.roll(embeddings[:count], 3, axis=1) if faults.other_text else embeddings[:count]
        (tokens,) = self._session.run([OUTPUT], {INPUT: np.ascontiguousarray(text)})
        tokens = tokens.reshape(count, self._hidden)
        mean = tokens.mean(axis=0)
        vector = mean / np.linalg.norm(mean)
        if faults.nan:
            vector[7] = math.nan
        if faults.zeros:
            vector, tokens = np.zeros_like(vector), np.zeros_like(tokens)
        if faults.tokens_differ:
            tokens = np.roll(tokens, 5, axis=1)
        length = context.length // 2 if faults.wrong_length else context.length
        whole = np.full((length, self._hidden), 7.0)  # what is computed for padding means nothing
        whole[: min(count, length)] = tokens[:length]
        return vector.astype(np.float16).astype(np.float32), whole.astype(np.float16).astype(np.float32)
