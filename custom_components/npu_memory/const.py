"""Names and defaults of the NPU Memory integration."""

from enum import StrEnum
from typing import Final

DOMAIN: Final = "npu_memory"
NAME: Final = "NPU Memory"

SUBENTRY_CONVERSATION: Final = "conversation"
DEFAULT_ASSISTANT_NAME: Final = "Assistant with memory"

CONF_AGENT: Final = "agent"
CONF_BUDGET_MS: Final = "budget_ms"
CONF_CAPTURE: Final = "capture"
CONF_FALLBACK: Final = "fallback"
CONF_STRATEGY: Final = "strategy"
CONF_TOP_K: Final = "top_k"

DEFAULT_BUDGET_MS: Final = 200
DEFAULT_TOP_K: Final = 5
MIN_BUDGET_MS: Final = 20
MAX_BUDGET_MS: Final = 2000


class Fallback(StrEnum):
    """What the model is told when memory could not be asked."""

    NO_CONTEXT = "no_context"
    SAY_SO = "say_so"


class Capture(StrEnum):
    """Which sides of a conversation are remembered."""

    NOTHING = "nothing"
    USER = "user"
    BOTH = "both"
