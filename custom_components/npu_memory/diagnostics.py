"""Diagnostics: numbers and settings, never a text, a name or the token."""

from dataclasses import asdict
from typing import Any

from homeassistant.components.diagnostics import async_redact_data
from homeassistant.const import CONF_HOST, CONF_TOKEN
from homeassistant.core import HomeAssistant

from .coordinator import NpuMemoryConfigEntry
from .report import TurnReport
from .wire import PROTOCOL_VERSION

TO_REDACT = {CONF_HOST, CONF_TOKEN, "instance"}


async def async_get_config_entry_diagnostics(hass: HomeAssistant, entry: NpuMemoryConfigEntry) -> dict[str, Any]:
    """Return what helps to find a fault without telling anything that was remembered."""
    data = entry.runtime_data
    status = data.coordinator.data
    error = None if data.coordinator.last_update_success else data.coordinator.last_exception
    return {
        "entry": async_redact_data(entry.data, TO_REDACT),
        "protocol": PROTOCOL_VERSION,
        "connected": data.client.connected,
        "last_error": None if error is None else type(error).__name__,
        "turns_not_stored_yet": data.captured.unsent,
        "status": None if status is None else async_redact_data(asdict(status), TO_REDACT),
        "overheard_pipelines": len(data.options.pipelines),
        "speakers": [person is not None for person in data.options.speakers.values()],
        "assistants": [
            {**subentry.data, "last_turn": _last_turn(data.turns.get(subentry.subentry_id))}
            for subentry in entry.subentries.values()
        ],
    }


def _last_turn(report: TurnReport | None) -> dict[str, Any] | None:
    return None if report is None else {"outcome": report.outcome.value, **report.as_attributes()}
