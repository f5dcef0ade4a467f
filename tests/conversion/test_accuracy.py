"""The measures that decide whether a conversion is kept."""

from hypothesis import given, strategies as st
from hypothesis.extra import numpy as arrays
import numpy as np
import pytest

from npu_memory_conversion.accuracy import COSINE, cosines, demand, neighbors, spearman
from npu_memory_conversion.errors import ConversionError

scores = arrays.arrays(np.float32, st.integers(3, 40), elements=st.integers(-1000, 1000), unique=True)


def some_vectors(count: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, 16)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@given(scores)
def test_ranks_alone_count(values: np.ndarray) -> None:
    assert spearman(values, values) == pytest.approx(1)
    assert spearman(np.arctan(values / 100).astype(np.float32), values) == pytest.approx(1)
    assert spearman(-values, values) == pytest.approx(-1)


def test_rank_correlation_is_the_textbooks() -> None:
    # 1 - 6 * sum of squared differences / (n * (n * n - 1)), Spearman (1904): ranks 1 2 3 4 5 and 2 1 3 5 4.
    found = spearman(np.array([2, 1, 3, 5, 4], np.float32), np.array([1, 2, 3, 4, 5], np.float32))
    assert found == pytest.approx(1 - 6 * 4 / (5 * 24))


@pytest.mark.parametrize("broken", [np.full(4, np.nan), np.array([1, 2, np.inf, 3]), np.zeros(4)])
def test_scores_that_say_nothing_correlate_with_nothing(broken: np.ndarray) -> None:
    assert spearman(broken.astype(np.float32), np.array([1, 2, 3, 4], np.float32)) == 0


def test_a_vector_that_is_no_number_is_as_far_as_can_be() -> None:
    vectors = some_vectors(5)
    broken = vectors.copy()
    broken[3, 2] = np.nan
    found = cosines(broken, vectors)
    assert (found.texts, found.least) == (5, -1)
    with pytest.raises(ConversionError, match="the model is too far from the original: least cosine -1"):
        demand("the model", COSINE, found.least, 0.99)
    with pytest.raises(ConversionError):
        demand("the model", COSINE, float("nan"), 0.99)


def test_neighbors_agree_but_for_ties() -> None:
    vectors = some_vectors(60)
    assert neighbors(vectors, vectors).agreement == 1
    assert neighbors(vectors, vectors).identical == 1
    nudged = vectors + np.random.default_rng(1).normal(0, 1e-5, vectors.shape).astype(np.float32)
    assert neighbors(nudged, vectors).agreement == 1
    far = neighbors(some_vectors(60, seed=2), vectors)
    assert far.agreement < 0.5
    assert far.identical == 0
