"""The action `forget`: by id, or by what is looked for, how old it is, who said it and whose it is."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import batched
from typing import Any

from homeassistant.core import ServiceCall, ServiceResponse
from homeassistant.helpers import config_validation as cv
from homeassistant.util import dt as dt_util
from homeassistant.util.json import JsonValueType
import probatio

from ..client import MemoryClient
from ..connection import MemoryClientError
from ..errors import action_error
from ..listing import listed
from ..wire import (
    HOUSEHOLD,
    MAX_NAME_CHARACTERS,
    MAX_TEXT_CHARACTERS,
    MAX_TOP_K,
    ForgetRequest,
    Kind,
    ListRequest,
    MemoryItem,
    RecallRequest,
    parse_moment,
)
from .arguments import CHANGE_SECONDS, ENTRY, MEMORY_ID, SCOPES, Argument, client, memory_data, text

MAX_FORGOTTEN = 1000
"""Of one request to the server; more are forgotten in several."""
MAX_SHOWN = 200
"""Memories in the response of a dry run."""
DEFAULT_FOUND = 5
DEFAULT_MIN_RELEVANCE = 0.06
"""What is looked for to be forgotten should be it, not only resemble it."""
BUDGET_MS = 10_000.0
ANSWER_SECONDS = 15.0

CHOOSING = (Argument.TEXT, Argument.OLDER_THAN, Argument.SPEAKER, Argument.SCOPES)


def _chosen_one_way(data: dict[str, Any]) -> dict[str, Any]:
    by_what = [key for key in (*CHOOSING, Argument.KIND) if key in data]
    if Argument.MEMORY_IDS in data and by_what:
        raise probatio.Invalid("memory_ids says what to forget; leave the other choices out")
    if Argument.MEMORY_IDS not in data and not any(key in data for key in CHOOSING):
        raise probatio.Invalid("say what to forget: memory_ids, text, older_than, speaker or scopes")
    return data


FORGET_SCHEMA = probatio.Schema(
    {
        **ENTRY,
        probatio.Optional(Argument.MEMORY_IDS): probatio.All(
            cv.ensure_list, probatio.Length(min=1, max=MAX_FORGOTTEN), [MEMORY_ID]
        ),
        probatio.Optional(Argument.TEXT): text(MAX_TEXT_CHARACTERS),
        probatio.Optional(Argument.TOP_K, default=DEFAULT_FOUND): probatio.All(
            probatio.Coerce(int), probatio.Range(min=1, max=MAX_TOP_K)
        ),
        probatio.Optional(Argument.MIN_RELEVANCE, default=DEFAULT_MIN_RELEVANCE): probatio.All(
            probatio.Coerce(float), probatio.Range(min=0, max=1)
        ),
        probatio.Optional(Argument.OLDER_THAN): cv.positive_time_period,
        probatio.Optional(Argument.SPEAKER): text(MAX_NAME_CHARACTERS),
        probatio.Optional(Argument.SCOPES): SCOPES,
        probatio.Optional(Argument.KIND): probatio.Coerce(Kind),
        probatio.Optional(Argument.DRY_RUN): cv.boolean,
    }
)
FORGET_CHECK = probatio.All(FORGET_SCHEMA, _chosen_one_way)


async def forget(call: ServiceCall) -> ServiceResponse:
    """Forget memories for good, or only say which they would be: without ids that is what it does unless told."""
    given = call.data.get(Argument.MEMORY_IDS)
    server = client(call)
    try:
        if given is not None and not call.data.get(Argument.DRY_RUN, False):
            return _forgotten(await _forget(server, given))
        chosen = await _with_ids(server, given) if given is not None else await _chosen(server, call.data)
        if call.data.get(Argument.DRY_RUN, True):
            shown: list[JsonValueType] = [memory_data(memory) for memory in chosen[:MAX_SHOWN]]
            return {"dry_run": True, "count": len(chosen), "memories": shown}
        return _forgotten(await _forget(server, [memory.id for memory in chosen]))
    except MemoryClientError as error:
        raise action_error(error) from error


def _forgotten(memory_ids: list[str]) -> ServiceResponse:
    return {"dry_run": False, "count": len(memory_ids), "memory_ids": [*memory_ids]}


async def _forget(server: MemoryClient, memory_ids: Sequence[str]) -> list[str]:
    gone: list[str] = []
    for some in batched(memory_ids, MAX_FORGOTTEN, strict=False):
        gone += (await server.forget(ForgetRequest(memory_ids=some), CHANGE_SECONDS)).memory_ids
    return gone


async def _with_ids(server: MemoryClient, memory_ids: Sequence[str]) -> list[MemoryItem]:
    return [memory async for memory in listed(server, ListRequest()) if memory.id in memory_ids]


async def _chosen(server: MemoryClient, data: dict[str, Any]) -> list[MemoryItem]:
    """Return the memories that all the given choices let through."""
    before = dt_util.now() - data.get(Argument.OLDER_THAN, timedelta())
    found = await _found(server, data) if Argument.TEXT in data else await _listed(server, data)
    return [
        memory
        for memory in found
        if parse_moment(memory.created_at) <= before
        and memory.speaker == data.get(Argument.SPEAKER, memory.speaker)
        and memory.kind == data.get(Argument.KIND, memory.kind)
    ]


async def _found(server: MemoryClient, data: dict[str, Any]) -> Sequence[MemoryItem]:
    request = RecallRequest(
        text=data[Argument.TEXT],
        scopes=tuple(data.get(Argument.SCOPES, (HOUSEHOLD,))),
        top_k=data[Argument.TOP_K],
        min_relevance=data[Argument.MIN_RELEVANCE],
        budget_ms=BUDGET_MS,
        asked_at=dt_util.now().isoformat(),
    )
    return (await server.recall(request, ANSWER_SECONDS)).memories


async def _listed(server: MemoryClient, data: dict[str, Any]) -> list[MemoryItem]:
    filters = ListRequest(
        scopes=tuple(data.get(Argument.SCOPES, ())),
        speaker=data.get(Argument.SPEAKER),
        kind=data.get(Argument.KIND),
    )
    return [memory async for memory in listed(server, filters)]
