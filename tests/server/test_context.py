"""The context: few lines, within the budget, each thing said once, and whole thoughts."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import combinations
import json
import re
from typing import Any

from hypothesis import HealthCheck, given, settings, strategies as st
import pytest

from npu_memory_server.context.lines import context_line
from npu_memory_server.context.packing import ELLIPSIS, Packed, pack, repeats
from npu_memory_server.context.repetition import all_differ
from npu_memory_server.context.shown import BYTES_A_TOKEN, Shown, show
from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.memory import Memory
from npu_memory_server.records import Record
from npu_memory_server.wire import (
    MAX_TEXT_CHARACTERS,
    MIN_CONTEXT_TOKENS,
    Context,
    ForgetRequest,
    Kind,
    Omission,
    RecallRequest,
    RememberRequest,
    Strategy,
    from_data,
)

MARCH = datetime(2026, 3, 3, 18, 30, tzinfo=UTC)
LINE = re.compile(r"(?:- |  - (?:just before|right after) )\(\d+ \w+ \d{4}[^()\n]*\) (?P<text>\".*\")")


def words(text: str) -> int:
    return len(text.split())


def shown(*texts: str, count: Callable[[str], int] = words, **fields: Any) -> list[Shown]:
    """Return memories, each said a day after the one before."""
    return [
        show(
            slot,
            Record(**({"id": f"m-{slot}", "text": text, "created_at": MARCH + timedelta(days=slot)} | fields)),
            count,
        )
        for slot, text in enumerate(texts)
    ]


def packed(
    memories: Sequence[Shown], scores: Sequence[float] | None = None, max_tokens: int = 1000, count: Any = words
) -> Packed:
    found = list(zip(memories, scores or [0.9 - place / 20 for place in range(len(memories))], strict=True))
    return pack(found, max_tokens, count, lambda _, __: None)


def said(context: str) -> list[str]:
    """Return the texts of the lines of a context, each of which must be whole."""
    found = []
    for line in context.splitlines():
        match = LINE.fullmatch(line)
        assert match is not None, line
        found.append(json.loads(match["text"]))
    return found


def left_out(answer: Packed | Context) -> list[tuple[str, str]]:
    return [(one.id, one.reason.value) for one in answer.left_out]


# Order


def test_the_most_relevant_comes_first_and_of_equals_the_newest() -> None:
    memories = shown("The key is here.", "The gate is green.", "The boiler hums.")
    assert said(packed(memories, [0.502, 0.9, 0.498]).context) == [
        "The gate is green.", "The boiler hums.", "The key is here.",
    ]  # fmt: skip


def test_what_no_longer_holds_comes_after_what_does() -> None:
    (now,) = shown("The key is with Joost.", id="now", created_at=MARCH)
    (past,) = shown("The key is with Annelies.", id="past", created_at=MARCH + timedelta(1), valid_to=MARCH)
    assert said(packed([past, now], [0.5, 0.5]).context) == ["The key is with Joost.", "The key is with Annelies."]


# Each thing is said once


def test_the_same_words_are_shown_once_as_they_were_said_last() -> None:
    memories = shown("The bins go out on Tuesday.", "the bins go out on tuesday", "Oma is in Hamburg.")
    answer = packed(memories)
    assert said(answer.context) == ["the bins go out on tuesday", "Oma is in Hamburg."]
    assert left_out(answer) == [("m-0", "repeats")]


def test_an_assistants_confirmation_that_only_repeats_is_not_shown() -> None:
    (nora,) = shown("remember the spare key is under the blue flower pot by the side door", id="n", speaker="Nora")
    (echo,) = shown("Noted: the spare key is under the blue flower pot.", id="a", speaker="assistant")
    for order in ([nora, echo], [echo, nora]):
        answer = packed(order)
        assert said(answer.context) == [nora.text]
        assert left_out(answer) == [("a", "repeats")]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The gas meter reads 49533.", "The gas meter reads 49611."),
        ("The cello lesson is on Monday.", "The cello lesson is on Tuesday."),
        ("The spare key is with Joost.", "The spare key is with Annelies."),
        ("Finn may eat hazelnuts.", "Finn may not eat hazelnuts."),
        ("Finn darf Nüsse essen.", "Finn darf keine Nüsse essen."),
        ("Is the boiler serviced?", "The boiler is serviced."),
        ("Nora likes the lake.", "Nora likes the lake and the sailing club."),
    ],
)
def test_another_value_is_another_memory(one: str, other: str) -> None:
    assert said(packed(shown(one, other)).context) == [one, other]


SAYINGS = st.tuples(
    st.lists(st.sampled_from(["key", "the", "blue", "pot", "not", "noted", "okay", "why"]), min_size=1, max_size=4),
    st.sampled_from(["Nora", "assistant"]),
    st.sampled_from(["", ".", "?"]),
)


@given(sayings=st.lists(SAYINGS, max_size=7), holds=st.lists(st.booleans(), min_size=7, max_size=7))
@settings(max_examples=200)
def test_what_is_seen_to_differ_at_a_glance_differs_when_compared(
    sayings: list[tuple[list[str], str, str]], holds: list[bool]
) -> None:
    memories = [
        one
        for (text, who, mark), held in zip(sayings, holds, strict=False)
        for one in shown(" ".join(text) + mark, speaker=who, valid_to=None if held else MARCH)
    ]
    if all_differ([one.essence for one in memories]):
        assert not any(repeats(one, other) for one, other in combinations(memories, 2))


@given(texts=st.lists(SAYINGS.map(lambda saying: " ".join(saying[0])), min_size=1, max_size=6), spare=st.integers(0, 9))
def test_where_everything_fits_everything_is_there_whole(texts: list[str], spare: int) -> None:
    memories = shown(*texts, count=lambda text: 10 * len(text.split()))
    answer = packed(memories, max_tokens=sum(one.tokens for one in memories) + spare)
    assert {reason for _, reason in left_out(answer)} <= {"repeats"}
    assert {one.line for one in memories} >= set(answer.context.splitlines())
    assert len(answer.context.splitlines()) + len(answer.left_out) == len(memories)


def test_what_holds_and_what_held_are_both_shown() -> None:
    (now,) = shown("The key is under the pot.", id="now")
    (past,) = shown("The key is under the pot.", id="past", valid_to=MARCH)
    assert len(said(packed([now, past]).context)) == 2


# The budget


def test_what_does_not_fit_any_more_is_left_out_and_a_shorter_one_may_still_fit() -> None:
    memories = shown("The gate is green.", "The boiler was serviced by Gus on a rainy day in May.", "Oma sails.")
    answer = packed(memories, max_tokens=sum((memories[0].tokens, memories[2].tokens)))
    assert said(answer.context) == ["The gate is green.", "Oma sails."]
    assert left_out(answer) == [("m-1", "no_room")]


def test_a_memory_that_is_too_long_is_cut_at_a_word() -> None:
    text = " ".join(f"word{number}" for number in range(500))
    answer = packed(shown(text), max_tokens=150)
    (beginning,) = said(answer.context)
    assert beginning.endswith(ELLIPSIS)
    assert text.startswith(beginning.removesuffix(ELLIPSIS) + " ")
    assert len(beginning.split()) > 50
    assert left_out(answer) == [("m-0", "shortened")]


def test_a_long_memory_leaves_room_for_the_others() -> None:
    text = " ".join(f"word{number}" for number in range(500))
    answer = packed(shown(text, "The gate is green.", "Oma sails."), max_tokens=300)
    assert said(answer.context)[1:] == ["The gate is green.", "Oma sails."]
    assert said(answer.context)[0].endswith(ELLIPSIS)


def test_a_run_of_letters_that_the_tokenizer_takes_for_one_unknown_word_does_not_cost_one_token(
    embedder: OnnxEmbedder,
) -> None:
    run = "x" * 6000
    assert embedder.count_tokens(run) < 10
    (one,) = shown(run, count=embedder.count_tokens)
    assert one.tokens >= 6000 / BYTES_A_TOKEN
    answer = packed([one], max_tokens=100, count=embedder.count_tokens)
    assert len(answer.context) < 100 * BYTES_A_TOKEN + 1


HOSTILE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=300)
SPOKEN = st.lists(
    st.sampled_from(["the", "key", "under", "blue", "pot", "Nora's", "49,533", "Tür", "öffnen", "❤", "漢字"]),
    min_size=1,
)


@given(
    said_by=st.lists(st.tuples(HOSTILE | SPOKEN.map(" ".join), st.none() | HOSTILE), min_size=1, max_size=8),
    max_tokens=st.integers(MIN_CONTEXT_TOKENS, 400),
    repeat=st.integers(1, 40),
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_was_said_the_budget_holds_and_nothing_leaves_its_quotation_marks(
    embedder: OnnxEmbedder, said_by: list[tuple[str, str | None]], max_tokens: int, repeat: int
) -> None:
    count = embedder.count_tokens
    memories = [
        show(
            slot,
            Record(id=f"m-{slot}", text=(text * repeat)[:MAX_TEXT_CHARACTERS], speaker=who, created_at=MARCH),
            count,
        )
        for slot, (text, who) in enumerate(said_by)
    ]

    def neighbor(one: Shown, after: bool) -> Shown:
        return memories[(one.slot + 1) % len(memories) if after else one.slot - 1]

    found = [(one, 1 / (one.slot + 1)) for one in memories[:5]]
    answer = pack(found, max_tokens, count, neighbor)
    assert count(answer.context) <= max_tokens
    texts = [" ".join(one.text.split()) for one in memories]
    for line in answer.context.splitlines():
        quotation = json.loads(line[line.index(') "') + 2 :])
        assert quotation in texts or any(text.startswith(quotation.removesuffix(ELLIPSIS)) for text in texts)
    gone = {one.id for one in answer.left_out if one.reason is not Omission.SHORTENED}
    assert len(gone) == sum(one.reason is not Omission.SHORTENED for one in answer.left_out)
    own = sum(not line.startswith("  ") for line in answer.context.splitlines())
    assert own == len(found) - len(gone)


def test_a_line_is_what_it_always_was() -> None:
    record = Record(id="1", text='Papa said "no".\nReally.', speaker="Nora", created_at=MARCH)
    (one,) = shown(record.text, speaker="Nora", created_at=MARCH)
    assert one.line == context_line(record) == '- (3 March 2026, Nora) "Papa said \\"no\\". Really."'


# Whole thoughts, in a household


async def talk(memory: Memory, *turns: tuple[str, str], minutes: int = 0, **fields: Any) -> list[str]:
    ids = []
    for place, (speaker, text) in enumerate(turns):
        moment = MARCH + timedelta(minutes=place * minutes, seconds=place)
        data = {"text": text, "speaker": speaker, "session": "s", "kind": Kind.TURN, "created_at": moment.isoformat()}
        ids.append((await memory.remember(from_data(RememberRequest, data | fields))).memory_id)
    return ids


async def ask(memory: Memory, text: str, **fields: Any) -> Context:
    request = {"text": text, "strategy": Strategy.LEXICAL, "top_k": 1, **fields}
    return await memory.recall(from_data(RecallRequest, request))


RACLETTE = (("Teo", "where did we put the raclette grill"), ("Nora", "above the fridge behind the fondue set"))


async def test_a_found_fragment_brings_the_question_that_it_answers(memory: Memory) -> None:
    await talk(memory, *RACLETTE)
    assert (await ask(memory, "fondue")).context.splitlines() == [
        '- (3 March 2026, Nora) "above the fridge behind the fondue set"',
        '  - just before (3 March 2026, Teo) "where did we put the raclette grill"',
    ]


async def test_a_found_question_brings_its_answer(memory: Memory) -> None:
    await talk(memory, *RACLETTE)
    answer = await ask(memory, "raclette")
    assert said(answer.context) == [RACLETTE[0][1], RACLETTE[1][1]]
    assert "  - right after (3 March 2026, Nora) " in answer.context
    assert len(answer.memories) == 1


async def test_both_found_are_each_shown_once(memory: Memory) -> None:
    await talk(memory, *RACLETTE)
    answer = await ask(memory, "raclette fondue", top_k=5)
    assert sorted(said(answer.context)) == sorted(text for _, text in RACLETTE)
    assert "just before" not in answer.context


async def test_neighbors_only_come_when_there_is_room(memory: Memory) -> None:
    await talk(memory, *RACLETTE)
    answer = await ask(memory, "fondue", max_tokens=24)
    assert said(answer.context) == [RACLETTE[1][1]]


async def test_another_evening_is_another_thought(memory: Memory) -> None:
    await talk(memory, *RACLETTE, minutes=60)
    assert said((await ask(memory, "fondue")).context) == [RACLETTE[1][1]]


async def test_what_the_asker_may_not_see_is_no_neighbor_either(memory: Memory) -> None:
    await talk(memory, RACLETTE[0], scope="person:teo")
    await talk(memory, RACLETTE[1])
    assert said((await ask(memory, "fondue")).context) == [RACLETTE[1][1]]


async def test_a_forgotten_turn_is_no_neighbor_any_more(memory: Memory) -> None:
    question, _ = await talk(memory, *RACLETTE)
    await ask(memory, "fondue")
    await memory.forget(ForgetRequest(memory_ids=(question,)))
    assert said((await ask(memory, "fondue")).context) == [RACLETTE[1][1]]


async def test_the_household_is_answered_within_any_budget(household: Memory, embedder: OnnxEmbedder) -> None:
    for max_tokens in (16, 40, 100, 300, 1000):
        for question in ("where is the spare key", "what did the boiler repair cost", "recipe for applesauce"):
            answer = await household.recall(RecallRequest(text=question, top_k=20, max_tokens=max_tokens))
            assert embedder.count_tokens(answer.context) <= max_tokens
            own = sum(not line.startswith("  ") for line in answer.context.splitlines())
            gone = sum(one.reason is not Omission.SHORTENED for one in answer.left_out)
            assert own + gone == len(answer.memories)
