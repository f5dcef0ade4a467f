"""A turn through an assistant with memory: what reaches the model, what is said, and what is remembered afterwards."""

import asyncio
from datetime import timedelta
import logging
import time
from typing import Any

from homeassistant.components import conversation
from homeassistant.core import Context, HomeAssistant
from homeassistant.helpers import (
    area_registry as ar,
    chat_session,
    device_registry as dr,
    entity_registry as er,
    intent,
)
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser, async_fire_time_changed

from custom_components.npu_memory import client as client_module, prompt, wire
from custom_components.npu_memory.client import MemoryClient
from custom_components.npu_memory.const import CONF_AGENT
from custom_components.npu_memory.conversation import AGENT_MISSING_SPOKEN
from custom_components.npu_memory.session import SESSIONS
from custom_components.npu_memory.voice.language import Say
from custom_components.npu_memory.voice.languages.en import ENGLISH
from tests.integration import faults
from tests.integration.agent import AGENT, OutOfOrderError, RecordingAgent, add_agent
from tests.integration.conftest import ASSISTANT, AddEntry
from tests.integration.memory_server import MemoryServer
from tests.integration.waiting import until

KEY = "The key is under the mat."
BUDGET_MS = 200
GENEROUS_SECONDS = 20 * BUDGET_MS / 1000
"""A machine that tests share may be slow; without a budget these turns would last until the client gives up."""


async def say(
    hass: HomeAssistant, text: str, conversation_id: str | None = None, **more: Any
) -> conversation.ConversationResult:
    more.setdefault("context", Context())
    more.setdefault("agent_id", ASSISTANT)
    result = await conversation.async_converse(hass, text, conversation_id, **more)
    await asyncio.sleep(0)  # what the entities are told, they are told behind the answer's back
    return result


def speech(result: conversation.ConversationResult) -> str:
    return str(result.response.speech["plain"]["speech"])


async def remembered(memory: MemoryClient, count: int) -> list[wire.MemoryItem]:
    """Return what the server has, oldest first, once there are `count` memories."""
    async with asyncio.timeout(30):
        while (page := await memory.list(wire.ListRequest(), 10)).total < count:  # noqa: ASYNC110 - it is elsewhere
            await asyncio.sleep(0.02)
    return list(reversed(page.memories))


class TestInFrontOfAnAgent:
    async def test_what_the_household_said_reaches_the_model(
        self, home: HomeAssistant, assistant: MockConfigEntry, agent: RecordingAgent, memory: MemoryClient
    ) -> None:
        await memory.remember(
            wire.RememberRequest(
                text="The number of the locker is 4711.", speaker="Anna", created_at="2026-03-03T18:30:00+00:00"
            ),
            10,
        )
        result = await say(home, "What is the number of the locker?")
        assert speech(result) == "Of course."
        # 18:30 in UTC, where Home Assistant is in California
        assert '- 2026-03-03 10:30, Anna: "The number of the locker is 4711."' in agent.turns[0].system
        assert agent.turns[0].system.startswith("You are a house.")

    async def test_what_has_nothing_to_do_with_the_question_does_not(
        self, home: HomeAssistant, assistant: MockConfigEntry, agent: RecordingAgent, memory: MemoryClient
    ) -> None:
        await memory.remember(wire.RememberRequest(text="The heating was serviced in March."), 10)
        await say(home, "Who won the world cup in football?")
        assert "heating" not in agent.turns[0].system
        assert prompt.NOTHING_FOUND in agent.turns[0].system

    async def test_the_model_sees_each_message_once_and_the_history(
        self, home: HomeAssistant, assistant: MockConfigEntry, agent: RecordingAgent
    ) -> None:
        first = await say(home, "Good morning.")
        await say(home, "And good night.", first.conversation_id)
        assert agent.turns[1].messages == [
            ("user", "Good morning."),
            ("assistant", "Of course."),
            ("user", "And good night."),
        ]

    async def test_memories_of_one_turn_do_not_stick_to_the_next(
        self, home: HomeAssistant, assistant: MockConfigEntry, agent: RecordingAgent, memory: MemoryClient
    ) -> None:
        stored = await memory.remember(wire.RememberRequest(text="The number of the locker is 4711."), 10)
        first = await say(home, "What is the number of the locker?")
        await memory.forget(wire.ForgetRequest(memory_ids=(stored.memory_id,)), 10)
        await say(home, "What is the number of the locker?", first.conversation_id)
        assert "4711" in agent.turns[0].system
        assert "4711" not in agent.turns[1].system
        assert prompt.NOTHING_FOUND in agent.turns[1].system

    async def test_what_this_conversation_said_is_not_told_twice(
        self, home: HomeAssistant, assistant: MockConfigEntry, agent: RecordingAgent, memory: MemoryClient
    ) -> None:
        first = await say(home, "The number of the locker is 4711.")
        await remembered(memory, 2)
        await say(home, "What is the number of the locker?", first.conversation_id)
        assert "4711" not in agent.turns[1].system
        await remembered(memory, 4)
        await say(home, "What is the number of the locker?")
        assert "4711" in agent.turns[2].system

    async def test_a_conversation_with_an_id_of_somebodys_choice_is_a_new_one_each_time(
        self, home: HomeAssistant, assistant: MockConfigEntry, agent: RecordingAgent, memory: MemoryClient
    ) -> None:
        await say(home, "The number of the locker is 4711.", "garage")
        await remembered(memory, 2)
        home.data[chat_session.DATA_CHAT_SESSION]["garage"].last_updated -= timedelta(hours=1)
        async_fire_time_changed(home, dt_util.utcnow() + chat_session.CONVERSATION_TIMEOUT + timedelta(seconds=2))
        await home.async_block_till_done()
        await say(home, "What is the number of the locker?", "garage")
        assert "4711" in agent.turns[1].system

    async def test_a_question_that_is_asked_often_does_not_displace_its_answer(
        self, home: HomeAssistant, memory_server: MemoryServer, agent: RecordingAgent, add_entry: AddEntry
    ) -> None:
        entry = await add_entry(memory_server.entry_data, {CONF_AGENT: AGENT, "budget_ms": 2000, "top_k": 2})
        memory = entry.runtime_data.client
        await memory.remember(wire.RememberRequest(text="The number of the locker is 4711."), 10)
        for number in range(5):
            asked = f"What is the number of the locker{'?' * number}"
            await memory.remember(wire.RememberRequest(text=asked, kind=wire.Kind.TURN), 10)
        await say(home, "what is the number of the locker")
        assert "4711" in agent.turns[-1].system
        assert "What is the code" not in agent.turns[-1].system

    async def test_what_the_caller_told_the_model_holds_for_the_whole_conversation(
        self, home: HomeAssistant, assistant: MockConfigEntry, agent: RecordingAgent
    ) -> None:
        first = await say(home, "Yes?", extra_system_prompt="You asked whether to close the garage.")
        await say(home, "Do it.", first.conversation_id)
        await say(home, "Something else.")
        for turn in agent.turns[:2]:
            assert turn.system.count("You asked whether to close the garage.") == 1
            assert turn.system.index("You asked") < turn.system.index("The household's memory")
        assert "garage" not in agent.turns[2].system

    async def test_a_caller_may_tell_the_model_something_else_later(
        self, home: HomeAssistant, assistant: MockConfigEntry, agent: RecordingAgent
    ) -> None:
        first = await say(home, "Yes?", extra_system_prompt="The garage is open.")
        await say(home, "And now?", first.conversation_id, extra_system_prompt="The garage is closed.")
        assert "The garage is open." not in agent.turns[1].system
        assert "The garage is closed." in agent.turns[1].system

    async def test_what_another_agent_was_told_before_holds_on(
        self, home: HomeAssistant, assistant: MockConfigEntry, agent: RecordingAgent
    ) -> None:
        first = await conversation.async_converse(
            home, "Yes?", None, Context(), agent_id=AGENT, extra_system_prompt="The garage is open."
        )
        await say(home, "Close it.", first.conversation_id)
        await say(home, "Thanks.", first.conversation_id)
        assert [turn.system.count("The garage is open.") for turn in agent.turns] == [1, 1, 1]

    async def test_what_the_caller_said_is_forgotten_with_the_conversation(
        self, home: HomeAssistant, assistant: MockConfigEntry, agent: RecordingAgent
    ) -> None:
        result = await say(home, "Yes?", extra_system_prompt="The garage is open.")
        assert result.conversation_id in home.data[SESSIONS]
        later = dt_util.utcnow() + chat_session.CONVERSATION_TIMEOUT + timedelta(seconds=2)
        home.data[chat_session.DATA_CHAT_SESSION][result.conversation_id].last_updated -= timedelta(hours=1)
        async_fire_time_changed(home, later)
        await home.async_block_till_done()
        assert home.data[SESSIONS] == {}

    async def test_everything_about_the_turn_is_passed_on(
        self, home: HomeAssistant, assistant: MockConfigEntry, agent: RecordingAgent
    ) -> None:
        context = Context()
        await say(home, " Hallo ", context=context, language="de", device_id="d", satellite_id="assist_satellite.s")
        passed = agent.inputs[0]
        assert (passed.text, passed.language, passed.device_id) == (" Hallo ", "de", "d")
        assert (passed.satellite_id, passed.context) == ("assist_satellite.s", context)

    async def test_preparing_prepares_the_agent(
        self, home: HomeAssistant, assistant: MockConfigEntry, agent: RecordingAgent
    ) -> None:
        await conversation.async_prepare_agent(home, ASSISTANT, "en")
        assert agent.prepared == ["en"]

    async def test_preparing_wakes_the_server_and_does_not_wait_for_it(
        self, home: HomeAssistant, agent: RecordingAgent, add_entry: AddEntry
    ) -> None:
        asked = asyncio.Event()

        async def sleepy(request: wire.Frame) -> list[wire.Message]:
            if request.type == wire.PrepareRequest.event_type:
                asked.set()
                return []
            return await faults.healthy(request)

        async with faults.listening(faults.memory_server(sleepy)) as port:
            data = {"host": "127.0.0.1", "port": port, "token": faults.TOKEN}
            entry = await add_entry(data, {CONF_AGENT: AGENT})
            await conversation.async_prepare_agent(home, ASSISTANT, "en")
            async with asyncio.timeout(GENEROUS_SECONDS):
                await asked.wait()
            await home.config_entries.async_unload(entry.entry_id)

    async def test_an_error_of_the_agent_is_passed_on_and_not_remembered(
        self, home: HomeAssistant, assistant: MockConfigEntry, agent: RecordingAgent, memory: MemoryClient
    ) -> None:
        agent.failure = OutOfOrderError("The model is out of order")
        result = await say(home, "Hello?")
        assert result.response.response_type is intent.IntentResponseType.ERROR
        agent.failure = None
        await say(home, "And now?")
        assert [m.text for m in await remembered(memory, 2)] == ["And now?", "Of course."]


class TestFeaturesOfTheAgent:
    async def test_control_and_streaming_are_mirrored(
        self, home: HomeAssistant, assistant: MockConfigEntry, agent: RecordingAgent
    ) -> None:
        info = conversation.async_get_agent_info(home, ASSISTANT)
        state = home.states.get(ASSISTANT)
        assert info is not None
        assert state is not None
        assert info.supports_streaming
        assert state.attributes["supported_features"] == conversation.ConversationEntityFeature.CONTROL

    async def test_they_change_with_the_agent(
        self, home: HomeAssistant, assistant: MockConfigEntry, agent: RecordingAgent
    ) -> None:
        agent._attr_supported_features = conversation.ConversationEntityFeature(0)
        agent._attr_supports_streaming = False
        agent.async_write_ha_state()
        await home.async_block_till_done()
        info = conversation.async_get_agent_info(home, ASSISTANT)
        state = home.states.get(ASSISTANT)
        assert info is not None
        assert state is not None
        assert not info.supports_streaming
        assert state.attributes["supported_features"] == 0

    async def test_an_agent_may_come_later_and_go_again(
        self, home: HomeAssistant, memory_server: MemoryServer, add_entry: AddEntry
    ) -> None:
        await add_entry(memory_server.entry_data, {CONF_AGENT: AGENT})
        result = await say(home, "Hello?")
        assert result.response.response_type is intent.IntentResponseType.ERROR
        assert speech(result) == AGENT_MISSING_SPOKEN
        await conversation.async_prepare_agent(home, ASSISTANT, "en")

        agent = await add_agent(home, RecordingAgent())
        await home.async_block_till_done()
        state = home.states.get(ASSISTANT)
        assert state is not None
        assert state.attributes["supported_features"] == conversation.ConversationEntityFeature.CONTROL
        assert speech(await say(home, "Hello?")) == "Of course."

        await agent.async_remove()
        await home.async_block_till_done()
        assert speech(await say(home, "Hello?")) == AGENT_MISSING_SPOKEN

    async def test_an_agent_may_be_renamed(
        self, home: HomeAssistant, assistant: MockConfigEntry, agent: RecordingAgent, entity_registry: er.EntityRegistry
    ) -> None:
        entity_registry.async_update_entity(AGENT, name="Model two")
        entity_registry.async_update_entity(AGENT, new_entity_id="conversation.model_two")
        await home.async_block_till_done()
        (subentry,) = assistant.subentries.values()
        assert subentry.data[CONF_AGENT] == "conversation.model_two"
        assert speech(await say(home, "Hello?")) == "Of course."

    async def test_an_assistant_never_asks_another_one_of_its_kind(
        self, home: HomeAssistant, memory_server: MemoryServer, add_entry: AddEntry
    ) -> None:
        await add_entry(memory_server.entry_data, {CONF_AGENT: ASSISTANT})
        assert speech(await say(home, "Hello?")) == AGENT_MISSING_SPOKEN


class TestWhatIsRemembered:
    async def test_both_sides_in_their_order(
        self, home: HomeAssistant, assistant: MockConfigEntry, memory: MemoryClient
    ) -> None:
        result = await say(home, " The number of the locker is 4711. ", language="en")
        said, answered = await remembered(memory, 2)
        assert (said.text, said.kind, said.scope, said.source) == (
            "The number of the locker is 4711.",
            wire.Kind.TURN,
            "household",
            "assist",
        )
        assert said.speaker is None
        assert (answered.text, answered.speaker) == ("Of course.", "assistant")
        assert said.session == answered.session == result.conversation_id
        assert said.language == answered.language == "en"
        assert wire.parse_moment(said.created_at) <= wire.parse_moment(answered.created_at)

    @pytest.mark.parametrize(("capture", "texts"), [("user", [KEY]), ("nothing", []), ("explicit", [])])
    async def test_only_what_the_user_wants(
        self,
        capture: str,
        texts: list[str],
        home: HomeAssistant,
        memory_server: MemoryServer,
        agent: RecordingAgent,
        add_entry: AddEntry,
        memory: MemoryClient,
    ) -> None:
        entry = await add_entry(memory_server.entry_data, {CONF_AGENT: AGENT, "capture": capture})
        await say(home, KEY)
        found = await remembered(memory, len(texts))
        assert entry.runtime_data.captured.unsent == 0
        assert [m.text for m in found] == texts

    async def test_who_said_it_and_where(
        self,
        home: HomeAssistant,
        assistant: MockConfigEntry,
        memory: MemoryClient,
        area_registry: ar.AreaRegistry,
        device_registry: dr.DeviceRegistry,
    ) -> None:
        kitchen = area_registry.async_create("Kitchen")
        device = device_registry.async_get_or_create(
            config_entry_id=assistant.entry_id, identifiers={("test", "satellite")}
        )
        device_registry.async_update_device(device.id, area_id=kitchen.id)
        user = MockUser(name="anna72").add_to_hass(home)
        home.states.async_set("person.ben", "home", {"user_id": "somebody else", "friendly_name": "Ben"})
        await say(home, "I am anna72.", context=Context(user_id=user.id), device_id=device.id)
        home.states.async_set("person.anna", "home", {"user_id": user.id, "friendly_name": "Anna"})
        await say(home, "I am Anna.", context=Context(user_id=user.id))
        found = {m.text: m for m in await remembered(memory, 4)}
        first, second = found["I am anna72."], found["I am Anna."]
        assert (first.speaker, first.area, first.source) == ("anna72", "Kitchen", device.id)
        assert (second.speaker, second.area, second.source) == ("Anna", None, "assist")

    async def test_a_room_knows_what_belongs_to_it_and_another_does_not(
        self,
        home: HomeAssistant,
        assistant: MockConfigEntry,
        agent: RecordingAgent,
        memory: MemoryClient,
        area_registry: ar.AreaRegistry,
        device_registry: dr.DeviceRegistry,
    ) -> None:
        kitchen = area_registry.async_create("Kitchen")
        device = device_registry.async_get_or_create(
            config_entry_id=assistant.entry_id, identifiers={("test", "satellite")}
        )
        device_registry.async_update_device(device.id, area_id=kitchen.id)
        text = "The filter of the cooker hood was changed."
        await memory.remember(wire.RememberRequest(text=text, scope=f"area:{kitchen.id}"), 10)
        await say(home, "When was the filter of the cooker hood changed?", device_id=device.id)
        await say(home, "When was the filter of the cooker hood changed?")
        assert text in agent.turns[0].system
        assert text not in agent.turns[1].system

    async def test_nothing_is_asked_or_remembered_about_silence(
        self, home: HomeAssistant, assistant: MockConfigEntry, agent: RecordingAgent, memory: MemoryClient
    ) -> None:
        agent.answer = ("  ",)
        await say(home, "  ")
        agent.answer = ("Hm?",)
        await say(home, KEY)
        assert [m.text for m in await remembered(memory, 2)] == [KEY, "Hm?"]

    async def test_a_long_speech_is_kept_as_far_as_it_fits(
        self, home: HomeAssistant, assistant: MockConfigEntry, memory: MemoryClient
    ) -> None:
        await say(home, "tale " * wire.MAX_TEXT_CHARACTERS)
        said, _ = await remembered(memory, 2)
        assert len(said.text) == wire.MAX_TEXT_CHARACTERS


class TestWithoutAnAgent:
    async def test_memory_itself_answers_by_quoting(
        self, home: HomeAssistant, memory_server: MemoryServer, add_entry: AddEntry, memory: MemoryClient
    ) -> None:
        await add_entry(memory_server.entry_data, {"budget_ms": 2000})
        await memory.remember(
            wire.RememberRequest(
                text="The number of the locker is 4711", speaker="Anna", created_at="2025-03-03T18:30:00+00:00"
            ),
            10,
        )
        result = await say(home, "What is the number of the locker?")
        assert speech(result) == "On March 3, 2025, Anna said: The number of the locker is 4711."
        assert result.response.response_type is intent.IntentResponseType.ACTION_DONE
        info = conversation.async_get_agent_info(home, ASSISTANT)
        assert info is not None
        assert not info.supports_streaming

    async def test_a_question_is_not_answered_with_itself(
        self, home: HomeAssistant, memory_server: MemoryServer, add_entry: AddEntry, memory: MemoryClient
    ) -> None:
        await add_entry(memory_server.entry_data, {"budget_ms": 2000})
        assert speech(await say(home, "Where is the key?")) == ENGLISH.say(Say.NOTHING_FOUND)
        assert [m.text for m in await remembered(memory, 1)] == ["Where is the key?"]
        assert speech(await say(home, "where is  the key?")) == ENGLISH.say(Say.NOTHING_FOUND)

    async def test_it_says_so_when_memory_is_away(
        self, home: HomeAssistant, memory_server: MemoryServer, add_entry: AddEntry
    ) -> None:
        entry = await add_entry(memory_server.entry_data, {})
        memory_server.kill()
        await away(entry)
        result = await say(home, "Where is the key?")
        assert result.response.response_type is intent.IntentResponseType.ERROR
        assert speech(result) == ENGLISH.say(Say.NOT_REACHED)


async def away(entry: MockConfigEntry) -> None:
    await until(lambda: not entry.runtime_data.client.connected)


async def back(entry: MockConfigEntry) -> None:
    await until(lambda: entry.runtime_data.coordinator.last_update_success)


class TestWhenMemoryIsInTrouble:
    """Each time: the turn goes on within the budget, and the log has one line each way."""

    @pytest.mark.parametrize(("fallback", "sentence"), [("no_context", None), ("say_so", prompt.NOT_REACHED)])
    async def test_the_server_is_gone(
        self,
        fallback: str,
        sentence: str | None,
        home: HomeAssistant,
        memory_server: MemoryServer,
        agent: RecordingAgent,
        add_entry: AddEntry,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(client_module, "LAST_RETRY_SECONDS", 0.2)
        entry = await add_entry(memory_server.entry_data, {CONF_AGENT: AGENT, "fallback": fallback})
        caplog.set_level(logging.INFO)
        memory_server.kill()
        await away(entry)
        for _ in range(3):
            assert speech(await say(home, "Where is the key?")) == "Of course."
        told = [one for one in (prompt.NOT_ASKED, prompt.NOT_REACHED) if one in agent.turns[-1].system]
        assert told == ([sentence] if sentence else [])
        await asyncio.to_thread(memory_server.start)
        await back(entry)
        assert speech(await say(home, "Where is the key?")) == "Of course."
        assert prompt.NOTHING_FOUND in agent.turns[-1].system or prompt.FOUND in agent.turns[-1].system
        assert prompt.NOT_REACHED not in agent.turns[-1].system
        lines = [
            record.levelname for record in caplog.records if record.name.startswith("custom_components.npu_memory")
        ]
        assert lines == ["ERROR", "INFO"]

    async def test_what_was_said_meanwhile_is_remembered_when_it_is_back(
        self,
        home: HomeAssistant,
        memory_server: MemoryServer,
        agent: RecordingAgent,
        add_entry: AddEntry,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(client_module, "LAST_RETRY_SECONDS", 0.2)
        entry = await add_entry(memory_server.entry_data, {CONF_AGENT: AGENT})
        memory_server.kill()
        await away(entry)
        await say(home, "The key is under the mat.")
        assert entry.runtime_data.captured.unsent == 2
        await asyncio.to_thread(memory_server.start)
        await back(entry)
        found = await remembered(entry.runtime_data.client, 2)
        assert [m.text for m in found] == ["The key is under the mat.", "Of course."]

    async def test_the_server_hangs(
        self,
        home: HomeAssistant,
        memory_server: MemoryServer,
        agent: RecordingAgent,
        add_entry: AddEntry,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        await add_entry(memory_server.entry_data, {CONF_AGENT: AGENT, "budget_ms": BUDGET_MS})
        memory_server.freeze()
        caplog.set_level(logging.INFO)
        for _ in range(3):
            started = time.monotonic()
            assert speech(await say(home, "Where is the key?")) == "Of course."
            assert time.monotonic() - started < GENEROUS_SECONDS
        assert agent.turns[-1].system.startswith("You are a house.")
        assert "memor" not in agent.turns[-1].system
        memory_server.thaw()
        await say(home, "Where is the key?")
        lines = [r.message for r in caplog.records if r.name.startswith("custom_components.npu_memory")]
        assert len(lines) == 2
        assert "without memory" in lines[0]
        assert "in time again" in lines[1]

    async def test_the_server_is_slower_than_the_budget(
        self, home: HomeAssistant, agent: RecordingAgent, add_entry: AddEntry
    ) -> None:
        async def slowly(request: wire.Frame) -> list[wire.Message]:
            if request.type == wire.RecallRequest.event_type:
                await asyncio.sleep(10 * GENEROUS_SECONDS)
            return await faults.healthy(request)

        async with faults.listening(faults.memory_server(slowly)) as port:
            data = {"host": "127.0.0.1", "port": port, "token": faults.TOKEN}
            entry = await add_entry(data, {CONF_AGENT: AGENT, "budget_ms": BUDGET_MS})
            started = time.monotonic()
            assert speech(await say(home, "Where is the key?")) == "Of course."
            assert time.monotonic() - started < GENEROUS_SECONDS
            await home.config_entries.async_unload(entry.entry_id)

    async def test_the_server_is_killed_in_mid_request(
        self, home: HomeAssistant, memory_server: MemoryServer, agent: RecordingAgent, add_entry: AddEntry
    ) -> None:
        await add_entry(memory_server.entry_data, {CONF_AGENT: AGENT, "budget_ms": 2000})
        memory_server.freeze()
        turn = asyncio.create_task(say(home, "Where is the key?"))
        await asyncio.sleep(0.05)
        started = time.monotonic()
        memory_server.kill()
        assert speech(await turn) == "Of course."
        assert time.monotonic() - started < 20 * 2000 / 1000

    async def test_a_bug_of_ours_does_not_cost_the_answer(
        self,
        home: HomeAssistant,
        assistant: MockConfigEntry,
        agent: RecordingAgent,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        async def broken(*_: Any) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(assistant.runtime_data.client, "recall", broken)
        assert speech(await say(home, "Where is the key?")) == "Of course."
        assert "Unexpected error while recalling" in caplog.text

    async def test_no_memory_gets_into_the_log(
        self,
        home: HomeAssistant,
        assistant: MockConfigEntry,
        agent: RecordingAgent,
        memory: MemoryClient,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        await memory.remember(wire.RememberRequest(text="The number of the locker is 4711."), 10)
        caplog.set_level(logging.DEBUG, "custom_components.npu_memory")
        await say(home, "What is the number of the locker?")
        await remembered(memory, 3)
        lines = [r.getMessage() for r in caplog.records if r.name.startswith("custom_components.npu_memory")]
        assert not any("locker" in line or "4711" in line for line in lines)
