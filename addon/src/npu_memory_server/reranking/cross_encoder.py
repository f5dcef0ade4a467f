"""A cross-encoder in onnxruntime: reads a question and a memory together, one pair after the other, never padded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
import threading
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
import onnxruntime as ort
from tokenizers import Tokenizer

from ..errors import ModelError
from .files import CrossEncoderFiles
from .pace import Pace

REQUIRED, OPTIONAL = "input_ids", {"attention_mask", "token_type_ids"}
WARM_UP_TOKENS = (64, 16, 64, 32, 48, 64, 24)
"""Run when the model is loaded and, but for the first, measured, so that the first question has something to go by."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What a cross-encoder says of each text: how likely it answers, from 0 to 1; None if it was not read in time."""

    scores: tuple[float | None, ...]

    @property
    def reached(self) -> int:
        """How many were read."""
        return sum(score is not None for score in self.scores)


class CrossEncoder:
    """A BERT with one logit (or two: no and yes) for a pair of texts. Blocks; one caller at a time."""

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
        self._pace = Pace(files.hidden)
        for number, tokens in enumerate(WARM_UP_TOKENS):
            ids = np.full(min(tokens, files.max_length), self._tokenizer.token_to_id("[UNK]") or 0, np.int64)
            self._measured(ids, np.zeros_like(ids), ort.RunOptions())
            if number == 0:
                self._pace = Pace(files.hidden)

    def judge(self, question: str, texts: Sequence[str], until: float) -> Judged:
        """Read texts in their order, each with the question, until `until` (`perf_counter`).

        One that would take too long is passed over, in favor of shorter ones behind it. Raises `ModelError`.
        """
        scores: list[float | None] = [None] * len(texts)
        with _stopping(until) as options:
            for place, text in enumerate(texts):
                if perf_counter() >= until:
                    break
                ids, types = self._pair(question, text)
                if perf_counter() + self._pace.predict(len(ids)) > until:
                    continue
                scores[place] = self._measured(ids, types, options)
                if scores[place] is None:
                    break
        if texts and not any(score is not None for score in scores):
            self._pace.idle()
        return Judged(tuple(scores))

    def _pair(self, question: str, text: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the token ids of a pair and their types, each int64 [n], special tokens included, cut to the model."""
        encoding = self._tokenizer.encode(question, text)
        return np.array(encoding.ids, np.int64), np.array(encoding.type_ids, np.int64)

    def _measured(self, ids: NDArray[np.int64], types: NDArray[np.int64], options: ort.RunOptions) -> float | None:
        """Return how likely a pair belongs together, from 0 to 1, or None if `options` stopped it before its end."""
        given = {REQUIRED: ids, "attention_mask": np.ones_like(ids), "token_type_ids": types}
        began = perf_counter()
        try:
            outputs = self._session.run(
                [self._output], {name: given[name][np.newaxis] for name in self._inputs}, options
            )
        except Exception as error:  # the exceptions of onnxruntime share no public base
            if options.terminate:
                self._pace.stopped(len(ids), perf_counter() - began)
                return None
            raise ModelError(f"{self._name} failed on {len(ids)} tokens.") from error
        self._pace.measured(len(ids), perf_counter() - began)
        return _probability(np.asarray(outputs[0]), self._name)


def _probability(logits: NDArray[np.float32], name: str) -> float:
    if logits.shape not in {(1, 1), (1, 2)} or not np.isfinite(logits).all():
        raise ModelError(
            f"{name} is no cross-encoder: it answers {list(logits.shape)} numbers, or none that are finite."
        )
    logit = float(logits[0, 0]) if logits.shape[1] == 1 else float(logits[0, 1] - logits[0, 0])
    return float(1 / (1 + np.exp(-np.clip(logit, -50, 50))))


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
def _stopping(until: float) -> Iterator[ort.RunOptions]:
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
