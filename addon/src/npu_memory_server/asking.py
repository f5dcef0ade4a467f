"""Between a question as it travels and as the retrieval takes it; and the answer as it travels."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter

from .recalling import Recalled
from .records import milliseconds
from .retrieval.question import Question
from .wire import (
    HOUSEHOLD,
    MAX_NAME_CHARACTERS,
    Context,
    MemoryItem,
    RecallRequest,
    Reranker,
    Strategy,
    Timings,
    context_bytes,
    parse_moment,
)

WAKING_TEXT = "what did we say about that"


@dataclass(frozen=True, slots=True)
class RecallDefaults:
    """What holds for a recall that does not say otherwise."""

    top_k: int = 5
    strategy: Strategy = Strategy.HYBRID
    reranker: Reranker = Reranker.MAXSIM
    max_tokens: int = 1000
    diversity: float = 0.0


def question_of(request: RecallRequest, defaults: RecallDefaults) -> Question:
    """Return the question that a request asks, now."""
    return Question(
        text=request.text,
        language=request.language,
        strategy=request.strategy or defaults.strategy,
        reranker=request.reranker or defaults.reranker,
        scopes=request.scopes,
        now_ms=milliseconds(datetime.now(UTC)),
        asked_at=parse_moment(request.asked_at, "asked_at") if request.asked_at else datetime.now().astimezone(),
        top_k=request.top_k or defaults.top_k,
        min_relevance=request.min_relevance,
        max_tokens=request.max_tokens or defaults.max_tokens,
        allow_secrets=request.allow_secrets,
        explain=request.explain,
        diversity=defaults.diversity if request.diversity is None else request.diversity,
        without_session=request.without_session,
        with_context=request.with_context,
    )


def waking_question(defaults: RecallDefaults) -> Question:
    """Return a question that nobody asks: it goes where those of a voice go."""
    return Question(
        text=WAKING_TEXT,
        language=None,
        strategy=defaults.strategy,
        reranker=defaults.reranker,
        scopes=(HOUSEHOLD,),
        now_ms=milliseconds(datetime.now(UTC)),
        asked_at=datetime.now().astimezone(),
        top_k=defaults.top_k,
        min_relevance=0.0,
    )


def timings_of(recalled: Recalled, began: float) -> Timings:
    """Return where the time of a recall that `began` (`perf_counter`) and ends now has gone."""
    embedding, answer = recalled.embedding, recalled.answer
    return Timings(
        wait=(recalled.began - began) * 1000,
        tokenize=embedding.tokenize if embedding else 0.0,
        inference=embedding.inference if embedding else 0.0,
        pooling=embedding.pooling if embedding else 0.0,
        lexical=recalled.words_ms,
        vector=answer.vector_ms,
        fusion=answer.fusion_ms,
        rerank=answer.rerank_ms,
        context=answer.context_ms,
        total=(perf_counter() - began) * 1000,
    )


def context_of(request_id: str, recalled: Recalled, timings: Timings, incomplete: str) -> Context:
    """Return what was recalled as it travels; `incomplete` says what the indexes lack, or is empty."""
    memories = tuple(one.item() for one in recalled.answer.memories)
    return _context(request_id, recalled, timings, incomplete, memories)


def frame_of(request_id: str, recalled: Recalled, timings: Timings, incomplete: str) -> bytes:
    """Return the same as a frame, made of memories that were written before anybody asked."""
    context = _context(request_id, recalled, timings, incomplete, ())
    return context_bytes(context, [one.written() for one in recalled.answer.memories])


def _context(
    request_id: str, recalled: Recalled, timings: Timings, incomplete: str, memories: tuple[MemoryItem, ...]
) -> Context:
    embedding, answer = recalled.embedding, recalled.answer
    return Context(
        id=request_id,
        context=answer.context,
        memories=memories,
        timings=timings,
        backend=embedding.backend if embedding else "none",
        degraded=(recalled.degraded or incomplete)[:MAX_NAME_CHARACTERS],
        left_out=answer.left_out,
        reranked=recalled.reranked,
    )
