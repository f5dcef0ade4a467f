"""Names and defaults of the NPU Memory integration."""

from enum import StrEnum
from typing import Final

DOMAIN: Final = "npu_memory"
NAME: Final = "NPU Memory"

SUBENTRY_CONVERSATION: Final = "conversation"
DEFAULT_ASSISTANT_NAME: Final = "Assistant with memory"

CONF_AGENT: Final = "agent"
CONF_ALLOW_SECRETS: Final = "allow_secrets"
CONF_BUDGET_MS: Final = "budget_ms"
CONF_CAPTURE: Final = "capture"
CONF_DEVICE: Final = "device"
CONF_DISTILLED: Final = "distilled"
CONF_DISTILLER: Final = "distiller"
CONF_FALLBACK: Final = "fallback"
CONF_INJECTION: Final = "injection"
CONF_MAX_TOKENS: Final = "max_tokens"
CONF_MIN_RELEVANCE: Final = "min_relevance"
CONF_PERSON: Final = "person"
CONF_PIPELINES: Final = "pipelines"
CONF_PRIVATE: Final = "private"
CONF_RERANKER: Final = "reranker"
CONF_SENTENCES: Final = "sentences"
CONF_SPEAKERS: Final = "speakers"
CONF_STRATEGY: Final = "strategy"
CONF_TOP_K: Final = "top_k"
CONF_WHOSE: Final = "whose"

SECTION_DISTILLING: Final = "distilling"
SECTION_OVERHEARD: Final = "overheard"
SECTION_RECALL: Final = "recall"
SECTION_PROMPT: Final = "prompt"
SECTION_PRIVACY: Final = "privacy"

DEFAULT_BUDGET_MS: Final = 200
DEFAULT_MAX_TOKENS: Final = 500
DEFAULT_TOP_K: Final = 5
MIN_BUDGET_MS: Final = 20
MAX_BUDGET_MS: Final = 2000

SERVER_DECIDES: Final = "server"
"""The reranker that the server was started with."""


class Distilled(StrEnum):
    """What becomes of facts that a language model makes of a conversation."""

    PROPOSED = "proposed"
    """Somebody is asked."""
    STORED = "stored"


class Fallback(StrEnum):
    """What the model is told when memory could not be asked."""

    NO_CONTEXT = "no_context"
    SAY_SO = "say_so"


class Capture(StrEnum):
    """What of a conversation is remembered."""

    NOTHING = "nothing"
    EXPLICIT = "explicit"
    """What somebody asks to be remembered, and no turn by itself."""
    USER = "user"
    BOTH = "both"


class Injection(StrEnum):
    """Where the model finds the memories."""

    SYSTEM_PROMPT = "system_prompt"
    """In a system prompt that is new in every turn."""
    USER_MESSAGE = "user_message"
    """Behind the user's message, so that what stands before it stays as it was and need not be read again."""


class Whose(StrEnum):
    """Whose memories are looked through."""

    HOUSEHOLD = "household"
    PERSON = "person"
    """The speaker's own, and the household's."""
    PLACE = "place"
    """This room's and this device's too."""
