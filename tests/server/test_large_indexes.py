"""The indexes of a large memory against looking at everything: whatever is added, forgotten and saved between."""

import sys

from hypothesis import given, settings, strategies as st
import numpy as np
from numpy.typing import NDArray
import pytest

from npu_memory_server.retrieval import cells
from npu_memory_server.retrieval.cells import CellIndex
from npu_memory_server.retrieval.dense import VectorIndex
from npu_memory_server.retrieval.frozen import FrozenVectors, FrozenWords
from npu_memory_server.retrieval.lexical import LexicalIndex
from npu_memory_server.retrieval.postings import Postings

WORDS = ["boiler", "kitchen", "key", "cat", "vet", "maya", "shed"]
ROUNDING = 0.05
"""Weights of 8 bits, and the mean length of when they were made."""

actions = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.lists(st.sampled_from(WORDS), min_size=3, max_size=6)),
        st.tuples(st.just("remove"), st.integers(0, 30)),
        st.tuples(st.sampled_from(["save", "fail"]), st.none()),
    ),
    max_size=40,
)


@settings(max_examples=60)
@given(actions, st.lists(st.sampled_from([*WORDS, "unknown"]), min_size=1, max_size=4))
def test_words_find_the_same_whatever_was_saved_between(what: list[tuple[str, object]], question: list[str]) -> None:
    index = LexicalIndex()
    said: dict[int, list[str]] = {}
    for action, value in what:
        if action == "add":
            assert isinstance(value, list)
            said[index.add(value)] = value
        elif action == "remove" and value in said:
            assert isinstance(value, int)
            index.remove(value, said.pop(value))
        elif action in ("save", "fail") and said:
            words = FrozenWords(*index.freeze(), index.removed)
            if action == "fail":
                index.thaw()
            else:
                alive = np.isin(np.arange(len(index)), list(said))
                lengths = index.lengths_column.values.copy()
                index.replace(Postings(words.columns(lengths, alive)), words.gone)
    anew = LexicalIndex()
    rows = sorted(said)
    for row in rows:
        anew.add(said[row])
    for word in WORDS:
        assert index.frequency(word) == anew.frequency(word)
    hits = index.search(question)
    np.testing.assert_allclose(hits.at(np.array(rows, np.intp)), anew.scores(question), atol=ROUNDING)
    found = set(hits.best(1000).tolist())
    assert {row for row in rows if set(said[row]) & set(question)} <= found


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def saved_index(vectors: NDArray[np.float32], without: int = 0) -> CellIndex:
    """Return an index as a file would have it; of some more rows that have no vector yet as well."""
    exact = VectorIndex(vectors.shape[1])
    for vector in vectors:
        exact.put(exact.add(), vector)
    for _ in range(without):
        exact.add()
    columns = FrozenVectors(exact).columns()
    arrays = {
        name: np.concatenate([np.empty((0, *shape[1:]), dtype), *pieces]) for name, dtype, shape, pieces in columns
    }
    return CellIndex.restored(arrays, len(exact))


def everything(rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    return np.ones(len(rows), np.bool_)


@pytest.fixture(scope="module")
def alike_in_groups() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return vectors of which some are alike, and questions that lie between them."""
    chance = np.random.default_rng(5)
    centers = chance.normal(size=(60, 384))
    groups = chance.integers(0, 60, (6_000, 2))
    vectors = unit(centers[groups].sum(axis=1) + 1.2 * chance.normal(size=(6_000, 384)))
    return vectors, unit(vectors[::120] + vectors[60::120] + 0.02 * chance.normal(size=(50, 384)))


def test_nearly_all_of_the_nearest_are_found_with_their_cosines(
    alike_in_groups: tuple[NDArray[np.float32], NDArray[np.float32]], monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors, questions = alike_in_groups
    monkeypatch.setattr(cells, "LOOKED_AT", 8_000)
    index = saved_index(vectors)
    found = 0
    for question in questions:
        rows, cosines = index.search(question, 10, everything)
        found += len(set(rows.tolist()) & set(np.argsort(-(vectors @ question))[:10].tolist()))
        np.testing.assert_allclose(cosines, vectors[rows] @ question, atol=0.01)
        np.testing.assert_allclose(cosines, index.at(rows, question), atol=1e-5)
        assert (np.diff(cosines) <= 0).all()
    assert found / (10 * len(questions)) > 0.9


def test_few_that_may_be_seen_are_all_found(
    alike_in_groups: tuple[NDArray[np.float32], NDArray[np.float32]],
) -> None:
    vectors, questions = alike_in_groups
    index = saved_index(vectors)
    seen = np.arange(len(vectors)) % 100 == 0
    for question in questions[:10]:
        rows, _ = index.search(question, 100, lambda some: seen[some])
        assert set(rows.tolist()) == set(np.flatnonzero(seen).tolist())


@settings(max_examples=20)
@given(
    saved=st.integers(0, 60),
    put=st.lists(st.integers(0, 79), unique=True),
    removed=st.lists(st.integers(0, 79), unique=True),
)
def test_vectors_come_and_go_before_they_are_saved(saved: int, put: list[int], removed: list[int]) -> None:
    """Also where nothing had a vector when the cells were made, as after a change of the embedder."""
    vectors = unit(np.random.default_rng(7).normal(size=(80, 128)))
    index = saved_index(vectors[:saved], without=80 - saved)
    for row in put:
        index.put(row, vectors[row])
    for row in removed:
        index.remove(row)
    there = (set(range(saved)) | set(put)) - set(removed)
    for row in range(0, 80, 7):
        rows, cosines = index.search(vectors[row], 80, everything)
        assert set(rows.tolist()) == there
        assert (rows[0] == row) == (row in there) if there else not len(cosines)


def test_searching_for_long_leaves_python_as_it_was() -> None:
    """A C library that gives away references that it does not own ends the process after some hundred questions."""
    chance = np.random.default_rng(3)
    vectors = unit(chance.normal(size=(200, 384)))
    index = saved_index(vectors)
    before = sys.getrefcount(None)
    for row, vector in enumerate(vectors):
        assert index.search(vector, 10, everything)[0][0] == row
    assert abs(sys.getrefcount(None) - before) < 100
