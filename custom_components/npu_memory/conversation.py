"""An assistant with memory: in front of a conversation agent, or answering from memory itself."""

from collections.abc import Sequence
from functools import partial
import logging
from typing import Literal, override

from homeassistant.components import conversation
from homeassistant.config_entries import ConfigSubentry
from homeassistant.const import ATTR_SUPPORTED_FEATURES, MATCH_ALL
from homeassistant.core import Event, EventStateChangedData, HomeAssistant, State, callback
from homeassistant.helpers import chat_session, entity_registry as er, intent
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.event import async_track_entity_registry_updated_event, async_track_state_change_event
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey

from .client import CannotConnect, MemoryClientError
from .const import CONF_AGENT, DOMAIN, SUBENTRY_CONVERSATION, Capture
from .coordinator import NpuMemoryConfigEntry
from .entity import NpuMemoryAssistantEntity, is_ours
from .options import AssistantOptions
from .prompt import fallback_prompt, memory_prompt, spoken_answer
from .turn import Turn, essence
from .wire import MemoryItem

_LOGGER = logging.getLogger(__name__)

PARALLEL_UPDATES = 0

AGENT_MISSING_SPOKEN = "The assistant behind my memory is not available. Please check the settings of NPU Memory."
NOT_REACHED_SPOKEN = "I cannot look into my memory right now."

CALLERS_PROMPTS: HassKey[dict[str, str | None]] = HassKey(f"{DOMAIN}_callers_prompts")
"""By conversation: what whoever started it wants the model to be told; it comes with the first turn only."""


async def async_setup_entry(
    hass: HomeAssistant, entry: NpuMemoryConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Set up the assistants."""
    for subentry in entry.subentries.values():
        if subentry.subentry_type == SUBENTRY_CONVERSATION:
            async_add_entities([MemoryConversationEntity(entry, subentry)], config_subentry_id=subentry.subentry_id)


class MemoryConversationEntity(NpuMemoryAssistantEntity, conversation.ConversationEntity):
    """Recalls within a budget, lets the agent behind it answer, and remembers behind the answer's back."""

    _attr_name = None
    _attr_translation_key = "conversation"

    def __init__(self, entry: NpuMemoryConfigEntry, subentry: ConfigSubentry) -> None:
        """Read the options."""
        super().__init__(entry, subentry)
        self.options = AssistantOptions.from_subentry(subentry.data)
        self._recall_fails = False

    @property
    @override
    def supported_languages(self) -> list[str] | Literal["*"]:
        return MATCH_ALL

    @property
    @override
    def supports_streaming(self) -> bool:
        info = self._agent_is_there() and conversation.async_get_agent_info(self.hass, self.options.agent)
        return bool(info and info.supports_streaming)

    @override
    async def async_added_to_hass(self) -> None:
        await super().async_added_to_hass()
        if self.options.agent:
            self._mirror(self.hass.states.get(self.options.agent))
            self.async_on_remove(
                async_track_state_change_event(self.hass, self.options.agent, self._agent_state_changed)
            )
            self.async_on_remove(
                async_track_entity_registry_updated_event(self.hass, self.options.agent, self._agent_registry_changed)
            )

    @callback
    def _agent_state_changed(self, event: Event[EventStateChangedData]) -> None:
        if self._mirror(event.data["new_state"]):
            self.async_write_ha_state()

    @callback
    def _agent_registry_changed(self, event: Event[er.EventEntityRegistryUpdatedData]) -> None:
        """Follow the agent to its new name; the entry loads again with it."""
        if event.data["action"] == "update" and "old_entity_id" in event.data:
            data = {**self.subentry.data, CONF_AGENT: event.data["entity_id"]}
            self.hass.config_entries.async_update_subentry(self.entry, self.subentry, data=data)

    @callback
    def _mirror(self, state: State | None) -> bool:
        """Take over whether the agent controls the home; a pipeline reads it here. Return whether it changed."""
        if state is None:
            return False
        before = self._attr_supported_features
        features = conversation.ConversationEntityFeature(state.attributes.get(ATTR_SUPPORTED_FEATURES, 0))
        self._attr_supported_features = features & conversation.ConversationEntityFeature.CONTROL
        return self._attr_supported_features != before

    @override
    async def async_prepare(self, language: str | None = None) -> None:
        if self._agent_is_there():
            await conversation.async_prepare_agent(self.hass, self.options.agent, language or self.hass.config.language)

    @override
    async def _async_handle_message(
        self, user_input: conversation.ConversationInput, chat_log: conversation.ChatLog
    ) -> conversation.ConversationResult:
        turn = await Turn.begin(self.hass, user_input, chat_log.conversation_id)
        if self.options.agent:
            return await self._answer_with_agent(user_input, chat_log, turn)
        return await self._answer_from_memory(user_input, chat_log, turn)

    async def _answer_with_agent(
        self, user_input: conversation.ConversationInput, chat_log: conversation.ChatLog, turn: Turn
    ) -> conversation.ConversationResult:
        if not self._agent_is_there():
            return _error(user_input, chat_log, AGENT_MISSING_SPOKEN)
        known = {essence(said) for content in chat_log.content[1:-1] if (said := _text_of(content))}
        memories = await self._recall(turn, len(known))
        if memories is None:
            prompt = fallback_prompt(self.options.fallback)
        else:
            chosen = turn.choose(memories, known, self.options.top_k)
            prompt = memory_prompt(chosen, dt_util.get_default_time_zone())
        if callers_prompt := _callers_prompt(self.hass, user_input, chat_log):
            prompt = f"{callers_prompt}\n\n{prompt}"
        result = await conversation.async_converse(
            self.hass,
            user_input.text,
            chat_log.conversation_id,
            user_input.context,
            language=user_input.language,
            agent_id=self.options.agent,
            device_id=user_input.device_id,
            satellite_id=user_input.satellite_id,
            extra_system_prompt=prompt,
        )
        if result.response.response_type is not intent.IntentResponseType.ERROR:
            self._remember(turn, result.response.speech.get("plain", {}).get("speech"))
        return result

    async def _answer_from_memory(
        self, user_input: conversation.ConversationInput, chat_log: conversation.ChatLog, turn: Turn
    ) -> conversation.ConversationResult:
        memories = await self._recall(turn, 0)
        if memories is None:
            return _error(user_input, chat_log, NOT_REACHED_SPOKEN)
        answer = spoken_answer(turn.choose(memories, (), self.options.top_k), turn.started)
        chat_log.async_add_assistant_content_without_tools(
            conversation.AssistantContent(agent_id=user_input.agent_id, content=answer)
        )
        self._remember(turn, None)
        response = intent.IntentResponse(language=user_input.language)
        response.async_set_speech(answer)
        return conversation.ConversationResult(response=response, conversation_id=chat_log.conversation_id)

    async def _recall(self, turn: Turn, known: int) -> Sequence[MemoryItem] | None:
        """Return what memory has within the budget, or None if it could not be asked; the turn goes on in any case."""
        if not turn.text:
            return ()
        try:
            context = await self.memory.client.recall(
                turn.recall_request(self.options, known), self.options.budget_ms / 1000
            )
        except CannotConnect:
            return None
        except MemoryClientError as error:
            self._recall_failed(error)
            return None
        except Exception:
            _LOGGER.exception("Unexpected error while recalling for %s", self.entity_id)
            return None
        if self._recall_fails:
            self._recall_fails = False
            _LOGGER.info("%s has its memory in time again", self.entity_id)
        return context.memories

    def _recall_failed(self, error: MemoryClientError) -> None:
        if not self._recall_fails:
            self._recall_fails = True
            _LOGGER.warning("%s answers without memory: %s", self.entity_id, error)

    def _remember(self, turn: Turn, answer: str | None) -> None:
        captured = self.memory.captured
        if self.options.capture is not Capture.NOTHING and turn.text:
            captured.add(turn.said())
        if self.options.capture is Capture.BOTH and answer and answer.strip():
            captured.add(turn.answered(answer.strip()))

    def _agent_is_there(self) -> bool:
        """Say whether there is an agent to ask; one of our own would ask itself."""
        if self.options.agent is None or is_ours(self.hass, self.options.agent):
            return False
        return conversation.async_get_agent_info(self.hass, self.options.agent) is not None


def _text_of(content: conversation.Content) -> str | None:
    return None if isinstance(content, conversation.ToolResultContent) else content.content


@callback
def _callers_prompt(
    hass: HomeAssistant, user_input: conversation.ConversationInput, chat_log: conversation.ChatLog
) -> str | None:
    """Return what the caller wants the model to be told, also in the turns after the one that said so."""
    prompts = hass.data.setdefault(CALLERS_PROMPTS, {})
    conversation_id = chat_log.conversation_id
    if conversation_id not in prompts:
        prompts[conversation_id] = chat_log.extra_system_prompt
        if (session := chat_session.current_session.get()) is not None:
            session.async_on_cleanup(partial(_forget_prompt, prompts, conversation_id))
    if user_input.extra_system_prompt:
        prompts[conversation_id] = user_input.extra_system_prompt
    return prompts[conversation_id]


@callback
def _forget_prompt(prompts: dict[str, str | None], conversation_id: str) -> None:
    prompts.pop(conversation_id, None)


def _error(
    user_input: conversation.ConversationInput, chat_log: conversation.ChatLog, sentence: str
) -> conversation.ConversationResult:
    response = intent.IntentResponse(language=user_input.language)
    response.async_set_error(intent.IntentResponseErrorCode.FAILED_TO_HANDLE, sentence)
    return conversation.ConversationResult(response=response, conversation_id=chat_log.conversation_id)
