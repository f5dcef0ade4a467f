"""An assistant looks to Home Assistant as the agent behind it does, and follows it wherever it goes."""

from typing import override

from homeassistant.components import conversation
from homeassistant.config_entries import ConfigSubentry
from homeassistant.const import ATTR_SUPPORTED_FEATURES
from homeassistant.core import Event, EventStateChangedData, HomeAssistant, State, callback
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.event import async_track_entity_registry_updated_event, async_track_state_change_event
from homeassistant.helpers.start import async_at_started

from .const import CONF_AGENT
from .coordinator import NpuMemoryConfigEntry
from .entity import NpuMemoryAssistantEntity, is_ours
from .issues import AGENT_MISSING, raise_agent_missing, settle
from .options import AssistantOptions


class FrontingEntity(NpuMemoryAssistantEntity, conversation.ConversationEntity):
    """A conversation agent in front of another one, or of none."""

    def __init__(self, entry: NpuMemoryConfigEntry, subentry: ConfigSubentry) -> None:
        """Read the options."""
        super().__init__(entry, subentry)
        self._attr_unique_id = subentry.subentry_id
        self.options = AssistantOptions.from_subentry(subentry.data)

    @property
    @override
    def supports_streaming(self) -> bool:
        info = self.agent_is_there() and conversation.async_get_agent_info(self.hass, self.options.agent)
        return bool(info and info.supports_streaming)

    @override
    async def async_added_to_hass(self) -> None:
        await super().async_added_to_hass()
        if self.options.agent:
            self.async_on_remove(async_at_started(self.hass, self._look_for_agent))
            self._mirror(self.hass.states.get(self.options.agent))
            self.async_on_remove(
                async_track_state_change_event(self.hass, self.options.agent, self._agent_state_changed)
            )
            self.async_on_remove(
                async_track_entity_registry_updated_event(self.hass, self.options.agent, self._agent_registry_changed)
            )

    @override
    async def async_will_remove_from_hass(self) -> None:
        settle(self.hass, AGENT_MISSING, self.subentry.subentry_id)
        await super().async_will_remove_from_hass()

    @callback
    def _look_for_agent(self, _hass: HomeAssistant) -> None:
        """Tell the user if the agent is gone for good; one that is late, or whose service is away, comes back."""
        agent = self.options.agent
        if agent is None:
            return
        if er.async_get(self.hass).async_get(agent) or conversation.async_get_agent_info(self.hass, agent):
            settle(self.hass, AGENT_MISSING, self.subentry.subentry_id)
        else:
            raise_agent_missing(self.hass, self.subentry.subentry_id, self.subentry.title, agent)

    @callback
    def _agent_state_changed(self, event: Event[EventStateChangedData]) -> None:
        if self.hass.is_running:
            self._look_for_agent(self.hass)
        if self._mirror(event.data["new_state"]):
            self.async_write_ha_state()

    @callback
    def _agent_registry_changed(self, event: Event[er.EventEntityRegistryUpdatedData]) -> None:
        """Follow the agent to its new name; the entry loads again with it."""
        if event.data["action"] == "update" and "old_entity_id" in event.data:
            data = {**self.subentry.data, CONF_AGENT: event.data["entity_id"]}
            self.hass.config_entries.async_update_subentry(self.entry, self.subentry, data=data)

    @callback
    def _mirror(self, state: State | None) -> bool:
        """Take over whether the agent controls the home; a pipeline reads it here. Return whether it changed."""
        if state is None:
            return False
        before = self._attr_supported_features
        features = conversation.ConversationEntityFeature(state.attributes.get(ATTR_SUPPORTED_FEATURES, 0))
        self._attr_supported_features = features & conversation.ConversationEntityFeature.CONTROL
        return self._attr_supported_features != before

    def agent_is_there(self) -> bool:
        """Say whether there is an agent to ask; one of our own would ask itself."""
        if self.options.agent is None or is_ours(self.hass, self.options.agent):
            return False
        return conversation.async_get_agent_info(self.hass, self.options.agent) is not None
