"""A question to the indexes, and what they have found for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ..wire import MAX_CONTEXT_TOKENS, Reranker, Strategy, Why
from .fusion import Scores
from .hits import Hits
from .rereading import QuestionVectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question to the indexes.

    `asked_at` is aware: the days that the question speaks of are those of its time zone. `max_tokens` and
    `allow_secrets` are for the context that is made of what is found, unless it is to be without. With `explain` it
    says why.
    """

    text: str
    language: str | None
    strategy: Strategy
    reranker: Reranker
    scopes: tuple[str, ...]
    now_ms: int
    asked_at: datetime
    top_k: int
    min_relevance: float
    max_tokens: int = MAX_CONTEXT_TOKENS
    allow_secrets: bool = False
    explain: bool = False
    diversity: float = 0.0
    without_session: str | None = None
    with_context: bool = True


@dataclass(frozen=True, slots=True)
class Legs:
    """What a question is found by: what its words have found, and its vectors; None for a leg that is not asked."""

    lexical: Scores | Hits | None = None
    vectors: QuestionVectors | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The slots that answer a question, best first, with their relevance from 0 to 1; and the ms of each stage.

    `whys` has one for each slot if the question wants to know.
    """

    slots: tuple[int, ...]
    scores: tuple[float, ...]
    vector_ms: float
    fusion_ms: float
    rerank_ms: float
    whys: tuple[Why, ...] = ()
