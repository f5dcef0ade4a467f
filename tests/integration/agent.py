"""An agent to stand in front of: it writes down what reached its model, and streams an answer."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Literal

from homeassistant.components import conversation
from homeassistant.const import MATCH_ALL
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import llm
from homeassistant.helpers.entity_component import DATA_INSTANCES

AGENT = "conversation.model"
ASSISTANT = "conversation.memory"


@dataclass
class Prompted:
    """One turn as the model saw it."""

    system: str
    messages: list[tuple[str, str | None]] = field(default_factory=list)


class RecordingAgent(conversation.ConversationEntity):
    """A language model integration without the language model."""

    _attr_supports_streaming = True
    _attr_supported_features = conversation.ConversationEntityFeature.CONTROL
    _attr_unique_id = "model"
    entity_id = AGENT

    def __init__(self, answer: tuple[str, ...] = ("Of ", "course.")) -> None:
        self.answer = answer
        self.turns: list[Prompted] = []
        self.inputs: list[conversation.ConversationInput] = []
        self.prepared: list[str | None] = []
        self.failure: Exception | None = None
        self.tool_result: str | None = None
        """The name of a tool that the model has used before it answers."""
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    @property
    def supported_languages(self) -> list[str] | Literal["*"]:
        return MATCH_ALL

    async def async_prepare(self, language: str | None = None) -> None:
        self.prepared.append(language)

    async def _async_handle_message(
        self, user_input: conversation.ConversationInput, chat_log: conversation.ChatLog
    ) -> conversation.ConversationResult:
        self.inputs.append(user_input)
        await chat_log.async_provide_llm_data(
            user_input.as_llm_context("test"), None, "You are a house.", user_input.extra_system_prompt
        )
        system, *said = chat_log.content
        assert isinstance(system, conversation.SystemContent)
        self.turns.append(Prompted(system.content, [(c.role, getattr(c, "content", None)) for c in said]))
        await self.may_answer.wait()
        if self.failure:
            raise self.failure
        if self.tool_result:
            chat_log.async_add_assistant_content_without_tools(
                conversation.ToolResultContent(
                    agent_id=self.entity_id,
                    tool_call_id="1",
                    tool_name=self.tool_result,
                    result=llm.ToolResult(data={}),
                )
            )
        async for _ in chat_log.async_add_delta_content_stream(self.entity_id, self._deltas()):
            pass
        return conversation.async_get_result_from_chat_log(user_input, chat_log)

    async def _deltas(self) -> AsyncIterator[conversation.AssistantContentDeltaDict]:
        yield {"role": "assistant"}
        for part in self.answer:
            yield {"content": part}


async def add_agent(hass: HomeAssistant, agent: RecordingAgent) -> RecordingAgent:
    """Add the agent to the conversation entities, as a platform would."""
    await hass.data[DATA_INSTANCES][conversation.DOMAIN].async_add_entities([agent])
    return agent


class OutOfOrderError(HomeAssistantError):
    """What a model's integration raises."""
