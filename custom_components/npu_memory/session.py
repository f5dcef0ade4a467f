"""What has to be known about a conversation from one turn to the next; it goes when the conversation ends."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial

from homeassistant.components import conversation
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import chat_session
from homeassistant.util.hass_dict import HassKey
from homeassistant.util.ulid import ulid_now, ulid_to_bytes

from .const import DOMAIN
from .speaking import narrowest
from .wire import HOUSEHOLD, MAX_NAME_CHARACTERS, MemoryItem

TOLD_TURNS = 4
"""So many turns later an agent may have left out of its model's history what it was told."""


@dataclass(slots=True)
class Session:
    """A conversation as far as memory takes part in it.

    `callers_prompt` is what whoever started it wants the model to be told; it comes with the first turn only.
    `narrowest_scope` is that of the most private memory that an answer may repeat.
    """

    name: str
    """What its turns are kept under: the conversation's id, made unique where somebody has chosen one to use again."""
    callers_prompt: str | None
    narrowest_scope: str = HOUSEHOLD
    turns: int = 0
    prompted: bool = False
    """Something stands in the agent's system prompt that stays there until something else takes its place."""
    continues: bool = False
    """Something was said before the turn that is under way."""
    _told: dict[tuple[str, str], int] = field(default_factory=dict)

    def recently_told(self, memory: MemoryItem) -> bool:
        """Say whether the model finds a memory in the last messages of this conversation."""
        told = self._told.get((memory.id, memory.text))
        return told is not None and self.turns - told < TOLD_TURNS

    def tell(self, memories: Iterable[MemoryItem], *, stays: bool) -> None:
        """Note what the model is told now, and whether it `stays` in the history."""
        for memory in memories:
            self.narrowest_scope = narrowest(self.narrowest_scope, memory.scope)
            if stays:
                self._told[memory.id, memory.text] = self.turns


SESSIONS: HassKey[dict[str, Session]] = HassKey(f"{DOMAIN}_sessions")
"""By conversation."""


@callback
def async_get_session(
    hass: HomeAssistant, user_input: conversation.ConversationInput, chat_log: conversation.ChatLog
) -> Session:
    """Return what is known of a conversation at the beginning of a turn."""
    sessions = hass.data.setdefault(SESSIONS, {})
    conversation_id = chat_log.conversation_id
    if conversation_id not in sessions:
        sessions[conversation_id] = Session(_name(conversation_id), chat_log.extra_system_prompt)
        if (current := chat_session.current_session.get()) is not None:
            current.async_on_cleanup(partial(_end, sessions, conversation_id))
    session = sessions[conversation_id]
    session.turns += 1
    session.continues = len(chat_log.content) > 2  # more than a system prompt and what was said now
    if user_input.extra_system_prompt:
        session.callers_prompt = user_input.extra_system_prompt
    return session


@callback
def _end(sessions: dict[str, Session], conversation_id: str) -> None:
    sessions.pop(conversation_id, None)


def _name(conversation_id: str) -> str:
    try:
        ulid_to_bytes(conversation_id)
    except ValueError:
        return f"{conversation_id[: MAX_NAME_CHARACTERS - 32]} {ulid_now()}"
    return conversation_id
