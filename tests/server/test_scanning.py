"""Looking through a large memory in C and in numpy: both find the same, whatever was put, removed and left out."""

from dataclasses import dataclass

from hypothesis import given, settings, strategies as st
import numpy as np
from numpy.typing import NDArray
import pytest

from npu_memory_server.native.library import BEST, kernels
from npu_memory_server.retrieval import cells
from npu_memory_server.retrieval.cell_arrays import ABSENT, CellArrays
from npu_memory_server.retrieval.cells import CellIndex
from npu_memory_server.retrieval.growing import GrowingArray
from npu_memory_server.retrieval.layout import Codes, Layout
from npu_memory_server.retrieval.scanning import KernelScan, NumpyScan

ROUNDING = 1e-5

FUNCTIONS = kernels().functions
pytestmark = pytest.mark.skipif(FUNCTIONS is None, reason=f"the kernels are {kernels().seen}")


@dataclass
class Case:
    """An index as any history could have left it, and a question."""

    index: CellIndex
    arrays: CellArrays
    query: NDArray[np.float32]
    chance: np.random.Generator


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Return cells of any size, many empty, with vectors that are alike, removed, replaced or not there yet."""
    chance = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dimensions, reduced = draw(st.sampled_from([(96, 32), (96, 33), (100, 48), (40, 7), (384, 96)]))
    sizes = np.array(draw(st.lists(st.sampled_from([0, 0, 1, 2, 7, 8, 9, 33, 130]), min_size=1, max_size=12)), np.int64)
    saved, absent = int(sizes.sum()), draw(st.integers(0, 20))
    centers = chance.normal(size=(len(sizes), dimensions)).astype(np.float32)
    centers[chance.random(len(sizes)) < 0.3] = centers[0]
    layout = Layout(
        centers,
        np.linalg.qr(chance.normal(size=(dimensions, reduced)))[0].astype(np.float32),
        draw(st.sampled_from([0.5, 40.0, 300.0])),  # of which the first makes most of them seem alike
        saved,
    )
    vectors = chance.normal(size=(saved + absent, dimensions)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[chance.random(len(vectors)) < 0.2] = vectors[0] if len(vectors) else 0
    rows = chance.permutation(saved + absent)[:saved].astype(np.uint32)
    places = np.full(saved + absent, ABSENT, np.int32)
    places[rows] = np.arange(saved)
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    arrays = CellArrays(layout, starts, rows, layout.codes(vectors[rows]), GrowingArray.of(places))
    index = CellIndex(arrays)
    for _ in range(draw(st.integers(0, 100))):
        row = int(chance.integers(0, len(index) + 1))
        if row == len(index):
            index.add()
        if chance.random() < 0.5:
            index.put(row, vectors[chance.integers(0, len(vectors))] if len(vectors) else layout.centers[0])
        else:
            index.remove(row)
    query = chance.normal(size=dimensions).astype(np.float32)
    return Case(index, arrays, query / np.linalg.norm(query), chance)


@settings(max_examples=80)
@given(case=cases(), share=st.floats(0, 1.5), kept=st.lists(st.integers(1, 400), min_size=1, max_size=3))
def test_both_look_at_the_same_and_find_the_same_best(case: Case, share: float, kept: list[int]) -> None:
    assert FUNCTIONS is not None
    count = 1 + int(share * len(case.arrays))
    plain = NumpyScan(case.arrays)
    plain.look(case.query, count)
    every = np.arange(len(case.index))
    cosines = []
    for level in range(FUNCTIONS.kernels_use(BEST) + 1):
        FUNCTIONS.kernels_use(level)
        kernel = KernelScan(FUNCTIONS, case.arrays)
        kernel.look(case.query, count)
        assert kernel.seen == plain.seen
        for number in kept:
            for found, expected in zip(kernel.best(number), plain.best(number), strict=True):
                np.testing.assert_array_equal(found, expected)
        cosines.append(kernel.cosines(every, case.query))
        found, near = kernel.nearest(case.query, count, kept[0])
        expected, plain_near = plain.nearest(case.query, count, kept[0])
        assert set(found.tolist()) == set(expected.tolist())
        np.testing.assert_array_equal(near, -np.sort(-cosines[0][expected]))
        np.testing.assert_array_equal(near, cosines[0][found])
        np.testing.assert_allclose(near, plain_near, atol=ROUNDING)
    np.testing.assert_allclose(cosines[0], plain.cosines(every, case.query), atol=ROUNDING)
    for one in cosines:
        np.testing.assert_array_equal(one, cosines[0])


@settings(max_examples=60)
@given(
    case=cases(),
    share=st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    count=st.integers(1, 30),
    looked_at=st.integers(1, 20_000),
)
def test_a_search_finds_the_same_among_what_may_be_seen(case: Case, share: float, count: int, looked_at: int) -> None:
    allowed = case.chance.random(len(case.index)) < share
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells, "LOOKED_AT", looked_at)
        patch.setattr(cells, "REFINED", 16)
        rows, cosines = case.index.search(case.query, count, lambda some: allowed[some])
        patch.setattr(cells, "scan_of", NumpyScan)
        plain_rows, plain_cosines = CellIndex(case.arrays).search(case.query, count, lambda some: allowed[some])
    np.testing.assert_allclose(cosines, plain_cosines, atol=ROUNDING)
    assert allowed[rows].all()
    assert len(set(rows.tolist())) == len(rows) == len(plain_rows)
    clearly = cosines > (
        cosines[-1] + ROUNDING if len(cosines) else 0
    )  # of the others rounding decides which is the last
    assert set(rows[clearly].tolist()) <= set(plain_rows.tolist())
    np.testing.assert_allclose(case.index.at(rows, case.query), cosines, atol=ROUNDING)


@settings(max_examples=30)
@given(case=cases(), row=st.sampled_from([-(2**40), -1, 0, 1, 2**31, 2**40]))
def test_a_row_that_there_is_not_is_an_error_and_not_read(case: Case, row: int) -> None:
    row += len(case.index) if row >= 0 else 0
    with pytest.raises(IndexError):
        KernelScan(FUNCTIONS, case.arrays).cosines(np.array([row], np.intp), case.query)


def test_what_comes_between_questions_is_found_though_the_arrays_have_moved() -> None:
    chance = np.random.default_rng(11)
    centers, basis = chance.normal(size=(4, 32)), np.linalg.qr(chance.normal(size=(32, 16)))[0]
    layout = Layout(centers.astype(np.float32), basis.astype(np.float32), 40.0, 0)
    nothing = layout.codes(np.zeros((0, 32), np.float32))
    starts, rows = np.zeros(5, np.int64), np.zeros(0, np.uint32)
    arrays = CellArrays(layout, starts, rows, nothing, GrowingArray(np.int32))
    index = CellIndex(arrays)
    for number in range(1_500):
        vector = chance.normal(size=32).astype(np.float32)
        vector /= np.linalg.norm(vector)
        assert index.at(np.arange(number), vector).shape == (number,)
        index.put(index.add(), vector)
        found, cosines = index.search(vector, 3, lambda some: np.ones(len(some), np.bool_))
        assert found[0] == number
        np.testing.assert_allclose(cosines, NumpyScan(arrays).cosines(found, vector), atol=ROUNDING)


def test_cells_that_do_not_lie_one_behind_the_other_are_refused() -> None:
    layout = Layout(np.eye(3, 32, dtype=np.float32), np.eye(32, 8, dtype=np.float32), 40.0, 4)
    codes, rows = layout.codes(np.eye(4, 32, dtype=np.float32)), np.arange(4, dtype=np.uint32)
    for starts in ([0, 3, 2, 4], [0, 1, 2, 5], [1, 2, 3, 4], [0, 2**62, 3, 4]):
        with pytest.raises(ValueError, match="one behind the other"):
            CellArrays(layout, np.array(starts, np.int64), rows, codes, GrowingArray(np.int32))


@pytest.mark.parametrize("missing", ["codes", "scales", "coarse"])
def test_saved_arrays_of_another_length_are_refused(missing: str) -> None:
    layout = Layout(np.eye(3, 32, dtype=np.float32), np.eye(32, 8, dtype=np.float32), 40.0, 4)
    whole = layout.codes(np.eye(4, 32, dtype=np.float32))
    parts = {name: getattr(whole, name)[: 3 if name == missing else 4] for name in ("codes", "scales", "coarse")}
    starts, rows = np.array([0, 1, 2, 4], np.int64), np.arange(4, dtype=np.uint32)
    with pytest.raises(ValueError, match=f"{missing} is"):
        CellIndex(CellArrays(layout, starts, rows, Codes(**parts), GrowingArray(np.int32)))
