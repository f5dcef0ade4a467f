"""The indexes: the same numbers as the plain way of counting, whatever was added and removed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
import math

from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays
import numpy as np
import pytest

from npu_memory_server.retrieval.analysis import fold, terms
from npu_memory_server.retrieval.catalog import Catalog
from npu_memory_server.retrieval.dense import VectorIndex
from npu_memory_server.retrieval.fusion import best, reciprocal_ranks
from npu_memory_server.retrieval.growing import GrowingArray
from npu_memory_server.retrieval.lexical import K1, B, LexicalIndex
from npu_memory_server.retrieval.stop_words import ENGLISH, STOP_WORDS

TERMS = st.sampled_from(["key", "cat", "boiler", "garden", "finn", "e31", "2026", "march"])
DOCUMENTS = st.lists(TERMS, max_size=8)


def bm25(documents: Sequence[Sequence[str] | None], question: Sequence[str]) -> list[float]:
    """Count as the definition says, document by document; None is one that was removed."""
    alive = [document for document in documents if document is not None]
    mean = sum(map(len, alive)) / len(alive) if alive else 0.0
    distinct = list(dict.fromkeys(question))
    idf = {}
    for term in distinct:
        frequency = sum(term in document for document in alive)
        idf[term] = math.log(1 + (len(alive) - frequency + 0.5) / (frequency + 0.5))
    largest = sum(idf.values()) * (K1 + 1)
    scores = []
    for document in documents:
        counts = Counter(document or [])
        score = sum(
            idf[term] * counts[term] * (K1 + 1) / (counts[term] + K1 * (1 - B + B * len(document or []) / mean))
            for term in distinct
            if counts[term]
        )
        scores.append(score / largest if largest else 0.0)
    return scores


# Words


@given(documents=st.lists(DOCUMENTS, max_size=20), removed=st.sets(st.integers(0, 19)), question=DOCUMENTS)
@settings(max_examples=100)
def test_the_lexical_score_is_bm25_whatever_was_added_and_removed(
    documents: list[list[str]], removed: set[int], question: list[str]
) -> None:
    index = LexicalIndex()
    left: list[list[str] | None] = []

    def is_asked() -> None:
        scores = index.scores(question)
        assert scores.dtype == np.float32
        assert scores == pytest.approx(bm25(left, question), abs=1e-5)
        assert scores.max(initial=0) <= 1
        assert scores.min(initial=0) >= 0

    is_asked()
    for row, document in enumerate(documents):
        assert index.add(document) == row
        left.append(document)
        is_asked()
    for row in removed & set(range(len(documents))):
        index.remove(row, documents[row])
        left[row] = None
        is_asked()


@given(documents=st.lists(DOCUMENTS, min_size=1, max_size=15), removed=st.integers(0, 14), question=DOCUMENTS)
@settings(max_examples=50)
def test_an_index_that_was_added_to_and_removed_from_equals_one_made_anew(
    documents: list[list[str]], removed: int, question: list[str]
) -> None:
    gone = removed % len(documents)
    grown, anew = LexicalIndex(), LexicalIndex()
    for document in documents:
        grown.add(document)
    grown.remove(gone, documents[gone])
    for row, document in enumerate(documents):
        if row != gone:
            anew.add(document)
    assert np.delete(grown.scores(question), gone) == pytest.approx(anew.scores(question), abs=1e-6)
    assert grown.scores(question)[gone] == 0


def test_words_that_occur_nowhere_make_all_scores_small() -> None:
    index = LexicalIndex()
    index.add(["key", "flowerpot"])
    index.add(["cat"])
    known, with_strangers = index.scores(["key"]), index.scores(["key", "zeppelin", "xylophone"])
    assert 0 < with_strangers[0] < known[0] / 2


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The Café opens at 7:30, room F22.", ["cafe", "open", "7:30", "room", "f22"]),
        ("It is 21.5 degrees", ["21.5", "degre"]),
        ("what did you say about that", []),
        ("", []),
        ("钥匙 в ящике", ["钥匙", "в", "ящике"]),
    ],
)
def test_terms_are_folded_stemmed_and_without_what_every_question_has(text: str, found: list[str]) -> None:
    assert terms(text) == found


@pytest.mark.parametrize(
    ("text", "language", "found"),
    [
        ("Wann hat Lina Geburtstag?", "de", ["lina", "geburtstag"]),
        ("Où est rangé le grand plat de service ?", "fr", ["rang", "grand", "plat", "servic"]),
        ("¿Cuántos chiles lleva la salsa?", "es", ["chil", "llev", "sals"]),
        ("Waar ligt de sleutel?", "nl-BE", ["ligt", "sleutel"]),
        ("Где лежит ключ?", "ru", ["леж", "ключ"]),
    ],
)
def test_a_question_in_another_language_has_its_own_words_left_out(text: str, language: str, found: list[str]) -> None:
    assert terms(text, language) == found


@pytest.mark.parametrize("language", STOP_WORDS)
def test_the_words_to_leave_out_are_folded_as_those_of_a_question_are(language: str) -> None:
    assert {fold(word) for word in STOP_WORDS[language]} == STOP_WORDS[language]


@given(word=st.text(max_size=20))
def test_folding_twice_changes_nothing_more(word: str) -> None:
    assert fold(fold(word)) == fold(word)


@given(
    text=st.text(max_size=60), language=st.none() | st.text(max_size=8) | st.sampled_from(["de", "fr-CA", "tr", "xx"])
)
@settings(max_examples=60)
def test_any_text_in_any_language_has_terms(text: str, language: str | None) -> None:
    found = terms(text, language)
    assert all(found)
    assert not set(found) & ENGLISH or language is not None or text != text.lower()


# Both legs


def test_reciprocal_ranks_count_the_places_and_not_the_scores() -> None:
    lexical = np.array([0.9, 0.1, 0.0, 0.0], np.float32)
    cosine = np.array([0.2, 0.3, 0.9, -0.1], np.float32)
    first, second, third = 61 / 61, 61 / 62, 61 / 63
    expected = [(first + third) / 2, (second + second) / 2, first / 2, 0]
    everything = np.ones(4, np.float32)
    assert reciprocal_ranks(lexical, cosine, everything).tolist() == pytest.approx(expected)
    assert reciprocal_ranks(lexical * 100, cosine, everything).tolist() == pytest.approx(expected)


def test_what_the_asker_may_not_see_takes_no_place_among_the_ranks() -> None:
    lexical = np.array([0.9, 0.1, 0.0], np.float32)
    cosine = np.array([0.9, 0.1, 0.3], np.float32)
    found = reciprocal_ranks(lexical, cosine, np.array([0, 1, 1], np.float32))
    alone = reciprocal_ranks(lexical[1:], cosine[1:], np.ones(2, np.float32))
    assert found.tolist() == [0, *alone.tolist()]


# Vectors


@given(rows=st.lists(st.none() | st.integers(0, 2**32 - 1), max_size=200), removed=st.sets(st.integers(0, 199)))
@settings(max_examples=40)
def test_the_vector_search_is_the_cosine_with_every_vector(rows: list[int | None], removed: set[int]) -> None:
    index = VectorIndex(8)
    expected = np.zeros((len(rows), 8), np.float32)
    missing = set()
    for row, seed in enumerate(rows):
        assert index.add() == row
        if seed is None:
            missing.add(row)
            continue
        vector = np.random.default_rng(seed).normal(size=8).astype(np.float32)
        expected[row] = vector / np.linalg.norm(vector)
        index.put(row, expected[row])
    for row in removed & set(range(len(rows))):
        index.remove(row)
        expected[row] = 0
        missing.add(row)
    query = np.ones(8, np.float32) / np.float32(math.sqrt(8))
    assert index.scores(query) == pytest.approx(expected @ query, abs=1e-6)
    assert set(index.missing().tolist()) == missing
    assert len(index) == len(rows)


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), float("-inf")])
def test_a_vector_that_is_no_number_is_none(broken: float) -> None:
    index = VectorIndex(2)
    index.add()
    index.put(0, np.array([1.0, broken], np.float32))
    assert index.missing().tolist() == [0]
    assert index.scores(np.array([1.0, 0.0], np.float32)).tolist() == [0]


@given(values=st.lists(st.integers(0, 1000), max_size=300), width=st.none() | st.integers(1, 4))
@settings(max_examples=30)
def test_an_array_that_grows_keeps_what_it_has(values: list[int], width: int | None) -> None:
    array: GrowingArray[np.int64] = GrowingArray(np.int64, width)
    for value in values:
        array.append(value)
    assert len(array) == len(values)
    assert array.values.shape == (len(values), *([width] if width else []))
    assert np.array_equal(array.values.T, np.broadcast_to(values, array.values.T.shape))


# The order


@given(
    scores=arrays.arrays(np.float32, st.integers(0, 60), elements=st.sampled_from([-1, 0, 0.25, 0.5, 0.75, 1])),
    count=st.integers(1, 70),
)
@settings(max_examples=150)
def test_the_best_are_the_largest_and_of_equals_the_newest(scores: np.ndarray, count: int) -> None:
    positive = [(score, row) for row, score in enumerate(scores.tolist()) if score > 0]
    expected = [row for _, row in sorted(positive, reverse=True)][:count]
    assert best(scores, count).tolist() == expected


# Who may see what, and what still holds


@dataclass
class Row:
    """What a catalog has been told of a memory."""

    scope: str
    expires_ms: int | None
    alive: bool = True
    current: bool = True


def add_row(catalog: Catalog, slot: int, scope: str, expires_ms: int | None = None) -> int:
    return catalog.add(slot, scope=scope, speaker=None, created_ms=0, expires_ms=expires_ms, current=True, prior=0.0)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "expire", "remove", "correct", "reopen", "ask"]),
        st.integers(0, 20),
        st.sampled_from(["household", "person:nora", "area:kitchen"]),
    ),
    max_size=40,
)


@given(steps=STEPS)
@settings(max_examples=100)
def test_every_change_is_seen_by_the_next_question(steps: list[tuple[str, int, str]]) -> None:
    """What is kept between questions is never out of date; the time passes from one step to the next."""
    catalog = Catalog()
    rows: list[Row] = []
    for now, (step, number, scope) in enumerate(steps):
        if step in ("add", "expire"):
            row = Row(scope, now + number if step == "expire" else None)
            slot = 10 + 3 * len(rows)
            added = add_row(catalog, slot, scope, row.expires_ms)
            assert added == len(rows) == catalog.row(slot)
            rows.append(row)
        elif rows and step != "ask":
            index = number % len(rows)
            if step == "remove":
                rows[index].alive = False
                catalog.remove(index)
                assert catalog.row(10 + 3 * index) is None
            else:
                rows[index].current = step == "reopen"
                catalog.set_current(index, current=step == "reopen")
        for scopes in ((), (scope,), ("household", "person:nora"), ("person:stranger",)):
            expected = [
                0.0
                if not row.alive or row.scope not in scopes or (row.expires_ms is not None and row.expires_ms <= now)
                else (1.0 if row.current else 0.5)
                for row in rows
            ]
            assert catalog.weights(scopes, now, 0.5).tolist() == expected
            assert catalog.visible(scopes, now).tolist() == [weight > 0 for weight in expected]


def test_more_askers_than_are_kept_get_their_own_answers() -> None:
    catalog = Catalog()
    for number in range(100):
        add_row(catalog, number, f"person:{number}")
    for _ in range(2):
        for number in range(100):
            assert np.flatnonzero(catalog.weights((f"person:{number}",), 0, 0.5)).tolist() == [number]
