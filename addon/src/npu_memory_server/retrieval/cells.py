"""The dense leg of a large memory: vectors in cells of their like, looked at coarsely, then finely.

Each vector is kept in int8 (`codes`, with a scale of its own) and, turned into the directions in which the vectors
differ most, in fewer dimensions (`coarse`). A question looks through the coarse vectors of the nearest cells and then
computes the cosine of the best ones. docs/decisions/0008-a-million-memories.md has the measurements.
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
Scores = NDArray[np.float32]
Arrays = Mapping[str, NDArray[Any]]
Allowed = Callable[[Rows], NDArray[np.bool_]]

LOOKED_AT = 33_000
"""Vectors of 100 000 that a question looks at coarsely; of n times as many it is n ** 0.45 times these.
They hold what makes a recall@10 of 0.982, of a million 0.981."""
REFINED = 512
"""Of these the best, whose cosines are computed: 256 lose half a percent of the ten nearest of a million."""
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
        self._held = self._sizes.copy()
        self._rows = rows
        self._saved = saved
        self._centers = _centers(layout)
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
        cell = self._layout.nearest(vector[None])[0]
        self._new_cells.append(cell)
        self._held[cell] += 1
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

    def at(self, rows: Rows, query: Vector) -> Scores:
        """Return the cosine of each of `rows` with `query` (float32 [d], L2-normalized); 0 without a vector."""
        return self._cosines(self._places.values[rows], query)

    def search(self, query: Vector, count: int, allowed: Allowed) -> tuple[Rows, Scores]:
        """Return about the `count` (at most `REFINED`) nearest rows that are allowed, nearest first; and their cosines.

        `allowed` says so of some rows, bool [len(rows)]. Where few of the nearest are, more are looked at.
        """
        everything = len(self._rows) + len(self._new_rows)
        looked_at = int(LOOKED_AT * (everything / 100_000) ** 0.45) + 1
        while True:
            likeness, place_of = self._coarse(query, looked_at)
            kept = REFINED
            while True:
                best = np.argpartition(likeness, len(likeness) - kept)[-kept:] if kept < len(likeness) else None
                places = place_of(best if best is not None else np.arange(len(likeness)))
                rows = self._row_of(places)
                visible = self._places.values[rows] == places
                visible[visible] = allowed(rows[visible])
                if visible.sum() >= count or best is None:
                    break
                kept *= 8
            if visible.sum() >= count or looked_at >= everything:
                break
            looked_at = everything
        places, rows = places[visible], rows[visible]
        if len(places) > REFINED:
            seeming = likeness[visible if best is None else best[visible]]
            likest = np.argpartition(seeming, len(seeming) - REFINED)[-REFINED:]
            places, rows = places[likest], rows[likest]
        cosines = self._cosines(places, query)
        order = np.argsort(-cosines, kind="stable")[:count]
        return rows[order], cosines[order]

    def _coarse(self, query: Vector, count: int) -> tuple[Scores, Callable[[Rows], Rows]]:
        """Return how like the query the vectors in the nearest cells seem, about `count`, and what gives the places."""
        cells = self._nearest_cells(query, count)
        # Neighboring cells are one stretch of the file.
        breaks = np.flatnonzero(np.diff(cells) > 1)
        firsts = self._starts[cells[np.concatenate([[0], breaks + 1])]]
        lasts = self._starts[cells[np.concatenate([breaks, [len(cells) - 1]])] + 1]
        ends = np.cumsum(lasts - firsts)
        old = int(ends[-1])
        coarse = self._saved.coarse
        looked_at = [coarse[first:last] for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True)]
        recent = np.empty(0, np.intp)
        if len(self._new_rows):
            probed = np.zeros(len(self._sizes), np.bool_)
            probed[cells] = True
            recent = np.flatnonzero(probed[self._new_cells.values])
            looked_at.append(self._new_coarse.values[recent])
        aim = _aim(query @ self._layout.basis)
        # Copied together, since a call for each stretch costs more than the copy.
        likeness = _inner(np.concatenate(looked_at), aim)

        def places(which: Rows) -> Rows:
            stretch = np.minimum(np.searchsorted(ends, which, side="right"), len(ends) - 1)
            found: Rows = which - ends[stretch] + lasts[stretch]
            if len(recent):
                found[which >= old] = recent[which[which >= old] - old] + len(self._rows)
            return found

        return likeness, places

    def _nearest_cells(self, query: Vector, count: int) -> NDArray[np.intp]:
        """Return the nearest cells that have `count` vectors between them, ascending; all there are if fewer."""
        likeness = _inner(self._centers, _aim(query))
        most = len(likeness)
        # Usually they are few, and there is no need to order the others; twice the share that equal cells would need.
        some = min(most, 2 * (count * most // max(len(self._rows) + len(self._new_rows), 1) + 1))
        while True:
            first = np.argpartition(likeness, most - some)[-some:] if some < most else np.arange(most)
            first = first[np.argsort(-likeness[first])]
            held = np.cumsum(self._held[first])
            if held[-1] >= count or some == most:
                nearest: NDArray[np.intp] = np.sort(first[: int(np.searchsorted(held, count)) + 1])
                return nearest
            some = most

    def _row_of(self, places: NDArray[np.intp]) -> Rows:
        saved = len(self._rows)
        old = places < saved
        rows = np.empty(len(places), np.intp)
        rows[old] = self._rows[places[old]]
        rows[~old] = self._new_rows.values[places[~old] - saved]
        return rows

    def _cosines(self, places: NDArray[np.integer[Any]], query: Vector) -> Scores:
        """Return the cosines of the vectors at some places with `query`, float32 [len(places)]; 0 where none is."""
        saved = len(self._rows)
        if len(places) and places.min() >= 0 and places.max() < saved:
            near: Scores = np.take(self._saved.codes, places, axis=0).astype(np.float32) @ query
            near *= self._saved.scales[places]
            return near
        cosines = np.zeros(len(places), np.float32)
        old = (places >= 0) & (places < saved)
        new = places >= saved
        cosines[old] = (self._saved.codes[places[old]].astype(np.float32) @ query) * self._saved.scales[places[old]]
        newer = places[new] - saved
        cosines[new] = (self._new_codes.values[newer].astype(np.float32) @ query) * self._new_scales.values[newer]
        return cosines

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


def _centers(layout: Layout) -> NDArray[np.int8]:
    """Return the centers of the cells in int8, all with the same scale, int8 [cells, d]: a quarter of the memory."""
    largest = max(float(np.abs(layout.centers).max(initial=0)), 1e-9)
    centers: NDArray[np.int8] = np.rint(layout.centers * np.float32(FULL / largest)).astype(np.int8)
    return centers


def _aim(vector: Vector) -> NDArray[np.int8]:
    """Return what a vector points at in int8, [1, d]."""
    aim: NDArray[np.int8] = np.rint(vector * (FULL / max(float(np.abs(vector).max()), 1e-9))).astype(np.int8)[None]
    return aim


def _inner(codes: NDArray[np.int8], aim: NDArray[np.int8]) -> Scores:
    """Return the inner product of each of the codes, int8 [n, d], with int8 [1, d], float32 [n]."""
    if not len(codes):
        return np.empty(0, np.float32)
    # Not with `out`: simsimd 6.5 then gives away a None that it does not own, and Python 3.11 ends without any left.
    products: Scores = np.asarray(simsimd.cdist(codes, aim, "inner", out_dtype="float32")).reshape(-1)
    return products
