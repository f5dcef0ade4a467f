"""Variety: who asks for it gets less of the same; who does not gets what he always got."""

import json
from pathlib import Path

from hypothesis import given, strategies as st
import numpy as np
import pytest

from npu_memory_server.memory import Memory
from npu_memory_server.retrieval.diversity import varied
from npu_memory_server.wire import RecallRequest, RememberRequest, Strategy
from tests.server.process import run_command

UNHURRIED_MS = 20_000.0


@st.composite
def candidates(draw: st.DrawFn) -> tuple[list[float], np.ndarray]:
    """Return relevances, best first, and unit vectors, some of them missing."""
    count = draw(st.integers(0, 12))
    relevance = sorted((draw(st.floats(0, 1, width=32)) for _ in range(count)), reverse=True)
    vectors = np.random.default_rng(draw(st.integers(0, 99))).normal(size=(count, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    missing = draw(st.sets(st.integers(0, max(count - 1, 0))))
    vectors[[one for one in missing if one < count]] = 0
    return relevance, vectors


@given(candidates(), st.integers(1, 12))
def test_without_variety_the_order_is_that_of_relevance(drawn: tuple[list[float], np.ndarray], count: int) -> None:
    relevance, vectors = drawn

    assert varied(relevance, vectors, 0.0, count) == list(range(min(count, len(relevance))))


@given(candidates(), st.integers(1, 12), st.floats(0, 0.99))
def test_nothing_is_chosen_twice_and_the_most_relevant_comes_first(
    drawn: tuple[list[float], np.ndarray], count: int, diversity: float
) -> None:
    relevance, vectors = drawn
    chosen = varied(relevance, vectors, diversity, count)

    assert len(set(chosen)) == len(chosen) == min(count, len(relevance))
    assert not chosen or relevance[chosen[0]] == relevance[0]


@given(candidates(), st.floats(0.01, 0.99))
def test_each_next_one_is_the_best_by_the_definition(drawn: tuple[list[float], np.ndarray], diversity: float) -> None:
    relevance, vectors = drawn
    chosen = varied(relevance, vectors, diversity, len(relevance))
    for place in range(1, len(chosen)):
        before = chosen[:place]
        worth = {
            one: (1 - diversity) * relevance[one]
            - diversity * max(0.0, *(float(vectors[one] @ vectors[b]) for b in before))
            for one in range(len(relevance))
            if one not in before
        }
        assert worth[chosen[place]] == pytest.approx(max(worth.values()), abs=1e-5)


@pytest.mark.parametrize("strategy", [Strategy.HYBRID, Strategy.VECTOR])
async def test_five_times_the_same_makes_room_for_something_else(memory: Memory, strategy: Strategy) -> None:
    for number, day in enumerate(("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")):
        await memory.remember(RememberRequest(text=f"The cat was fed on {day} evening.", memory_id=f"fed-{number}"))
    await memory.remember(RememberRequest(text="The cat sees the vet in March.", memory_id="vet"))
    await memory.embedded()

    def asked(diversity: float | None) -> RecallRequest:
        return RecallRequest(
            text="when was the cat fed", top_k=3, strategy=strategy, diversity=diversity, budget_ms=UNHURRIED_MS
        )

    plain = await memory.recall(asked(None))
    off = await memory.recall(asked(0.0))
    mixed = await memory.recall(asked(0.7))

    assert [one.id for one in plain.memories] == [one.id for one in off.memories]
    assert "vet" not in [one.id for one in plain.memories]
    assert "vet" in [one.id for one in mixed.memories]
    assert mixed.memories[0].id == plain.memories[0].id


def test_it_is_an_option_of_the_command(household_directory: Path) -> None:
    question = ("recall", "what did we buy", "--json")
    plain = run_command(*question, data=household_directory)
    mixed = run_command(*question, "--diversity", "0.8", data=household_directory)
    wrong = run_command(*question, "--diversity", "2", data=household_directory)

    plain_ids, mixed_ids = ([one["id"] for one in json.loads(said.stdout)["memories"]] for said in (plain, mixed))
    assert len(plain_ids) == len(mixed_ids) == 5
    assert plain_ids[0] == mixed_ids[0]
    assert plain_ids != mixed_ids
    assert wrong.returncode == 2
    assert "from 0 to 1" in wrong.stderr
