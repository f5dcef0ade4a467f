"""A long-term memory for Home Assistant's voice assistant."""

from homeassistant.const import Platform
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import IntegrationError
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.typing import ConfigType
from homeassistant.util.hass_dict import HassKey

from .capture import CaptureQueue
from .const import DOMAIN, SUBENTRY_CONVERSATION
from .coordinator import NpuMemoryConfigEntry, NpuMemoryCoordinator, NpuMemoryData
from .distilling import Distiller
from .issues import tell_of_npu, tell_of_proposals
from .keeping import Keeper
from .options import ServerOptions
from .overheard import Overheard
from .panel.commands import async_setup_commands
from .panel.sidebar import async_setup_panel
from .services import async_setup_services
from .voice.triggers import listen
from .voice.understanding import prepare

CONFIG_SCHEMA = cv.config_entry_only_config_schema(DOMAIN)
PLATFORMS = [Platform.CONVERSATION, Platform.EVENT, Platform.SENSOR]

CAPTURED: HassKey[dict[str, CaptureQueue]] = HassKey(f"{DOMAIN}_captured")
"""By entry: turns on their way to the server."""


async def async_setup(hass: HomeAssistant, config: ConfigType) -> bool:
    """Set up the actions and the panel."""
    async_setup_services(hass)
    async_setup_commands(hass)
    await async_setup_panel(hass)
    return True


async def async_setup_entry(hass: HomeAssistant, entry: NpuMemoryConfigEntry) -> bool:
    """Connect to the memory server and set up the assistants.

    Assistants are set up without the server too: a house that restarts must not lose its voice because its memory is
    late.
    """
    coordinator = NpuMemoryCoordinator(hass, entry)
    try:
        await coordinator.connect()
    except IntegrationError as error:
        if not _has_assistants(entry):
            raise
        await coordinator.connect_later(error)
    await hass.async_add_executor_job(prepare, hass.config.language)
    captured = hass.data.setdefault(CAPTURED, {}).setdefault(entry.entry_id, CaptureQueue())
    options = ServerOptions.from_entry(entry.options)
    refresh = coordinator.async_request_refresh
    distiller = Distiller(hass, coordinator.client, captured, options.distilled, refresh)
    keeper = Keeper(captured, distiller.heard)
    overheard = Overheard(hass, entry, options, keeper)
    entry.runtime_data = NpuMemoryData(coordinator.client, coordinator, captured, options, keeper, overheard)
    entry.async_create_background_task(hass, captured.run(coordinator.client), f"{DOMAIN} capture")
    if options.distiller:
        entry.async_create_background_task(hass, distiller.run(options.distiller), f"{DOMAIN} distilling")
    if options.pipelines:
        entry.async_on_unload(overheard.listen())
    if options.sentences and (stop := await listen(hass, coordinator.client, entry.runtime_data.exchanges, options)):
        entry.async_on_unload(stop)
    await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)
    entry.async_on_unload(entry.add_update_listener(_reload))
    return True


async def async_unload_entry(hass: HomeAssistant, entry: NpuMemoryConfigEntry) -> bool:
    """Take the assistants away; the connection closes with the entry."""
    return await hass.config_entries.async_unload_platforms(entry, PLATFORMS)


async def async_remove_entry(hass: HomeAssistant, entry: NpuMemoryConfigEntry) -> None:
    """Drop what was still to be remembered, and what was told of the server."""
    tell_of_npu(hass, entry.entry_id, ())
    tell_of_proposals(hass, entry.entry_id, 0)
    hass.data.get(CAPTURED, {}).pop(entry.entry_id, None)


async def _reload(hass: HomeAssistant, entry: NpuMemoryConfigEntry) -> None:
    await hass.config_entries.async_reload(entry.entry_id)


def _has_assistants(entry: NpuMemoryConfigEntry) -> bool:
    return any(subentry.subentry_type == SUBENTRY_CONVERSATION for subentry in entry.subentries.values())
