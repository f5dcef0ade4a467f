"""A retriever as it was at one moment, to be saved by another thread while the retriever goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cell_arrays import ABSENT
from .cells import CellIndex, Part
from .dense import VectorIndex
from .layout import AT_ONCE, Codes, Layout, laid_out, quantized, sample_size
from .lexical import length_norms
from .postings import Arrays, Postings, merged

Rows = NDArray[np.uint32]
RELAID_WHEN_GROWN = 2.0
"""Cells are made anew when there are so many times the vectors that they were made for."""


@dataclass(frozen=True, slots=True, eq=False)
class FrozenWords:
    """The postings there were, the rows and counts of the words since, and how many of a term are gone."""

    older: Postings | None
    newer: Mapping[str, tuple[NDArray[np.uint32], NDArray[np.uint16]]]
    gone: Mapping[str, int]

    def columns(self, lengths: NDArray[np.float32], alive: NDArray[np.bool_]) -> Arrays:
        """Return the arrays of `Postings`; `lengths` and `alive` are of all rows, [n]."""
        mean = max(float(lengths[alive].mean()) if alive.any() else 0.0, 1e-9)
        return merged(self.older, self.newer, alive, length_norms(lengths, mean))


class FrozenVectors:
    """Vectors with their rows; those of a removed row are left out, or are zeros."""

    def __init__(self, index: VectorIndex | CellIndex) -> None:
        """Note what there is; the arrays of an index only grow, so that they need not be copied."""
        if isinstance(index, CellIndex):
            self._exact: NDArray[np.float32] | None = None
            self._parts: tuple[Part, ...] = index.parts()
            self._layout: Layout | None = index.layout
            self._places = index.places.copy()
        else:
            self._exact = index.vectors
            self._parts = ()
            self._layout = None
            self._places = np.where(index.present(np.arange(len(index))), np.arange(len(index)), ABSENT)

    def columns(self) -> Iterator[tuple[str, Any, tuple[int, ...], Iterator[NDArray[Any]]]]:
        """Yield name, type, shape and pieces of the arrays of a `CellIndex`."""
        rows = np.flatnonzero(self._places != ABSENT)
        count = len(rows)
        layout, cells = self._laid_out(rows)
        rows = rows[np.argsort(cells, kind="stable")]
        starts = np.concatenate([[0], np.cumsum(np.bincount(cells, minlength=len(layout.centers)))])
        dimensions, reduced = layout.basis.shape
        for name, values in (
            ("centers", layout.centers),
            ("basis", layout.basis),
            ("coarse_scale", np.array([layout.coarse_scale])),
            ("laid_out_for", np.array([layout.laid_out_for])),
            ("cell_starts", starts.astype(np.int64)),
            ("cell_rows", rows.astype(np.uint32)),
        ):
            yield name, values.dtype, values.shape, iter((values,))
        yield "codes", np.int8, (count, dimensions), (codes.codes for codes in self._codes(rows))
        yield "scales", np.float32, (count,), (codes.scales for codes in self._codes(rows))
        yield "coarse", np.int8, (count, reduced), (layout.coarse(part) for part in self._vectors(rows))

    def _laid_out(self, rows: NDArray[np.intp]) -> tuple[Layout, NDArray[np.intp]]:
        """Return a layout that suits the vectors of `rows`, and the cell of each."""
        layout = self._layout
        if layout is None or len(rows) > RELAID_WHEN_GROWN * layout.laid_out_for:
            chosen = np.random.default_rng(0).permutation(len(rows))[: sample_size(len(rows))]
            layout = laid_out(np.concatenate([*self._vectors(rows[np.sort(chosen)])]), len(rows))
            parts = [layout.nearest(part) for part in self._vectors(rows)]
            return layout, np.concatenate(parts)
        return layout, np.concatenate([part.cells for part in self._parts])[self._places[rows]]

    def _codes(self, rows: NDArray[np.intp]) -> Iterator[Codes]:
        for start in range(0, len(rows), AT_ONCE):
            places = self._places[rows[start : start + AT_ONCE]]
            if self._exact is not None:
                codes, scales = quantized(self._exact[places])
                yield Codes(codes, scales, codes[:, :0])
                continue
            older, newer = self._parts
            old = places < len(older.codes.codes)
            codes = np.empty((len(places), older.codes.codes.shape[1]), np.int8)
            scales = np.empty(len(places), np.float32)
            for which, part, offset in ((old, older, 0), (~old, newer, len(older.codes.codes))):
                codes[which] = part.codes.codes[places[which] - offset]
                scales[which] = part.codes.scales[places[which] - offset]
            yield Codes(codes, scales, codes[:, :0])

    def _vectors(self, rows: NDArray[np.intp]) -> Iterator[NDArray[np.float32]]:
        if not len(rows):
            dimensions = self._exact.shape[1] if self._exact is not None else self._parts[0].codes.codes.shape[1]
            yield np.zeros((0, dimensions), np.float32)
        for codes in self._codes(rows):
            yield codes.codes * codes.scales[:, None]


@dataclass(frozen=True, slots=True, eq=False)
class Frozen:
    """How many rows there were, and the words and vectors of them."""

    count: int
    words: FrozenWords
    vectors: FrozenVectors
