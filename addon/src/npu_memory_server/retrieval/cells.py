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

from .cell_arrays import ABSENT, CellArrays
from .growing import GrowingArray
from .layout import Codes, Layout
from .scanning import scan_of

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
WIDER = 8
"""Times as many are kept where too few of them are allowed."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Some vectors and the cell of each, [n]."""

    codes: Codes
    cells: NDArray[np.integer[Any]]


class CellIndex:
    """Vectors by row, L2-normalized. Not thread-safe: one thread searches and writes.

    What was saved never changes; what came since lies beside it. A row is in one place, or nowhere.
    """

    def __init__(self, arrays: CellArrays) -> None:
        """Take over the arrays."""
        self._arrays = arrays
        self._scan = scan_of(arrays)

    @classmethod
    def restored(cls, arrays: Arrays, count: int) -> CellIndex:
        """Return an index of `count` rows from the arrays of `FrozenVectors.columns`.

        Raises ValueError or IndexError if they do not fit together.
        """
        layout = Layout(
            arrays["centers"], arrays["basis"], float(arrays["coarse_scale"][0]), int(arrays["laid_out_for"][0])
        )
        saved = Codes(arrays["codes"], arrays["scales"], arrays["coarse"])
        rows = arrays["cell_rows"]
        places = np.full(count, ABSENT, np.int32)
        places[rows] = np.arange(len(rows), dtype=np.int32)
        return cls(CellArrays(layout, arrays["cell_starts"], rows, saved, GrowingArray.of(places)))

    def __len__(self) -> int:
        """Return the number of rows, with or without a vector."""
        return len(self._arrays.places)

    @property
    def places(self) -> NDArray[np.int32]:
        """Where the vector of each row is in the `parts`, one after the other; `ABSENT` without one."""
        return self._arrays.places.values

    def parts(self) -> tuple[Part, Part]:
        """Return the saved vectors and the newer ones, as they are."""
        arrays = self._arrays
        newer = Codes(arrays.new_codes.values, arrays.new_scales.values, arrays.new_coarse.values)
        sizes = np.diff(arrays.starts)
        return Part(arrays.saved, np.repeat(np.arange(len(sizes)), sizes)), Part(newer, arrays.new_cells.values)

    @property
    def layout(self) -> Layout:
        """How the vectors are laid out."""
        return self._arrays.layout

    def add(self) -> int:
        """Add a row that has no vector yet and return it."""
        self._arrays.places.append(ABSENT)
        return len(self) - 1

    def put(self, row: int, vector: Vector) -> None:
        """Give a row its vector, float32 [d], L2-normalized; one that is not finite is none."""
        if not np.isfinite(vector).all():
            return
        self.remove(row)
        arrays = self._arrays
        codes = arrays.layout.codes(vector[None])
        arrays.places.values[row] = len(arrays)
        arrays.new_rows.append(row)
        cell = arrays.layout.nearest(vector[None])[0]
        arrays.new_cells.append(cell)
        arrays.held[cell] += 1
        arrays.new_codes.append(codes.codes[0])
        arrays.new_scales.append(codes.scales[0])
        arrays.new_coarse.append(codes.coarse[0])

    def remove(self, row: int) -> None:
        """Take the vector of a row away; from the file it goes when that is written again."""
        arrays = self._arrays
        place = int(arrays.places.values[row]) - len(arrays.rows)
        if place >= 0:
            arrays.new_codes.values[place] = 0
            arrays.new_coarse.values[place] = 0
        arrays.places.values[row] = ABSENT

    def present(self, rows: Rows) -> NDArray[np.bool_]:
        """Return whether each of `rows` has a vector, bool [len(rows)]."""
        there: NDArray[np.bool_] = self.places[rows] != ABSENT
        return there

    def missing(self) -> Rows:
        """Return the rows that have no vector."""
        return np.flatnonzero(self.places == ABSENT)

    def of(self, row: int) -> Vector | None:
        """Return the vector of a row as good as it is kept, float32 [d], or None if it has none."""
        arrays = self._arrays
        place = int(arrays.places.values[row])
        newer = place - len(arrays.rows)
        if place == ABSENT:
            return None
        vector: Vector
        if newer < 0:
            vector = arrays.saved.codes[place] * arrays.saved.scales[place]
        else:
            vector = arrays.new_codes.values[newer] * arrays.new_scales.values[newer]
        return vector

    def at(self, rows: Rows, query: Vector) -> Scores:
        """Return the cosine of each of `rows` with `query` (float32 [d], L2-normalized); 0 without a vector."""
        return self._scan.cosines(rows, query)

    def search(self, query: Vector, count: int, allowed: Allowed) -> tuple[Rows, Scores]:
        """Return about the `count` (at most `REFINED`) nearest rows that are allowed, nearest first; and their cosines.

        `allowed` says so of some rows, bool [len(rows)]. Where few of the nearest are, more are looked at.
        """
        everything = len(self._arrays)
        looked_at = int(LOOKED_AT * (everything / 100_000) ** 0.45) + 1
        rows, cosines = self._scan.nearest(query, looked_at, REFINED)
        # Usually at least half of them are allowed, and there is no need to ask about the others.
        kept = allowed(rows[: 2 * count]).nonzero()[0][:count]
        if len(kept) < count and len(rows) > 2 * count:
            kept = allowed(rows).nonzero()[0][:count]
        if len(kept) < count and (self._scan.seen > REFINED or looked_at < everything):
            return self._further(query, count, allowed, looked_at)
        return rows[kept], cosines[kept]

    def _further(self, query: Vector, count: int, allowed: Allowed, looked_at: int) -> tuple[Rows, Scores]:
        """Return what `search` does, where what it has seen does not hold enough that is allowed."""
        everything = len(self._arrays)
        kept = REFINED * WIDER
        while True:
            rows, seeming = self._scan.best(kept)
            visible = allowed(rows)
            enough = np.count_nonzero(visible) >= count
            if enough or (kept >= self._scan.seen and looked_at >= everything):
                break
            if kept >= self._scan.seen:
                looked_at, kept = everything, REFINED
                self._scan.look(query, looked_at)
            else:
                kept *= WIDER
        rows, seeming = rows[visible], seeming[visible]
        if len(rows) > REFINED:
            rows = rows[np.argpartition(seeming, len(seeming) - REFINED)[-REFINED:]]
        cosines = self._scan.cosines(rows, query)
        order = np.argsort(-cosines, kind="stable")[:count]
        return rows[order], cosines[order]
