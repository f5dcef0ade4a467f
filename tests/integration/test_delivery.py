"""How memories get to a model: in a fresh system prompt, below the message, or spoken where there is no model."""

from collections.abc import Awaitable, Callable
import re
from typing import Any, Literal

from homeassistant.components import conversation
from homeassistant.const import MATCH_ALL
from homeassistant.core import HomeAssistant
from homeassistant.helpers import intent
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.npu_memory import prompt, wire
from custom_components.npu_memory.client import MemoryClient
from custom_components.npu_memory.const import CONF_AGENT
from custom_components.npu_memory.conversation import CIRCLE_SPOKEN, NOT_UNDERSTOOD
from custom_components.npu_memory.session import TOLD_TURNS
from tests.integration.agent import AGENT, RecordingAgent, add_agent
from tests.integration.conftest import ASSISTANT, AddEntry
from tests.integration.memory_server import MemoryServer
from tests.integration.test_conversation import away, remembered, say, speech

LOCKER = "The number of the locker is 4711."
QUESTION = "What is the number of the locker?"

type Add = Callable[..., Awaitable[MockConfigEntry]]


@pytest.fixture
def add(memory_server: MemoryServer, agent: RecordingAgent, add_entry: AddEntry) -> Add:
    """Return a function that adds an assistant with the given options in front of the agent."""

    async def with_options(**options: Any) -> MockConfigEntry:
        return await add_entry(memory_server.entry_data, {CONF_AGENT: AGENT, "budget_ms": 2000} | options)

    return with_options


def messages(agent: RecordingAgent) -> list[str]:
    """Return the user's messages as the model saw them last."""
    return [text or "" for role, text in agent.turns[-1].messages if role == "user"]


class TestWithoutTheServer:
    """The model reads every word it is told, which takes time on hardware of one's own."""

    async def test_a_conversation_that_memory_has_not_reached_costs_the_model_no_word(
        self, home: HomeAssistant, add: Add, agent: RecordingAgent, memory_server: MemoryServer
    ) -> None:
        entry = await add()
        memory_server.kill()
        await away(entry)
        await say(home, QUESTION, agent_id=AGENT)
        await say(home, QUESTION)
        alone, remembering = (re.sub(r"\d\d:\d\d:\d\d", "now", turn.system) for turn in agent.turns)
        assert remembering == alone

    async def test_what_the_caller_wants_the_model_to_be_told_is_all_it_is_told(
        self, home: HomeAssistant, add: Add, agent: RecordingAgent, memory_server: MemoryServer
    ) -> None:
        entry = await add()
        memory_server.kill()
        await away(entry)
        await say(home, QUESTION, extra_system_prompt="The bell has rung.")
        assert agent.turns[-1].system.endswith("The bell has rung.")

    async def test_memories_of_the_turn_before_do_not_stay(
        self,
        home: HomeAssistant,
        add: Add,
        agent: RecordingAgent,
        memory: MemoryClient,
        memory_server: MemoryServer,
    ) -> None:
        entry = await add()
        await memory.remember(wire.RememberRequest(text=LOCKER), 10)
        first = await say(home, QUESTION)
        assert LOCKER in agent.turns[-1].system
        memory_server.kill()
        await away(entry)
        for _ in range(2):
            await say(home, "And the code of the gate?", first.conversation_id)
            assert LOCKER not in agent.turns[-1].system
            assert prompt.NOT_ASKED in agent.turns[-1].system


class TestBelowTheMessage:
    async def test_memories_stand_below_and_the_system_prompt_stays_as_it_was(
        self, home: HomeAssistant, add: Add, agent: RecordingAgent, memory: MemoryClient
    ) -> None:
        await add(injection="user_message")
        await memory.remember(wire.RememberRequest(text=LOCKER, speaker="Anna"), 10)
        first = await say(home, QUESTION)
        await say(home, "Who won the world cup in football?", first.conversation_id)
        asked, later = messages(agent)
        assert asked.startswith(f"{QUESTION}\n<memory>\n- ")
        assert f'Anna: "{LOCKER}"' in asked
        assert later == "Who won the world cup in football?"
        first_prompt, second_prompt = (re.sub(r"\d\d:\d\d:\d\d", "now", turn.system) for turn in agent.turns)
        assert first_prompt == second_prompt
        assert prompt.BELOW in agent.turns[0].system

    async def test_the_log_has_each_message_once_and_what_is_remembered_is_what_was_said(
        self, home: HomeAssistant, add: Add, agent: RecordingAgent, memory: MemoryClient
    ) -> None:
        await add(injection="user_message")
        await memory.remember(wire.RememberRequest(text=LOCKER), 10)
        first = await say(home, QUESTION)
        await say(home, "Thank you very much for that.", first.conversation_id)
        assert [role for role, _ in agent.turns[1].messages] == ["user", "assistant", "user"]
        found = await remembered(memory, 5)
        assert [m.text for m in found if m.speaker is None] == [LOCKER, QUESTION, "Thank you very much for that."]

    async def test_what_the_model_has_in_its_history_is_not_told_again_until_it_may_be_gone(
        self, home: HomeAssistant, add: Add, agent: RecordingAgent, memory: MemoryClient
    ) -> None:
        entry = await add(injection="user_message", capture="nothing")
        await memory.remember(wire.RememberRequest(text=LOCKER), 10)
        conversation_id = (await say(home, QUESTION)).conversation_id
        for _ in range(TOLD_TURNS):
            await say(home, "And the number of the locker?", conversation_id)
            (report,) = entry.runtime_data.turns.values()
            assert report.outcome == "given"
        assert [LOCKER in text for text in messages(agent)] == [True] + [False] * (TOLD_TURNS - 1) + [True]

    async def test_what_was_corrected_meanwhile_is_told(
        self, home: HomeAssistant, add: Add, agent: RecordingAgent, memory: MemoryClient
    ) -> None:
        await add(injection="user_message", capture="nothing")
        stored = await memory.remember(wire.RememberRequest(text=LOCKER), 10)
        first = await say(home, QUESTION)
        newer = "The number of the locker is 1234."
        await memory.remember(wire.RememberRequest(text=newer, corrects=stored.memory_id), 10)
        await say(home, QUESTION, first.conversation_id)
        assert newer in messages(agent)[-1]

    @pytest.mark.parametrize(("fallback", "said"), [("say_so", True), ("no_context", False)])
    async def test_when_memory_is_away_the_message_says_so_if_the_user_wants_that(
        self,
        fallback: str,
        said: bool,
        home: HomeAssistant,
        add: Add,
        agent: RecordingAgent,
        memory_server: MemoryServer,
    ) -> None:
        entry = await add(injection="user_message", fallback=fallback)
        memory_server.kill()
        await away(entry)
        await say(home, QUESTION)
        assert (prompt.NOT_REACHED_BELOW in messages(agent)[0]) is said
        assert messages(agent)[0].startswith(QUESTION)

    async def test_the_callers_own_prompt_is_kept_in_every_turn(
        self, home: HomeAssistant, add: Add, agent: RecordingAgent
    ) -> None:
        await add(injection="user_message")
        first = await say(home, "Yes?", extra_system_prompt="You asked whether to close the garage.")
        await say(home, "Do it, please.", first.conversation_id)
        assert [turn.system.count("You asked whether to close the garage.") for turn in agent.turns] == [1, 1]


class TestHowMuch:
    async def test_no_more_memories_than_asked_for(
        self, home: HomeAssistant, add: Add, agent: RecordingAgent, memory: MemoryClient
    ) -> None:
        entry = await add(top_k=2)
        for number in range(4):
            await memory.remember(wire.RememberRequest(text=f"Locker {number} belongs to child {number}."), 10)
        await say(home, "Whom do the lockers belong to?")
        assert agent.turns[0].system.count(" belongs to child ") == 2
        (report,) = entry.runtime_data.turns.values()
        assert (report.given, report.returned) == (2, 4)

    async def test_no_more_tokens_than_allowed(
        self, home: HomeAssistant, add: Add, agent: RecordingAgent, memory: MemoryClient
    ) -> None:
        entry = await add(max_tokens=40)
        for number in range(4):
            await memory.remember(wire.RememberRequest(text=f"Locker {number} belongs to child {number}."), 10)
        await say(home, "Whom do the lockers belong to?")
        (report,) = entry.runtime_data.turns.values()
        assert report.given == agent.turns[0].system.count(" belongs to child ") == 1
        assert 0 < report.tokens <= 40

    async def test_nothing_below_the_least_relevance(
        self, home: HomeAssistant, add: Add, agent: RecordingAgent, memory: MemoryClient
    ) -> None:
        await add(min_relevance=1.0)
        await memory.remember(wire.RememberRequest(text="There are several lockers at school."), 10)
        await say(home, QUESTION)
        assert prompt.NOTHING_FOUND in agent.turns[0].system

    @pytest.mark.parametrize("allowed", [False, True])
    async def test_secrets_only_if_they_may_be_used(
        self, allowed: bool, home: HomeAssistant, add: Add, agent: RecordingAgent, memory: MemoryClient
    ) -> None:
        await add(allow_secrets=allowed)
        await memory.remember(wire.RememberRequest(text="The PIN of the alarm is 8642."), 10)
        await say(home, "What is the PIN of the alarm?")
        assert "The PIN of the alarm is" in agent.turns[0].system
        assert ("8642" in agent.turns[0].system) is allowed

    @pytest.mark.parametrize("reranker", ["server", "maxsim", "none"])
    async def test_a_second_look_or_none(
        self, reranker: str, home: HomeAssistant, add: Add, agent: RecordingAgent, memory: MemoryClient
    ) -> None:
        await add(reranker=reranker)
        await memory.remember(wire.RememberRequest(text=LOCKER), 10)
        await say(home, QUESTION)
        assert "4711" in agent.turns[0].system


class TestInFrontOfHomeAssistantsOwnAgent:
    @pytest.fixture
    async def entry(self, home: HomeAssistant, memory_server: MemoryServer, add_entry: AddEntry) -> MockConfigEntry:
        assert await async_setup_component(home, "light", {})
        home.states.async_set("light.kitchen", "off", {"friendly_name": "Kitchen light"})
        return await add_entry(
            memory_server.entry_data, {CONF_AGENT: conversation.HOME_ASSISTANT_AGENT, "budget_ms": 2000}
        )

    async def test_it_does_what_it_understands(self, home: HomeAssistant, entry: MockConfigEntry) -> None:
        result = await say(home, "Is the kitchen light on?", language="en")
        assert speech(result).startswith("No")
        (report,) = entry.runtime_data.turns.values()
        assert report.outcome == "not_needed"

    async def test_memory_answers_what_it_does_not_understand(
        self, home: HomeAssistant, entry: MockConfigEntry, memory: MemoryClient
    ) -> None:
        await memory.remember(wire.RememberRequest(text=LOCKER, speaker="Anna"), 10)
        result = await say(home, QUESTION, language="en")
        assert LOCKER in speech(result)
        assert result.response.response_type is intent.IntentResponseType.ACTION_DONE
        await say(home, "Is the kitchen light on?", result.conversation_id, language="en")
        (log,) = (
            log
            for conversation_id, log in home.data["conversation_chat_logs"].items()
            if conversation_id == result.conversation_id
        )
        assert [content.role for content in log.content][:4] == ["system", "user", "assistant", "user"]

    async def test_where_memory_has_nothing_either_it_says_that_it_has_not_understood(
        self, home: HomeAssistant, entry: MockConfigEntry
    ) -> None:
        result = await say(home, "Who won the world cup in football?", language="en")
        assert result.response.error_code in NOT_UNDERSTOOD

    async def test_control_is_mirrored(self, home: HomeAssistant, entry: MockConfigEntry) -> None:
        own, ours = home.states.get(conversation.HOME_ASSISTANT_AGENT), home.states.get(ASSISTANT)
        assert own is not None
        assert ours is not None
        assert ours.attributes["supported_features"] == own.attributes["supported_features"]


class Passing(conversation.ConversationEntity):
    """An agent of somebody else that asks another one, as fallback agents do."""

    _attr_unique_id = "passing"
    entity_id = "conversation.passing"

    @property
    def supported_languages(self) -> list[str] | Literal["*"]:
        return MATCH_ALL

    async def _async_handle_message(
        self, user_input: conversation.ConversationInput, chat_log: conversation.ChatLog
    ) -> conversation.ConversationResult:
        return await conversation.async_converse(
            self.hass, user_input.text, chat_log.conversation_id, user_input.context, agent_id=ASSISTANT
        )


async def test_an_assistant_does_not_ask_itself_through_another_agent(home: HomeAssistant, add: Add) -> None:
    await add_agent(home, Passing())  # type: ignore[arg-type]
    entry = await add(agent="conversation.passing")
    assert speech(await say(home, QUESTION)) == CIRCLE_SPOKEN
    (report,) = entry.runtime_data.turns.values()
    assert report.outcome in ("circle", "nothing_relevant")


class Deaf(RecordingAgent):
    """An agent that makes its own prompt and reads no other."""

    async def _async_handle_message(
        self, user_input: conversation.ConversationInput, chat_log: conversation.ChatLog
    ) -> conversation.ConversationResult:
        self.inputs.append(user_input)
        response = intent.IntentResponse(language=user_input.language)
        response.async_set_speech("I do not listen.")
        return conversation.ConversationResult(response=response, conversation_id=chat_log.conversation_id)


async def test_memories_that_never_reach_the_model_are_noticed(
    home: HomeAssistant, memory_server: MemoryServer, add_entry: AddEntry, memory: MemoryClient
) -> None:
    await add_agent(home, Deaf())
    await memory.remember(wire.RememberRequest(text=LOCKER), 10)
    entry = await add_entry(memory_server.entry_data, {CONF_AGENT: AGENT, "budget_ms": 2000})
    await say(home, QUESTION)
    (report,) = entry.runtime_data.turns.values()
    assert (report.outcome, report.given, report.returned) == ("not_taken", 0, 1)


async def test_an_agent_that_reads_only_the_message_can_have_memories_below_it(
    home: HomeAssistant, memory_server: MemoryServer, add_entry: AddEntry, memory: MemoryClient
) -> None:
    agent = await add_agent(home, Deaf())
    await memory.remember(wire.RememberRequest(text=LOCKER), 10)
    options = {CONF_AGENT: AGENT, "budget_ms": 2000, "injection": "user_message"}
    entry = await add_entry(memory_server.entry_data, options)
    await say(home, QUESTION)
    (report,) = entry.runtime_data.turns.values()
    assert (report.outcome, report.given) == ("given", 1)
    assert LOCKER in agent.inputs[0].text
