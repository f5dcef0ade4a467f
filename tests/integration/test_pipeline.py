"""An assistant with memory in a pipeline, asked over the websocket as the frontend and the satellites ask."""

from typing import Any

from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import WebSocketGenerator

from custom_components.npu_memory import prompt, wire
from custom_components.npu_memory.client import MemoryClient
from tests.integration.agent import RecordingAgent
from tests.integration.conftest import ASSISTANT
from tests.integration.test_conversation import remembered

type Event = dict[str, Any]


@pytest.fixture
async def pipelines(home: HomeAssistant) -> None:
    assert await async_setup_component(home, "assist_pipeline", {})
    await home.async_block_till_done()


class Speaker:
    """Runs pipelines over one websocket connection."""

    def __init__(self, websocket: Any) -> None:
        self.websocket = websocket

    async def pipeline(self, **settings: Any) -> str:
        await self.websocket.send_json_auto_id(
            {
                "type": "assist_pipeline/pipeline/create",
                "name": "Memory",
                "language": "en",
                "conversation_engine": ASSISTANT,
                "conversation_language": "en",
                "stt_engine": None,
                "stt_language": None,
                "tts_engine": None,
                "tts_language": None,
                "tts_voice": None,
                "wake_word_entity": None,
                "wake_word_id": None,
                **settings,
            }
        )
        answer = await self.websocket.receive_json()
        assert answer["success"], answer
        return str(answer["result"]["id"])

    async def say(self, pipeline: str, text: str, conversation_id: str | None = None) -> list[Event]:
        await self.websocket.send_json_auto_id(
            {
                "type": "assist_pipeline/run",
                "start_stage": "intent",
                "end_stage": "intent",
                "pipeline": pipeline,
                "input": {"text": text},
                "conversation_id": conversation_id,
            }
        )
        assert (await self.websocket.receive_json())["success"]
        events: list[Event] = []
        while not events or events[-1]["type"] != "run-end":
            events.append((await self.websocket.receive_json())["event"])
        return events


@pytest.fixture
async def speaker(home: HomeAssistant, pipelines: None, hass_ws_client: WebSocketGenerator) -> Speaker:
    return Speaker(await hass_ws_client(home))


def ended(events: list[Event]) -> Event:
    (event,) = (event["data"]["intent_output"] for event in events if event["type"] == "intent-end")
    return dict(event)


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
