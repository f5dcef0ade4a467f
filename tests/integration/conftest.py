"""A real Home Assistant, and a real memory server in a process of its own."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
import os
from pathlib import Path
import sys
from types import MappingProxyType
from typing import Any

from homeassistant.config_entries import ConfigSubentry
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.syrupy import HomeAssistantSnapshotExtension
from pytest_homeassistant_custom_component.typing import WebSocketGenerator
from syrupy.assertion import SnapshotAssertion

sys.path.insert(0, str(Path(__file__).parents[2]))

from custom_components.npu_memory.client import MemoryClient
from custom_components.npu_memory.const import CONF_AGENT, DOMAIN, SUBENTRY_CONVERSATION
from tests.integration.agent import (
    AGENT,
    ASSISTANT as ASSISTANT,  # noqa: PLC0414 - tests have it from here
    RecordingAgent,
    add_agent,
)
from tests.integration.memory_server import MemoryServer
from tests.integration.speaker import Speaker

type AddEntry = Callable[..., Awaitable[MockConfigEntry]]


@pytest.fixture(autouse=True)
def integration_is_found(enable_custom_integrations: None, socket_enabled: None) -> None:
    """Let Home Assistant find the integration, and let it talk to servers on this machine."""


def _server(directory: Path, model_directory: Path) -> Iterator[MemoryServer]:
    python = os.environ.get("NPU_MEMORY_SERVER_PYTHON")
    if not python:
        pytest.skip("NPU_MEMORY_SERVER_PYTHON is not set; script/test sets it")
    data = directory / "data"
    data.mkdir()
    server = MemoryServer(python, str(model_directory), data)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture
def memory_server(tmp_path: Path, model_directory: Path) -> Iterator[MemoryServer]:
    """Return a server without memories, which the test may freeze, kill and start again."""
    yield from _server(tmp_path, model_directory)


@pytest.fixture
async def memory(memory_server: MemoryServer) -> AsyncIterator[MemoryClient]:
    """Return a connection of the test's own to the server, to put memories in and to look at what is there."""
    client = MemoryClient("127.0.0.1", memory_server.port, memory_server.token)
    await client.connect()
    yield client
    await client.close()


@pytest.fixture
def snapshot(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    """Keep snapshots as Home Assistant keeps its own."""
    return snapshot.use_extension(HomeAssistantSnapshotExtension)


@pytest.fixture
async def home(hass: HomeAssistant) -> HomeAssistant:
    """Return a Home Assistant that can hold conversations."""
    assert await async_setup_component(hass, "homeassistant", {})
    assert await async_setup_component(hass, "conversation", {})
    return hass


@pytest.fixture
async def agent(home: HomeAssistant) -> RecordingAgent:
    """Return the agent that an assistant with memory can stand in front of."""
    return await add_agent(home, RecordingAgent())


@pytest.fixture
async def add_entry(home: HomeAssistant) -> AsyncIterator[AddEntry]:
    """Return a function that sets up an entry with one assistant for every dict of options; unloads it in the end."""

    async def add(
        data: dict[str, Any],
        *assistants: dict[str, Any],
        unique_id: str = "instance",
        options: dict[str, Any] | None = None,
    ) -> MockConfigEntry:
        subentries = [
            ConfigSubentry(
                data=MappingProxyType(options),
                subentry_type=SUBENTRY_CONVERSATION,
                title="Memory" if number == 0 else f"Memory {number + 1}",
                unique_id=None,
            )
            for number, options in enumerate(assistants)
        ]
        entry = MockConfigEntry(
            domain=DOMAIN,
            title="NPU Memory",
            data=data,
            options=options or {},
            unique_id=unique_id,
            subentries_data=[subentry.as_dict() for subentry in subentries],
        )
        entry.add_to_hass(home)
        await home.config_entries.async_setup(entry.entry_id)
        await home.async_block_till_done()
        return entry

    yield add
    for entry in home.config_entries.async_entries(DOMAIN):
        await home.config_entries.async_unload(entry.entry_id)
    await home.async_block_till_done()


@pytest.fixture
async def assistant(memory_server: MemoryServer, agent: RecordingAgent, add_entry: AddEntry) -> MockConfigEntry:
    """Return an entry with an assistant with memory in front of the agent."""
    return await add_entry(memory_server.entry_data, {CONF_AGENT: AGENT, "budget_ms": 2000})


@pytest.fixture
async def pipelines(home: HomeAssistant) -> None:
    assert await async_setup_component(home, "assist_pipeline", {})
    await home.async_block_till_done()


@pytest.fixture
async def speaker(home: HomeAssistant, pipelines: None, hass_ws_client: WebSocketGenerator) -> Speaker:
    return Speaker(await hass_ws_client(home))
