"""Turns that no assistant with memory handles, in the pipelines that the user has chosen."""

import asyncio
from typing import Any

from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser, async_mock_service
from pytest_homeassistant_custom_component.typing import WebSocketGenerator

from custom_components.npu_memory import overheard
from custom_components.npu_memory.client import MemoryClient
from custom_components.npu_memory.const import CONF_AGENT
from tests.integration.agent import AGENT, OutOfOrderError, RecordingAgent
from tests.integration.conftest import ASSISTANT, AddEntry
from tests.integration.memory_server import MemoryServer
from tests.integration.speaker import Speaker, ended
from tests.integration.test_conversation import remembered, say
from tests.integration.waiting import until

PARCEL = "The parcel for Joost has arrived."


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overheard, "LOOK_SECONDS", 0.05)


async def settled(entry: MockConfigEntry) -> None:
    """Wait until every turn that was heard is kept or left."""
    await until(lambda: not any("overheard" in task.get_name() for task in asyncio.all_tasks()))
    await until(lambda: not entry.runtime_data.captured.unsent)


@pytest.fixture
def listening(memory_server: MemoryServer, agent: RecordingAgent, add_entry: AddEntry) -> Any:
    """Return a function that adds a server that listens to pipelines, with one assistant."""

    async def add(*chosen: str, **options: Any) -> MockConfigEntry:
        assistant = {CONF_AGENT: AGENT, "budget_ms": 2000}
        return await add_entry(
            memory_server.entry_data, assistant, options={"pipelines": list(chosen), "capture": "both"} | options
        )

    return add


async def test_nothing_is_overheard_until_the_user_chooses_a_pipeline(
    home: HomeAssistant, listening: Any, memory: MemoryClient, speaker: Speaker
) -> None:
    chosen = await speaker.pipeline(name="Chosen", conversation_engine=AGENT)
    other = await speaker.pipeline(name="Other", conversation_engine=AGENT)
    entry = await listening()
    await speaker.say(chosen, PARCEL)
    await settled(entry)
    assert await remembered(memory, 0) == []
    home.config_entries.async_update_entry(entry, options={"pipelines": [chosen]})
    await home.async_block_till_done()
    await speaker.say(other, "The parcel for Anna has arrived.")
    await speaker.say(chosen, PARCEL)
    await settled(entry)
    assert [m.text for m in await remembered(memory, 1)] == [PARCEL]


async def test_turns_of_another_agent_are_remembered_with_what_it_answered(
    home: HomeAssistant, listening: Any, agent: RecordingAgent, memory: MemoryClient, speaker: Speaker
) -> None:
    pipeline = await speaker.pipeline(conversation_engine=AGENT)
    entry = await listening(pipeline)
    first = ended(await speaker.say(pipeline, f" {PARCEL}"))
    await settled(entry)
    agent.answer = ("It is in the hall.",)
    await speaker.say(pipeline, "And where is it now?", first["conversation_id"])
    await settled(entry)
    found = await remembered(memory, 4)
    assert [(m.text, m.speaker) for m in found] == [
        (PARCEL, "Mock User"),
        ("Of course.", "assistant"),
        ("And where is it now?", "Mock User"),
        ("It is in the hall.", "assistant"),
    ]
    assert {m.session for m in found} == {first["conversation_id"]}
    assert {m.scope for m in found} == {"household"}


async def test_turns_that_home_assistant_deals_with_itself_are_remembered_and_its_commands_are_not(
    home: HomeAssistant, listening: Any, memory: MemoryClient, speaker: Speaker
) -> None:
    """Peers' users miss commands that are handled locally; and turns that prefer-local hides from the agent."""
    home.states.async_set("light.kitchen", "off", {"friendly_name": "Kitchen light"})
    turned_on = async_mock_service(home, "light", "turn_on")
    automation = {
        "triggers": {"trigger": "conversation", "command": "the parcel for {name} has arrived"},
        "actions": {"set_conversation_response": "Good to know."},
    }
    assert await async_setup_component(home, "automation", {"automation": automation})
    pipeline = await speaker.pipeline(prefer_local_intents=True, conversation_engine=ASSISTANT)
    entry = await listening(pipeline)
    for sentence in ("turn on the kitchen light", PARCEL):
        events = await speaker.say(pipeline, sentence)
        (end,) = (event for event in events if event["type"] == "intent-end")
        assert end["data"]["processed_locally"], sentence
    await settled(entry)
    assert turned_on
    assert [m.text for m in await remembered(memory, 2)] == [PARCEL, "Good to know."]


async def test_a_turn_of_an_assistant_with_memory_is_left_to_it(
    home: HomeAssistant, listening: Any, memory: MemoryClient, speaker: Speaker
) -> None:
    pipeline = await speaker.pipeline()
    entry = await listening(pipeline)
    await speaker.say(pipeline, PARCEL)
    await settled(entry)
    assert [m.text for m in await remembered(memory, 2)] == [PARCEL, "Of course."]


async def test_what_is_said_outside_of_pipelines_is_not_overheard(
    home: HomeAssistant, listening: Any, memory: MemoryClient, speaker: Speaker
) -> None:
    entry = await listening(await speaker.pipeline(conversation_engine=AGENT))
    await say(home, PARCEL, agent_id=AGENT)
    await settled(entry)
    assert await remembered(memory, 0) == []


async def test_only_what_the_user_says_unless_both_sides_are_wanted(
    home: HomeAssistant, listening: Any, memory: MemoryClient, speaker: Speaker
) -> None:
    pipeline = await speaker.pipeline(conversation_engine=AGENT)
    entry = await listening(pipeline, capture="user")
    await speaker.say(pipeline, PARCEL)
    await speaker.say(pipeline, "Okay Nabu.")
    await speaker.say(pipeline, "the parcel for joost has arrived")
    await speaker.say(pipeline, "The parcel for the")
    await settled(entry)
    assert [m.text for m in await remembered(memory, 1)] == [PARCEL]


async def test_what_a_person_says_stays_private_if_the_user_wants_that(
    home: HomeAssistant, listening: Any, memory: MemoryClient, speaker: Speaker, hass_admin_user: MockUser
) -> None:
    anna = {"id": "anna", "user_id": hass_admin_user.id, "friendly_name": "Anna"}
    home.states.async_set("person.anna", "home", anna)
    pipeline = await speaker.pipeline(conversation_engine=AGENT)
    entry = await listening(pipeline, private=True)
    await speaker.say(pipeline, PARCEL)
    await settled(entry)
    assert [(m.speaker, m.scope) for m in await remembered(memory, 2)] == [
        ("Anna", "person:anna"),
        ("assistant", "person:anna"),
    ]


async def test_what_home_assistant_has_not_understood_is_remembered_without_its_apology(
    home: HomeAssistant, listening: Any, memory: MemoryClient, speaker: Speaker
) -> None:
    pipeline = await speaker.pipeline(conversation_engine="conversation.home_assistant")
    entry = await listening(pipeline)
    await speaker.say(pipeline, "We moved swim practice over to Sunday morning")
    await settled(entry)
    assert [m.text for m in await remembered(memory, 1)] == ["We moved swim practice over to Sunday morning"]


async def test_what_a_tool_has_found_in_memory_is_not_remembered_as_an_answer(
    home: HomeAssistant, listening: Any, agent: RecordingAgent, memory: MemoryClient, speaker: Speaker
) -> None:
    pipeline = await speaker.pipeline(conversation_engine=AGENT)
    entry = await listening(pipeline)
    agent.tool_result = "npu_memory__recall"
    await speaker.say(pipeline, PARCEL)
    await settled(entry)
    assert [m.text for m in await remembered(memory, 1)] == [PARCEL]


async def test_a_turn_that_goes_wrong_is_not_remembered(
    home: HomeAssistant,
    listening: Any,
    agent: RecordingAgent,
    memory: MemoryClient,
    speaker: Speaker,
) -> None:
    agent.failure = OutOfOrderError("The model is out of order")
    pipeline = await speaker.pipeline(conversation_engine=AGENT)
    entry = await listening(pipeline)
    await speaker.say(pipeline, PARCEL)
    await settled(entry)
    assert await remembered(memory, 0) == []


async def test_a_turn_that_does_not_end_is_given_up(
    home: HomeAssistant,
    listening: Any,
    agent: RecordingAgent,
    memory: MemoryClient,
    speaker: Speaker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(overheard, "LOOKS", 2)
    agent.may_answer.clear()
    pipeline = await speaker.pipeline(conversation_engine=AGENT)
    entry = await listening(pipeline)
    turn = asyncio.create_task(speaker.say(pipeline, PARCEL))
    await until(lambda: agent.turns)
    await settled(entry)
    agent.may_answer.set()
    await turn
    assert await remembered(memory, 0) == []


async def test_without_pipelines_nothing_is_heard(
    home: HomeAssistant, listening: Any, memory: MemoryClient, hass_ws_client: WebSocketGenerator
) -> None:
    entry = await listening("a pipeline that was removed")
    await say(home, PARCEL, agent_id=AGENT)
    await settled(entry)
    assert await remembered(memory, 0) == []
