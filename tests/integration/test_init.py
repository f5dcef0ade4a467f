"""Setting an entry up, unloading it and loading it again, with the server there and without."""

import asyncio
from datetime import timedelta
import logging

from homeassistant.components import conversation
from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import EVENT_HOMEASSISTANT_STOP
from homeassistant.core import Context, HomeAssistant
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.entity_platform import async_get_platforms
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed

from custom_components.npu_memory import CAPTURED, client as client_module, wire
from custom_components.npu_memory.const import CONF_AGENT, DOMAIN
from tests.integration import faults
from tests.integration.agent import AGENT, RecordingAgent
from tests.integration.conftest import ASSISTANT, AddEntry
from tests.integration.memory_server import MemoryServer
from tests.integration.test_conversation import KEY, back, remembered, say, speech
from tests.integration.waiting import until


def tasks_of_ours() -> set[str]:
    """Return the names of the tasks that belong to the integration."""
    return {task.get_name() for task in asyncio.all_tasks() if DOMAIN in task.get_name()}


class TestWithAServer:
    async def test_an_entry_loads_and_unloads_and_leaves_nothing_running(
        self, home: HomeAssistant, assistant: MockConfigEntry
    ) -> None:
        assert assistant.state is ConfigEntryState.LOADED
        assert len(tasks_of_ours()) == 3
        client = assistant.runtime_data.client
        assert await home.config_entries.async_unload(assistant.entry_id)
        await asyncio.sleep(0)
        assert assistant.state is ConfigEntryState.NOT_LOADED
        assert tasks_of_ours() == set()
        assert not client.connected
        state = home.states.get(ASSISTANT)
        assert state is not None
        assert state.state == "unavailable"

    async def test_a_turn_that_is_under_way_ends_well(
        self, home: HomeAssistant, assistant: MockConfigEntry, agent: RecordingAgent
    ) -> None:
        agent.may_answer.clear()
        turn = asyncio.create_task(say(home, KEY))
        await until(lambda: agent.turns)
        await home.config_entries.async_reload(assistant.entry_id)
        agent.may_answer.set()
        assert speech(await turn) == "Of course."
        said, _ = await remembered(assistant.runtime_data.client, 2)
        assert said.text == KEY

    async def test_it_can_be_loaded_again(self, home: HomeAssistant, assistant: MockConfigEntry) -> None:
        assert await home.config_entries.async_reload(assistant.entry_id)
        await home.async_block_till_done()
        assert speech(await say(home, "Hello?")) == "Of course."

    async def test_an_entry_that_is_removed_takes_what_was_to_be_remembered_along(
        self, home: HomeAssistant, memory_server: MemoryServer, agent: RecordingAgent, add_entry: AddEntry
    ) -> None:
        entry = await add_entry(memory_server.entry_data, {CONF_AGENT: AGENT})
        memory_server.kill()
        await say(home, KEY)
        assert home.data[CAPTURED][entry.entry_id].unsent == 2
        await home.config_entries.async_remove(entry.entry_id)
        await home.async_block_till_done()
        assert home.data[CAPTURED] == {}

    async def test_when_home_assistant_stops_the_connection_is_closed(
        self, home: HomeAssistant, assistant: MockConfigEntry
    ) -> None:
        client = assistant.runtime_data.client
        home.bus.async_fire(EVENT_HOMEASSISTANT_STOP)
        await home.async_block_till_done()
        assert not client.connected

    async def test_the_server_and_each_assistant_are_devices(
        self, home: HomeAssistant, assistant: MockConfigEntry, device_registry: dr.DeviceRegistry
    ) -> None:
        devices = dr.async_entries_for_config_entry(device_registry, assistant.entry_id)
        assert {device.name for device in devices} == {"Memory", "NPU Memory"}
        assert {device.entry_type for device in devices} == {dr.DeviceEntryType.SERVICE}

    async def test_nothing_of_it_is_polled_but_the_status_of_the_server(
        self, home: HomeAssistant, assistant: MockConfigEntry
    ) -> None:
        platforms = [one for one in async_get_platforms(home, "npu_memory") if one.entities]
        assert len(platforms) == 3
        assert not [entity.entity_id for one in platforms for entity in one.entities.values() if entity.should_poll]

    async def test_several_assistants_share_a_server(
        self, home: HomeAssistant, memory_server: MemoryServer, agent: RecordingAgent, add_entry: AddEntry
    ) -> None:
        await add_entry(memory_server.entry_data, {CONF_AGENT: AGENT}, {"capture": "nothing"})
        assert speech(await say(home, "Hello?")) == "Of course."
        second = await conversation.async_converse(home, "Hi?", None, Context(), agent_id="conversation.memory_2")
        assert second.response.speech["plain"]["speech"]


class TestWithoutAServer:
    async def test_an_entry_without_assistants_is_tried_again(
        self, home: HomeAssistant, memory_server: MemoryServer, add_entry: AddEntry
    ) -> None:
        memory_server.kill()
        entry = await add_entry(memory_server.entry_data)
        assert entry.state is ConfigEntryState.SETUP_RETRY
        assert entry.error_reason_translation_key == "cannot_connect"
        await asyncio.to_thread(memory_server.start)
        async_fire_time_changed(home, dt_util.utcnow() + timedelta(minutes=2))
        await until(lambda: entry.state is ConfigEntryState.LOADED)

    @pytest.mark.parametrize(
        ("protocol", "key"), [(0, "server_too_old"), (wire.PROTOCOL_VERSION + 1, "server_too_new")]
    )
    async def test_another_version_is_an_error_that_says_what_to_update(
        self, protocol: int, key: str, home: HomeAssistant, add_entry: AddEntry
    ) -> None:
        async with faults.listening(faults.introducing(faults.greeting(protocol=protocol))) as port:
            entry = await add_entry({"host": "127.0.0.1", "port": port, "token": faults.TOKEN})
        assert entry.state is ConfigEntryState.SETUP_ERROR
        assert entry.error_reason_translation_key == key

    async def test_something_else_at_the_address_is_tried_again(self, home: HomeAssistant, add_entry: AddEntry) -> None:
        async with faults.listening(faults.saying(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
            entry = await add_entry({"host": "127.0.0.1", "port": port, "token": faults.TOKEN})
        assert entry.state is ConfigEntryState.SETUP_RETRY
        assert entry.error_reason_translation_key == "not_memory_server"

    async def test_a_server_without_a_status_is_tried_again(self, home: HomeAssistant, add_entry: AddEntry) -> None:
        async def full(request: wire.Frame) -> list[wire.Message]:
            return [wire.Failure(id=request.data["id"], text="The disk is full.", code="storage")]

        async with faults.listening(faults.memory_server(full)) as port:
            entry = await add_entry({"host": "127.0.0.1", "port": port, "token": faults.TOKEN})
            assert entry.state is ConfigEntryState.SETUP_RETRY
            assert entry.error_reason_translation_key == "storage"
            await home.config_entries.async_unload(entry.entry_id)

    async def test_a_house_that_restarts_keeps_its_voice_while_memory_is_away(
        self,
        home: HomeAssistant,
        memory_server: MemoryServer,
        agent: RecordingAgent,
        add_entry: AddEntry,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(client_module, "LAST_RETRY_SECONDS", 0.2)
        memory_server.kill()
        caplog.set_level(logging.INFO)
        entry = await add_entry(memory_server.entry_data, {CONF_AGENT: AGENT})
        assert entry.state is ConfigEntryState.LOADED
        assert speech(await say(home, "Hello?")) == "Of course."
        await asyncio.to_thread(memory_server.start)
        await back(entry)
        assert entry.runtime_data.client.connected
        lines = [
            record.levelname for record in caplog.records if record.name.startswith("custom_components.npu_memory")
        ]
        assert lines == ["ERROR", "INFO"]

    async def test_a_house_that_restarts_keeps_its_voice_while_the_token_is_wrong(
        self, home: HomeAssistant, memory_server: MemoryServer, agent: RecordingAgent, add_entry: AddEntry
    ) -> None:
        entry = await add_entry({**memory_server.entry_data, "token": "old"}, {CONF_AGENT: AGENT})
        assert entry.state is ConfigEntryState.LOADED
        assert speech(await say(home, "Hello?")) == "Of course."
        (form,) = home.config_entries.flow.async_progress()
        assert form["context"]["source"] == "reauth"


class TestTheStatus:
    async def test_it_is_fetched_again_as_long_as_somebody_looks_at_it(
        self, home: HomeAssistant, assistant: MockConfigEntry
    ) -> None:
        coordinator = assistant.runtime_data.coordinator
        updates = 0

        def updated() -> None:
            nonlocal updates
            updates += 1

        remove = coordinator.async_add_listener(updated)
        async_fire_time_changed(home, dt_util.utcnow() + timedelta(seconds=62))
        await until(lambda: updates)
        assert coordinator.last_update_success
        remove()

    async def test_a_server_that_cannot_tell_is_unavailable(self, home: HomeAssistant, add_entry: AddEntry) -> None:
        full = False

        async def answers(request: wire.Frame) -> list[wire.Message]:
            if full:
                return [wire.Failure(id=request.data["id"], text="The disk is full.", code="storage")]
            return await faults.healthy(request)

        async with faults.listening(faults.memory_server(answers)) as port:
            entry = await add_entry({"host": "127.0.0.1", "port": port, "token": faults.TOKEN})
            coordinator = entry.runtime_data.coordinator
            full = True
            await coordinator.async_refresh()
            assert not coordinator.last_update_success
            assert "free space" in str(coordinator.last_exception)
            full = False
            await coordinator.async_refresh()
            assert coordinator.last_update_success
            await home.config_entries.async_unload(entry.entry_id)
