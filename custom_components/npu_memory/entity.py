"""What the entities of an assistant have in common."""

from homeassistant.config_entries import ConfigSubentry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.device_registry import DeviceEntryType, DeviceInfo
from homeassistant.helpers.entity import Entity, EntityDescription
from homeassistant.helpers.update_coordinator import CoordinatorEntity

from .const import DOMAIN, NAME
from .coordinator import NpuMemoryConfigEntry, NpuMemoryCoordinator


class NpuMemoryAssistantEntity(Entity):
    """An entity of one assistant, which is a device of its own."""

    _attr_has_entity_name = True
    _attr_should_poll = False

    def __init__(self, entry: NpuMemoryConfigEntry, subentry: ConfigSubentry) -> None:
        """Name the entity and its device."""
        self.entry = entry
        self.memory = entry.runtime_data
        self.subentry = subentry
        self.turn_signal = f"{DOMAIN}_turn_{subentry.subentry_id}"
        self._attr_device_info = DeviceInfo(
            entry_type=DeviceEntryType.SERVICE,
            identifiers={(DOMAIN, subentry.subentry_id)},
            manufacturer=NAME,
            model="Assistant",
            name=subentry.title,
        )


class NpuMemoryServerEntity(CoordinatorEntity[NpuMemoryCoordinator]):
    """An entity of the server, which is a device too."""

    _attr_has_entity_name = True

    def __init__(self, entry: NpuMemoryConfigEntry, description: EntityDescription) -> None:
        """Describe the entity and its device."""
        coordinator = entry.runtime_data.coordinator
        super().__init__(coordinator)
        self.entity_description = description
        self._attr_unique_id = f"{entry.entry_id}_{description.key}"
        self._attr_device_info = DeviceInfo(
            entry_type=DeviceEntryType.SERVICE,
            identifiers={(DOMAIN, entry.entry_id)},
            manufacturer=NAME,
            model="Memory server",
            name=entry.title,
            sw_version=coordinator.data.version if coordinator.data else None,
        )


@callback
def is_ours(hass: HomeAssistant, entity_id: str) -> bool:
    """Say whether an entity is one of this integration."""
    registered = er.async_get(hass).async_get(entity_id)
    return registered is not None and registered.platform == DOMAIN
