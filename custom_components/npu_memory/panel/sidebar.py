"""The panel in the sidebar of administrators, there as long as a memory server is set up."""

import hashlib
from pathlib import Path

from homeassistant.components import frontend, panel_custom
from homeassistant.components.http import StaticPathConfig
from homeassistant.config_entries import SIGNAL_CONFIG_ENTRY_CHANGED, ConfigEntry, ConfigEntryChange
from homeassistant.core import HomeAssistant
from homeassistant.helpers.dispatcher import async_dispatcher_connect

from ..const import DOMAIN, NAME

PANEL = "npu-memory"
"""The panel's address, and a part of the name of its element."""
ELEMENT = "npu-memory-panel"
ICON = "mdi:head-lightbulb-outline"
FILES = Path(__file__).parent / "frontend"


async def async_setup_panel(hass: HomeAssistant) -> None:
    """Serve the panel's files, and show it from now on while there is a server; nothing without a frontend.

    The address of the files changes with their contents, so that browsers may keep them.
    """
    if frontend.DOMAIN not in hass.config.components:
        return
    address = f"/{DOMAIN}_panel/{await hass.async_add_executor_job(_fingerprint)}"
    await hass.http.async_register_static_paths([StaticPathConfig(address, str(FILES))])

    async def follow(_change: ConfigEntryChange, entry: ConfigEntry) -> None:
        if entry.domain == DOMAIN:
            await _show_or_hide(hass, address)

    async_dispatcher_connect(hass, SIGNAL_CONFIG_ENTRY_CHANGED, follow)
    await _show_or_hide(hass, address)


async def _show_or_hide(hass: HomeAssistant, address: str) -> None:
    """Show the panel for a server that cannot be reached too: it says so."""
    is_wanted = bool(hass.config_entries.async_entries(DOMAIN, include_ignore=False, include_disabled=False))
    if is_wanted is frontend.async_panel_exists(hass, PANEL):
        return
    if not is_wanted:
        frontend.async_remove_panel(hass, PANEL)
        return
    await panel_custom.async_register_panel(
        hass,
        PANEL,
        ELEMENT,
        sidebar_title=NAME,
        sidebar_icon=ICON,
        module_url=f"{address}/panel.js",
        require_admin=True,
    )


def _fingerprint() -> str:
    """Return what changes with the panel's files."""
    digest = hashlib.sha256()
    for file in sorted(FILES.iterdir()):
        digest.update(file.name.encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
