"""For whom a language model calls a tool, and in which conversation."""

from dataclasses import dataclass

from homeassistant.components.conversation import UserContent
from homeassistant.components.conversation.chat_log import current_chat_log
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.llm import LLMContext

from .conversation import ANSWERING
from .coordinator import NpuMemoryConfigEntry
from .options import AssistantOptions
from .prompt import message_without_memory
from .speaking import Place, Speaker, visible_scopes, who_speaks
from .voice.language import Command
from .voice.understanding import spoken_language, understood

ASSIST_SATELLITE = "assist_satellite"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """For whom a model calls a tool, and in which conversation; `messages` are those of the user in it."""

    speaker: Speaker
    place: Place
    options: AssistantOptions
    conversation: str | None
    language: str | None
    messages: tuple[str, ...]

    @property
    def scopes(self) -> tuple[str, ...]:
        """Return the scopes of what may be looked through."""
        return visible_scopes(self.options.whose, self.speaker, self.place)

    @property
    def says_no(self) -> bool:
        """Say whether the user's last message is a no."""
        heard = understood(self.messages[-1], spoken_language(self.language)) if self.messages else None
        return heard is not None and heard.command is Command.NO


async def who_asks(hass: HomeAssistant, entry: NpuMemoryConfigEntry, llm_context: LLMContext) -> Asker:
    """Look up who asks, where, and with which of our assistants, if it is one of them."""
    memory = entry.runtime_data
    device_id = llm_context.device_id
    satellite_id = _satellite_of(hass, device_id)
    user_id = llm_context.context.user_id if llm_context.context else None
    answering = [subentry for subentry_id in ANSWERING.get() if (subentry := entry.subentries.get(subentry_id))]
    chat_log = current_chat_log.get()
    said = [content.content for content in chat_log.content if isinstance(content, UserContent)] if chat_log else []
    return Asker(
        speaker=await who_speaks(hass, user_id, device_id, satellite_id, memory.options.speakers),
        place=Place.of_device(hass, device_id),
        options=AssistantOptions.from_subentry(answering[0].data) if answering else AssistantOptions(),
        conversation=chat_log.conversation_id if chat_log else None,
        language=llm_context.language,
        messages=tuple(message_without_memory(text or "") for text in said),
    )


def _satellite_of(hass: HomeAssistant, device_id: str | None) -> str | None:
    """Return the satellite that a device is: whoever stands before it is not the user who began the conversation."""
    if device_id is None:
        return None
    entities = er.async_entries_for_device(er.async_get(hass), device_id)
    return next((entity.entity_id for entity in entities if entity.domain == ASSIST_SATELLITE), None)
