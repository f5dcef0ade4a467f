"""A house is told something and asked for it by voice, with nothing that stands in for anything.

Piper speaks, Whisper hears, Home Assistant's pipeline has the assistant with memory in front of the llama.cpp
integration and a llama-server, and Piper speaks again.
"""

from collections.abc import Iterable
import re
import statistics

import pytest

from custom_components.npu_memory import prompt
from tests.voice.conftest import NEWEST
from tests.voice.spoken import RATE, SpokenTurn
from tests.voice.story import BUDGET_MS, Pair, Story, decoded

SHORTEST_SPEECH_SECONDS = 0.2


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower()))


def ends_in_speech(turn: SpokenTurn) -> bool:
    samples = decoded(turn.audio)
    return turn.audio_type.startswith("audio/") and len(samples) > 2 * RATE * SHORTEST_SPEECH_SECONDS and any(samples)


class TestToldByVoice:
    def test_what_was_spoken_is_heard_and_confirmed_in_speech(self, story: Story) -> None:
        assert {"boiler", "serviced", "march"} <= words(story.told.heard)
        assert {"boiler", "serviced", "march"} <= words(story.told.answer)
        assert ends_in_speech(story.told)

    def test_it_was_stored_before_that_was_said(self, story: Story) -> None:
        assert [text for text in story.stored if {"boiler", "serviced", "march"} <= words(text)]


class TestAskedByVoiceInANewConversation:
    def test_it_is_another_conversation_over_another_connection(self, story: Story) -> None:
        assert "boiler" in words(story.asked.heard)  # Whisper mishears at times, which memory must bear
        assert story.asked.conversation_id != story.told.conversation_id

    def test_the_model_received_the_memory_quoted_as_data(self, story: Story) -> None:
        asked = story.model_was_asked
        assert asked is not None
        instructions, _, quotations = asked.system_prompt.partition(prompt.FOUND)
        assert instructions
        (line,) = quotations.strip().splitlines()
        assert re.match(r'- \d{4}-\d\d-\d\d \d\d:\d\d, .+: "', line)
        assert {"boiler", "serviced", "march"} <= words(line)

    def test_the_model_was_told_nothing_of_the_other_conversation(self, story: Story) -> None:
        assert story.model_was_asked is not None
        assert [text.strip() for text in story.model_was_asked.said] == [story.asked.heard.strip()]

    def test_the_house_says_that_it_was_given_within_the_budget(self, story: Story) -> None:
        memory = story.memory_of_asked
        assert (memory["event_type"], memory["given"]) == ("given", 1)
        assert memory["total_ms"] <= memory["waited_ms"] <= BUDGET_MS

    def test_the_answer_streams_and_is_spoken(self, story: Story) -> None:
        assert story.asked.pieces > 1
        assert ends_in_speech(story.asked)

    def test_whisper_hears_the_answer_again(self, story: Story) -> None:
        assert words(story.answer_heard_again) & words(story.asked.answer)

    def test_the_stages_come_one_after_the_other(self, story: Story) -> None:
        events = story.asked.events
        stages = ("stt-start", "stt-end", "intent-start", "first-words", "intent-end", "run-end", "last-audio")
        assert sorted(stages, key=lambda stage: events[stage]) == list(stages)


@pytest.mark.parametrize("story", [NEWEST], indirect=True)
class TestWithoutTheServer:
    """Said to the agent alone and to the assistant in front of it, by turns."""

    def test_every_turn_still_ends_in_speech(self, story: Story) -> None:
        away = pairs_without_server(story)
        assert [pair.memory["event_type"] for pair in away] == ["not_connected"] * len(away)
        assert all(ends_in_speech(pair.remembering) and ends_in_speech(pair.alone) for pair in away)

    def test_no_turn_waits_longer_for_memory_than_its_budget(self, story: Story) -> None:
        assert max(pair.memory["waited_ms"] for pair in pairs_without_server(story)) <= BUDGET_MS

    def test_the_model_is_asked_no_later_than_the_budget_after_the_agent_alone(self, story: Story) -> None:
        assert later(story.without_server) <= BUDGET_MS

    def test_with_the_server_it_is_no_later_either(self, story: Story) -> None:
        assert later(story.with_server) <= BUDGET_MS


def pairs_without_server(story: Story) -> list[Pair]:
    return [*story.without_server, *story.without_server_by_voice]


def later(pairs: Iterable[Pair]) -> float:
    return statistics.median(pair.remembering_asked_ms - pair.alone_asked_ms for pair in pairs)
