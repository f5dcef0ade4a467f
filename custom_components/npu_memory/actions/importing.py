"""The action `import_memories`: a file, a folder or a to-do list becomes memories, and each becomes one once."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from homeassistant.components import persistent_notification
from homeassistant.const import ATTR_ENTITY_ID
from homeassistant.core import HomeAssistant, ServiceCall, ServiceResponse
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import config_validation as cv
import probatio

from ..client import MemoryClient
from ..connection import MemoryClientError, RequestFailed
from ..const import DOMAIN, NAME
from ..errors import CALLERS_FAULTS, action_error
from ..importing.drafts import Draft, Fault, UnreadableFile, pieces, request_from
from ..importing.files import Format, read
from ..wire import MAX_NAME_CHARACTERS, Outcome, RememberRequest, WireError
from .arguments import CHANGE_SECONDS, ENTRY, SCOPE, Argument, client, text

IN_FLIGHT = 16
"""Memories on their way at once: they share commits."""
MAX_FAULTS = 100
"""Faults that are told one by one; the rest is counted."""
REPORT_SECONDS = 2.0
NOTIFICATION = f"{DOMAIN}_import"
TODO = "todo"

IMPORT_SCHEMA = probatio.Schema(
    {
        **ENTRY,
        probatio.Exclusive(Argument.PATH, "source"): cv.string,
        probatio.Exclusive(Argument.ENTITY_ID, "source"): cv.entity_domain(TODO),
        probatio.Optional(Argument.FORMAT): probatio.Coerce(Format),
        probatio.Optional(Argument.SCOPE): SCOPE,
        probatio.Optional(Argument.SPEAKER): text(MAX_NAME_CHARACTERS),
        probatio.Optional(Argument.TAGS): probatio.All(cv.ensure_list, probatio.Length(max=32), [text(64)]),
    }
)
IMPORT_CHECK = probatio.All(IMPORT_SCHEMA, cv.has_at_least_one_key(Argument.PATH, Argument.ENTITY_ID))


async def import_memories(call: ServiceCall) -> ServiceResponse:
    """Store what is there, and return how much of it was new, and what could not be read."""
    server = client(call)
    if Argument.ENTITY_ID in call.data:
        what, found = TODO, await _to_do(call)
    else:
        what, found = await _file(call.hass, call.data[Argument.PATH], call.data.get(Argument.FORMAT))
    defaults = {name: call.data[name] for name in ("scope", "speaker", "tags") if name in call.data}
    requests, faults = _requests(found, defaults)
    outcomes: Counter[Outcome] = Counter()
    reporter = call.hass.async_create_background_task(
        _report(call.hass, outcomes, len(requests)), f"{DOMAIN} progress of an import"
    )
    try:
        faults += await _store(server, requests, outcomes)
    except* MemoryClientError as errors:
        error = next(one for one in errors.exceptions if isinstance(one, MemoryClientError))
        raise action_error(error) from error
    finally:
        reporter.cancel()
        persistent_notification.async_dismiss(call.hass, NOTIFICATION)
    return {
        "format": what,
        "stored": outcomes[Outcome.STORED],
        "there_already": outcomes[Outcome.DUPLICATE],
        "forgotten_before": outcomes[Outcome.FORGOTTEN],
        "faulty": len(faults),
        "faults": [{"place": fault.place, "reason": fault.reason} for fault in faults[:MAX_FAULTS]],
    }


async def allowed_path(hass: HomeAssistant, named: str) -> Path:
    """Return a path that Home Assistant may use; a relative one is below its configuration. Raises if it may not."""
    path = Path(hass.config.path(named))
    if "\0" in named or not await hass.async_add_executor_job(hass.config.is_allowed_path, str(path)):
        raise ServiceValidationError(translation_domain=DOMAIN, translation_key="path_not_allowed")
    return path


async def _file(hass: HomeAssistant, named: str, kind: Format | None) -> tuple[str, list[Draft | Fault]]:
    path = await allowed_path(hass, named)
    try:
        return await hass.async_add_executor_job(read, path, kind)
    except UnreadableFile as error:
        raise ServiceValidationError(translation_domain=DOMAIN, translation_key=error.key) from error
    except OSError as error:
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="import_unreadable",
            translation_placeholders={"reason": error.strerror or type(error).__name__},
        ) from error


async def _to_do(call: ServiceCall) -> list[Draft | Fault]:
    """Return the open items of a to-do list: what is ticked off there is done with."""
    entity_id = call.data[Argument.ENTITY_ID]
    if call.hass.states.get(entity_id) is None:
        raise ServiceValidationError(translation_domain=DOMAIN, translation_key="no_to_do_list")
    answer: Any = await call.hass.services.async_call(
        TODO,
        "get_items",
        {ATTR_ENTITY_ID: entity_id, "status": ["needs_action"]},
        blocking=True,
        context=call.context,
        return_response=True,
    )
    found: list[Draft | Fault] = []
    for number, item in enumerate(answer[entity_id]["items"], 1):
        said = ": ".join(part.strip() for part in (item.get("summary"), item.get("description")) if part)
        found += [Draft(f"item {number}", {"text": piece, "kind": "fact"}) for piece in pieces(said)]
    return found


def _requests(
    found: Iterable[Draft | Fault], defaults: Mapping[str, Any]
) -> tuple[list[tuple[str, RememberRequest]], list[Fault]]:
    requests: list[tuple[str, RememberRequest]] = []
    faults: list[Fault] = []
    for one in found:
        if isinstance(one, Fault):
            faults.append(one)
            continue
        try:
            requests.append((one.place, request_from(one, defaults)))
        except WireError as error:
            faults.append(Fault(one.place, error.sentence))
    return requests, faults


async def _store(
    server: MemoryClient, requests: Iterable[tuple[str, RememberRequest]], outcomes: Counter[Outcome]
) -> list[Fault]:
    """Store memories in their order, several at a time, and count what became of them; return what was refused.

    Raises what keeps all of them from being stored.
    """
    faults: list[Fault] = []
    waiting = iter(requests)

    async def work() -> None:
        for place, request in waiting:
            try:
                outcomes[(await server.remember(request, CHANGE_SECONDS)).outcome] += 1
            except RequestFailed as error:
                if error.code not in CALLERS_FAULTS:
                    raise
                faults.append(Fault(place, error.sentence))

    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(work())
    return faults


async def _report(hass: HomeAssistant, outcomes: Counter[Outcome], total: int) -> None:
    """Show how far an import is, as soon as it takes a while."""
    while True:
        await asyncio.sleep(REPORT_SECONDS)
        message = f"{outcomes.total()} of {total} memories."
        persistent_notification.async_create(hass, message, f"{NAME}: importing", NOTIFICATION)
