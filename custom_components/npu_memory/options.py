"""The options of an assistant, as its subentry holds them and as the code uses them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from .const import (
    CONF_AGENT,
    CONF_BUDGET_MS,
    CONF_CAPTURE,
    CONF_FALLBACK,
    CONF_STRATEGY,
    CONF_TOP_K,
    DEFAULT_BUDGET_MS,
    DEFAULT_TOP_K,
    Capture,
    Fallback,
)
from .wire import Strategy


@dataclass(frozen=True, slots=True, kw_only=True)
class AssistantOptions:
    """How an assistant remembers; `budget_ms` bounds what memory may cost a voice turn, in ms."""

    agent: str | None = None
    strategy: Strategy = Strategy.HYBRID
    top_k: int = DEFAULT_TOP_K
    budget_ms: int = DEFAULT_BUDGET_MS
    fallback: Fallback = Fallback.NO_CONTEXT
    capture: Capture = Capture.BOTH

    @classmethod
    def from_subentry(cls, data: Mapping[str, Any]) -> Self:
        """Read the data of a subentry."""
        return cls(
            agent=data.get(CONF_AGENT),
            strategy=Strategy(data.get(CONF_STRATEGY, Strategy.HYBRID)),
            top_k=data.get(CONF_TOP_K, DEFAULT_TOP_K),
            budget_ms=data.get(CONF_BUDGET_MS, DEFAULT_BUDGET_MS),
            fallback=Fallback(data.get(CONF_FALLBACK, Fallback.NO_CONTEXT)),
            capture=Capture(data.get(CONF_CAPTURE, Capture.BOTH)),
        )
