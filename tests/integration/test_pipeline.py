"""An assistant with memory in a pipeline, asked over the websocket as the frontend and the satellites ask."""

from homeassistant.core import Context, HomeAssistant
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser

from custom_components.npu_memory import prompt, wire
from custom_components.npu_memory.client import MemoryClient
from custom_components.npu_memory.const import CONF_AGENT
from custom_components.npu_memory.session import TOLD_TURNS
from tests.integration.agent import AGENT, RecordingAgent
from tests.integration.conftest import ASSISTANT, AddEntry
from tests.integration.memory_server import MemoryServer
from tests.integration.speaker import Speaker, ended
from tests.integration.test_conversation import remembered, say

LONG = 200
OWNERS = ("Anna's", "Ben's", "the janitor's", "the neighbor's", "Oma's")


async def test_memories_reach_the_model_and_its_answer_streams_through(
    home: HomeAssistant, assistant: MockConfigEntry, agent: RecordingAgent, memory: MemoryClient, speaker: Speaker
) -> None:
    await memory.remember(wire.RememberRequest(text="The number of the locker is 4711.", speaker="Anna"), 10)
    pipeline = await speaker.pipeline()
    events = await speaker.say(pipeline, "What is the number of the locker?")
    deltas = [event["data"]["chat_log_delta"] for event in events if event["type"] == "intent-progress"]
    assert [delta["content"] for delta in deltas if "content" in delta] == ["Of ", "course."]
    assert ended(events)["response"]["speech"]["plain"]["speech"] == "Of course."
    assert "4711" in agent.turns[0].system
    assert agent.turns[0].messages == [("user", "What is the number of the locker?")]


async def test_the_next_turn_has_the_history_and_fresh_memories(
    home: HomeAssistant, assistant: MockConfigEntry, agent: RecordingAgent, memory: MemoryClient, speaker: Speaker
) -> None:
    await memory.remember(wire.RememberRequest(text="The number of the locker is 4711."), 10)
    pipeline = await speaker.pipeline()
    first = ended(await speaker.say(pipeline, "What is the number of the locker?"))
    await memory.remember(wire.RememberRequest(text="The bins are emptied on Tuesday."), 10)
    await speaker.say(pipeline, "On which day are the bins emptied?", first["conversation_id"])
    assert [role for role, _ in agent.turns[1].messages] == ["user", "assistant", "user"]
    assert "Tuesday" in agent.turns[1].system
    assert agent.turns[1].system.count(prompt.FOUND) == 1
    await remembered(memory, 6)


async def test_an_answer_that_asks_back_is_continued_with_memory(
    home: HomeAssistant, assistant: MockConfigEntry, agent: RecordingAgent, speaker: Speaker
) -> None:
    agent.answer = ("Which ", "one?")
    pipeline = await speaker.pipeline(prefer_local_intents=True)
    first = ended(await speaker.say(pipeline, "Where did I put the ladder?"))
    assert first["continue_conversation"]
    events = await speaker.say(pipeline, "The long one.", first["conversation_id"])
    assert next(event for event in events if event["type"] == "intent-start")["data"]["engine"] == ASSISTANT
    assert len(agent.turns) == 2


@pytest.mark.parametrize("injection", ["system_prompt", "user_message"])
async def test_a_long_conversation_has_memory_in_every_turn(
    injection: str,
    home: HomeAssistant,
    memory_server: MemoryServer,
    agent: RecordingAgent,
    add_entry: AddEntry,
    memory: MemoryClient,
    speaker: Speaker,
    hass_admin_user: MockUser,
) -> None:
    """Home Assistant 2026.11 keeps a system prompt for a conversation: memories would be those of its first turn."""
    options = {CONF_AGENT: AGENT, "budget_ms": 2000, "injection": injection, "top_k": 3}
    entry = await add_entry(memory_server.entry_data, options)
    facts = [f"The number of {whose} locker is 47{number}0." for number, whose in enumerate(OWNERS)]
    for fact in facts:
        await memory.remember(wire.RememberRequest(text=fact), 10)
    pipeline = await speaker.pipeline()
    first = await say(
        home,
        "Yes?",
        context=Context(user_id=hass_admin_user.id),
        extra_system_prompt="You asked whether to close the garage.",
    )
    for turn in range(LONG):
        place = turn % len(OWNERS)
        question = f"What is the number of {OWNERS[place]} locker, for time {turn}?"
        events = await speaker.say(pipeline, question, first.conversation_id)
        deltas = [event["data"]["chat_log_delta"] for event in events if event["type"] == "intent-progress"]
        assert [delta["content"] for delta in deltas if "content" in delta] == ["Of ", "course."]
        prompted = agent.turns[-1]
        assert prompted.system.count("You asked whether to close the garage.") == 1
        assert [role for role, _ in prompted.messages] == ["user", "assistant"] * (turn + 1) + ["user"]
        assert str(prompted.messages[-1][1]).startswith(question)
        (report,) = entry.runtime_data.turns.values()
        assert report.outcome == "given", turn
        near = [text or "" for _, text in prompted.messages[-2 * TOLD_TURNS + 1 :]]
        assert facts[place] in (prompted.system if injection == "system_prompt" else "\n".join(near)), turn
