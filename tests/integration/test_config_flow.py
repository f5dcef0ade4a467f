"""Adding a memory server and assistants, changing them, and what the user is told when it does not work."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from homeassistant import config_entries
from homeassistant.config_entries import ConfigEntryState, ConfigSubentry
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType, InvalidData
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.helpers.service_info.hassio import HassioServiceInfo
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, get_schema_suggested_value

from custom_components.npu_memory import connection as connection_module, wire
from custom_components.npu_memory.client import probe
from custom_components.npu_memory.const import CONF_AGENT, DOMAIN, SUBENTRY_CONVERSATION
from tests.integration import faults
from tests.integration.agent import AGENT, RecordingAgent
from tests.integration.conftest import ASSISTANT, AddEntry
from tests.integration.memory_server import MemoryServer
from tests.integration.speaker import Speaker
from tests.integration.test_conversation import remembered, say
from tests.integration.waiting import until

type Result = Any

DEFAULTS = {
    "capture": "both",
    "strategy": "hybrid",
    "top_k": 5,
    "reranker": "server",
    "budget_ms": 200,
    "injection": "system_prompt",
    "max_tokens": 500,
    "fallback": "no_context",
    "whose": "place",
    "private": False,
    "allow_secrets": False,
}
CLOSED: dict[str, dict[str, Any]] = {"recall": {}, "prompt": {}, "privacy": {}}
"""The sections of the form as somebody leaves them who never opens them."""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "CONNECT_SECONDS", 0.5)


async def begin(hass: HomeAssistant) -> Result:
    return await hass.config_entries.flow.async_init(DOMAIN, context={"source": config_entries.SOURCE_USER})


async def answer(hass: HomeAssistant, form: Result, data: dict[str, Any]) -> Result:
    result = await hass.config_entries.flow.async_configure(form["flow_id"], data)
    await hass.async_block_till_done()
    return result


async def discovered(hass: HomeAssistant, config: dict[str, Any]) -> Result:
    """Do what Home Assistant does when the Supervisor hands on what the app has announced."""
    information = HassioServiceInfo(
        config={**config, "addon": "NPU Memory"}, name="NPU Memory", slug="npu_memory", uuid="0123456789abcdef" * 2
    )
    context = {"source": config_entries.SOURCE_HASSIO}
    result = await hass.config_entries.flow.async_init(DOMAIN, context=context, data=information)
    await hass.async_block_till_done()
    return result


@asynccontextmanager
async def trouble(kind: str) -> AsyncIterator[int]:
    """Serve what goes wrong; yields the port."""
    peers = {
        "silent": faults.silent,
        "http": faults.saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        "wyoming": faults.introducing({"asr": []}),
        "older": faults.introducing(faults.greeting(protocol=0)),
        "newer": faults.introducing(faults.greeting(protocol=wire.PROTOCOL_VERSION + 1)),
        "lying": faults.memory_server(faults.healthy, lies=True),
        "another token": faults.memory_server(faults.healthy, token="another"),
    }
    async with faults.listening(peers.get(kind, faults.silent)) as port:
        if kind != "nobody":
            yield port
    if kind == "nobody":
        yield port


class TestAddingAServer:
    async def test_with_address_and_token(self, home: HomeAssistant, memory_server: MemoryServer) -> None:
        form = await begin(home)
        assert form["type"] is FlowResultType.FORM
        assert form["errors"] == {}
        result = await answer(home, form, {**memory_server.entry_data, "host": " 127.0.0.1 "})
        greeting = await probe("127.0.0.1", memory_server.port, memory_server.token)
        assert result["type"] is FlowResultType.CREATE_ENTRY
        assert result["title"] == "NPU Memory"
        assert result["data"] == memory_server.entry_data
        entry = result["result"]
        assert entry.unique_id == greeting.instance
        assert entry.state is ConfigEntryState.LOADED
        await home.config_entries.async_unload(entry.entry_id)

    async def test_the_port_is_suggested(self, home: HomeAssistant) -> None:
        form = await begin(home)
        assert form["data_schema"]({"host": "h", "token": "t"})["port"] == wire.DEFAULT_PORT

    async def test_the_same_server_is_added_once(self, home: HomeAssistant, memory_server: MemoryServer) -> None:
        greeting = await probe("127.0.0.1", memory_server.port, memory_server.token)
        MockConfigEntry(domain=DOMAIN, unique_id=greeting.instance, data={}).add_to_hass(home)
        result = await answer(home, await begin(home), memory_server.entry_data)
        assert result["type"] is FlowResultType.ABORT
        assert result["reason"] == "already_configured"

    @pytest.mark.parametrize(
        ("kind", "errors"),
        [
            ("nobody", {"base": "cannot_connect"}),
            ("silent", {"base": "cannot_connect"}),
            ("http", {"base": "not_memory_server"}),
            ("wyoming", {"base": "not_memory_server"}),
            ("lying", {"base": "not_memory_server"}),
            ("older", {"base": "server_too_old"}),
            ("newer", {"base": "server_too_new"}),
            ("another token", {"token": "invalid_auth"}),
        ],
    )
    async def test_every_mistake_has_its_own_message_and_what_was_typed_stays(
        self, kind: str, errors: dict[str, str], home: HomeAssistant, memory_server: MemoryServer
    ) -> None:
        form = await begin(home)
        async with trouble(kind) as port:
            typed = {"host": "127.0.0.1", "port": port, "token": faults.TOKEN}
            form = await answer(home, form, typed)
        assert form["type"] is FlowResultType.FORM
        assert form["errors"] == errors
        assert {key: get_schema_suggested_value(form["data_schema"].schema, key) for key in typed} == typed
        if kind in ("older", "newer"):
            assert form["description_placeholders"]["server_version"] == "0.1.0"

        result = await answer(home, form, memory_server.entry_data)
        assert result["type"] is FlowResultType.CREATE_ENTRY
        await home.config_entries.async_unload(result["result"].entry_id)

    async def test_a_bug_of_ours_is_told_too(
        self, home: HomeAssistant, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def broken(*_: Any) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr("custom_components.npu_memory.config_flow.probe", broken)
        form = await answer(home, await begin(home), {"host": "h", "port": 1, "token": "t"})
        assert form["errors"] == {"base": "unknown"}
        assert "ZeroDivisionError" in caplog.text


class TestTheAppAnnouncesItself:
    async def test_one_click_adds_it(self, home: HomeAssistant, memory_server: MemoryServer) -> None:
        form = await discovered(home, memory_server.entry_data)
        assert form["step_id"] == "hassio_confirm"
        assert form["description_placeholders"] == {"app": "NPU Memory"}
        result = await answer(home, form, {})
        assert result["type"] is FlowResultType.CREATE_ENTRY
        assert result["data"] == memory_server.entry_data
        assert result["result"].state is ConfigEntryState.LOADED
        await home.config_entries.async_unload(result["result"].entry_id)

    async def test_what_was_added_by_hand_is_not_offered_again(
        self, home: HomeAssistant, memory_server: MemoryServer
    ) -> None:
        entry = (await answer(home, await begin(home), memory_server.entry_data))["result"]
        result = await discovered(home, memory_server.entry_data)
        assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "already_configured")
        await home.config_entries.async_unload(entry.entry_id)

    @pytest.mark.parametrize(
        ("before", "state"),
        [
            ({"port": 1}, ConfigEntryState.SETUP_RETRY),
            ({"token": "a token of yesterday"}, ConfigEntryState.SETUP_ERROR),
        ],
    )
    async def test_an_entry_follows_its_app_to_another_address_and_token(
        self, before: dict[str, Any], state: ConfigEntryState, home: HomeAssistant, memory_server: MemoryServer
    ) -> None:
        greeting = await probe("127.0.0.1", memory_server.port, memory_server.token)
        entry = MockConfigEntry(domain=DOMAIN, unique_id=greeting.instance, data={**memory_server.entry_data, **before})
        entry.add_to_hass(home)
        await home.config_entries.async_setup(entry.entry_id)
        assert entry.state is state
        result = await discovered(home, memory_server.entry_data)
        assert result["reason"] == "already_configured"
        assert entry.data == memory_server.entry_data
        assert entry.state is ConfigEntryState.LOADED
        await home.config_entries.async_unload(entry.entry_id)

    @pytest.mark.parametrize(
        ("kind", "reason"),
        [
            ("nobody", "cannot_connect"),
            ("http", "not_memory_server"),
            ("older", "server_too_old"),
            ("newer", "server_too_new"),
            ("another token", "invalid_auth"),
        ],
    )
    async def test_what_cannot_be_added_is_not_offered(self, kind: str, reason: str, home: HomeAssistant) -> None:
        async with trouble(kind) as port:
            result = await discovered(home, {"host": "127.0.0.1", "port": port, "token": faults.TOKEN})
        assert (result["type"], result["reason"]) == (FlowResultType.ABORT, reason)

    @pytest.mark.parametrize("wrong", [{"port": "none"}, {"port": None}, {"token": None}, {"host": 7}])
    async def test_an_announcement_that_makes_no_sense_is_not_offered(
        self, wrong: dict[str, Any], home: HomeAssistant, memory_server: MemoryServer
    ) -> None:
        result = await discovered(home, {**memory_server.entry_data, **wrong})
        assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "not_memory_server")


class TestAnotherToken:
    async def test_the_user_is_asked_for_it(
        self, home: HomeAssistant, memory_server: MemoryServer, add_entry: AddEntry
    ) -> None:
        greeting = await probe("127.0.0.1", memory_server.port, memory_server.token)
        entry = await add_entry({**memory_server.entry_data, "token": "old"}, unique_id=greeting.instance)
        assert entry.state is ConfigEntryState.SETUP_ERROR
        (form,) = home.config_entries.flow.async_progress()
        assert form["step_id"] == "reauth_confirm"
        wrong = await answer(home, form, {"token": "still wrong"})
        assert wrong["errors"] == {"token": "invalid_auth"}
        result = await answer(home, wrong, {"token": memory_server.token})
        assert result["reason"] == "reauth_successful"
        assert entry.state is ConfigEntryState.LOADED
        assert entry.data == memory_server.entry_data

    async def test_a_server_with_a_new_token_makes_the_running_entry_ask(
        self,
        home: HomeAssistant,
        memory_server: MemoryServer,
        add_entry: AddEntry,
        agent: RecordingAgent,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        greeting = await probe("127.0.0.1", memory_server.port, memory_server.token)
        entry = await add_entry(memory_server.entry_data, {CONF_AGENT: AGENT}, unique_id=greeting.instance)
        memory_server.kill()
        memory_server.token = "the-new-token-of-this-house"
        await asyncio.to_thread(memory_server.start)
        await until(home.config_entries.flow.async_progress)
        await home.async_block_till_done()
        assert entry.state is ConfigEntryState.LOADED
        await say(home, "The key is under the mat.")
        (form,) = home.config_entries.flow.async_progress()
        result = await answer(home, form, {"token": memory_server.token})
        assert result["reason"] == "reauth_successful"
        assert entry.state is ConfigEntryState.LOADED
        said, _ = await remembered(entry.runtime_data.client, 2)
        assert said.text == "The key is under the mat."

    async def test_a_server_that_got_its_old_token_back_is_used_again(
        self, home: HomeAssistant, memory_server: MemoryServer, add_entry: AddEntry, agent: RecordingAgent
    ) -> None:
        greeting = await probe("127.0.0.1", memory_server.port, memory_server.token)
        entry = await add_entry(memory_server.entry_data, {CONF_AGENT: AGENT}, unique_id=greeting.instance)
        await entry.runtime_data.client.close()
        entry.async_start_reauth(home)
        await home.async_block_till_done()
        (form,) = home.config_entries.flow.async_progress()
        result = await answer(home, form, {"token": memory_server.token})
        assert result["reason"] == "reauth_successful"
        assert entry.runtime_data.client.connected

    async def test_the_token_of_another_server_is_not_mixed_up(
        self, home: HomeAssistant, memory_server: MemoryServer, add_entry: AddEntry
    ) -> None:
        await add_entry({**memory_server.entry_data, "token": "old"}, unique_id="another-instance")
        (form,) = home.config_entries.flow.async_progress()
        result = await answer(home, form, {"token": memory_server.token})
        assert result["reason"] == "another_server"


class TestAnotherAddress:
    async def test_the_entry_follows_its_server(
        self, home: HomeAssistant, memory_server: MemoryServer, add_entry: AddEntry
    ) -> None:
        greeting = await probe("127.0.0.1", memory_server.port, memory_server.token)
        entry = await add_entry(memory_server.entry_data, unique_id=greeting.instance)
        form = await entry.start_reconfigure_flow(home)
        assert get_schema_suggested_value(form["data_schema"].schema, "port") == memory_server.port
        async with trouble("http") as port:
            form = await answer(home, form, {**memory_server.entry_data, "port": port})
        assert form["errors"] == {"base": "not_memory_server"}
        memory_server.kill()
        memory_server.port = 0
        await asyncio.to_thread(memory_server.start)
        result = await answer(home, form, memory_server.entry_data)
        assert result["reason"] == "reconfigure_successful"
        assert entry.data == memory_server.entry_data
        assert entry.state is ConfigEntryState.LOADED

    async def test_another_server_is_refused(
        self, home: HomeAssistant, memory_server: MemoryServer, add_entry: AddEntry
    ) -> None:
        entry = await add_entry(memory_server.entry_data, unique_id="another-instance")
        result = await answer(home, await entry.start_reconfigure_flow(home), memory_server.entry_data)
        assert result["reason"] == "another_server"


class TestAssistants:
    @pytest.fixture
    async def entry(self, memory_server: MemoryServer, agent: RecordingAgent, add_entry: AddEntry) -> MockConfigEntry:
        return await add_entry(memory_server.entry_data)

    async def begin(self, home: HomeAssistant, entry: MockConfigEntry) -> Result:
        return await home.config_entries.subentries.async_init(
            (entry.entry_id, SUBENTRY_CONVERSATION), context={"source": config_entries.SOURCE_USER}
        )

    async def answer(self, home: HomeAssistant, form: Result, data: dict[str, Any]) -> Result:
        result = await home.config_entries.subentries.async_configure(form["flow_id"], data)
        await home.async_block_till_done()
        return result

    def only_one(self, entry: MockConfigEntry) -> ConfigSubentry:
        (subentry,) = entry.subentries.values()
        return subentry

    async def test_one_in_front_of_an_agent(
        self, home: HomeAssistant, entry: MockConfigEntry, entity_registry: er.EntityRegistry
    ) -> None:
        form = await self.begin(home, entry)
        assert form["type"] is FlowResultType.FORM
        result = await self.answer(home, form, {"name": "Butler", CONF_AGENT: AGENT, **CLOSED})
        assert result["type"] is FlowResultType.CREATE_ENTRY
        subentry = self.only_one(entry)
        assert subentry.title == "Butler"
        assert subentry.data == {**DEFAULTS, CONF_AGENT: AGENT}
        assert entry.state is ConfigEntryState.LOADED
        registered = entity_registry.async_get("conversation.butler")
        assert registered is not None
        assert registered.unique_id == subentry.subentry_id
        assert home.states.get("conversation.butler") is not None

    async def test_one_without_a_language_model(self, home: HomeAssistant, entry: MockConfigEntry) -> None:
        form = await self.begin(home, entry)
        await self.answer(home, form, {"name": "Diary", **CLOSED})
        assert self.only_one(entry).data == DEFAULTS

    @pytest.mark.parametrize(
        ("refused", "error"),
        [
            ("conversation.nobody", "agent_not_found"),
            (ASSISTANT, "own_agent"),
        ],
    )
    async def test_some_agents_are_refused_with_a_reason_and_what_was_typed_stays(
        self,
        refused: str,
        error: str,
        home: HomeAssistant,
        memory_server: MemoryServer,
        agent: RecordingAgent,
        add_entry: AddEntry,
    ) -> None:
        entry = await add_entry(memory_server.entry_data, {})
        form = await self.begin(home, entry)
        form = await self.answer(home, form, {"name": "Butler", CONF_AGENT: refused, **CLOSED, "recall": {"top_k": 7}})
        assert form["errors"] == {CONF_AGENT: error}
        assert get_schema_suggested_value(form["data_schema"].schema, "name") == "Butler"
        assert get_schema_suggested_value(form["data_schema"].schema["recall"].schema.schema, "top_k") == 7
        result = await self.answer(home, form, {"name": "Butler", CONF_AGENT: AGENT, **CLOSED})
        assert result["type"] is FlowResultType.CREATE_ENTRY

    async def test_an_agent_may_be_named_by_its_registry_id(
        self, home: HomeAssistant, entry: MockConfigEntry, entity_registry: er.EntityRegistry
    ) -> None:
        registered = entity_registry.async_get_or_create("conversation", "a_model", "1", object_id_base="away")
        form = await self.begin(home, entry)
        await self.answer(home, form, {"name": "Butler", CONF_AGENT: registered.id, **CLOSED})
        assert self.only_one(entry).data[CONF_AGENT] == registered.entity_id

    @pytest.mark.parametrize(
        "wrong",
        [
            {"recall": {"top_k": 0}},
            {"recall": {"top_k": 51}},
            {"recall": {"budget_ms": 19}},
            {"recall": {"budget_ms": 2001}},
            {"recall": {"strategy": "guessing"}},
            {"recall": {"min_relevance": 1.1}},
            {"prompt": {"max_tokens": 15}},
            {"privacy": {"whose": "everybody's"}},
        ],
    )
    async def test_what_makes_no_sense_is_refused(
        self, wrong: dict[str, Any], home: HomeAssistant, entry: MockConfigEntry
    ) -> None:
        form = await self.begin(home, entry)
        with pytest.raises(InvalidData):
            await self.answer(home, form, {"name": "Butler", **CLOSED, **wrong})

    async def test_an_assistant_can_be_changed(self, home: HomeAssistant, entry: MockConfigEntry) -> None:
        asked = {"name": "Butler", CONF_AGENT: AGENT, **CLOSED, "recall": {"top_k": 7, "min_relevance": 0.3}}
        await self.answer(home, await self.begin(home, entry), asked)
        subentry_id = self.only_one(entry).subentry_id
        form = await entry.start_subentry_reconfigure_flow(home, subentry_id)
        assert "name" not in form["data_schema"].schema
        recall = form["data_schema"].schema["recall"].schema.schema
        assert get_schema_suggested_value(recall, "top_k") == 7
        assert get_schema_suggested_value(recall, "min_relevance") == 0.3
        assert get_schema_suggested_value(form["data_schema"].schema, CONF_AGENT) == AGENT
        result = await self.answer(home, form, {**CLOSED, "recall": {"strategy": "recent"}})
        assert result["reason"] == "reconfigure_successful"
        subentry = self.only_one(entry)
        assert (subentry.title, subentry.data) == ("Butler", {**DEFAULTS, "strategy": "recent"})
        assert entry.state is ConfigEntryState.LOADED


class TestWhatHoldsForAllAssistants:
    @pytest.fixture
    async def entry(self, memory_server: MemoryServer, agent: RecordingAgent, add_entry: AddEntry) -> MockConfigEntry:
        return await add_entry(memory_server.entry_data, {CONF_AGENT: AGENT})

    @pytest.fixture
    def satellite(self, home: HomeAssistant, entry: MockConfigEntry, device_registry: dr.DeviceRegistry) -> str:
        device = device_registry.async_get_or_create(config_entry_id=entry.entry_id, identifiers={("test", "bedroom")})
        return device.id

    async def begin(self, home: HomeAssistant, entry: MockConfigEntry) -> Result:
        return await home.config_entries.options.async_init(entry.entry_id)

    async def answer(self, home: HomeAssistant, form: Result, data: dict[str, Any]) -> Result:
        result = await home.config_entries.options.async_configure(form["flow_id"], data)
        await home.async_block_till_done()
        return result

    async def test_who_speaks_where(self, home: HomeAssistant, entry: MockConfigEntry, satellite: str) -> None:
        form = await self.begin(home, entry)
        speakers = [{"device": satellite, "person": "person.anna"}]
        result = await self.answer(home, form, {"speakers": speakers, "overheard": {}, "distilling": {}})
        assert result["type"] is FlowResultType.CREATE_ENTRY
        assert entry.state is ConfigEntryState.LOADED
        assert entry.runtime_data.options.speakers == {satellite: "person.anna"}
        form = await self.begin(home, entry)
        assert get_schema_suggested_value(form["data_schema"].schema, "speakers") == speakers

    async def test_a_satellite_cannot_be_two_peoples(
        self, home: HomeAssistant, entry: MockConfigEntry, satellite: str
    ) -> None:
        form = await self.begin(home, entry)
        twice = [{"device": satellite, "person": "person.anna"}, {"device": satellite}]
        form = await self.answer(home, form, {"speakers": twice, "overheard": {"private": True}, "distilling": {}})
        assert form["errors"] == {"speakers": "device_twice"}
        assert get_schema_suggested_value(form["data_schema"].schema, "speakers") == twice
        result = await self.answer(
            home, form, {"speakers": twice[1:], "overheard": {"private": True}, "distilling": {}}
        )
        assert result["type"] is FlowResultType.CREATE_ENTRY
        assert entry.runtime_data.options.speakers == {satellite: None}

    async def test_which_pipelines_are_overheard_and_one_that_is_removed_is_no_obstacle(
        self, home: HomeAssistant, entry: MockConfigEntry, speaker: Speaker
    ) -> None:
        assert not entry.runtime_data.options.pipelines
        kitchen = await speaker.pipeline(name="Kitchen")
        home.config_entries.async_update_entry(entry, options={"pipelines": ["removed"]})
        await home.async_block_till_done()
        form = await self.begin(home, entry)
        overheard = form["data_schema"].schema["overheard"].schema.schema
        assert get_schema_suggested_value(overheard, "pipelines") == []
        assert {"value": kitchen, "label": "Kitchen"} in overheard["pipelines"].config["options"]
        await self.answer(home, form, {"overheard": {"pipelines": [kitchen], "capture": "both"}, "distilling": {}})
        overheard = {"pipelines": [kitchen], "capture": "both", "private": False}
        assert entry.options == {"sentences": False, **overheard, "distilled": "proposed"}
        assert entry.runtime_data.options.pipelines == {kitchen}

    async def test_who_makes_facts_of_conversations_nobody_until_somebody_is_chosen(
        self, home: HomeAssistant, entry: MockConfigEntry
    ) -> None:
        form = await self.begin(home, entry)
        await self.answer(home, form, {"overheard": {}, "distilling": {}})
        assert entry.runtime_data.options.distiller is None
        for chosen in ({"distiller": "ai_task.model", "distilled": "stored"}, {}):
            form = await self.begin(home, entry)
            await self.answer(home, form, {"overheard": {}, "distilling": chosen})
            options = entry.runtime_data.options
            assert (options.distiller, options.distilled) == (
                chosen.get("distiller"),
                chosen.get("distilled", "proposed"),
            )
