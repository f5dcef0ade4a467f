"""Why a memory was chosen: the numbers add up, the notes are true, and who does not ask hears nothing of it."""

from collections.abc import Callable
import json
from pathlib import Path

import pytest

from npu_memory_server.cli.explaining import explanation
from npu_memory_server.memory import Memory
from npu_memory_server.transport.client import connected
from npu_memory_server.wire import Contribution, MemoryItem, RecallRequest, RememberRequest, Reranker, Strategy, Why
from tests.server.process import ServerProcess, run_command

StartServer = Callable[..., ServerProcess]

TRASH = "what day is trash collected"
UNHURRIED_MS = 10_000.0


def asked(text: str = TRASH, **options: object) -> RecallRequest:
    return RecallRequest(text=text, budget_ms=UNHURRIED_MS, explain=True, **options)


def whys(memories: tuple[MemoryItem, ...]) -> list[Why]:
    assert all(memory.why is not None for memory in memories)
    return [memory.why for memory in memories if memory.why is not None]


def total(why: Why) -> float:
    return sum(one.value for one in why.contributions)


async def test_who_does_not_ask_why_gets_the_same_memories_without_it(household: Memory) -> None:
    plain = await household.recall(RecallRequest(text=TRASH, budget_ms=UNHURRIED_MS))
    explained = await household.recall(asked())

    assert [memory.why for memory in plain.memories] == [None] * len(plain.memories)
    assert [(memory.id, memory.score) for memory in plain.memories] == [
        (memory.id, memory.score) for memory in explained.memories
    ]
    assert plain.context == explained.context


@pytest.mark.parametrize("text", [TRASH, "who has the spare key", "what did Maya say about the dentist"])
async def test_what_was_added_adds_up_to_the_order_of_those_that_hold(household: Memory, text: str) -> None:
    found = await household.recall(asked(text, top_k=20))
    current = [
        why
        for why in whys(found.memories)
        if not why.outdated and why.corrects is None and why.perhaps_corrects is None
    ]
    sums = [total(why) for why in current]

    assert len(current) > 10
    assert sums == pytest.approx(sorted(sums, reverse=True), abs=0.01)


async def test_the_speaker_who_was_named_is_among_the_reasons(household: Memory) -> None:
    found = await household.recall(asked("what did Maya say about the dentist", top_k=20))
    reasons = [(memory, why) for memory, why in zip(found.memories, whys(found.memories), strict=True) if why.place]
    by_maya = [memory.speaker == "Maya" for memory, _ in reasons]
    for_speaker = [any(one.signal == "speaker" and one.value > 0 for one in why.contributions) for _, why in reasons]

    assert any(by_maya)
    assert for_speaker == by_maya


async def test_each_strategy_names_its_own_legs_alone(household: Memory) -> None:
    hybrid, vector, lexical, recent = [
        whys((await household.recall(asked(strategy=strategy))).memories)[0]
        for strategy in (Strategy.HYBRID, Strategy.VECTOR, Strategy.LEXICAL, Strategy.RECENT)
    ]

    assert hybrid.lexical is not None
    assert hybrid.vector is not None
    assert (vector.lexical, [one.signal for one in vector.contributions]) == (None, ["vector"])
    assert (lexical.vector, [one.signal for one in lexical.contributions]) == (None, ["words"])
    assert recent == Why()


async def test_a_reranker_is_told_apart_from_what_was_before_it(household: Memory) -> None:
    with_maxsim = await household.recall(asked(top_k=20))
    without = await household.recall(asked(top_k=20, reranker=Reranker.NONE))
    before = {memory.id: place for place, memory in enumerate(without.memories, 1)}
    places = {
        memory.id: why.place for memory, why in zip(with_maxsim.memories, whys(with_maxsim.memories), strict=True)
    }
    known = [(place, before[one]) for one, place in places.items() if place is not None and one in before]

    assert all(why.rerank is not None for why in whys(with_maxsim.memories) if why.corrects is None)
    assert all(why.rerank is None for why in whys(without.memories))
    assert len(known) > 10
    # A correction that is moved to the front shifts those behind it by one.
    assert all(abs(place - place_without) <= 2 for place, place_without in known)


async def test_a_correction_names_what_it_has_corrected_and_that_says_it_is_outdated(memory: Memory) -> None:
    old = await memory.remember(RememberRequest(text="Trash day is Tuesday.", created_at="2026-01-01T10:00:00+00:00"))
    new = await memory.correct(
        old.memory_id, RememberRequest(text="It is Friday from now on.", created_at="2026-02-01T10:00:00+00:00")
    )
    await memory.embedded()

    found = await memory.recall(asked("when is trash day"))

    first, second = whys(found.memories)
    assert [one.id for one in found.memories] == [new.memory_id, old.memory_id]
    assert (first.corrects, first.outdated) == (old.memory_id, False)
    assert (second.corrects, second.outdated) == (None, True)


async def test_those_that_say_the_same_name_each_other(memory: Memory) -> None:
    for number, text in enumerate(["The spare key is at the neighbors", "The spare key is at the neighbors!"]):
        await memory.remember(RememberRequest(text=text, memory_id=f"key-{number}"))
    await memory.remember(RememberRequest(text="The boiler was serviced in May", memory_id="boiler"))
    await memory.embedded()

    found = await memory.recall(asked("where is the spare key"))

    assert {memory.id: why.repeats for memory, why in zip(found.memories, whys(found.memories), strict=True)} == {
        "key-0": ("key-1",),
        "key-1": ("key-0",),
        "boiler": (),
    }


async def test_the_reasons_come_over_the_wire_as_they_are(household_directory: Path, start_server: StartServer) -> None:
    server = start_server(household_directory)
    async with connected("127.0.0.1", server.port, server.token) as remote:
        explained = await remote.recall(asked())
        plain = await remote.recall(RecallRequest(text=TRASH, budget_ms=UNHURRIED_MS))

    assert [why.place for why in whys(explained.memories)][:2] == [1, 2]
    assert all(len(why.contributions) >= 4 for why in whys(explained.memories) if why.corrects is None)
    assert [memory.why for memory in plain.memories] == [None] * len(plain.memories)


def test_a_person_reads_a_table_and_a_program_the_numbers(household_directory: Path) -> None:
    table = run_command("recall", TRASH, "--explain", data=household_directory)
    data = run_command("recall", TRASH, "--explain", "--json", data=household_directory)

    lines = table.stdout.splitlines()
    heading = next(line for line in lines if "relevance" in line)
    assert heading.split()[:3] == ["relevance", "vector", "words"]
    assert "stands here because it has corrected 2" in table.stdout
    assert "was corrected and counts less" in table.stdout
    first = json.loads(data.stdout)["memories"][0]
    assert first["why"]["place"] == 1
    assert {one["signal"] for one in first["why"]["contributions"]} >= {"vector", "words", "maxsim"}


def test_a_batch_carries_the_reasons_too(household_directory: Path, tmp_path: Path) -> None:
    queries, results = tmp_path / "queries.jsonl", tmp_path / "results.jsonl"
    queries.write_text(json.dumps({"id": "1", "text": TRASH}) + "\n")

    run_command("recall", "--batch", queries, "--output", results, "--explain", data=household_directory)

    assert json.loads(results.read_text())["memories"][0]["why"]["vector"] > 0


def test_signals_that_added_nothing_have_no_column_and_unknown_places_a_dash() -> None:
    def item(number: int, why: Why | None) -> MemoryItem:
        return MemoryItem(id=f"m{number}", text="x", created_at="2026-01-01T00:00:00+00:00", score=0.5, why=why)

    def why(value: float) -> Why:
        contributions = (Contribution(signal="vector", value=value), Contribution(signal="speaker", value=0.0))
        return Why(vector=value, contributions=contributions)

    table = explanation([item(1, why(0.25)), item(2, None), item(3, why(0.125))])

    assert table.splitlines()[0].split() == ["relevance", "vector", "sum", "place", "reranker"]
    assert table.splitlines()[2].split() == ["1", "0.50", "+0.250", "0.250", "-", "-"]
    assert table.splitlines()[3].split() == ["3", "0.50", "+0.125", "0.125", "-", "-"]
    assert explanation([item(1, None)]) == ""


def test_secrets_and_the_size_of_the_context_are_options_of_the_command(tmp_path: Path) -> None:
    data = tmp_path / "data"
    run_command("remember", "The PIN of the alarm is 4711.", data=data)
    run_command("remember", "The alarm was serviced by Mr. Odum in the spring of this year.", data=data)

    masked = json.loads(run_command("recall", "the alarm", "--json", data=data).stdout)
    allowed = json.loads(run_command("recall", "the alarm", "--json", "--allow-secrets", data=data).stdout)
    short = json.loads(run_command("recall", "the alarm", "--json", "--max-tokens", "30", data=data).stdout)

    assert "4711" not in masked["context"]
    assert "4711" in allowed["context"]
    assert len(masked["context"].splitlines()) == 2
    assert len(short["context"].splitlines()) == 1
    assert [one["reason"] for one in short["left_out"]] == ["no_room"]
