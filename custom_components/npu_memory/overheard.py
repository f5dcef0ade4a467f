"""Turns that no assistant with memory handles: those that Home Assistant deals with itself, and those of other agents.

The chat logs tell when something is said in any conversation of any agent, and the record that a pipeline keeps of its
runs, which pipeline that was, who answered, and what. Only turns of the pipelines that the user has chosen are kept.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
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

PIPELINES: HassKey[Any] = HassKey("assist_pipeline")
INTENT_START, INTENT_END, ERROR, RUN_END = "intent-start", "intent-end", "error", "run-end"

NOT_UNDERSTOOD = ("no_intent_match", "no_valid_targets")
"""By Home Assistant's own agent; the second if it takes what it has not understood for the name of a device."""

LOOK_SECONDS = 2.0
LOOKS = 60
"""A language model may take its time; then the turn is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What somebody has said in a run of a pipeline; it `continues` a conversation if it was not the first thing."""

    user_input: conversation.ConversationInput
    run: Any
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
        found = _pipeline_input(self._hass, conversation_id, data["content"]["content"], self._options.pipelines)
        if found is None:
            return
        user_input, run = found
        log = self._hass.data.get(DATA_CHAT_LOGS, {}).get(conversation_id)
        continues = log is not None and len(log.content) > 2  # more than a system prompt and what was said now
        heard = Heard(user_input=user_input, run=run, conversation_id=conversation_id, continues=continues)
        self._waiting[conversation_id] = heard
        self._entry.async_create_background_task(self._hass, self._keep(heard), f"{DOMAIN} overheard turn")

    async def _keep(self, heard: Heard) -> None:
        """Wait for the answer, unless an assistant with memory takes the turn over; then keep both."""
        turn = await Turn.begin(self._hass, heard.user_input, heard.conversation_id, self._options)
        for _ in range(LOOKS):
            await asyncio.sleep(LOOK_SECONDS)
            if self._waiting.get(heard.conversation_id) is not heard:
                return
            if (response := _response(heard.run)) is not None:
                del self._waiting[heard.conversation_id]
                self._keep_both(heard, turn, response)
                return
        self._waiting.pop(heard.conversation_id, None)

    @callback
    def _keep_both(self, heard: Heard, turn: Turn, response: Mapping[str, Any]) -> None:
        """Keep a turn and what was answered. What was not understood is kept too, but not what went wrong."""
        if not response or (response["response_type"] == ERROR and response["data"]["code"] not in NOT_UNDERSTOOD):
            return
        answer = response["speech"].get("plain", {}).get("speech")
        if response["response_type"] == ERROR or self._options.capture is not Capture.BOTH:
            answer = None
        elif _has_looked_into_memory(self._hass, heard.conversation_id):
            answer = None  # it may repeat what belongs to somebody
        self._keeper.keep(turn, answer, private=self._options.private, continues=heard.continues)


@callback
def _pipeline_input(
    hass: HomeAssistant, conversation_id: str, text: str, pipelines: frozenset[str]
) -> tuple[conversation.ConversationInput, Any] | None:
    """Return what a pipeline has just been asked in this conversation, and its run, if it is one of these."""
    if PIPELINES not in hass.data:
        return None
    runs = [
        (event.timestamp, pipeline_id, event.data, run)
        for pipeline_id, debugged in hass.data[PIPELINES].pipeline_debug.items()
        for run in debugged.values()
        for event in run.events
        if event.type == INTENT_START and event.data["conversation_id"] == conversation_id
    ]
    if not runs:
        return None
    _, pipeline_id, asked, run = max(runs, key=lambda found: found[0])
    if pipeline_id not in pipelines or asked["intent_input"] != text:
        return None
    user_input = conversation.ConversationInput(
        text=text,
        context=Context(user_id=_user_id(asked)),
        conversation_id=conversation_id,
        device_id=asked["device_id"],
        satellite_id=asked["satellite_id"],
        language=asked["language"],
        agent_id=asked["engine"],
    )
    return user_input, run


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
def _response(run: Any) -> Mapping[str, Any] | None:
    """Return what was answered in a run, empty if nothing was, or None if it is under way."""
    for event in run.events:
        if event.type == INTENT_END:
            response: Mapping[str, Any] = event.data["intent_output"]["response"]
            return response
        if event.type in (ERROR, RUN_END):
            return {}
    return None


@callback
def _has_looked_into_memory(hass: HomeAssistant, conversation_id: str) -> bool:
    log = hass.data.get(DATA_CHAT_LOGS, {}).get(conversation_id)
    return log is not None and any(
        isinstance(content, conversation.ToolResultContent) and DOMAIN in content.tool_name for content in log.content
    )
