"""Looking through the vectors of a large memory for those nearest to a question: in numpy, or the same in C."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
import simsimd

from ..native.cells import CellKernels
from ..native.library import kernels
from .cell_arrays import CellArrays
from .layout import FULL

Vector = NDArray[np.float32]
Rows = NDArray[np.intp]
Scores = NDArray[np.float32]


class Scan(Protocol):
    """One question after the other, over arrays that change between them. Of what is alike the first is taken."""

    def nearest(self, query: Vector, count: int, kept: int) -> tuple[Rows, Scores]:
        """Look coarsely at the nearest cells, about `count` vectors, and closely at the `kept` that seem nearest.

        Returns the rows of these, nearest first, and their cosines with the query, float32 [d]. What has no vector any
        more is left out. Both are valid until the next call.
        """

    def look(self, query: Vector, count: int) -> None:
        """Look coarsely at the nearest cells, about `count` vectors."""

    @property
    def seen(self) -> int:
        """How many were looked at for the last question."""

    def best(self, kept: int) -> tuple[Rows, NDArray[Any]]:
        """Return the rows of the `kept` that seemed nearest, without those whose vectors are gone, and how near.

        In the order of their places, and both valid until the next call.
        """

    def cosines(self, rows: Rows, query: Vector) -> Scores:
        """Return the cosine of each of `rows` with a query, float32 [d]; 0 without a vector."""


def scan_of(arrays: CellArrays) -> Scan:
    """Return what looks through these arrays on this machine."""
    functions = kernels().functions
    return NumpyScan(arrays) if functions is None else KernelScan(functions, arrays)


class KernelScan:
    """In C, where the vectors are (addon/native/cells.c)."""

    def __init__(self, functions: Any, arrays: CellArrays) -> None:
        """Look through `arrays` with the functions of the library. Raises ValueError if they do not fit together."""
        self._arrays = arrays
        self._kernels = CellKernels(
            functions,
            centers=arrays.centers,
            basis=arrays.layout.basis,
            starts=arrays.starts,
            held=arrays.held,
            row_of=arrays.rows,
            codes=arrays.saved.codes,
            scales=arrays.saved.scales,
            coarse=arrays.saved.coarse,
        )
        self._take()

    def nearest(self, query: Vector, count: int, kept: int) -> tuple[Rows, Scores]:
        """Return the nearest rows and their cosines."""
        return self._current().nearest(query, count, kept)

    def look(self, query: Vector, count: int) -> None:
        """Look coarsely at the nearest cells."""
        self._current().look(query, count)

    @property
    def seen(self) -> int:
        """How many were looked at for the last question."""
        return self._kernels.seen

    def best(self, kept: int) -> tuple[Rows, NDArray[Any]]:
        """Return the rows that seemed nearest, and how near."""
        return self._current().best(kept)

    def cosines(self, rows: Rows, query: Vector) -> Scores:
        """Return the cosine of each of `rows` with a query."""
        return self._current().cosines(rows, query)

    def _current(self) -> CellKernels:
        """Return the kernels, with the arrays as they are: those that grow are elsewhere after they have grown."""
        if not self._kernels.is_of(len(self._arrays.new_rows), len(self._arrays.places)):
            self._take()
        return self._kernels

    def _take(self) -> None:
        arrays = self._arrays
        self._kernels.take(
            new_row_of=arrays.new_rows.values,
            new_cell_of=arrays.new_cells.values,
            new_codes=arrays.new_codes.values,
            new_scales=arrays.new_scales.values,
            new_coarse=arrays.new_coarse.values,
            place_of=arrays.places.values,
        )


class NumpyScan:
    """In numpy, with a copy of what is looked at."""

    def __init__(self, arrays: CellArrays) -> None:
        """Look through `arrays`."""
        self._arrays = arrays
        # In 64 bits, so that who adds up in another order rounds to the same codes.
        self._basis = arrays.layout.basis.astype(np.float64)
        self._likeness: Scores = np.empty(0, np.float32)
        self._places: Callable[[Rows], Rows] = lambda which: which

    def nearest(self, query: Vector, count: int, kept: int) -> tuple[Rows, Scores]:
        """Return the nearest rows and their cosines."""
        self.look(query, count)
        rows, _ = self.best(kept)
        cosines = self.cosines(rows, query)
        order = np.argsort(-cosines, kind="stable")
        return rows[order], cosines[order]

    @property
    def seen(self) -> int:
        """How many were looked at for the last question."""
        return len(self._likeness)

    def look(self, query: Vector, count: int) -> None:
        """Look coarsely at the nearest cells."""
        arrays = self._arrays
        cells = self._nearest_cells(query, count)
        # Neighboring cells are one stretch of the file.
        breaks = np.flatnonzero(np.diff(cells) > 1)
        firsts = arrays.starts[cells[np.concatenate([[0], breaks + 1])]]
        lasts = arrays.starts[cells[np.concatenate([breaks, [len(cells) - 1]])] + 1]
        ends = np.cumsum(lasts - firsts)
        old = int(ends[-1])
        coarse = arrays.saved.coarse
        looked_at = [coarse[first:last] for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True)]
        recent = np.empty(0, np.intp)
        if len(arrays.new_rows):
            probed = np.zeros(len(arrays.held), np.bool_)
            probed[cells] = True
            recent = np.flatnonzero(probed[arrays.new_cells.values])
            looked_at.append(arrays.new_coarse.values[recent])
        # Copied together, since a call for each stretch costs more than the copy.
        self._likeness = _inner(np.concatenate(looked_at), _aim(query @ self._basis))

        def places(which: Rows) -> Rows:
            stretch = np.minimum(np.searchsorted(ends, which, side="right"), len(ends) - 1)
            found: Rows = which - ends[stretch] + lasts[stretch]
            if len(recent):
                found[which >= old] = recent[which[which >= old] - old] + len(arrays.rows)
            return found

        self._places = places

    def best(self, kept: int) -> tuple[Rows, NDArray[Any]]:
        """Return the rows that seemed nearest, and how near."""
        likeness = self._likeness
        best = np.arange(len(likeness))
        if kept < len(likeness):
            least = np.partition(likeness, len(likeness) - kept)[len(likeness) - kept]
            above, ties = np.flatnonzero(likeness > least), np.flatnonzero(likeness == least)
            best = np.sort(np.concatenate([above, ties[: kept - len(above)]]))
        places = self._places(best)
        rows = self._row_of(places)
        present = self._arrays.places.values[rows] == places
        return rows[present], likeness[best[present]]

    def cosines(self, rows: Rows, query: Vector) -> Scores:
        """Return the cosine of each of `rows` with a query."""
        arrays = self._arrays
        places = arrays.places.values[rows]
        saved = len(arrays.rows)
        if len(places) and places.min() >= 0 and places.max() < saved:
            near: Scores = np.take(arrays.saved.codes, places, axis=0).astype(np.float32) @ query
            near *= arrays.saved.scales[places]
            return near
        cosines = np.zeros(len(places), np.float32)
        old = (places >= 0) & (places < saved)
        new = places >= saved
        cosines[old] = (arrays.saved.codes[places[old]].astype(np.float32) @ query) * arrays.saved.scales[places[old]]
        newer = places[new] - saved
        cosines[new] = (arrays.new_codes.values[newer].astype(np.float32) @ query) * arrays.new_scales.values[newer]
        return cosines

    def _nearest_cells(self, query: Vector, count: int) -> NDArray[np.intp]:
        """Return the nearest cells that have `count` vectors between them, ascending; all there are if fewer."""
        arrays = self._arrays
        likeness = _inner(arrays.centers, _aim(query))
        most = len(likeness)
        # Usually they are few, and there is no need to order the others; twice the share that equal cells would need.
        some = min(most, 2 * (count * most // max(len(arrays), 1) + 1))
        while True:
            least = np.partition(likeness, most - some)[most - some]
            first = np.flatnonzero(likeness >= least)
            first = first[np.argsort(-likeness[first], kind="stable")]
            held = np.cumsum(arrays.held[first])
            if held[-1] >= count or some == most:
                nearest: NDArray[np.intp] = np.sort(first[: int(np.searchsorted(held, count)) + 1])
                return nearest
            some = most

    def _row_of(self, places: NDArray[np.intp]) -> Rows:
        saved = len(self._arrays.rows)
        old = places < saved
        rows = np.empty(len(places), np.intp)
        rows[old] = self._arrays.rows[places[old]]
        rows[~old] = self._arrays.new_rows.values[places[~old] - saved]
        return rows


def _aim(vector: NDArray[np.floating[Any]]) -> NDArray[np.int8]:
    """Return what a vector points at in int8, [d]."""
    pointed: NDArray[np.int8] = np.rint(vector * (FULL / max(float(np.abs(vector).max()), 1e-9))).astype(np.int8)
    return pointed


def _inner(codes: NDArray[np.int8], toward: NDArray[np.int8]) -> Scores:
    """Return the inner product of each of the codes, int8 [n, d], with int8 [d], float32 [n]."""
    if not len(codes):
        return np.empty(0, np.float32)
    # Not with `out`: simsimd 6.5 then gives away a None that it does not own, and Python 3.11 ends without any left.
    products: Scores = np.asarray(simsimd.cdist(codes, toward[None], "inner", out_dtype="float32")).reshape(-1)
    return products
