"""Proof of delivery: for every turn the house can see whether memory reached the model, how much, and at what cost."""

from dataclasses import fields, replace
import json
from pathlib import Path
from typing import Any

from homeassistant.components import conversation
from homeassistant.components.conversation.trace import async_clear_traces, async_get_traces
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er, issue_registry as ir
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator
from syrupy.assertion import SnapshotAssertion

from custom_components.npu_memory import sensor, wire
from custom_components.npu_memory.client import MemoryClient
from custom_components.npu_memory.const import CONF_AGENT, CONF_INJECTION
from custom_components.npu_memory.conversation import NOT_TAKEN_TURNS
from custom_components.npu_memory.report import Outcome
from custom_components.npu_memory.sensor import STAGE_SENSORS
from tests.integration import faults
from tests.integration.agent import AGENT, RecordingAgent, add_agent
from tests.integration.conftest import AddEntry
from tests.integration.memory_server import MemoryServer
from tests.integration.test_conversation import away, say
from tests.integration.test_delivery import LOCKER, QUESTION, Deaf
from tests.integration.waiting import until

LAST_TURN, GIVEN, WAITED = "sensor.memory_last_turn", "sensor.memory_memories_given", "sensor.memory_time_for_memory"
EVENT = "event.memory_turn"


def value(hass: HomeAssistant, entity_id: str) -> str:
    state = hass.states.get(entity_id)
    assert state is not None, entity_id
    return state.state


def last_turn(hass: HomeAssistant) -> dict[str, Any]:
    """Return what the event entity says of the last turn."""
    state = hass.states.get(EVENT)
    assert state is not None
    return dict(state.attributes)


def traced() -> dict[str, Any]:
    """Return what the trace of the last turn of the assistant says of memory."""
    (told,) = (
        event["data"]["memory"]
        for trace in async_get_traces()[-2:]
        for event in trace.as_dict()["events"]
        if event["event_type"] == conversation.ConversationTraceEventType.AGENT_DETAIL and "memory" in event["data"]
    )
    return dict(told)


async def test_a_turn_with_memory_says_what_reached_the_model_and_what_it_cost(
    home: HomeAssistant, assistant: MockConfigEntry, agent: RecordingAgent, memory: MemoryClient
) -> None:
    await memory.remember(wire.RememberRequest(text=LOCKER, speaker="Anna"), 10)
    assert value(home, LAST_TURN) == "unknown"
    async_clear_traces()
    await say(home, QUESTION)
    assert (value(home, LAST_TURN), value(home, GIVEN)) == ("given", "1")
    assert float(value(home, WAITED)) > 0
    event = last_turn(home)
    assert event["event_type"] == "given"
    assert (event["asked_characters"], event["returned"], event["given"]) == (len(QUESTION), 1, 1)
    assert event["tokens"] > 5
    assert event["backend"].startswith("cpu")
    assert 0 < event["inference_ms"] <= event["total_ms"] <= event["waited_ms"]
    assert traced().items() <= {"outcome": "given", **event}.items()
    assert "locker" not in json.dumps(event, default=str)


async def test_nobody_is_told_about_a_recall_while_the_model_waits_for_it(
    home: HomeAssistant, assistant: MockConfigEntry, agent: RecordingAgent, memory: MemoryClient
) -> None:
    await memory.remember(wire.RememberRequest(text=LOCKER), 10)
    agent.may_answer.clear()
    turn = home.async_create_task(say(home, QUESTION))
    await until(lambda: bool(agent.turns))
    assert LOCKER in agent.turns[0].system
    assert value(home, "sensor.npu_memory_recall") == value(home, LAST_TURN) == "unknown"
    agent.may_answer.set()
    await turn
    assert float(value(home, "sensor.npu_memory_recall")) > 0
    assert value(home, LAST_TURN) == "given"


@pytest.mark.parametrize("stage", [field.name for field in fields(wire.Timings)])
def test_every_stage_of_a_recall_has_a_sensor(stage: str) -> None:
    assert f"recall_{stage}" in {description.key for description in STAGE_SENSORS}


async def test_the_server_has_sensors_that_follow_every_turn(
    home: HomeAssistant, assistant: MockConfigEntry, memory: MemoryClient
) -> None:
    assert value(home, "sensor.npu_memory_memories") == "0"
    assert value(home, "sensor.npu_memory_recall") == "unknown"
    await memory.remember(wire.RememberRequest(text=LOCKER), 10)
    await say(home, QUESTION)
    assert float(value(home, "sensor.npu_memory_recall")) > 0
    await assistant.runtime_data.coordinator.async_refresh()
    assert int(value(home, "sensor.npu_memory_memories")) >= 1
    assert value(home, "sensor.npu_memory_embedding_backend").startswith("cpu")


async def test_the_entities_are_what_home_assistant_expects(
    home: HomeAssistant, assistant: MockConfigEntry, entity_registry: er.EntityRegistry, snapshot: SnapshotAssertion
) -> None:
    found = er.async_entries_for_config_entry(entity_registry, assistant.entry_id)
    told = {
        entry.entity_id: {
            "name": entry.original_name,
            "translation_key": entry.translation_key,
            "device_class": entry.original_device_class,
            "unit": entry.unit_of_measurement,
            "category": entry.entity_category,
            "disabled": entry.disabled,
            "capabilities": entry.capabilities,
        }
        for entry in sorted(found, key=lambda entry: entry.entity_id)
    }
    assert told == snapshot


class TestATurnWithoutMemorySaysWhy:
    async def test_nothing_is_relevant(self, home: HomeAssistant, assistant: MockConfigEntry) -> None:
        await say(home, QUESTION)
        assert (value(home, LAST_TURN), value(home, GIVEN)) == ("nothing_relevant", "0")

    async def test_nothing_was_said(self, home: HomeAssistant, assistant: MockConfigEntry) -> None:
        await say(home, "  ")
        assert value(home, LAST_TURN) == "nothing_said"

    async def test_the_server_is_away(
        self, home: HomeAssistant, assistant: MockConfigEntry, memory_server: MemoryServer
    ) -> None:
        memory_server.kill()
        await away(assistant)
        await say(home, QUESTION)
        assert value(home, LAST_TURN) == "not_connected"
        assert value(home, "sensor.npu_memory_memories") == "unavailable"

    @pytest.mark.parametrize(("answer", "outcome"), [("never", "too_late"), ("full disk", "refused")])
    async def test_the_server_does_not_answer_or_cannot(
        self, answer: str, outcome: str, home: HomeAssistant, agent: RecordingAgent, add_entry: AddEntry
    ) -> None:
        async def failing(request: wire.Frame) -> list[wire.Message]:
            if request.type != wire.RecallRequest.event_type:
                return await faults.healthy(request)
            return [] if answer == "never" else [wire.Failure(id=request.data["id"], text="Full.", code="storage")]

        async with faults.listening(faults.memory_server(failing)) as port:
            data = {"host": "127.0.0.1", "port": port, "token": faults.TOKEN}
            entry = await add_entry(data, {CONF_AGENT: AGENT})
            await say(home, QUESTION)
            assert value(home, LAST_TURN) == outcome
            await home.config_entries.async_unload(entry.entry_id)

    async def test_there_is_a_mistake(
        self, home: HomeAssistant, assistant: MockConfigEntry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def broken(*_: Any) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(assistant.runtime_data.client, "recall", broken)
        await say(home, QUESTION)
        assert value(home, LAST_TURN) == "failed"

    async def test_the_agent_is_missing(
        self, home: HomeAssistant, memory_server: MemoryServer, add_entry: AddEntry
    ) -> None:
        await add_entry(memory_server.entry_data, {CONF_AGENT: "conversation.gone"})
        await say(home, QUESTION)
        assert value(home, LAST_TURN) == "agent_missing"

    async def test_every_reason_has_a_text(self) -> None:
        texts = json.loads((Path(sensor.__file__).parent / "translations" / "en.json").read_text())
        outcomes = {outcome.value for outcome in Outcome}
        assert set(texts["entity"]["sensor"]["last_turn"]["state"]) == outcomes
        assert set(texts["entity"]["event"]["turn"]["state_attributes"]["event_type"]["state"]) == outcomes


class TestWhatTheUserMustPutRight:
    def issues(self, hass: HomeAssistant) -> list[str]:
        issues = ir.async_get(hass).issues
        return sorted(issue.translation_key or "" for (domain, _), issue in issues.items() if domain == "npu_memory")

    async def test_an_agent_that_is_gone(
        self, home: HomeAssistant, memory_server: MemoryServer, add_entry: AddEntry
    ) -> None:
        await add_entry(memory_server.entry_data, {CONF_AGENT: AGENT})
        assert self.issues(home) == ["agent_missing"]
        await add_agent(home, RecordingAgent())
        await home.async_block_till_done()
        assert self.issues(home) == []

    async def test_not_an_agent_that_is_only_late(
        self, home: HomeAssistant, memory_server: MemoryServer, add_entry: AddEntry, entity_registry: er.EntityRegistry
    ) -> None:
        late = entity_registry.async_get_or_create("conversation", "a_model", "1", object_id_base="late")
        await add_entry(memory_server.entry_data, {CONF_AGENT: late.entity_id})
        assert self.issues(home) == []

    async def test_an_agent_that_does_not_take_memories_and_the_click_that_helps(
        self,
        home: HomeAssistant,
        memory_server: MemoryServer,
        add_entry: AddEntry,
        memory: MemoryClient,
        hass_client: ClientSessionGenerator,
    ) -> None:
        assert await async_setup_component(home, "repairs", {})
        agent = await add_agent(home, Deaf())
        await memory.remember(wire.RememberRequest(text=LOCKER), 10)
        entry = await add_entry(memory_server.entry_data, {CONF_AGENT: AGENT, "budget_ms": 2000})
        for _ in range(NOT_TAKEN_TURNS):
            assert self.issues(home) == []
            await say(home, QUESTION)
        assert self.issues(home) == ["not_taken"]
        ((_, issue_id),) = (key for key in ir.async_get(home).issues if key[0] == "npu_memory")
        client = await hass_client()
        response = await client.post("/api/repairs/issues/fix", json={"handler": "npu_memory", "issue_id": issue_id})
        form = await response.json()
        assert form["description_placeholders"] == {"assistant": "Memory"}
        await client.post(f"/api/repairs/issues/fix/{form['flow_id']}", json={})
        await home.async_block_till_done()
        (subentry,) = entry.subentries.values()
        assert subentry.data[CONF_INJECTION] == "user_message"
        assert self.issues(home) == []
        await say(home, QUESTION)
        assert LOCKER in agent.inputs[-1].text

    async def test_a_click_on_an_assistant_that_was_removed_says_so(
        self,
        home: HomeAssistant,
        memory_server: MemoryServer,
        add_entry: AddEntry,
        memory: MemoryClient,
        hass_client: ClientSessionGenerator,
    ) -> None:
        assert await async_setup_component(home, "repairs", {})
        await add_agent(home, Deaf())
        await memory.remember(wire.RememberRequest(text=LOCKER), 10)
        entry = await add_entry(memory_server.entry_data, {CONF_AGENT: AGENT, "budget_ms": 2000})
        for _ in range(NOT_TAKEN_TURNS):
            await say(home, QUESTION)
        ((_, issue_id),) = (key for key in ir.async_get(home).issues if key[0] == "npu_memory")
        client = await hass_client()
        response = await client.post("/api/repairs/issues/fix", json={"handler": "npu_memory", "issue_id": issue_id})
        form = await response.json()
        home.config_entries.async_remove_subentry(entry, next(iter(entry.subentries)))
        await home.async_block_till_done()
        ended = await (await client.post(f"/api/repairs/issues/fix/{form['flow_id']}", json={})).json()
        assert ended["reason"] == "assistant_gone"

    async def test_an_npu_that_rests_or_has_failed_until_it_works_again(
        self, home: HomeAssistant, agent: RecordingAgent, add_entry: AddEntry
    ) -> None:
        npu: wire.NpuReport | None = None
        rerankers: tuple[wire.RerankerReport, ...] = ()

        async def answers(request: wire.Frame) -> list[wire.Message]:
            (answer,) = await faults.healthy(request)
            return [replace(answer, npu=npu, rerankers=rerankers) if isinstance(answer, wire.Status) else answer]

        async with faults.listening(faults.memory_server(answers)) as port:
            data = {"host": "127.0.0.1", "port": port, "token": faults.TOKEN}
            entry = await add_entry(data, {CONF_AGENT: AGENT})
            assert value(home, "sensor.npu_memory_npu") == "unknown"
            for state, issues in (
                (wire.NpuState.ACTIVE, []),
                (wire.NpuState.RESTING, ["npu_resting"]),
                (wire.NpuState.FAILED, ["npu_failed"]),
                (wire.NpuState.ACTIVE, []),
                (wire.NpuState.RESTING, ["npu_resting"]),
            ):
                npu = wire.NpuReport(state, "The outputs are not finite.")
                await entry.runtime_data.coordinator.async_refresh()
                assert (value(home, "sensor.npu_memory_npu"), self.issues(home)) == (state.value, issues)
            npu = wire.NpuReport(wire.NpuState.ACTIVE)
            for state, issues in ((wire.NpuState.RESTING, ["npu_resting"]), (wire.NpuState.ACTIVE, [])):
                report = wire.NpuReport(state, "The run failed.")
                rerankers = (wire.RerankerReport(wire.Reranker.TINYBERT_L2, report),)
                await entry.runtime_data.coordinator.async_refresh()
                assert (value(home, "sensor.npu_memory_npu"), self.issues(home)) == ("active", issues)
            await home.config_entries.async_remove(entry.entry_id)
            assert self.issues(home) == []
