"""The actions that add to memory: `remember` and `correct`."""

from typing import Any

from homeassistant.core import ServiceCall, ServiceResponse
from homeassistant.helpers import config_validation as cv
from homeassistant.util.json import JsonObjectType
from homeassistant.util.ulid import ulid_now
import probatio

from ..connection import MemoryClientError
from ..errors import action_error
from ..wire import (
    HOUSEHOLD,
    MAX_NAME_CHARACTERS,
    MAX_TEXT_CHARACTERS,
    Kind,
    RememberRequest,
)
from .arguments import CHANGE_SECONDS, ENTRY, MEMORY_ID, SCOPE, Argument, check_scopes, client, moment, text

SOURCE = "action"

_KEEP: dict[Any, Any] = {
    **ENTRY,
    probatio.Required(Argument.TEXT): text(MAX_TEXT_CHARACTERS),
    probatio.Optional(Argument.KIND, default=Kind.NOTE): probatio.Coerce(Kind),
    probatio.Optional(Argument.SPEAKER): text(MAX_NAME_CHARACTERS),
    probatio.Optional(Argument.SCOPE, default=HOUSEHOLD): SCOPE,
    probatio.Optional(Argument.LANGUAGE): text(20),
    probatio.Optional(Argument.TAGS, default=list): probatio.All(cv.ensure_list, probatio.Length(max=32), [text(64)]),
    probatio.Optional(Argument.CREATED_AT): cv.datetime,
    probatio.Optional(Argument.EXPIRES_AT): cv.datetime,
}
REMEMBER_SCHEMA = probatio.Schema({**_KEEP, probatio.Optional(Argument.CORRECTS): MEMORY_ID})
CORRECT_SCHEMA = probatio.Schema({**_KEEP, probatio.Required(Argument.MEMORY_ID): MEMORY_ID})


async def remember(call: ServiceCall) -> ServiceResponse:
    """Keep a text; it is on disk when this returns."""
    return await _keep(call, call.data.get(Argument.CORRECTS))


async def correct(call: ServiceCall) -> ServiceResponse:
    """Keep what is true now, and with the old memory until when that was."""
    memory_id = call.data[Argument.MEMORY_ID]
    return {**await _keep(call, memory_id), "corrected": memory_id}


async def _keep(call: ServiceCall, corrects: str | None) -> JsonObjectType:
    scope = call.data[Argument.SCOPE]
    await check_scopes(call, (scope,))
    request = RememberRequest(
        text=call.data[Argument.TEXT],
        memory_id=ulid_now(),
        kind=call.data[Argument.KIND],
        speaker=call.data.get(Argument.SPEAKER),
        scope=scope,
        source=SOURCE,
        language=call.data.get(Argument.LANGUAGE),
        created_at=moment(call.data.get(Argument.CREATED_AT)),
        expires_at=moment(call.data.get(Argument.EXPIRES_AT)),
        tags=tuple(call.data[Argument.TAGS]),
        corrects=corrects,
    )
    try:
        stored = await client(call).remember(request, CHANGE_SECONDS)
    except MemoryClientError as error:
        raise action_error(error) from error
    return {"memory_id": stored.memory_id, "outcome": stored.outcome.value}
