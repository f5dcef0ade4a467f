"""A cross-encoder in onnxruntime: reads a question and a memory together, one pair after the other, never padded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
import threading
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
import onnxruntime as ort
from tokenizers import Tokenizer

from ..errors import ModelError
from ..wire import NpuReport, NpuState
from .base import Judged, Pair
from .files import CrossEncoderFiles
from .pace import Pace

REQUIRED, OPTIONAL = "input_ids", {"attention_mask", "token_type_ids"}
WARM_UP_TOKENS = (64, 16, 64, 32, 48, 64, 24)
"""Run when the model is loaded and, but for the first, measured, so that the first question has something to go by."""


class CrossEncoder:
    """A BERT with one logit (or two: no and yes) for a pair of texts. Blocks; one caller at a time, but for `logit`."""

    def __init__(self, files: CrossEncoderFiles, *, threads: int = 1) -> None:
        """Load a model with so many threads an inference, and take its pace. Raises `ModelError`."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 4  # a run that is stopped in time is no fault
        try:
            self._session = ort.InferenceSession(str(files.model), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the exceptions of onnxruntime share no public base
            raise ModelError(f"onnxruntime cannot load {files.model.name}.") from error
        self._inputs = {node.name for node in self._session.get_inputs()}
        if REQUIRED not in self._inputs or not self._inputs <= {REQUIRED, *OPTIONAL}:
            raise ModelError(f"{files.model.name} is no BERT: its inputs are {', '.join(sorted(self._inputs))}.")
        self._output = self._session.get_outputs()[0].name
        self._tokenizer = _tokenizer(files)
        self._name = files.model.name
        self.npu = NpuReport(NpuState.ABSENT, "nothing was said of one")
        """Why the NPU does nothing for it."""
        self._pace = Pace(files.hidden)
        for number, tokens in enumerate(WARM_UP_TOKENS):
            ids = np.full(min(tokens, files.max_length), self._tokenizer.token_to_id("[UNK]") or 0, np.int64)
            self.read(Pair(ids, np.zeros_like(ids)), ort.RunOptions())
            if number == 0:
                self._pace = Pace(files.hidden)

    def judge(self, question: str, texts: Sequence[str], until: float) -> Judged:
        """Read texts in their order, each with the question, until `until` (`perf_counter`).

        One that would take too long is passed over, in favor of shorter ones behind it. Raises `ModelError`.
        """
        logits: list[float | None] = [None] * len(texts)
        with stopping(until) as options:
            for place, text in enumerate(texts):
                if perf_counter() >= until:
                    break
                pair = self.pair(question, text)
                if perf_counter() + self.predict(pair) > until:
                    continue
                logits[place] = self.read(pair, options)
                if logits[place] is None:
                    break
        judged = Judged.of(logits)
        if texts and not judged.reached:
            self.idle()
        return judged

    def pair(self, question: str, text: str) -> Pair:
        """Return the tokens of a question and a text, special tokens included, cut to what the model reads."""
        encoding = self._tokenizer.encode(question, text)
        return Pair(np.array(encoding.ids, np.int64), np.array(encoding.type_ids, np.int64))

    def predict(self, pair: Pair) -> float:
        """Return the seconds that reading a pair takes at most, as far as one can tell."""
        return self._pace.predict(len(pair))

    def idle(self) -> None:
        """Take in that nothing seemed to fit into the time."""
        self._pace.idle()

    def read(self, pair: Pair, options: ort.RunOptions) -> float | None:
        """Return the logit of a pair, or None if `options` stopped it before its end; its time counts for `predict`.

        Raises `ModelError`.
        """
        began = perf_counter()
        try:
            logit = self.logit(pair, options)
        except ModelError:
            if options.terminate:
                self._pace.stopped(len(pair), perf_counter() - began)
                return None
            raise
        self._pace.measured(len(pair), perf_counter() - began)
        return logit

    def logit(self, pair: Pair, options: ort.RunOptions | None = None) -> float:
        """Return the logit of a pair. Any number of threads may. Raises `ModelError`, also where `options` stop it."""
        given = {REQUIRED: pair.ids, "attention_mask": np.ones_like(pair.ids), "token_type_ids": pair.types}
        try:
            outputs = self._session.run(
                [self._output], {name: given[name][np.newaxis] for name in self._inputs}, options
            )
        except Exception as error:  # the exceptions of onnxruntime share no public base
            raise ModelError(f"{self._name} failed on {len(pair)} tokens.") from error
        return _logit(np.asarray(outputs[0]), self._name)


def _logit(logits: NDArray[np.float32], name: str) -> float:
    if logits.shape not in {(1, 1), (1, 2)} or not np.isfinite(logits).all():
        raise ModelError(
            f"{name} is no cross-encoder: it answers {list(logits.shape)} numbers, or none that are finite."
        )
    return float(logits[0, 0]) if logits.shape[1] == 1 else float(logits[0, 1] - logits[0, 0])


def _tokenizer(files: CrossEncoderFiles) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(files.tokenizer))
    except Exception as error:  # tokenizers raises bare Exception, whatever is wrong
        raise ModelError(f"{files.tokenizer} is not a tokenizer that can be read.") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(files.max_length)
    tokenizer.add_special_tokens(list(files.marks))
    if len(set(tokenizer.encode("a", "b").type_ids)) != 2:
        raise ModelError(
            f"{files.tokenizer} does not join two texts as BERT does: it belongs to another kind of model."
        )
    return tokenizer


@contextmanager
def stopping(until: float) -> Iterator[ort.RunOptions]:
    """Give what a run is started with so that it ends at `until`, wherever it is by then (between two operators)."""
    options = ort.RunOptions()
    options.log_severity_level = 4

    def stop() -> None:
        options.terminate = True

    timer = threading.Timer(max(0.0, until - perf_counter()), stop)
    timer.daemon = True
    timer.start()
    try:
        yield options
    finally:
        timer.cancel()
