"""What only the user can put right, told where the user sees it."""

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir

from .const import DOMAIN
from .coordinator import NpuMemoryConfigEntry

AGENT_MISSING = "agent_missing"
NOT_TAKEN = "not_taken"


@callback
def raise_agent_missing(hass: HomeAssistant, subentry_id: str, assistant: str, agent: str) -> None:
    """Say that the agent behind an assistant does not exist any more."""
    ir.async_create_issue(
        hass,
        DOMAIN,
        f"{AGENT_MISSING}_{subentry_id}",
        is_fixable=False,
        severity=ir.IssueSeverity.ERROR,
        translation_key=AGENT_MISSING,
        translation_placeholders={"assistant": assistant, "agent": agent},
    )


@callback
def raise_not_taken(hass: HomeAssistant, entry: NpuMemoryConfigEntry, subentry_id: str, assistant: str) -> None:
    """Say that an agent does not put before its model what memory has for it."""
    ir.async_create_issue(
        hass,
        DOMAIN,
        f"{NOT_TAKEN}_{subentry_id}",
        is_fixable=True,
        severity=ir.IssueSeverity.WARNING,
        translation_key=NOT_TAKEN,
        translation_placeholders={"assistant": assistant},
        data={"entry_id": entry.entry_id, "subentry_id": subentry_id, "assistant": assistant},
    )


@callback
def settle(hass: HomeAssistant, issue: str, subentry_id: str) -> None:
    """Take an issue back."""
    ir.async_delete_issue(hass, DOMAIN, f"{issue}_{subentry_id}")
