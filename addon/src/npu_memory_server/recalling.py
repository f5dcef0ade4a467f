"""One recall: the embedding and both searches in one go on the model's thread, and what to do when that is late."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
import logging
from time import perf_counter

from .embedding.base import Embedder, EmbeddingTimings
from .errors import ModelError
from .indexes import Indexes, Words
from .inference import InferenceThread, Priority
from .lookup import Answer
from .retrieval.retriever import Question, QuestionVectors
from .wire import Strategy

LOGGER = logging.getLogger(__name__)

WORDS = frozenset({Strategy.HYBRID, Strategy.LEXICAL})
MEANING = frozenset({Strategy.HYBRID, Strategy.VECTOR})
TOO_LATE = "The embedding came later than the budget allows."
FAILED = "The question could not be embedded."


@dataclass(frozen=True, slots=True)
class Recalled:
    """What a question has found; `began` is when the work did (`perf_counter`), `embedding` the ms of its stages.

    `degraded` says why the embedding did not count, or is empty.
    """

    answer: Answer
    began: float
    words_ms: float = 0.0
    embedding: EmbeddingTimings | None = None
    degraded: str = ""


class Recaller:
    """Finds what answers a question: one hop to the model's thread, and one back, as long as the memory is small."""

    def __init__(
        self, indexes: Indexes, embedder: Embedder, inference: InferenceThread, searching: ThreadPoolExecutor
    ) -> None:
        """Use the threads and indexes of a memory."""
        self._indexes = indexes
        self._embedder = embedder
        self._inference = inference
        self._searching = searching

    async def recall(self, question: Question, deadline: float) -> Recalled:
        """Return what answers the question by `deadline` (`perf_counter`); without its meaning if that comes later.

        Raises `StorageError`.
        """
        if question.strategy not in MEANING:
            return await self._without_meaning(question, "")
        work = self._inference.submit(Priority.QUESTION, partial(self._with_meaning, question))
        try:
            async with asyncio.timeout(deadline - perf_counter()):
                return await asyncio.wrap_future(work)
        except TimeoutError:
            degraded = TOO_LATE
        except ModelError as error:
            LOGGER.warning("A question could not be embedded: %s", type(error.__cause__ or error).__name__)
            degraded = FAILED
        if question.strategy is Strategy.HYBRID:
            return await self._without_meaning(question, degraded)
        return Recalled(Answer(), perf_counter(), degraded=degraded)

    async def _without_meaning(self, question: Question, degraded: str) -> Recalled:
        def work() -> Recalled:
            began = perf_counter()
            words = self._indexes.search_words(question.text, question.language) if question.strategy in WORDS else None
            answer = self._indexes.answer(question, words)
            return Recalled(answer, began, words.ms if words else 0.0, degraded=degraded)

        return await asyncio.wrap_future(self._searching.submit(work))

    def _with_meaning(self, question: Question) -> Recalled:
        """Runs on the model's thread. Raises `ModelError` and `StorageError`."""
        began = perf_counter()
        searching: Future[Words] | None = None
        if question.strategy is Strategy.HYBRID and self._indexes.is_large:
            searching = self._searching.submit(self._indexes.search_words, question.text, question.language)
        try:
            embedding = self._embedder.embed(question.text)
        except Exception as error:  # a driver's errors have no common base
            raise ModelError("The question could not be embedded.") from error
        words = None
        if searching is not None:
            words = searching.result()
        elif question.strategy is Strategy.HYBRID:
            words = self._indexes.search_words(question.text, question.language)
        vectors = QuestionVectors(
            vector=embedding.vector, token_starts=embedding.token_starts, tokens=embedding.token_vectors
        )
        answer = self._indexes.answer(replace(question, vectors=vectors), words)
        return Recalled(answer, began, words.ms if words else 0.0, embedding.timings)
