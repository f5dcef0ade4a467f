"""Every turn of an assistant as an event: whether it had memories, how many, and what they cost."""

from typing import override

from homeassistant.components.event import EventEntity
from homeassistant.config_entries import ConfigSubentry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import SUBENTRY_CONVERSATION
from .coordinator import NpuMemoryConfigEntry
from .entity import NpuMemoryAssistantEntity
from .report import Outcome, TurnReport

PARALLEL_UPDATES = 0


async def async_setup_entry(
    hass: HomeAssistant, entry: NpuMemoryConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Set up an event entity for each assistant."""
    for subentry in entry.subentries.values():
        if subentry.subentry_type == SUBENTRY_CONVERSATION:
            async_add_entities([TurnEvent(entry, subentry)], config_subentry_id=subentry.subentry_id)


class TurnEvent(NpuMemoryAssistantEntity, EventEntity):
    """The turns of an assistant, in numbers."""

    _attr_translation_key = "turn"
    _attr_event_types = [outcome.value for outcome in Outcome]  # noqa: RUF012 - Home Assistant's way

    def __init__(self, entry: NpuMemoryConfigEntry, subentry: ConfigSubentry) -> None:
        """Name the entity."""
        super().__init__(entry, subentry)
        self._attr_unique_id = f"{subentry.subentry_id}_turn"

    @override
    async def async_added_to_hass(self) -> None:
        self.async_on_remove(async_dispatcher_connect(self.hass, self.turn_signal, self._turn_ended))

    @callback
    def _turn_ended(self, report: TurnReport) -> None:
        self._trigger_event(report.outcome.value, report.as_attributes())
        self.async_write_ha_state()
