"""The actions: ask memory, add to it, and have it forget."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from typing import Any

from homeassistant.const import ATTR_CONFIG_ENTRY_ID
from homeassistant.core import HomeAssistant, ServiceCall, ServiceResponse, SupportsResponse, callback
from homeassistant.helpers import config_validation as cv, service
from homeassistant.util import dt as dt_util
from homeassistant.util.ulid import ulid_now
import probatio

from .client import MemoryClient, MemoryClientError
from .const import DOMAIN
from .coordinator import NpuMemoryConfigEntry
from .errors import action_error
from .wire import (
    HOUSEHOLD,
    ID_PATTERN,
    MAX_BUDGET_MS,
    MAX_NAME_CHARACTERS,
    MAX_TEXT_CHARACTERS,
    MAX_TOP_K,
    SCOPE_PATTERN,
    Context,
    ForgetRequest,
    Kind,
    MemoryItem,
    RecallRequest,
    RememberRequest,
    Strategy,
)

DEFAULT_ACTION_BUDGET_MS = 1000
"""Nobody waits for an automation as for a voice; long enough for a slow machine."""
ANSWER_SECONDS = 5.0
"""What an answer may take beyond the budget of the recall itself."""
CHANGE_SECONDS = 30.0
MAX_FORGOTTEN = 1000
ACTION_SOURCE = "action"


class Action(StrEnum):
    """Names of the actions."""

    FORGET = "forget"
    GET_CONTEXT = "get_context"
    RECALL = "recall"
    REMEMBER = "remember"


class Argument(StrEnum):
    """Names of their arguments."""

    BUDGET_MS = "budget_ms"
    CORRECTS = "corrects"
    CREATED_AT = "created_at"
    KIND = "kind"
    MEMORY_IDS = "memory_ids"
    MIN_RELEVANCE = "min_relevance"
    SCOPE = "scope"
    SPEAKER = "speaker"
    STRATEGY = "strategy"
    TAGS = "tags"
    TEXT = "text"
    TOP_K = "top_k"


def _text(limit: int) -> probatio.All[str]:
    return probatio.All(cv.string, probatio.Strip, probatio.Length(min=1, max=limit))


MEMORY_ID = probatio.All(cv.string, probatio.Match(rf"(?:{ID_PATTERN.pattern})\Z"))
SCOPE = probatio.All(cv.string, probatio.Match(rf"(?:{SCOPE_PATTERN.pattern})\Z"))

RECALL_SCHEMA = probatio.Schema(
    {
        probatio.Optional(ATTR_CONFIG_ENTRY_ID): cv.string,
        probatio.Required(Argument.TEXT): _text(MAX_TEXT_CHARACTERS),
        probatio.Optional(Argument.TOP_K): probatio.All(probatio.Coerce(int), probatio.Range(min=1, max=MAX_TOP_K)),
        probatio.Optional(Argument.STRATEGY): probatio.Coerce(Strategy),
        probatio.Optional(Argument.MIN_RELEVANCE): probatio.All(probatio.Coerce(float), probatio.Range(min=0, max=1)),
        probatio.Optional(Argument.BUDGET_MS, default=DEFAULT_ACTION_BUDGET_MS): probatio.All(
            probatio.Coerce(float), probatio.Range(min=1, max=MAX_BUDGET_MS)
        ),
    }
)
REMEMBER_SCHEMA = probatio.Schema(
    {
        probatio.Optional(ATTR_CONFIG_ENTRY_ID): cv.string,
        probatio.Required(Argument.TEXT): _text(MAX_TEXT_CHARACTERS),
        probatio.Optional(Argument.KIND, default=Kind.NOTE): probatio.Coerce(Kind),
        probatio.Optional(Argument.SPEAKER): _text(MAX_NAME_CHARACTERS),
        probatio.Optional(Argument.SCOPE, default=HOUSEHOLD): SCOPE,
        probatio.Optional(Argument.TAGS, default=list): probatio.All(
            cv.ensure_list, probatio.Length(max=32), [_text(64)]
        ),
        probatio.Optional(Argument.CREATED_AT): cv.datetime,
        probatio.Optional(Argument.CORRECTS): MEMORY_ID,
    }
)
FORGET_SCHEMA = probatio.Schema(
    {
        probatio.Optional(ATTR_CONFIG_ENTRY_ID): cv.string,
        probatio.Required(Argument.MEMORY_IDS): probatio.All(
            cv.ensure_list, probatio.Length(min=1, max=MAX_FORGOTTEN), [MEMORY_ID]
        ),
    }
)


@callback
def async_setup_services(hass: HomeAssistant) -> None:
    """Register the actions."""
    for action, function, schema, response in (
        (Action.GET_CONTEXT, _get_context, RECALL_SCHEMA, SupportsResponse.ONLY),
        (Action.RECALL, _recall, RECALL_SCHEMA, SupportsResponse.ONLY),
        (Action.REMEMBER, _remember, REMEMBER_SCHEMA, SupportsResponse.OPTIONAL),
        (Action.FORGET, _forget, FORGET_SCHEMA, SupportsResponse.OPTIONAL),
    ):
        hass.services.async_register(DOMAIN, action, function, schema, response)


async def _get_context(call: ServiceCall) -> ServiceResponse:
    context = await _asked(call)
    return {
        "context": context.context,
        "memories": [_memory_data(memory) for memory in context.memories],
        "timings": asdict(context.timings),
        "backend": context.backend,
        "degraded": context.degraded,
        "left_out": [{"id": one.id, "reason": one.reason.value} for one in context.left_out],
    }


async def _recall(call: ServiceCall) -> ServiceResponse:
    return {"memories": [_memory_data(memory) for memory in (await _asked(call)).memories]}


async def _remember(call: ServiceCall) -> ServiceResponse:
    request = RememberRequest(
        text=call.data[Argument.TEXT],
        memory_id=ulid_now(),
        kind=call.data[Argument.KIND],
        speaker=call.data.get(Argument.SPEAKER),
        scope=call.data[Argument.SCOPE],
        source=ACTION_SOURCE,
        created_at=_moment(call.data.get(Argument.CREATED_AT)),
        tags=tuple(call.data[Argument.TAGS]),
        corrects=call.data.get(Argument.CORRECTS),
    )
    try:
        stored = await _client(call).remember(request, CHANGE_SECONDS)
    except MemoryClientError as error:
        raise action_error(error) from error
    return {"memory_id": stored.memory_id, "outcome": stored.outcome.value}


async def _forget(call: ServiceCall) -> ServiceResponse:
    request = ForgetRequest(memory_ids=tuple(call.data[Argument.MEMORY_IDS]))
    try:
        forgotten = await _client(call).forget(request, CHANGE_SECONDS)
    except MemoryClientError as error:
        raise action_error(error) from error
    return {"memory_ids": list(forgotten.memory_ids)}


async def _asked(call: ServiceCall) -> Context:
    """Recall with what the caller gave; what was not given, the server decides."""
    given = {
        key: call.data[key] for key in (Argument.TOP_K, Argument.STRATEGY, Argument.MIN_RELEVANCE) if key in call.data
    }
    budget_ms = call.data[Argument.BUDGET_MS]
    request = RecallRequest(
        text=call.data[Argument.TEXT], budget_ms=budget_ms, asked_at=dt_util.now().isoformat(), **given
    )
    try:
        return await _client(call).recall(request, budget_ms / 1000 + ANSWER_SECONDS)
    except MemoryClientError as error:
        raise action_error(error) from error


def _client(call: ServiceCall) -> MemoryClient:
    entry: NpuMemoryConfigEntry = service.async_get_config_entry(call.hass, DOMAIN, call.data.get(ATTR_CONFIG_ENTRY_ID))
    return entry.runtime_data.client


def _moment(value: datetime | None) -> str | None:
    """Return a moment with its offset; one without is in Home Assistant's time zone."""
    if value is None:
        return None
    return (value if value.tzinfo else value.replace(tzinfo=dt_util.get_default_time_zone())).isoformat()


def _memory_data(memory: MemoryItem) -> dict[str, Any]:
    data: Mapping[str, Any] = asdict(memory)
    flags = [flag.value for flag in memory.flags]
    return {**data, "kind": memory.kind.value, "tags": list(memory.tags), "flags": flags}
