"""Memory's sentences for Home Assistant's own agent, and for every other voice assistant of the home.

A sentence that matches is answered here, whatever agent a pipeline has; there is no way to hand it back. So only those
sentences are listened for that speak of memory itself.
"""

from collections.abc import Mapping
import logging
from typing import Any

from homeassistant.components.conversation import ConversationInput
from homeassistant.const import CONF_COMMAND, CONF_PLATFORM
from homeassistant.core import CALLBACK_TYPE, Context, HomeAssistant
from homeassistant.helpers.script import ScriptRunResult
from homeassistant.helpers.trigger import async_initialize_triggers

from ..client import MemoryClient
from ..const import DOMAIN, NAME
from ..options import AssistantOptions, ServerOptions
from ..turn import Turn
from .answering import answer
from .exchanges import Exchanges
from .language import Command, Say
from .languages import LANGUAGES
from .understanding import spoken_language

_LOGGER = logging.getLogger(__name__)

CONVERSATION = "conversation"
COMMANDS = (
    Command.REMEMBER_PRIVATELY,
    Command.REMEMBER,
    Command.ABOUT,
    Command.FORGET_LAST,
    Command.FORGET,
    Command.CONFIRM,
)
"""Not a bare yes: it may answer somebody else. Not when and why: a language model may know better."""


async def listen(
    hass: HomeAssistant, client: MemoryClient, exchanges: Exchanges, options: ServerOptions
) -> CALLBACK_TYPE | None:
    """Listen in every language until the returned function is called."""

    async def heard(variables: Mapping[str, Any], _context: Context | None = None) -> ScriptRunResult:
        said = _said(variables["trigger"]["user_input"])
        turn = await Turn.begin(hass, said, said.conversation_id or "", options)
        spoken = await answer(client, exchanges, AssistantOptions(), turn, alone=True)
        language = spoken_language(turn.language)
        if spoken is None:
            text = language.say(Say.NOTHING_ASKED)
        elif spoken.expects_answer:
            text = f"{spoken.text} {language.say(Say.HOW_TO_CONFIRM)}"
        else:
            text = spoken.text
        return ScriptRunResult(text, None, {})

    sentences = [one for language in LANGUAGES.values() for command in COMMANDS for one in language.sentences[command]]
    trigger = {CONF_PLATFORM: CONVERSATION, CONF_COMMAND: sentences}
    return await async_initialize_triggers(hass, [trigger], heard, DOMAIN, NAME, _LOGGER.log)


def _said(data: Mapping[str, Any]) -> ConversationInput:
    context = data["context"]
    return ConversationInput(
        text=data["text"],
        context=Context(user_id=context["user_id"], parent_id=context["parent_id"], id=context["id"]),
        conversation_id=data["conversation_id"],
        device_id=data["device_id"],
        satellite_id=data["satellite_id"],
        language=data["language"],
        agent_id=data["agent_id"],
    )
