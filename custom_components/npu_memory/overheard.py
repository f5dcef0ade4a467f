"""Turns that no assistant with memory handles: those that Home Assistant deals with itself, and those of other agents.

They are seen through the chat logs, which have every conversation of every agent, and only those of the pipelines that
the user has chosen are kept.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
import logging
from typing import Any

from homeassistant.components import conversation
from homeassistant.components.conversation.chat_log import DATA_CHAT_LOGS, async_subscribe_chat_logs
from homeassistant.components.conversation.const import ChatLogEventType
from homeassistant.components.websocket_api.connection import current_connection
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import CALLBACK_TYPE, Context, HomeAssistant, callback
from homeassistant.util.hass_dict import HassKey

from .const import DOMAIN, Capture
from .keeping import Keeper
from .options import ServerOptions
from .turn import Turn

_LOGGER = logging.getLogger(__name__)

PIPELINES: HassKey[Any] = HassKey("assist_pipeline")
INTENT_START = "intent-start"

LOOK_SECONDS = 2.0
LOOKS = 60
"""A language model may take its time; then the turn is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What somebody has said in a pipeline, and whether it was the first thing in its conversation."""

    user_input: conversation.ConversationInput
    said_at: datetime
    conversation_id: str
    continues: bool


class Overheard:
    """Listens to all conversations and keeps those turns that are nobody else's to keep."""

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry[Any], options: ServerOptions, keeper: Keeper) -> None:
        """Prepare; `listen` begins."""
        self._hass = hass
        self._entry = entry
        self._options = options
        self._keeper = keeper
        self._waiting: dict[str, Heard] = {}

    @callback
    def listen(self) -> CALLBACK_TYPE:
        """Listen until the returned function is called."""
        return async_subscribe_chat_logs(self._hass, self._heard)

    @callback
    def leave(self, conversation_id: str) -> None:
        """Leave a turn that has just begun to the assistant that handles it."""
        self._waiting.pop(conversation_id, None)

    @callback
    def _heard(self, conversation_id: str, event: ChatLogEventType, data: dict[str, Any]) -> None:
        if event is not ChatLogEventType.CONTENT_ADDED or data["content"]["role"] != "user":
            return
        user_input = _pipeline_input(self._hass, conversation_id, data["content"]["content"], self._options.pipelines)
        if user_input is None:
            return
        heard = Heard(
            user_input=user_input,
            said_at=data["content"]["created"],
            conversation_id=conversation_id,
            continues=conversation_id in self._hass.data.get(DATA_CHAT_LOGS, {})
            and len(self._hass.data[DATA_CHAT_LOGS][conversation_id].content) > 2,
        )
        self._waiting[conversation_id] = heard
        self._entry.async_create_background_task(self._hass, self._keep(heard), f"{DOMAIN} overheard turn")

    async def _keep(self, heard: Heard) -> None:
        """Wait for the answer, unless an assistant with memory takes the turn over; then keep both."""
        turn = await Turn.begin(self._hass, heard.user_input, heard.conversation_id, self._options)
        for _ in range(LOOKS):
            await asyncio.sleep(LOOK_SECONDS)
            if self._waiting.get(heard.conversation_id) is not heard:
                return
            answered = _answer(self._hass, heard)
            if answered is not None:
                del self._waiting[heard.conversation_id]
                answer = answered if self._options.capture is Capture.BOTH else None
                self._keeper.keep(turn, answer, private=self._options.private, continues=heard.continues)
                return
        self._waiting.pop(heard.conversation_id, None)
        _LOGGER.debug("A turn of %s is not remembered: it has no answer", heard.user_input.agent_id)


@callback
def _pipeline_input(
    hass: HomeAssistant, conversation_id: str, text: str, pipelines: frozenset[str]
) -> conversation.ConversationInput | None:
    """Return what a pipeline has just been asked in this conversation, if it is one of these.

    A chat log does not say which pipeline it belongs to; the pipeline's own record of its runs does.
    """
    if PIPELINES not in hass.data:
        return None
    runs = [
        (event.timestamp, pipeline_id, event.data)
        for pipeline_id, debugged in hass.data[PIPELINES].pipeline_debug.items()
        for run in debugged.values()
        for event in run.events
        if event.type == INTENT_START and event.data["conversation_id"] == conversation_id
    ]
    if not runs:
        return None
    _, pipeline_id, asked = max(runs, key=lambda run: run[0])
    if pipeline_id not in pipelines or asked["intent_input"] != text:
        return None
    return conversation.ConversationInput(
        text=text,
        context=Context(user_id=_user_id(asked)),
        conversation_id=conversation_id,
        device_id=asked["device_id"],
        satellite_id=asked["satellite_id"],
        language=asked["language"],
        agent_id=asked["engine"],
    )


@callback
def _user_id(asked: dict[str, Any]) -> str | None:
    """Return who has asked in a browser or in the app; a device has no user of its own.

    What a device does may run in a task that somebody has started from a browser long ago.
    """
    if asked["device_id"] is not None or asked["satellite_id"] is not None:
        return None
    connection = current_connection.get()
    return connection.user.id if connection else None


@callback
def _answer(hass: HomeAssistant, heard: Heard) -> str | None:
    """Return what was answered, empty if without words, or None if the turn is not over."""
    log = hass.data.get(DATA_CHAT_LOGS, {}).get(heard.conversation_id)
    if log is None:
        return None
    places = [
        place
        for place, content in enumerate(log.content)
        if isinstance(content, conversation.UserContent) and content.created == heard.said_at
    ]
    if not places:
        return None
    after = log.content[places[0] + 1 :]
    next_turn = next((place for place, c in enumerate(after) if isinstance(c, conversation.UserContent)), None)
    if next_turn is None and getattr(log, "turn_active", False):
        return None
    if any(isinstance(c, conversation.ToolResultContent) and DOMAIN in c.tool_name for c in after[:next_turn]):
        return ""  # it may repeat what belongs to somebody
    said = [c.content for c in after[:next_turn] if isinstance(c, conversation.AssistantContent)]
    return (said[-1] or "") if said else None
