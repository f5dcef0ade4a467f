"""Diagnostics: what helps, and nothing that anybody said."""

import json
from typing import Any

from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.components.diagnostics import get_diagnostics_for_config_entry
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator
from syrupy.assertion import SnapshotAssertion
from syrupy.filters import props

from custom_components.npu_memory import wire
from custom_components.npu_memory.client import MemoryClient
from tests.integration.agent import RecordingAgent
from tests.integration.conftest import AddEntry
from tests.integration.memory_server import MemoryServer
from tests.integration.test_conversation import away, remembered, say


@pytest.fixture
async def diagnosed(home: HomeAssistant) -> None:
    assert await async_setup_component(home, "diagnostics", {})


async def test_they_say_how_the_server_is(
    home: HomeAssistant,
    diagnosed: None,
    assistant: MockConfigEntry,
    hass_client: ClientSessionGenerator,
    snapshot: SnapshotAssertion,
) -> None:
    found = await get_diagnostics_for_config_entry(home, hass_client, assistant)
    varying = props("port", "fingerprint", "database_bytes", "uptime_seconds", "version", "id")
    assert found == snapshot(exclude=varying)


async def test_no_text_no_name_and_no_token_is_in_them(
    home: HomeAssistant,
    diagnosed: None,
    assistant: MockConfigEntry,
    agent: RecordingAgent,
    memory: MemoryClient,
    memory_server: MemoryServer,
    hass_client: ClientSessionGenerator,
) -> None:
    await memory.remember(wire.RememberRequest(text="The code of the locker is 4711-QX.", speaker="Anna"), 10)
    await say(home, "What is the code of the locker?")
    await remembered(memory, 3)
    await assistant.runtime_data.coordinator.async_refresh()
    told = json.dumps(await get_diagnostics_for_config_entry(home, hass_client, assistant))
    # No digits alone: a measured time may have them in a row.
    for secret in ("locker", "4711-QX", "Anna", memory_server.token, "127.0.0.1"):
        assert secret not in told


async def test_they_can_be_had_without_the_server(
    home: HomeAssistant,
    diagnosed: None,
    memory_server: MemoryServer,
    agent: RecordingAgent,
    add_entry: AddEntry,
    hass_client: ClientSessionGenerator,
) -> None:
    memory_server.kill()
    entry = await add_entry(memory_server.entry_data, {})
    await away(entry)
    found: Any = await get_diagnostics_for_config_entry(home, hass_client, entry)
    assert (found["connected"], found["status"], found["last_error"]) == (False, None, "ConfigEntryNotReady")
