"""The dialogs that put right what is told as an issue."""

from homeassistant.components.repairs import RepairsFlow, RepairsFlowResult
from homeassistant.core import HomeAssistant
import probatio

from .const import CONF_INJECTION, Injection


class PutBelowTheMessage(RepairsFlow):
    """Offer the other place for memories, which every agent reads."""

    def __init__(self, data: dict[str, str]) -> None:
        """Keep which assistant it is about."""
        self._data = data

    async def async_step_init(self, user_input: dict[str, str] | None = None) -> RepairsFlowResult:
        """Begin by asking."""
        return await self.async_step_confirm()

    async def async_step_confirm(self, user_input: dict[str, str] | None = None) -> RepairsFlowResult:
        """Ask, and change the assistant; it loads again by itself."""
        if user_input is None:
            return self.async_show_form(
                step_id="confirm",
                data_schema=probatio.Schema({}),
                description_placeholders={"assistant": self._data["assistant"]},
            )
        entry = self.hass.config_entries.async_get_entry(self._data["entry_id"])
        subentry = entry.subentries.get(self._data["subentry_id"]) if entry else None
        if entry is None or subentry is None:
            return self.async_abort(reason="assistant_gone")
        data = {**subentry.data, CONF_INJECTION: Injection.USER_MESSAGE.value}
        self.hass.config_entries.async_update_subentry(entry, subentry, data=data)
        return self.async_create_entry(data={})


async def async_create_fix_flow(hass: HomeAssistant, issue_id: str, data: dict[str, str]) -> RepairsFlow:
    """Return the dialog of the one issue that has one."""
    return PutBelowTheMessage(data)
