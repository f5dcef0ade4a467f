"""MaxSim: what is kept at hand of the memories' token vectors is what was stored, and each token finds its like."""

from __future__ import annotations

from hypothesis import given, strategies as st
import numpy as np
from numpy.typing import NDArray
import pytest

from npu_memory_server.memory import Memory
from npu_memory_server.retrieval import maxsim
from npu_memory_server.retrieval.maxsim import UNCOVERED, TokenVectorCache, coverage
from npu_memory_server.wire import MAX_TOP_K, RecallRequest, Reranker

REDUCED = 4
ROWS = 30
FIRST_SLOT = 100


class Stored:
    """Token vectors by slot, as the database has them: six each, one, or none."""

    def __init__(self) -> None:
        self._chance = np.random.default_rng(1)
        self.tokens = [self.some() for _ in range(ROWS)]
        self.asked = 0

    def some(self) -> NDArray[np.int8]:
        count = int(self._chance.choice([0, 0, 1, 6]))
        return self._chance.integers(-127, 128, (count, REDUCED), np.int8)

    def fetch(self, slots: NDArray[np.int64]) -> tuple[NDArray[np.int8], NDArray[np.intp]]:
        self.asked += len(slots)
        found = [self.tokens[slot - FIRST_SLOT] for slot in slots.tolist()]
        return np.concatenate([*found, np.zeros((0, REDUCED), np.int8)]), np.array([len(one) for one in found], np.intp)


questions = st.lists(st.integers(0, ROWS - 1), unique=True, max_size=12)
changes = st.integers(0, ROWS - 1)


@given(what=st.lists(questions | changes, max_size=40), room=st.integers(40, 200))
def test_whatever_is_asked_for_and_changed_the_newest_is_returned(what: list[list[int] | int], room: int) -> None:
    stored = Stored()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maxsim, "MAX_KEPT", room)
        kept = TokenVectorCache(stored.fetch)
        for one in what:
            if isinstance(one, int):
                stored.tokens[one] = stored.some()
                kept.discard(one)
                continue
            rows = np.array(one, np.intp)
            tokens, counts = kept.get(rows, rows + FIRST_SLOT)
            parts = np.split(tokens, np.cumsum(counts)[:-1]) if one else []
            assert [part.tolist() for part in parts] == [stored.tokens[row].tolist() for row in one]


def test_memories_without_token_vectors_have_none() -> None:
    kept = TokenVectorCache(lambda slots: (np.zeros((0, REDUCED), np.int8), np.zeros(len(slots), np.intp)))
    for rows in (np.arange(3), np.arange(5)):
        tokens, counts = kept.get(rows, rows)
        assert len(tokens) == 0
        assert counts.tolist() == [0] * len(rows)
        assert (coverage(np.ones((2, REDUCED), np.float32), tokens, counts) == UNCOVERED).all()


def test_what_was_asked_for_before_is_not_read_again() -> None:
    stored = Stored()
    kept = TokenVectorCache(stored.fetch)
    rows = np.arange(ROWS)
    for some in (rows[:20], rows[5:15], rows[10:]):
        kept.get(some, some + FIRST_SLOT)
    assert stored.asked == ROWS


@given(
    counts=st.lists(st.integers(0, 40), max_size=60), tokens_of_the_question=st.integers(1, 9), seed=st.integers(0, 99)
)
def test_each_token_of_a_question_finds_its_like_in_each_memory(
    counts: list[int], tokens_of_the_question: int, seed: int
) -> None:
    chance = np.random.default_rng(seed)
    tokens = chance.integers(-127, 128, (sum(counts), REDUCED), np.int8)
    question = chance.standard_normal((tokens_of_the_question, REDUCED)).astype(np.float32)
    covered = coverage(question, tokens, np.array(counts, np.intp))
    for best, memory in zip(covered, np.split(tokens, np.cumsum(counts)[:-1]) if counts else [], strict=True):
        wanted = (question @ memory.T / 127).max(axis=1) if len(memory) else np.full(len(question), UNCOVERED)
        np.testing.assert_allclose(best, wanted, rtol=1e-5, atol=1e-5)


async def test_who_asks_for_many_memories_gets_as_many(household: Memory) -> None:
    request = RecallRequest(text="what is in the shed", reranker=Reranker.MAXSIM, top_k=MAX_TOP_K, budget_ms=20_000)
    assert len((await household.recall(request)).memories) == MAX_TOP_K
