"""The arrays of a large memory's vectors: what was saved, by cell, and what came since, beside it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .growing import GrowingArray
from .layout import FULL, Codes, Layout

ABSENT = -1


@dataclass(slots=True, eq=False)
class CellArrays:
    """Cell i has the saved vectors from `starts[i]` to `starts[i + 1]`; `held` counts them and the newer ones.

    `rows` are those of the saved vectors. `places` says where the vector of each row is, among the saved ones and then
    the newer ones, or that it is `ABSENT`.
    """

    layout: Layout
    starts: NDArray[np.int64]
    rows: NDArray[np.uint32]
    saved: Codes
    places: GrowingArray[np.int32]
    centers: NDArray[np.int8] = field(init=False)
    held: NDArray[np.int64] = field(init=False)
    new_rows: GrowingArray[np.uint32] = field(init=False)
    new_cells: GrowingArray[np.uint16] = field(init=False)
    new_codes: GrowingArray[np.int8] = field(init=False)
    new_scales: GrowingArray[np.float32] = field(init=False)
    new_coarse: GrowingArray[np.int8] = field(init=False)

    def __post_init__(self) -> None:
        """Add what is not saved. Raises ValueError if the cells do not lie one behind the other."""
        dimensions, reduced = self.layout.basis.shape
        count = len(self.rows)
        if self.starts[0] != 0 or self.starts[-1] != count or (np.diff(self.starts) < 0).any():
            raise ValueError("the cells are not one behind the other")
        self.centers = _centers(self.layout)
        self.held = np.diff(self.starts)
        self.new_rows = GrowingArray(np.uint32)
        self.new_cells = GrowingArray(np.uint16)
        self.new_codes = GrowingArray(np.int8, dimensions)
        self.new_scales = GrowingArray(np.float32)
        self.new_coarse = GrowingArray(np.int8, reduced)

    def __len__(self) -> int:
        """Return the number of places, those of removed vectors included."""
        return len(self.rows) + len(self.new_rows)


def _centers(layout: Layout) -> NDArray[np.int8]:
    """Return the centers of the cells in int8, all with the same scale, int8 [cells, d]: a quarter of the memory."""
    largest = max(float(np.abs(layout.centers).max(initial=0)), 1e-9)
    centers: NDArray[np.int8] = np.rint(layout.centers * np.float32(FULL / largest)).astype(np.int8)
    return centers
