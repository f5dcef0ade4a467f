"""Weights of 8 bits fit every processor's arithmetic, and lose little."""

from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays
import numpy as np
import numpy.typing as npt
import pytest

from npu_memory_conversion.quantize import smoothing_multipliers
from npu_memory_conversion.rounding import quantize_columns, quantize_rows

Matrix = npt.NDArray[np.float32]

numbers = st.floats(-100, 100, width=32).filter(lambda value: value == 0 or abs(value) > 1e-6)
matrices = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 12).map(lambda quarter: 4 * quarter), st.integers(1, 6)), elements=numbers
)


def saturating_product(activations: npt.NDArray[np.uint8], weights: npt.NDArray[np.int8]) -> npt.NDArray[np.int64]:
    """Multiply as AVX2 without VNNI does: products are added in pairs, and what leaves 16 bits is clipped."""
    products = activations.astype(np.int64)[:, np.newaxis] * weights
    pairs = products.reshape(-1, 2, weights.shape[1]).sum(axis=1)
    clipped: npt.NDArray[np.int64] = np.clip(pairs, -(2**15), 2**15 - 1)
    total: npt.NDArray[np.int64] = clipped.sum(axis=0)
    return total


@settings(max_examples=200)
@given(matrices, st.data())
def test_no_activations_make_a_sum_of_products_overflow(matrix: Matrix, data: st.DataObject) -> None:
    weights, _ = quantize_columns(matrix)
    rows = len(matrix)
    activations = data.draw(arrays.arrays(np.uint8, rows, elements=st.sampled_from([0, 1, 128, 254, 255])))
    order = data.draw(st.permutations(range(4)))
    mixed = (np.arange(rows).reshape(-1, 4)[:, order]).reshape(-1)
    exact = activations.astype(np.int64) @ weights.astype(np.int64)
    assert np.array_equal(saturating_product(activations[mixed], weights[mixed]), exact)


@given(matrices)
def test_how_a_matrix_lies_in_memory_does_not_matter(matrix: Matrix) -> None:
    weights, steps = quantize_columns(matrix)
    other_weights, other_steps = quantize_columns(np.asfortranarray(matrix))
    assert np.array_equal(weights, other_weights)
    assert np.array_equal(steps, other_steps)


def test_weights_of_full_range_would_overflow() -> None:
    full = np.full((4, 1), 127, np.int8)
    activations = np.full(4, 255, np.uint8)
    assert saturating_product(activations, full) != activations.astype(np.int64) @ full.astype(np.int64)


@given(matrices)
def test_rounding_again_changes_nothing_but_the_last_digits(matrix: Matrix) -> None:
    weights, steps = quantize_columns(matrix)
    assert weights.dtype == np.int8
    assert steps.dtype == np.float32
    assert np.all(steps > 0)
    assert np.all(np.sign(weights) * np.sign(matrix) >= 0)


def test_weights_as_models_have_them_lose_less_than_with_7_bits() -> None:
    matrix = np.random.default_rng(7).normal(size=(384, 96)).astype(np.float32)
    weights, steps = quantize_columns(matrix)
    seven_bit_steps = np.abs(matrix).max(axis=0) / 63
    seven_bits = np.rint(matrix / seven_bit_steps) * seven_bit_steps
    assert np.square(weights * steps - matrix).mean() < 0.6 * np.square(seven_bits - matrix).mean()


@given(matrices)
def test_each_row_of_a_table_is_within_half_a_step(matrix: Matrix) -> None:
    rows, steps = quantize_rows(matrix)
    assert np.all(np.abs(rows * steps - matrix) <= steps * np.float32(0.5001))


@given(matrices, st.floats(0, 1))
def test_smoothing_moves_ranges_by_powers_of_two_and_no_information(matrix: Matrix, strength: float) -> None:
    ranges = np.linspace(0, 30, len(matrix), dtype=np.float32)
    multipliers = smoothing_multipliers(matrix, ranges, strength)
    mantissas, _ = np.frexp(multipliers)
    assert np.all(mantissas == 0.5)
    assert np.array_equal(matrix / multipliers[:, np.newaxis] * multipliers[:, np.newaxis], matrix)


def test_smoothing_makes_a_wide_channel_narrow() -> None:
    matrix = np.ones((4, 4), np.float32)
    multipliers = smoothing_multipliers(matrix, np.array([1, 1, 1, 64], np.float32), 0.5)
    assert multipliers[3] == pytest.approx(multipliers[0] / 8)
