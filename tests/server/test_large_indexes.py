"""The indexes of a large memory against looking at everything: whatever is added, forgotten and saved between."""

import sys

from hypothesis import given, settings, strategies as st
import numpy as np

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


def test_searching_for_long_leaves_python_as_it_was() -> None:
    """A C library that gives away references that it does not own ends the process after some hundred questions."""
    chance = np.random.default_rng(3)
    vectors = chance.normal(size=(200, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    exact = VectorIndex(384)
    for vector in vectors:
        exact.put(exact.add(), vector)
    arrays = {name: np.concatenate([*pieces]) for name, _, _, pieces in FrozenVectors(exact).columns()}
    index = CellIndex.restored(arrays, len(vectors))
    before = sys.getrefcount(None)
    for row, vector in enumerate(vectors):
        assert index.search(vector, 10, lambda rows: np.ones(len(rows), np.bool_))[0][0] == row
    assert abs(sys.getrefcount(None) - before) < 100
