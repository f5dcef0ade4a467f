"""A stand-in for Rockchip's runtime and the NPU behind it: computes what the model would, and fails on command.

It speaks the terms of `librknnrt.so` (contexts, inputs, run, outputs, return codes), and is reached in two ways: by the
stand-in Python module `rknnlite` of the fast tests, and by the stand-in library under emulated arm64.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
import itertools
import math
from pathlib import Path
import threading
import time

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from tests.server.npu.model_files import CROSS_ENCODER, EMBEDDER, INPUT, OUTPUT, PAIR_INPUT, model_of

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
    times: int | None = None
    """After so many runs that went wrong all is well again."""
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
    only_model: int | None = None
    """All faults concern this model alone."""
    only_core: int | None = None
    """That a core mask is refused concerns this one alone."""


@dataclass
class Context:
    """A loaded model: its number, its length, and its buffers."""

    model: int
    length: int
    core_mask: int = 0
    inputs: tuple[Array, Array] | None = None
    outputs: tuple[Array, ...] | None = None


@dataclass
class Seen:
    """What was asked of the stand-in."""

    core_masks: list[int] = field(default_factory=list)
    opened: list[int] = field(default_factory=list)
    released: int = 0
    runs: int = 0
    pairs_by_core: Counter[int] = field(default_factory=Counter)
    pairs_by_length: Counter[int] = field(default_factory=Counter)
    most_at_a_time: int = 0
    threads: set[int] = field(default_factory=set)


class StandInNpu:
    """One NPU with any number of contexts; any number of threads."""

    def __init__(self, encoder: Path, hidden: int) -> None:
        self._sessions = {EMBEDDER: _session(encoder)}
        self._hidden = {EMBEDDER: hidden}
        self._numbers = itertools.count(1)
        self._contexts: dict[int, Context] = {}
        self._lock = threading.Lock()
        self._running = 0
        self.hang_seconds = HANG_SECONDS
        self.run_seconds = 0.0
        self.released = threading.Event()
        """Set to let what hangs go on."""
        self.faults = Faults()
        self.seen = Seen()

    @property
    def open_contexts(self) -> int:
        return len(self._contexts)

    def add_cross_encoder(self, encoder: Path) -> None:
        """Let it compute a cross-encoder as well."""
        self._sessions[CROSS_ENCODER] = _session(encoder)
        self._hidden[CROSS_ENCODER] = self._sessions[CROSS_ENCODER].get_inputs()[0].shape[-1]

    def init(self, content: bytes) -> tuple[int, int]:
        """Return (return code, context)."""
        found = model_of(content)
        if found is None:
            return MODEL_INVALID, 0
        length, model = found
        faults = self._faults_of(model)
        if faults.init or faults.gone:
            return faults.init or DEVICE_UNAVAILABLE, 0
        number = next(self._numbers)
        with self._lock:
            self._contexts[number] = Context(model, length)
            self.seen.opened.append(length)
        return SUCCESS, number

    def shape(self, number: int) -> tuple[int, int, int]:
        """Return the length of a context's model, its width, and how many outputs it has."""
        context = self._contexts[number]
        return context.length, self._hidden[context.model], len(self._zeros(context))

    def set_core_mask(self, number: int, mask: int) -> int:
        self.seen.core_masks.append(mask)
        context = self._contexts[number]
        faults = self._faults_of(context.model)
        if faults.core_mask and faults.only_core in (None, mask):
            return faults.core_mask
        context.core_mask = mask
        return SUCCESS

    def set_inputs(self, number: int, embeddings: Array, mask: Array) -> int:
        context = self._contexts[number]
        shape = context.length, self._hidden[context.model]
        context.inputs = embeddings.reshape(shape).copy(), mask.reshape(context.length).copy()
        return SUCCESS

    def run(self, number: int) -> int:
        context = self._contexts[number]
        with self._lock:
            self.seen.runs += 1
            self.seen.threads.add(threading.get_ident())
            self._running += 1
            self.seen.pairs_by_core[context.core_mask] += context.model == CROSS_ENCODER
            self.seen.pairs_by_length[context.length] += context.model == CROSS_ENCODER
            self.seen.most_at_a_time = max(self.seen.most_at_a_time, self._running)
            faults = self._due_faults(context)
        try:
            if faults.hang:
                self.released.wait(self.hang_seconds)
            time.sleep(self.run_seconds)
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

    def outputs(self, number: int) -> tuple[Array, ...]:
        """Return whatever is in the buffers: float32 [1, hidden] and [1, length, hidden], or a logit, [1, 1]."""
        context = self._contexts[number]
        return tuple(one[np.newaxis].astype(np.float32) for one in context.outputs or self._zeros(context))

    def destroy(self, number: int) -> None:
        with self._lock:
            self.seen.released += self._contexts.pop(number, None) is not None

    def _zeros(self, context: Context) -> tuple[Array, ...]:
        if context.model == CROSS_ENCODER:
            return (np.zeros(1, np.float32),)
        hidden = self._hidden[context.model]
        return np.zeros(hidden, np.float32), np.zeros((context.length, hidden), np.float32)

    def _faults_of(self, model: int) -> Faults:
        return self.faults if self.faults.only_model in (None, model) else Faults()

    def _due_faults(self, context: Context) -> Faults:
        faults = self._faults_of(context.model)
        if faults.only_length not in (None, context.length):
            return Faults()
        if faults.runs_before > 0:
            faults.runs_before -= 1
            return Faults()
        if faults.times is not None:
            faults.times -= 1
            if faults.times < 0:
                return Faults()
        return faults

    def _compute(self, context: Context, embeddings: Array, mask: Array, faults: Faults) -> tuple[Array, ...]:
        count = int(mask.sum())
        whole_mask = (mask[:count] == 1).all() and (mask[count:] == 0).all()
        # The epsilon of the normalization is 0 in 16 bits.
        if not whole_mask or (embeddings[count:].var(axis=1) == 0).any():
            return tuple(np.full_like(one, math.nan) for one in self._zeros(context))
        text = np.roll(embeddings[:count], 3, axis=1) if faults.other_text else embeddings[:count]
        compute = self._logit if context.model == CROSS_ENCODER else self._vectors
        return tuple(
            one.astype(np.float16).astype(np.float32)
            for one in compute(np.ascontiguousarray(text), context.length, faults)
        )

    def _vectors(self, text: Array, length: int, faults: Faults) -> tuple[Array, ...]:
        count, hidden = text.shape
        (tokens,) = self._sessions[EMBEDDER].run([OUTPUT], {INPUT: text})
        tokens = tokens.reshape(count, hidden)
        mean = tokens.mean(axis=0)
        vector = mean / np.linalg.norm(mean)
        if faults.nan:
            vector[7] = math.nan
        if faults.zeros:
            vector, tokens = np.zeros_like(vector), np.zeros_like(tokens)
        if faults.tokens_differ:
            tokens = np.roll(tokens, 5, axis=1)
        length = length // 2 if faults.wrong_length else length
        whole = np.full((length, hidden), 7.0)  # what is computed for padding means nothing
        whole[: min(count, length)] = tokens[:length]
        return vector, whole

    def _logit(self, text: Array, length: int, faults: Faults) -> tuple[Array, ...]:
        given = {PAIR_INPUT: text[np.newaxis], "attention_mask": np.ones((1, len(text)), np.int64)}
        (logits,) = self._sessions[CROSS_ENCODER].run(["logits"], given)
        logit: Array = logits[0]
        if faults.nan:
            logit = np.full_like(logit, math.nan)
        if faults.zeros:
            logit = np.zeros_like(logit)
        return (np.repeat(logit, length // 2) if faults.wrong_length else logit,)


def _session(encoder: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(encoder), options, providers=["CPUExecutionProvider"])
