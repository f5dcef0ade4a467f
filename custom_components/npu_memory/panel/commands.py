"""The commands of the panel, over the websocket and for administrators alone: they show everybody's memories.

Home Assistant writes into its log what a schema refuses. So no schema looks at a text: the client checks it before it
is sent, and says what is wrong without quoting it.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from homeassistant.components import websocket_api
from homeassistant.components.websocket_api import ActiveConnection
from homeassistant.components.websocket_api.const import WebSocketCommandHandler
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import config_validation as cv, service
import probatio

from ..actions.arguments import CHANGE_SECONDS, MEMORY_ID, SCOPES, memory_data
from ..client import MemoryClient
from ..connection import MemoryClientError
from ..const import DOMAIN
from ..coordinator import NpuMemoryConfigEntry
from ..errors import action_error
from ..listing import PAGE_SECONDS
from ..wire import (
    MAX_CORRECTIONS,
    MAX_NAME_CHARACTERS,
    MAX_PAGE,
    AcceptCorrectionRequest,
    CorrectionsRequest,
    CorrectionState,
    ForgetRequest,
    Kind,
    ListRequest,
    MemoryItem,
    RevertCorrectionRequest,
)
from .editing import corrected, history, merged, searched

type Arguments = Mapping[str, Any]
type Answer = Callable[[MemoryClient, Arguments], Awaitable[dict[str, Any]]]
type Fields = dict[Any, Any]

MAX_SELECTED = 200
"""Of memories that are forgotten or merged at once."""
TEXT = object
"""Not looked at here; see above."""
CURSOR = probatio.All(cv.string, probatio.Length(max=64))
SELECTED = probatio.All([MEMORY_ID], probatio.Length(min=1, max=MAX_SELECTED), probatio.Unique())
FILTERS: Fields = {
    probatio.Optional("scopes"): SCOPES,
    probatio.Optional("speaker"): probatio.All(cv.string, probatio.Length(max=MAX_NAME_CHARACTERS)),
    probatio.Optional("kind"): probatio.Coerce(Kind),
    probatio.Optional("include_past", default=False): bool,
}


@callback
def async_setup_commands(hass: HomeAssistant) -> None:
    """Register the commands: one that names the servers, and those that ask one of them."""
    websocket_api.async_register_command(hass, servers)
    page: Fields = {probatio.Optional("cursor"): CURSOR}
    pair: Fields = {probatio.Required("old_id"): MEMORY_ID, probatio.Required("new_id"): MEMORY_ID}
    for name, answer, fields in (
        ("memories/list", listed, {**FILTERS, **page, **_limit(50, MAX_PAGE), probatio.Optional("overview"): bool}),
        ("memories/search", found, {**FILTERS, probatio.Required("text"): TEXT}),
        ("memories/history", history_of, {probatio.Required("memory_id"): MEMORY_ID}),
        ("memories/correct", correct, {probatio.Required("memory_id"): MEMORY_ID, probatio.Required("text"): TEXT}),
        ("memories/forget", forget, {probatio.Required("memory_ids"): SELECTED}),
        (
            "memories/merge",
            merge,
            {
                probatio.Required("kept"): MEMORY_ID,
                probatio.Required("others"): SELECTED,
                probatio.Required("forget"): bool,
            },
        ),
        (
            "corrections/list",
            corrections,
            {**page, **_limit(20, MAX_CORRECTIONS), probatio.Optional("state"): probatio.Coerce(CorrectionState)},
        ),
        ("corrections/settle", settle, {**pair, probatio.Required("accept"): bool}),
    ):
        websocket_api.async_register_command(hass, _command(name, answer, fields))


def _limit(default: int, most: int) -> Fields:
    return {probatio.Optional("limit", default=default): probatio.All(int, probatio.Range(min=1, max=most))}


def _command(name: str, answer: Answer, fields: Fields) -> WebSocketCommandHandler:
    """Return the command that has a server `answer`, with its errors told in the user's language."""

    @websocket_api.require_admin
    @websocket_api.websocket_command(
        {probatio.Required("type"): f"{DOMAIN}/{name}", probatio.Required("entry_id"): cv.string, **fields}
    )
    @websocket_api.async_response
    async def respond(hass: HomeAssistant, connection: ActiveConnection, msg: dict[str, Any]) -> None:
        try:
            result = await answer(_client(hass, msg["entry_id"]), msg)
        except MemoryClientError as error:
            raise action_error(error) from error
        connection.send_result(msg["id"], result)

    return respond


@websocket_api.require_admin
@websocket_api.websocket_command({probatio.Required("type"): f"{DOMAIN}/servers"})
@callback
def servers(hass: HomeAssistant, connection: ActiveConnection, msg: dict[str, Any]) -> None:
    """Name the memory servers that are set up, those too that cannot be reached."""
    entries = hass.config_entries.async_entries(DOMAIN, include_ignore=False, include_disabled=False)
    named = [{"entry_id": entry.entry_id, "title": entry.title} for entry in entries]
    connection.send_result(msg["id"], {"servers": named})


async def listed(client: MemoryClient, arguments: Arguments) -> dict[str, Any]:
    """Return a page of memories, newest first; on request also whose there are, and who has spoken."""
    overview = arguments.get("overview", False)
    of_the_page = {"cursor": arguments.get("cursor"), "limit": arguments["limit"], "overview": overview}
    page = await client.list(_filters(arguments, **of_the_page), PAGE_SECONDS)
    choices = {"scopes": page.scopes, "speakers": page.speakers} if overview else {}
    return {"memories": _shown(page.memories), "total": page.total, "next_cursor": page.next_cursor, **choices}


async def found(client: MemoryClient, arguments: Arguments) -> dict[str, Any]:
    """Return the memories that fit a text best, with their relevance and why they fit."""
    return {"memories": _shown(await searched(client, arguments["text"], _filters(arguments)))}


async def history_of(client: MemoryClient, arguments: Arguments) -> dict[str, Any]:
    """Return what a memory was and what it has become, newest first."""
    return {"memories": _shown(await history(client, arguments["memory_id"]))}


async def correct(client: MemoryClient, arguments: Arguments) -> dict[str, Any]:
    """Correct a memory; the earlier text is kept. Returns the new id, and the history as it is then."""
    memory_id = await corrected(client, arguments["memory_id"], arguments["text"])
    return {"memory_id": memory_id, "memories": _shown(await history(client, memory_id))}


async def forget(client: MemoryClient, arguments: Arguments) -> dict[str, Any]:
    """Forget memories for good, all of them or none; return what is gone: what was derived from them too."""
    gone = await client.forget(ForgetRequest(memory_ids=tuple(arguments["memory_ids"])), CHANGE_SECONDS)
    return {"memory_ids": gone.memory_ids}


async def merge(client: MemoryClient, arguments: Arguments) -> dict[str, Any]:
    """Let one memory take the place of others; these are kept as its earlier versions, or forgotten."""
    gone = await merged(client, arguments["kept"], arguments["others"], forget=arguments["forget"])
    return {"memory_ids": gone}


async def corrections(client: MemoryClient, arguments: Arguments) -> dict[str, Any]:
    """Return a page of the corrections that were noticed, those of the newest memories first."""
    request = CorrectionsRequest(state=arguments.get("state"), cursor=arguments.get("cursor"), limit=arguments["limit"])
    page = await client.corrections(request, PAGE_SECONDS)
    noticed = [
        {
            "old": memory_data(one.old),
            "new": memory_data(one.new),
            "confidence": one.confidence,
            "reason": one.reason.value,
            "state": one.state.value,
        }
        for one in page.corrections
    ]
    return {"corrections": noticed, "total": page.total, "next_cursor": page.next_cursor}


async def settle(client: MemoryClient, arguments: Arguments) -> dict[str, Any]:
    """Make a correction that was noticed, or refuse it or take it back; return what it is then."""
    pair = {"old_id": arguments["old_id"], "new_id": arguments["new_id"]}
    if arguments["accept"]:
        settled = await client.accept_correction(AcceptCorrectionRequest(**pair), CHANGE_SECONDS)
    else:
        settled = await client.revert_correction(RevertCorrectionRequest(**pair), CHANGE_SECONDS)
    return {"state": settled.state.value}


def _client(hass: HomeAssistant, entry_id: str) -> MemoryClient:
    """Return the client of a server. Raises `HomeAssistantError`: why there is none."""
    entry = hass.config_entries.async_get_entry(entry_id)
    if entry is not None and entry.domain == DOMAIN and entry.state is ConfigEntryState.SETUP_RETRY:
        raise HomeAssistantError(
            translation_domain=entry.error_reason_translation_domain,
            translation_key=entry.error_reason_translation_key,
            translation_placeholders=entry.error_reason_translation_placeholders,
        )
    loaded: NpuMemoryConfigEntry = service.async_get_config_entry(hass, DOMAIN, entry_id)
    return loaded.runtime_data.client


def _filters(arguments: Arguments, **of_the_page: Any) -> ListRequest:
    return ListRequest(
        scopes=tuple(arguments.get("scopes", ())),
        speaker=arguments.get("speaker"),
        kind=arguments.get("kind"),
        include_past=arguments["include_past"],
        **of_the_page,
    )


def _shown(memories: Iterable[MemoryItem]) -> list[dict[str, Any]]:
    return [memory_data(memory) for memory in memories]
