"""The vector of a text points where its tokens point on average, and has length 1."""

from hypothesis import given, strategies as st
from hypothesis.extra import numpy as arrays
import numpy as np
import pytest

from npu_memory_server.embedding.pooling import Vector, mean_pool, merge_windows, normalize
from npu_memory_server.embedding.projection import SCALE, kept, reduce

components = st.floats(-1e3, 1e3, width=32).filter(lambda value: value == 0 or abs(value) > 1e-3)
token_vectors = arrays.arrays(np.float32, st.tuples(st.integers(1, 40), st.just(16)), elements=components)


def has_direction(vector: Vector) -> bool:
    return bool(np.linalg.norm(vector) > 1e-3)


@given(token_vectors)
def test_the_pooled_vector_has_length_one_and_points_along_the_mean(tokens: Vector) -> None:
    mean = tokens.astype(np.float64).mean(axis=0)
    if not has_direction(mean.astype(np.float32)):
        return
    pooled = mean_pool(tokens)
    assert pooled.dtype == np.float32
    assert np.linalg.norm(pooled) == pytest.approx(1, abs=1e-5)
    assert pooled @ mean / np.linalg.norm(mean) == pytest.approx(1, abs=1e-3)


@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_the_order_of_tokens_does_not_matter_to_pooling(seed: int, count: int) -> None:
    generator = np.random.default_rng(seed)
    tokens = generator.standard_normal((count, 16)).astype(np.float32)
    assert mean_pool(generator.permutation(tokens)) == pytest.approx(mean_pool(tokens), abs=1e-3)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_tokens_without_a_direction_are_refused_rather_than_turned_into_nonsense(value: float) -> None:
    with pytest.raises(ValueError, match="direction"):
        mean_pool(np.full((3, 16), value, np.float32))


def test_a_text_of_one_window_keeps_its_vector_to_the_bit() -> None:
    vector = normalize(np.arange(1, 17, dtype=np.float32))
    assert merge_windows([vector], [9]) is vector


def test_a_window_counts_by_its_tokens() -> None:
    east, north = np.eye(2, dtype=np.float32)
    assert merge_windows([east, north], [30, 40]) == pytest.approx(np.array([0.6, 0.8]), abs=1e-6)


def test_what_is_kept_of_a_token_points_where_it_did_and_nothing_is_kept_of_nothing() -> None:
    generator = np.random.default_rng(7)
    tokens = generator.normal(size=(20, 384)).astype(np.float32)
    tokens[3] = 0
    projection = np.linalg.qr(generator.normal(size=(384, 128)))[0].astype(np.float32)
    before = tokens.copy()
    rounded = kept(reduce(tokens, projection))
    assert np.array_equal(tokens, before)
    assert not rounded[3].any()
    reduced = np.delete(tokens @ projection, 3, axis=0)
    cosines = (reduced * np.delete(rounded, 3, axis=0)).sum(axis=1) / np.linalg.norm(reduced, axis=1) / SCALE
    assert cosines == pytest.approx(1, abs=0.01)
