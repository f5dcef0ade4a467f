"""What the actions have in common: the names and checks of their arguments, and the way to the server."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from typing import Any

from homeassistant.const import ATTR_CONFIG_ENTRY_ID
from homeassistant.core import ServiceCall
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import config_validation as cv, service
from homeassistant.util import dt as dt_util
import probatio

from ..client import MemoryClient
from ..const import DOMAIN
from ..coordinator import NpuMemoryConfigEntry
from ..speaking import PERSON, who_speaks
from ..wire import ID_PATTERN, SCOPE_PATTERN, MemoryItem

CHANGE_SECONDS = 30.0
"""What a change may take until it is on disk."""
MAX_SCOPES = 16


class Argument(StrEnum):
    """Names of the arguments."""

    ALLOW_SECRETS = "allow_secrets"
    BUDGET_MS = "budget_ms"
    CORRECTS = "corrects"
    CREATED_AT = "created_at"
    DRY_RUN = "dry_run"
    ENTITY_ID = "entity_id"
    EXPLAIN = "explain"
    EXPIRES_AT = "expires_at"
    FORMAT = "format"
    KIND = "kind"
    LANGUAGE = "language"
    MAX_TOKENS = "max_tokens"
    MEMORY_ID = "memory_id"
    MEMORY_IDS = "memory_ids"
    MIN_RELEVANCE = "min_relevance"
    OLDER_THAN = "older_than"
    PATH = "path"
    RERANKER = "reranker"
    SCOPE = "scope"
    SCOPES = "scopes"
    SPEAKER = "speaker"
    STRATEGY = "strategy"
    TAGS = "tags"
    TEXT = "text"
    TOP_K = "top_k"


def text(limit: int) -> probatio.All[str]:
    """Return the check of a text: not blank, at most `limit` characters, without the white space around it."""
    return probatio.All(cv.string, probatio.Strip, probatio.Length(min=1, max=limit))


MEMORY_ID = probatio.All(cv.string, probatio.Match(rf"(?:{ID_PATTERN.pattern})\Z"))
SCOPE = probatio.All(cv.string, probatio.Match(rf"(?:{SCOPE_PATTERN.pattern})\Z"))
SCOPES = probatio.All(cv.ensure_list, probatio.Length(min=1, max=MAX_SCOPES), [SCOPE])
ENTRY: dict[Any, Any] = {probatio.Optional(ATTR_CONFIG_ENTRY_ID): cv.string}


def client(call: ServiceCall) -> MemoryClient:
    """Return the client of the server that was named, or of the only one. Raises `ServiceValidationError`."""
    entry: NpuMemoryConfigEntry = service.async_get_config_entry(call.hass, DOMAIN, call.data.get(ATTR_CONFIG_ENTRY_ID))
    return entry.runtime_data.client


async def check_scopes(call: ServiceCall, scopes: Sequence[str]) -> None:
    """See to it that nobody but an administrator reads or writes what belongs to another person.

    What Home Assistant itself calls (an automation) may. Raises `ServiceValidationError`.
    """
    user = await call.hass.auth.async_get_user(call.context.user_id) if call.context.user_id else None
    if user is None or user.is_admin:
        return
    own = (await who_speaks(call.hass, user.id, None, None, {})).private_scope
    if any(scope.startswith(f"{PERSON}:") and scope != own for scope in scopes):
        raise ServiceValidationError(translation_domain=DOMAIN, translation_key="not_your_memories")


def moment(value: datetime | None) -> str | None:
    """Return a moment with its offset; one without is in Home Assistant's time zone."""
    if value is None:
        return None
    return (value if value.tzinfo else value.replace(tzinfo=dt_util.get_default_time_zone())).isoformat()


def memory_data(memory: MemoryItem) -> dict[str, Any]:
    """Return a memory as the response of an action has it."""
    data: Mapping[str, Any] = asdict(memory)
    flags = [flag.value for flag in memory.flags]
    response = {**data, "kind": memory.kind.value, "tags": list(memory.tags), "flags": flags}
    if memory.why is None:
        del response["why"]
    else:
        contributions = {one.signal: one.value for one in memory.why.contributions}
        response["why"] = {**data["why"], "contributions": contributions, "repeats": list(memory.why.repeats)}
    return response
