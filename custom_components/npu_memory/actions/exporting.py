"""The action `export_memories`: JSON lines that `import_memories` and `npu-memory import` read again."""

from dataclasses import asdict
import json
import os
from pathlib import Path

from homeassistant.core import ServiceCall, ServiceResponse
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import config_validation as cv
import probatio

from ..connection import MemoryClientError
from ..const import DOMAIN
from ..errors import action_error
from ..listing import listed
from ..wire import MAX_NAME_CHARACTERS, Kind, ListRequest, MemoryItem
from .arguments import ENTRY, SCOPES, Argument, client, text
from .importing import allowed_path

EXPORT_SCHEMA = probatio.Schema(
    {
        **ENTRY,
        probatio.Required(Argument.PATH): cv.string,
        probatio.Optional(Argument.SCOPES): SCOPES,
        probatio.Optional(Argument.SPEAKER): text(MAX_NAME_CHARACTERS),
        probatio.Optional(Argument.KIND): probatio.Coerce(Kind),
    }
)


async def export_memories(call: ServiceCall) -> ServiceResponse:
    """Write memories to a new file that Home Assistant alone can read, and return how many."""
    path = await allowed_path(call.hass, call.data[Argument.PATH])
    filters = ListRequest(
        scopes=tuple(call.data.get(Argument.SCOPES, ())),
        speaker=call.data.get(Argument.SPEAKER),
        kind=call.data.get(Argument.KIND),
    )
    server = client(call)
    try:
        memories = [memory async for memory in listed(server, filters)]
    except MemoryClientError as error:
        raise action_error(error) from error
    try:
        await call.hass.async_add_executor_job(_write, path, memories)
    except FileExistsError as error:
        raise ServiceValidationError(translation_domain=DOMAIN, translation_key="export_exists") from error
    except OSError as error:
        raise HomeAssistantError(
            translation_domain=DOMAIN,
            translation_key="export_unwritable",
            translation_placeholders={"reason": error.strerror or type(error).__name__},
        ) from error
    return {"path": str(path), "exported": len(memories)}


def _write(path: Path, memories: list[MemoryItem]) -> None:
    """Write a new file and see it onto the disk; one that is there already stays as it is."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode=0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as stream:  # noqa: PTH123 - of a descriptor
            for memory in memories:
                data = {key: value for key, value in asdict(memory).items() if value not in (None, ())}
                stream.write(json.dumps(data, ensure_ascii=False) + "\n")
            stream.flush()
            os.fsync(descriptor)
    except BaseException:
        path.unlink()
        raise
