"""An assistant with memory in a pipeline, asked over the websocket as the frontend and the satellites ask."""

from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.npu_memory import prompt, wire
from custom_components.npu_memory.client import MemoryClient
from tests.integration.agent import RecordingAgent
from tests.integration.conftest import ASSISTANT
from tests.integration.speaker import Speaker, ended
from tests.integration.test_conversation import remembered


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
