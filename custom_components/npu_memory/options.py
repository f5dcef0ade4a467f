"""The options of an assistant and of a server, as Home Assistant holds them and as the code uses them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from .const import (
    CONF_AGENT,
    CONF_ALLOW_SECRETS,
    CONF_BUDGET_MS,
    CONF_CAPTURE,
    CONF_DEVICE,
    CONF_DISTILLED,
    CONF_DISTILLER,
    CONF_FALLBACK,
    CONF_INJECTION,
    CONF_MAX_TOKENS,
    CONF_MIN_RELEVANCE,
    CONF_PERSON,
    CONF_PIPELINES,
    CONF_PRIVATE,
    CONF_RERANKER,
    CONF_SENTENCES,
    CONF_SPEAKERS,
    CONF_STRATEGY,
    CONF_TOP_K,
    CONF_WHOSE,
    DEFAULT_BUDGET_MS,
    DEFAULT_MAX_TOKENS,
    DEFAULT_TOP_K,
    SERVER_DECIDES,
    Capture,
    Distilled,
    Fallback,
    Injection,
    Whose,
)
from .wire import Reranker, Strategy

MIN_RELEVANCE = 0.02
"""Less is not put before a model, with the hybrid strategy; the other strategies have scales of their own. In three
households it leaves 1 to 3 in 100 questions that have an answer without any memory (docs/decisions/0004)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssistantOptions:
    """How an assistant remembers; `budget_ms` bounds what memory may cost a voice turn, in ms.

    `max_tokens` bounds the quotations that a model gets. Without a `reranker` the server's own is used. Captured turns
    are their speaker's alone if `private`, else the household's.
    """

    agent: str | None = None
    strategy: Strategy = Strategy.HYBRID
    top_k: int = DEFAULT_TOP_K
    reranker: Reranker | None = None
    least_relevance: float | None = None
    budget_ms: int = DEFAULT_BUDGET_MS
    injection: Injection = Injection.SYSTEM_PROMPT
    max_tokens: int = DEFAULT_MAX_TOKENS
    fallback: Fallback = Fallback.NO_CONTEXT
    capture: Capture = Capture.BOTH
    whose: Whose = Whose.PLACE
    private: bool = False
    allow_secrets: bool = False

    @property
    def min_relevance(self) -> float:
        """Return what a memory must have to be used, from 0 to 1."""
        if self.least_relevance is not None:
            return self.least_relevance
        return MIN_RELEVANCE if self.strategy is Strategy.HYBRID else 0.0

    @classmethod
    def from_subentry(cls, data: Mapping[str, Any]) -> Self:
        """Read the data of a subentry."""
        reranker = data.get(CONF_RERANKER, SERVER_DECIDES)
        return cls(
            agent=data.get(CONF_AGENT),
            strategy=Strategy(data.get(CONF_STRATEGY, Strategy.HYBRID)),
            top_k=data.get(CONF_TOP_K, DEFAULT_TOP_K),
            reranker=None if reranker == SERVER_DECIDES else Reranker(reranker),
            least_relevance=data.get(CONF_MIN_RELEVANCE),
            budget_ms=data.get(CONF_BUDGET_MS, DEFAULT_BUDGET_MS),
            injection=Injection(data.get(CONF_INJECTION, Injection.SYSTEM_PROMPT)),
            max_tokens=data.get(CONF_MAX_TOKENS, DEFAULT_MAX_TOKENS),
            fallback=Fallback(data.get(CONF_FALLBACK, Fallback.NO_CONTEXT)),
            capture=Capture(data.get(CONF_CAPTURE, Capture.BOTH)),
            whose=Whose(data.get(CONF_WHOSE, Whose.PLACE)),
            private=data.get(CONF_PRIVATE, False),
            allow_secrets=data.get(CONF_ALLOW_SECRETS, False),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """What holds for all assistants of a server.

    `speakers` has, by the id of a device, the person entity of whoever speaks there, or None where anybody may. Turns
    in one of the `pipelines` that no assistant with memory handles are captured too; `private` as for an assistant.
    """

    speakers: Mapping[str, str | None] = field(default_factory=dict)
    pipelines: frozenset[str] = frozenset()
    capture: Capture = Capture.USER
    private: bool = False
    sentences: bool = False
    """Whether memory's sentences are understood in every voice assistant."""
    distiller: str | None = None
    """The AI Task entity that makes facts of conversations, if one does."""
    distilled: Distilled = Distilled.PROPOSED

    @classmethod
    def from_entry(cls, options: Mapping[str, Any]) -> Self:
        """Read the options of an entry."""
        return cls(
            speakers={row[CONF_DEVICE]: row.get(CONF_PERSON) for row in options.get(CONF_SPEAKERS, ())},
            pipelines=frozenset(options.get(CONF_PIPELINES, ())),
            capture=Capture(options.get(CONF_CAPTURE, Capture.USER)),
            private=options.get(CONF_PRIVATE, False),
            sentences=options.get(CONF_SENTENCES, False),
            distiller=options.get(CONF_DISTILLER),
            distilled=Distilled(options.get(CONF_DISTILLED, Distilled.PROPOSED)),
        )
