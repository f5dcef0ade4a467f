"""A conversation agent to measure against, as punctual as a clock: what differs between two turns is not the model's.

It reads its prompt as agents with a language model do, waits, streams an answer in pieces, and says how many memories
were in its prompt.
"""

import asyncio
from collections.abc import AsyncIterator
import re
from typing import Literal

from homeassistant.components import conversation
from homeassistant.components.conversation.const import DATA_COMPONENT
from homeassistant.const import MATCH_ALL
from homeassistant.core import HomeAssistant
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.typing import ConfigType

DOMAIN = "stand_in_agent"
CONFIG_SCHEMA = cv.empty_config_schema(DOMAIN)

PROMPT = "You are the voice of a house. Answer in one sentence."
FIRST_SECONDS = 0.05
NEXT_SECONDS = 0.01
QUOTATION = re.compile(r"^- \d{4}-\d\d-\d\d ", re.MULTILINE)


async def async_setup(hass: HomeAssistant, config: ConfigType) -> bool:
    """Add the agent."""
    await hass.data[DATA_COMPONENT].async_add_entities([StandInAgent()])
    return True


class StandInAgent(conversation.ConversationEntity):
    """An agent whose model needs the same time for every answer."""

    _attr_name = "Stand-in agent"
    _attr_supports_streaming = True
    _attr_unique_id = DOMAIN

    @property
    def supported_languages(self) -> list[str] | Literal["*"]:
        """Return that it understands everything."""
        return MATCH_ALL

    async def _async_handle_message(
        self, user_input: conversation.ConversationInput, chat_log: conversation.ChatLog
    ) -> conversation.ConversationResult:
        await chat_log.async_provide_llm_data(
            user_input.as_llm_context(DOMAIN), None, PROMPT, user_input.extra_system_prompt
        )
        prompt = "\n".join(
            str(getattr(content, "content", "")) for content in (chat_log.content[0], chat_log.content[-1])
        )
        answer = _deltas(len(QUOTATION.findall(prompt)))
        async for _ in chat_log.async_add_delta_content_stream(self.entity_id, answer):
            pass
        return conversation.async_get_result_from_chat_log(user_input, chat_log)


async def _deltas(memories: int) -> AsyncIterator[conversation.AssistantContentDeltaDict]:
    yield {"role": "assistant"}
    await asyncio.sleep(FIRST_SECONDS)
    for piece in ("I was given ", str(memories), " memories", "."):
        yield {"content": piece}
        await asyncio.sleep(NEXT_SECONDS)
