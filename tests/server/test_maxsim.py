"""MaxSim: what is kept at hand of the memories' token vectors is what was stored, and each token finds its like."""

from __future__ import annotations

from collections.abc import Iterator
from ctypes import CDLL

from hypothesis import given, settings, strategies as st
import numpy as np
from numpy.typing import NDArray
import pytest

from npu_memory_server.memory import Memory
from npu_memory_server.native.library import BEST, kernels
from npu_memory_server.native.maxsim import REDUCED, MaxSim
from npu_memory_server.retrieval import maxsim
from npu_memory_server.retrieval.maxsim import SCALE, UNKNOWN, Compare, TokenVectorCache, compare
from npu_memory_server.retrieval.sessions import NONE
from npu_memory_server.wire import MAX_TOP_K, RecallRequest, Reranker

ROWS = 30
FIRST_SLOT = 100
SLOTS = np.arange(ROWS) + FIRST_SLOT
SHARES = (0.8, 0.6)


@pytest.fixture(scope="module")
def functions() -> Iterator[CDLL]:
    """Return the kernels, and have them use afterwards what they used before."""
    found = kernels().functions
    if found is None:
        pytest.skip(f"the kernels are not used: {kernels().reason}")
    yield found
    found.kernels_use(BEST)


@pytest.fixture(scope="module", params=["numpy", "in C"])
def using(request: pytest.FixtureRequest) -> Compare:
    """Return each of both ways to compare."""
    return compare if request.param == "numpy" else MaxSim(request.getfixturevalue("functions"))


def turned(chance: np.random.Generator, count: int) -> NDArray[np.float32]:
    """Return vectors of length 1 in any direction, float32 [count, REDUCED]."""
    vectors = chance.standard_normal((count, REDUCED))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def kept(vectors: NDArray[np.float32]) -> NDArray[np.int8]:
    return np.rint(vectors * SCALE).astype(np.int8)


def covered(question: NDArray[np.float32], tokens: NDArray[np.int8]) -> NDArray[np.float64]:
    """Return the best cosine of each token of a question, one by one."""
    cosines = [[token @ other / SCALE for other in tokens.astype(np.float64)] for token in question.astype(np.float64)]
    return np.array([max([-1, *of_one]) for of_one in cosines])


class Stored:
    """Token vectors by slot, as the database has them: six each, one, or none."""

    def __init__(self) -> None:
        self._chance = np.random.default_rng(1)
        self.tokens = [self.some() for _ in range(ROWS)]
        self.asked = 0

    def some(self) -> NDArray[np.int8]:
        return kept(turned(self._chance, int(self._chance.choice([0, 0, 1, 6]))))

    def fetch(self, slots: NDArray[np.int64]) -> tuple[NDArray[np.int8], NDArray[np.intp]]:
        self.asked += len(slots)
        found = [self.tokens[slot - FIRST_SLOT] for slot in slots.tolist()]
        return np.concatenate([*found, np.zeros((0, REDUCED), np.int8)]), np.array([len(one) for one in found], np.intp)

    def scores(
        self, question: NDArray[np.float32], importance: NDArray[np.float32], turns: list[list[int]]
    ) -> list[float]:
        """Return what each of some memories with the turns before it is to get, worked out one by one."""
        scores: list[float | None] = []
        for row, *around in turns:
            best = covered(question, self.tokens[row])
            for before, share in zip(around, SHARES, strict=True):
                if before != NONE:
                    other = covered(question, self.tokens[before])
                    best = np.maximum(best, np.where(other > 0, other * share, other))
            scores.append(float(best @ importance) if len(self.tokens[row]) else None)
        known = [score for score in scores if score is not None]
        return [min(known, default=0) if score is None else score for score in scores]


def asked_of(cache: TokenVectorCache, question: NDArray[np.float32], turns: list[list[int]]) -> NDArray[np.float32]:
    rows = np.array(turns, np.intp).reshape(-1, 3).T
    shares = np.repeat(np.array(SHARES, np.float32)[:, None], len(turns), axis=1)
    importance = np.full(len(question), 1 / max(len(question), 1), np.float32)
    return cache.scores(question, importance, rows, shares, SLOTS)


row = st.integers(0, ROWS - 1)
before = st.integers(NONE, ROWS - 1)
questions = st.lists(st.tuples(row, before, before).map(list), max_size=12)


@given(
    what=st.lists(questions | row | st.sets(row), max_size=30),
    room=st.integers(40, 200),
    tokens=st.integers(1, 40),
    seed=st.integers(0, 99),
)
@settings(deadline=None)
def test_whatever_is_asked_for_and_changed_the_newest_is_compared(
    using: Compare, what: list[list[list[int]] | int | set[int]], room: int, tokens: int, seed: int
) -> None:
    stored = Stored()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maxsim, "MAX_KEPT", room)
        cache = TokenVectorCache(stored.fetch, using)
        question = turned(np.random.default_rng(seed), tokens)
        for one in what:
            if isinstance(one, int):
                stored.tokens[one] = stored.some()
                cache.discard(one)
            elif isinstance(one, set):
                cache.read_ahead(np.array(sorted(one), np.intp), SLOTS)
            else:
                wanted = stored.scores(question, np.full(tokens, 1 / tokens, np.float32), one)
                np.testing.assert_allclose(asked_of(cache, question, one), wanted, rtol=1e-4, atol=1e-4)


def test_memories_without_token_vectors_are_neither_preferred_nor_lost(using: Compare) -> None:
    none = np.zeros((0, REDUCED), np.int8)
    cache = TokenVectorCache(lambda slots: (none, np.zeros(len(slots), np.intp)), using)
    question = turned(np.random.default_rng(1), 2)
    assert asked_of(cache, question, [[0, NONE, NONE], [1, 0, NONE], [2, 1, 0]]).tolist() == [0, 0, 0]
    stored = Stored()
    with_tokens = [number for number, tokens in enumerate(stored.tokens) if len(tokens)]
    without = next(number for number, tokens in enumerate(stored.tokens) if not len(tokens))
    asked = [[number, NONE, NONE] for number in (*with_tokens, without)]
    scores = asked_of(TokenVectorCache(stored.fetch, using), question, asked)
    assert scores[-1] == scores[:-1].min()


def test_what_was_asked_for_before_is_not_read_again(using: Compare) -> None:
    stored = Stored()
    cache = TokenVectorCache(stored.fetch, using)
    question = turned(np.random.default_rng(1), 3)
    cache.read_ahead(np.arange(4), SLOTS)
    for some in (range(2, 20), range(5, 15), range(10, ROWS)):
        asked_of(cache, question, [[number, number - 1, number - 2] for number in some])
    assert stored.asked == ROWS


@given(
    counts=st.lists(st.integers(UNKNOWN, 40), min_size=1, max_size=60),
    asked=st.lists(st.tuples(*[st.integers(NONE, 59)] * 3), max_size=60),
    tokens=st.integers(0, 70),
    missing=st.booleans(),
    seed=st.integers(0, 99),
)
@pytest.mark.parametrize("level", range(3))
@settings(deadline=None)
def test_c_finds_the_same_to_the_last_bit_with_all_instructions(
    functions: CDLL, level: int, counts: list[int], asked: list[tuple[int, ...]], tokens: int, missing: bool, seed: int
) -> None:
    functions.kernels_use(level)
    chance = np.random.default_rng(seed)
    held = np.array(counts if missing else [max(count, 0) for count in counts], np.int32)
    sizes = np.maximum(held, 0)
    vectors = kept(turned(chance, int(sizes.sum())))
    spans = np.stack([np.where(held == UNKNOWN, UNKNOWN, np.cumsum(sizes) - sizes), sizes], axis=1).astype(np.int32)
    question = turned(chance, tokens)
    importance = chance.random(tokens, np.float32)
    rows = np.array(asked, np.intp).reshape(-1, 3).T
    rows[rows >= len(counts)] = NONE
    shares = chance.random((2, len(asked)), np.float32)
    scores, lacking = compare(vectors, spans, question, importance, rows, shares)
    scores_in_c, lacking_in_c = MaxSim(functions)(vectors, spans, question, importance, rows, shares)
    assert sorted(lacking_in_c.tolist()) == lacking.tolist()
    assert scores_in_c.tolist() == scores.tolist()


@pytest.mark.parametrize(
    ("row", "start", "count"),
    [(4, 0, 1), (-2, 0, 1), (1 << 40, 0, 1), (0, 0, 11), (0, 10, 1), (0, -2, 1), (0, 2**31 - 1, 2**31 - 1), (0, 3, -1)],
)
def test_c_reads_nothing_that_is_not_there(functions: CDLL, row: int, start: int, count: int) -> None:
    spans = np.zeros((4, 2), np.int32)
    spans[0] = start, count
    one, rows = turned(np.random.default_rng(1), 1), np.array([[row], [NONE], [NONE]])
    with pytest.raises(IndexError):
        MaxSim(functions)(kept(one).repeat(10, axis=0), spans, one, np.ones(1, np.float32), rows, np.ones((2, 1)))


@pytest.mark.parametrize(
    ("vectors", "spans", "refused"),
    [
        (np.zeros((10, 64), np.int8), np.zeros((4, 2), np.int32), "token vectors"),
        (np.zeros((10, REDUCED), np.float32), np.zeros((4, 2), np.int32), "token vectors"),
        (np.zeros((20, REDUCED), np.int8)[::2], np.zeros((4, 2), np.int32), "token vectors"),
        (np.zeros((10, REDUCED), np.int8), np.zeros((4, 3), np.int32), "spans"),
        (np.zeros((10, REDUCED), np.int8), np.zeros((4, 2), np.int64), "spans"),
        (np.zeros((10, REDUCED), np.int8), np.zeros((2, 4), np.int32).T, "spans"),
    ],
)
def test_c_refuses_what_is_laid_out_otherwise(
    functions: CDLL, vectors: NDArray[np.int8], spans: NDArray[np.int32], refused: str
) -> None:
    one = turned(np.random.default_rng(1), 1)
    with pytest.raises(ValueError, match=refused):
        MaxSim(functions)(vectors, spans, one, np.ones(1), np.zeros((3, 1), np.intp), np.ones((2, 1)))


async def test_who_asks_for_many_memories_gets_as_many(household: Memory) -> None:
    request = RecallRequest(text="what is in the shed", reranker=Reranker.MAXSIM, top_k=MAX_TOP_K, budget_ms=20_000)
    assert len((await household.recall(request)).memories) == MAX_TOP_K
