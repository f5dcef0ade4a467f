"""One recall: the embedding and both searches in one go on the model's thread, and what to do when that is late."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
import logging
from time import perf_counter
from typing import TypeVar

from .embedding.base import Embedder, EmbeddingTimings
from .errors import ModelError
from .indexes import Indexes, Words
from .inference import InferenceThread, Priority
from .lookup import Answer
from .npu.faults import NpuRequiredError
from .reranking.base import Judged, Reader
from .reranking.pace import Expectation
from .reranking.registry import is_cross_encoder
from .reranking.shelf import Shelf
from .retrieval.question import Found, Legs, Question
from .retrieval.rereading import QuestionVectors
from .wire import Reranked, Reranker, Strategy

LOGGER = logging.getLogger(__name__)
Result = TypeVar("Result")

WORDS = frozenset({Strategy.HYBRID, Strategy.RRF, Strategy.LEXICAL})
MEANING = frozenset({Strategy.HYBRID, Strategy.RRF, Strategy.VECTOR})
TOO_LATE = "The embedding came later than the budget allows."
FAILED = "The question could not be embedded."
INSTEAD = "MaxSim decided instead."
NOT_REACHED = f"There was no time left for the reranker. {INSTEAD}"
RERANKER_FAILED = f"The reranker failed. {INSTEAD}"

CROSS_ENCODED = 20
"""Memories that a cross-encoder may read: those behind them hardly ever have the answer, and each takes its time."""
ANSWERING_SECONDS = 0.003
"""What is kept of the budget for the answer itself, once its order is known, until that was measured."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """What a question has found; `began` is when the work did (`perf_counter`), `embedding` the ms of its stages.

    `degraded` says why less was done than was asked for, or is empty.
    """

    answer: Answer
    began: float
    words_ms: float = 0.0
    embedding: EmbeddingTimings | None = None
    degraded: str = ""
    reranked: Reranked | None = None


@dataclass(frozen=True, slots=True)
class _Understood:
    """What a question is found by, and what it took to make that."""

    legs: Legs
    words_ms: float
    began: float
    embedding: EmbeddingTimings


@dataclass(frozen=True, slots=True)
class _Candidates:
    """What a cross-encoder is to read."""

    understood: _Understood
    found: Found
    texts: list[str]


class Recaller:
    """Finds what answers a question: one hop to the model's thread, and one back, as long as the memory is small."""

    def __init__(
        self,
        indexes: Indexes,
        embedder: Embedder,
        inference: InferenceThread,
        searching: ThreadPoolExecutor,
        shelf: Shelf | None,
    ) -> None:
        """Use the threads and indexes of a memory, and its cross-encoders if it has any."""
        self._indexes = indexes
        self._embedder = embedder
        self._inference = inference
        self._searching = searching
        self._shelf = shelf
        self._answering = Expectation(ANSWERING_SECONDS)

    async def recall(self, question: Question, deadline: float) -> Recalled:
        """Return what answers the question by `deadline` (`perf_counter`); without its meaning if that comes later.

        Raises `StorageError`, and `NpuRequiredError` if only the NPU may embed or rerank and cannot.
        """
        if question.strategy not in MEANING:
            return await self._without_meaning(question, "")
        cross_encoder, hindered = self._cross_encoder(question)
        try:
            if cross_encoder is None:
                recalled = await self._in_time(partial(self._with_meaning, question), deadline)
                return replace(recalled, degraded=hindered) if hindered else recalled
            candidates = await self._in_time(partial(self._candidates, question), deadline)
        except TimeoutError:
            degraded = TOO_LATE
        except NpuRequiredError:
            raise
        except ModelError as error:
            LOGGER.warning("A question could not be embedded: %s", type(error.__cause__ or error).__name__)
            degraded = FAILED
        else:
            return await self._reranked(question, cross_encoder, candidates, deadline)
        if question.strategy in WORDS:
            return await self._without_meaning(question, degraded)
        return Recalled(Answer(), perf_counter(), degraded=degraded)

    def recall_here(self, question: Question, deadline: float) -> Recalled | None:
        """Return what answers the question, for a thread that waits for it; None if it is to be left to `recall`.

        The thread does the work itself if the model is free, and otherwise waits until `deadline` for the one that has
        it. It is to be left if the model does not answer, or is not all that it takes. Raises as `recall`.
        """
        if question.strategy not in MEANING:
            return None
        cross_encoder, hindered = self._cross_encoder(question)
        if cross_encoder is not None:
            return None
        work = partial(self._with_meaning, question)
        try:
            recalled = self._inference.run_here(work) or self._in_its_turn(work, deadline)
        except NpuRequiredError:
            raise
        except (ModelError, TimeoutError):
            return None
        return replace(recalled, degraded=hindered) if hindered else recalled

    def _in_its_turn(self, work: Callable[[], Result], deadline: float) -> Result:
        """Return what the model's thread makes of it by `deadline`, for a thread that waits. Raises TimeoutError."""
        future = self._inference.submit(Priority.QUESTION, work)
        try:
            return future.result(deadline - perf_counter())
        finally:
            future.cancel()

    async def _in_time(self, work: Callable[[], Result], deadline: float) -> Result:
        """Return what the model's thread makes of it by `deadline`. Raises TimeoutError."""
        future = self._inference.submit(Priority.QUESTION, work)
        async with asyncio.timeout(deadline - perf_counter()):
            return await asyncio.wrap_future(future)

    def _cross_encoder(self, question: Question) -> tuple[Reader | None, str]:
        """Return the cross-encoder that a question asks for, or why it cannot be had."""
        if question.strategy is not Strategy.HYBRID or not is_cross_encoder(question.reranker):
            return None, ""
        try:
            if self._shelf is None:
                raise ModelError("There are no rerankers here.")
            return self._shelf.get(question.reranker), ""
        except NpuRequiredError:
            raise
        except ModelError as error:
            return None, f"{error} {INSTEAD}"

    async def _reranked(
        self, question: Question, cross_encoder: Reader, candidates: _Candidates, deadline: float
    ) -> Recalled:
        """Let a cross-encoder read the best until shortly before `deadline`, and return what answers the question."""
        began = perf_counter()
        understood, found, texts = candidates.understood, candidates.found, candidates.texts[:CROSS_ENCODED]
        judged, degraded = Judged((None,) * len(texts)), ""
        if texts and self._shelf is not None:
            judging = self._shelf.judge(cross_encoder, question.text, texts, deadline - self._answering.most)
            try:
                async with asyncio.timeout(deadline - perf_counter()):
                    judged = await asyncio.wrap_future(judging)
            except TimeoutError:
                LOGGER.debug("The reranker was still busy with another question, or could not be stopped")
            except NpuRequiredError:
                raise
            except ModelError as error:
                LOGGER.warning("The reranker failed: %s", error)
                degraded = RERANKER_FAILED
            if not judged.reached:
                degraded = degraded or NOT_REACHED
        judged_at = perf_counter()
        rerank_ms = (judged_at - began) * 1000
        found = replace(reordered(found, judged.scores), rerank_ms=found.rerank_ms + rerank_ms)
        answer = await asyncio.wrap_future(self._searching.submit(self._indexes.answer_with, question, found))
        self._answering.measured(perf_counter() - judged_at)
        return Recalled(
            answer,
            understood.began,
            understood.words_ms,
            understood.embedding,
            degraded,
            Reranked(reranker=question.reranker, reached=judged.reached, candidates=len(texts), on_npu=judged.on_npu),
        )

    async def _without_meaning(self, question: Question, degraded: str) -> Recalled:
        def work() -> Recalled:
            began = perf_counter()
            words = self._indexes.search_words(question.text, question.language) if question.strategy in WORDS else None
            answer = self._indexes.answer(question, Legs(words.scores if words else None))
            return Recalled(answer, began, words.ms if words else 0.0, degraded=degraded)

        return await asyncio.wrap_future(self._searching.submit(work))

    def _with_meaning(self, question: Question) -> Recalled:
        """Runs on the model's thread. Raises `ModelError` and `StorageError`."""
        understood = self._understood(question)
        answer = self._indexes.answer(question, understood.legs)
        return Recalled(answer, understood.began, understood.words_ms, understood.embedding)

    def _candidates(self, question: Question) -> _Candidates:
        """Runs on the model's thread. Raises `ModelError` and `StorageError`."""
        understood = self._understood(question)
        widened = replace(question, top_k=max(question.top_k, CROSS_ENCODED))
        return _Candidates(understood, *self._indexes.candidates(widened, understood.legs))

    def _understood(self, question: Question) -> _Understood:
        began = perf_counter()
        searching: Future[Words] | None = None
        if question.strategy in WORDS and self._indexes.is_large:
            searching = self._searching.submit(self._indexes.search_words, question.text, question.language)
        try:
            # Only MaxSim looks at the tokens, for the hybrid strategy; a cross-encoder that is late leaves it to it.
            with_tokens = question.strategy is Strategy.HYBRID and question.reranker is not Reranker.NONE
            embedding = self._embedder.embed(question.text, tokens=with_tokens)
        except NpuRequiredError:
            raise
        except Exception as error:  # a driver's errors have no common base
            raise ModelError("The question could not be embedded.") from error
        words = None
        if searching is not None:
            words = searching.result()
        elif question.strategy in WORDS:
            words = self._indexes.search_words(question.text, question.language)
        vectors = QuestionVectors(
            vector=embedding.vector, token_starts=embedding.token_starts, tokens=embedding.token_vectors
        )
        legs = Legs(words.scores if words else None, vectors)
        return _Understood(legs, words.ms if words else 0.0, began, embedding.timings)


def reordered(found: Found, scores: Sequence[float | None]) -> Found:
    """Return what was found with those that have a score in the order of their scores, in the places that they had.

    What has no score keeps its place. The relevance belongs to the place: a cross-encoder says what is better, and not
    how much of it is enough.
    """
    scored = {place: score for place, score in enumerate(scores) if score is not None}
    best = sorted(scored, key=lambda place: -scored[place])
    order = list(range(len(found.slots)))
    for place, taken in zip(scored, best, strict=True):
        order[place] = taken
    slots = tuple(found.slots[place] for place in order)
    if not found.whys:
        return replace(found, slots=slots)
    whys = tuple(replace(found.whys[place], place=place + 1, rerank=scored.get(place)) for place in order)
    return replace(found, slots=slots, whys=whys)
