"""The dense leg of a large memory: vectors in cells of their like, looked at coarsely, then finely.

Each vector is kept in int8 (`codes`, with a scale of its own) and, turned into the directions in which the vectors
differ most, in fewer dimensions (`coarse`). A question looks through the coarse vectors of the nearest cells and then
computes the cosine of the best ones. docs/decisions/0007 has the measurements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
import simsimd

from .growing import GrowingArray
from .layout import FULL, Codes, Layout

Vector = NDArray[np.float32]
Rows = NDArray[np.intp]
Arrays = Mapping[str, NDArray[Any]]
Allowed = Callable[[Rows], NDArray[np.bool_]]

LOOKED_AT = 200_000
"""Vectors that a question looks at coarsely: 125 000 of a million hold 97.0 % of the ten nearest, these 98.2 %."""
REFINED = 256
"""Of these the best, whose cosines are computed."""
ABSENT = -1


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Some vectors and the cell of each, [n]."""

    codes: Codes
    cells: NDArray[np.integer[Any]]


class CellIndex:
    """Vectors by row, L2-normalized. Not thread-safe: one thread searches and writes.

    What was saved never changes; what came since lies beside it. A row is in one place, or nowhere.
    """

    def __init__(self, layout: Layout, starts: NDArray[np.int64], rows: NDArray[np.uint32], saved: Codes) -> None:
        """Take over vectors that are ordered by cell: cell i has those from `starts[i]` to `starts[i + 1]`."""
        dimensions, reduced = layout.basis.shape
        self._layout = layout
        self._starts = starts
        self._sizes = np.diff(starts)
        self._rows = rows
        self._saved = saved
        self._new_rows: GrowingArray[np.uint32] = GrowingArray(np.uint32)
        self._new_cells: GrowingArray[np.uint16] = GrowingArray(np.uint16)
        self._new_codes: GrowingArray[np.int8] = GrowingArray(np.int8, dimensions)
        self._new_scales: GrowingArray[np.float32] = GrowingArray(np.float32)
        self._new_coarse: GrowingArray[np.int8] = GrowingArray(np.int8, reduced)
        self._places: GrowingArray[np.int32] = GrowingArray(np.int32)

    @classmethod
    def restored(cls, arrays: Arrays, count: int) -> CellIndex:
        """Return an index of `count` rows from the arrays of `FrozenVectors.columns`."""
        layout = Layout(
            arrays["centers"], arrays["basis"], float(arrays["coarse_scale"][0]), int(arrays["laid_out_for"][0])
        )
        saved = Codes(arrays["codes"], arrays["scales"], arrays["coarse"])
        index = cls(layout, arrays["cell_starts"], arrays["cell_rows"], saved)
        places = np.full(count, ABSENT, np.int32)
        places[index._rows] = np.arange(len(index._rows), dtype=np.int32)
        index._places = GrowingArray.of(places)
        return index

    def __len__(self) -> int:
        """Return the number of rows, with or without a vector."""
        return len(self._places)

    @property
    def places(self) -> NDArray[np.int32]:
        """Where the vector of each row is in the `parts`, one after the other; `ABSENT` without one."""
        return self._places.values

    def parts(self) -> tuple[Part, Part]:
        """Return the saved vectors and the newer ones, as they are."""
        newer = Codes(self._new_codes.values, self._new_scales.values, self._new_coarse.values)
        cells = np.repeat(np.arange(len(self._sizes)), self._sizes)
        return Part(self._saved, cells), Part(newer, self._new_cells.values)

    @property
    def layout(self) -> Layout:
        """How the vectors are laid out."""
        return self._layout

    def add(self) -> int:
        """Add a row that has no vector yet and return it."""
        self._places.append(ABSENT)
        return len(self._places) - 1

    def put(self, row: int, vector: Vector) -> None:
        """Give a row its vector, float32 [d], L2-normalized; one that is not finite is none."""
        if not np.isfinite(vector).all():
            return
        self.remove(row)
        codes = self._layout.codes(vector[None])
        self._places.values[row] = len(self._rows) + len(self._new_rows)
        self._new_rows.append(row)
        self._new_cells.append(self._layout.nearest(vector[None])[0])
        self._new_codes.append(codes.codes[0])
        self._new_scales.append(codes.scales[0])
        self._new_coarse.append(codes.coarse[0])

    def remove(self, row: int) -> None:
        """Take the vector of a row away; from the file it goes when that is written again."""
        place = int(self._places.values[row]) - len(self._rows)
        if place >= 0:
            self._new_codes.values[place] = 0
            self._new_coarse.values[place] = 0
        self._places.values[row] = ABSENT

    def present(self, rows: Rows) -> NDArray[np.bool_]:
        """Return whether each of `rows` has a vector, bool [len(rows)]."""
        there: NDArray[np.bool_] = self._places.values[rows] != ABSENT
        return there

    def missing(self) -> Rows:
        """Return the rows that have no vector."""
        return np.flatnonzero(self._places.values == ABSENT)

    def of(self, row: int) -> Vector | None:
        """Return the vector of a row as good as it is kept, float32 [d], or None if it has none."""
        place = int(self._places.values[row])
        return None if place == ABSENT else self._vectors(np.array([place]))[0]

    def at(self, rows: Rows, query: Vector) -> NDArray[np.float32]:
        """Return the cosine of each of `rows` with `query` (float32 [d], L2-normalized); 0 without a vector."""
        places = self._places.values[rows]
        cosines: NDArray[np.float32] = (self._vectors(places) @ query) * (places != ABSENT)
        return cosines

    def search(self, query: Vector, count: int, allowed: Allowed) -> Rows:
        """Return about the `count` (at most `REFINED`) nearest rows that are allowed, nearest first.

        `allowed` says so of some rows, bool [len(rows)]. Where few of the nearest are, more are looked at.
        """
        looked_at = LOOKED_AT
        while True:
            likeness, place_of = self._coarse(query, looked_at)
            kept = REFINED
            while True:
                best = np.argpartition(likeness, -kept)[-kept:] if kept < len(likeness) else np.arange(len(likeness))
                places = place_of(best)
                rows = self._row_of(places)
                visible = self._places.values[rows] == places
                visible[visible] = allowed(rows[visible])
                if visible.sum() >= count or kept >= len(likeness):
                    break
                kept *= 8
            if visible.sum() >= count or looked_at >= len(self._rows):
                break
            looked_at = len(self._rows)
        best, places, rows = best[visible], places[visible], rows[visible]
        if len(best) > REFINED:
            likest = np.argpartition(likeness[best], -REFINED)[-REFINED:]
            places, rows = places[likest], rows[likest]
        cosines = self._vectors(places) @ query
        nearest: Rows = rows[np.argsort(-cosines, kind="stable")[:count]]
        return nearest

    def _coarse(self, query: Vector, count: int) -> tuple[NDArray[np.float64], Callable[[Rows], Rows]]:
        """Return how like the query the vectors in the nearest cells seem, about `count`, and what gives the places."""
        order = np.argsort(-(self._layout.centers @ query))
        enough = int(np.searchsorted(np.cumsum(self._sizes[order]), min(count, len(self._rows)))) + 1
        cells = np.sort(order[:enough])
        # Neighboring cells are one stretch of the file.
        breaks = np.flatnonzero(np.diff(cells) > 1)
        firsts = self._starts[cells[np.concatenate([[0], breaks + 1])]]
        lasts = self._starts[cells[np.concatenate([breaks, [len(cells) - 1]])] + 1]
        ends = np.cumsum(lasts - firsts)
        probed = np.zeros(len(self._sizes), np.bool_)
        probed[cells] = True
        recent = np.flatnonzero(probed[self._new_cells.values])
        aim = query @ self._layout.basis
        aim = np.rint(aim * (FULL / max(float(np.abs(aim).max()), 1e-9))).astype(np.int8)[None]
        old = int(ends[-1])
        likeness = np.empty(old + len(recent), np.float64)
        at = 0
        for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
            if last > first:
                _inner(self._saved.coarse[first:last], aim, likeness[at : at + last - first])
                at += last - first
        if len(recent):
            _inner(self._new_coarse.values[recent], aim, likeness[old:])

        def places(which: Rows) -> Rows:
            stretch = np.minimum(np.searchsorted(ends, which, side="right"), len(ends) - 1)
            found: Rows = which - ends[stretch] + lasts[stretch]
            found[which >= old] = recent[which[which >= old] - old] + len(self._rows)
            return found

        return likeness, places

    def _row_of(self, places: NDArray[np.intp]) -> Rows:
        saved = len(self._rows)
        old = places < saved
        rows = np.empty(len(places), np.intp)
        rows[old] = self._rows[places[old]]
        rows[~old] = self._new_rows.values[places[~old] - saved]
        return rows

    def _vectors(self, places: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Return the vectors at some places, float32 [len(places), d]; zeros where there is none."""
        saved = len(self._rows)
        vectors = np.zeros((len(places), self._layout.basis.shape[0]), np.float32)
        old = (places >= 0) & (places < saved)
        new = places >= saved
        vectors[old] = self._saved.codes[places[old]]
        vectors[old] *= self._saved.scales[places[old], None]
        if new.any():
            vectors[new] = self._new_codes.values[places[new] - saved]
            vectors[new] *= self._new_scales.values[places[new] - saved, None]
        return vectors


def _inner(codes: NDArray[np.int8], query: NDArray[np.int8], into: NDArray[np.float64]) -> None:
    """Write the inner product of each of the codes, int8 [n, d], with the query, int8 [1, d], float64 [n]."""
    # Not with `out`: simsimd 6.5 then gives away a None that it does not own, and Python 3.11 ends without any left.
    into[:] = np.asarray(simsimd.cdist(codes, query, "inner")).reshape(-1)
