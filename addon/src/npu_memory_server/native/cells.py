"""The kernels for vectors in cells (addon/native/cells.c), with what they read and write."""

from __future__ import annotations

from collections.abc import Mapping
import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.intp]

_SAVED: Mapping[str, type[np.generic]] = {
    "centers": np.int8,
    "basis": np.float32,
    "starts": np.int64,
    "held": np.int64,
    "row_of": np.uint32,
    "codes": np.int8,
    "scales": np.float32,
    "coarse": np.int8,
}
_GROWING: Mapping[str, type[np.generic]] = {
    "new_row_of": np.uint32,
    "new_cell_of": np.uint16,
    "new_codes": np.int8,
    "new_scales": np.float32,
    "new_coarse": np.int8,
    "place_of": np.int32,
}
_FIXED_WORK = ("toward", "projected", "aim", "cell_scores", "chosen", "firsts", "lasts")
_WORK: Mapping[str, type[np.generic]] = {
    "new_places": np.int32,
    "scores": np.int32,
    "peaks": np.int32,
    "picked": np.int32,
    "picked_scores": np.int32,
    "cosines": np.float32,
    "keys": np.uint64,
}
"""One number for each place; of the keys two."""


class _Cells(ctypes.Structure):
    """`struct cells`."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("dimensions", "reduced", "cells", "saved", "newer", "rows")),
        *((name, ctypes.c_void_p) for name in (*_SAVED, *_GROWING)),
    ]


class _Seen(ctypes.Structure):
    """`struct seen`."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("total", "stretches", "recent")),
        *((name, ctypes.c_void_p) for name in (*_FIXED_WORK, *_WORK)),
    ]


class CellKernels:
    """The kernels over arrays; what they have seen of a question is kept until the next one."""

    def __init__(self, functions: ctypes.CDLL, **saved: NDArray[Any]) -> None:
        """Take the arrays of `struct cells` that do not grow; `starts` ascend, from 0 to all. `take` the others next.

        Raises ValueError if one does not fit the others.
        """
        self._functions = functions
        cells, self._dimensions = saved["centers"].shape
        self._reduced, self._saved = saved["basis"].shape[1], len(saved["row_of"])
        shapes = {
            "centers": (cells, self._dimensions),
            "basis": (self._dimensions, self._reduced),
            "starts": (cells + 1,),
            "held": (cells,),
            "row_of": (self._saved,),
            "codes": (self._saved, self._dimensions),
            "scales": (self._saved,),
            "coarse": (self._saved, self._reduced),
        }
        for name, dtype in _SAVED.items():
            _require(name, saved[name], dtype, shapes[name])
        self._table = _Cells(self._dimensions, self._reduced, cells, self._saved, 0, 0)
        self._seen = _Seen(0, 0, 0)
        self._query = np.empty(self._dimensions, np.float32)
        # Pointers are made once: to ask an array where it is takes longer than what is done with it.
        self._look = ctypes.byref(self._table), ctypes.byref(self._seen), self._query.ctypes.data
        work: dict[str, NDArray[Any]] = {
            "toward": np.empty(self._dimensions, np.int8),
            "projected": np.empty(self._reduced, np.float64),
            "aim": np.empty(self._reduced, np.int8),
            "cell_scores": np.empty(cells, np.int32),
            "chosen": np.empty(cells, np.uint8),
            "firsts": np.empty(cells, np.int64),
            "lasts": np.empty(cells, np.int64),
        }
        for struct, arrays in ((self._table, saved), (self._seen, work)):
            for name, array in arrays.items():
                setattr(struct, name, array.ctypes.data)
        self._used = (saved, work)  # so that they stay where they are
        self._size, self._room = (0, 0), -1

    def take(self, **growing: NDArray[Any]) -> None:
        """Take the arrays that grow, as they are now; once one has grown, and so moved, they are to be taken again.

        Raises ValueError if one does not fit the others.
        """
        newer, rows = len(growing["new_row_of"]), len(growing["place_of"])
        shapes = {
            "new_row_of": (newer,),
            "new_cell_of": (newer,),
            "new_codes": (newer, self._dimensions),
            "new_scales": (newer,),
            "new_coarse": (newer, self._reduced),
            "place_of": (rows,),
        }
        for name, dtype in _GROWING.items():
            _require(name, growing[name], dtype, shapes[name])
        if self._saved + newer > self._room:
            self._make_room(self._saved + newer)
        for name in _GROWING:
            setattr(self._table, name, growing[name].ctypes.data)
        self._table.newer, self._table.rows = newer, rows
        self._size, self._growing = (newer, rows), growing
        self._seen.total = self._seen.stretches = self._seen.recent = 0

    def _make_room(self, places: int) -> None:
        """Make room to work in, of which the system gives no more than is used."""
        self._room = places + places // 8 + 1024
        self._work = {name: np.empty(self._room * (2 if name == "keys" else 1), kind) for name, kind in _WORK.items()}
        for name, array in self._work.items():
            setattr(self._seen, name, array.ctypes.data)
        self._best = np.empty(self._room, np.int64), np.empty(self._room, np.int32)
        self._nearest = np.empty(self._room, np.int64), np.empty(self._room, np.float32)
        self._asked = np.empty(self._room, np.int64), np.empty(self._room, np.float32)
        self._to_best = tuple(array.ctypes.data for array in self._best)
        self._to_nearest = tuple(array.ctypes.data for array in self._nearest)
        self._to_asked = tuple(array.ctypes.data for array in self._asked)

    def is_of(self, newer: int, rows: int) -> bool:
        """Return whether the arrays are of this length still: they move only when they grow."""
        return self._size == (newer, rows)

    @property
    def seen(self) -> int:
        """How many were looked at for the last question."""
        return int(self._seen.total)

    def look(self, query: NDArray[np.float32], count: int) -> None:
        """Look at about `count` vectors for a query, float32 [d], finite."""
        self._query[:] = query
        self._functions.cells_look(*self._look, count)

    def nearest(self, query: NDArray[np.float32], count: int, kept: int) -> tuple[Rows, NDArray[np.float32]]:
        """Look at about `count` vectors; return the rows of the `kept` best, nearest first, and their cosines.

        Both are valid until the next call.
        """
        self._query[:] = query
        found = self._functions.cells_nearest(*self._look, count, kept, *self._to_best, *self._to_nearest)
        return self._nearest[0][:found], self._nearest[1][:found]

    def best(self, kept: int) -> tuple[Rows, NDArray[np.int32]]:
        """Return the rows of the `kept` that seemed nearest, in the order of their places, and how near they seemed.

        Both are valid until the next call.
        """
        found = self._functions.cells_best(*self._look[:2], min(kept, self._seen.total), *self._to_best)
        return self._best[0][:found], self._best[1][:found]

    def cosines(self, rows: NDArray[np.integer[Any]], query: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the cosine of each row with a query, float32 [d]; 0 without a vector. Raises IndexError."""
        count = len(rows)
        self._query[:] = query
        if count > len(self._asked[0]):
            self._asked = np.empty(count, np.int64), np.empty(count, np.float32)
            self._to_asked = tuple(array.ctypes.data for array in self._asked)
        self._asked[0][:count] = rows
        asked, found = self._to_asked
        if self._functions.cells_cosines(self._look[0], self._look[2], asked, count, found):
            raise IndexError(f"a row is none of {self._size[1]}")
        return self._asked[1][:count].copy()


def _require(name: str, array: NDArray[Any], dtype: type[np.generic], shape: tuple[int, ...]) -> None:
    if array.dtype != dtype or array.shape != shape or not array.flags.c_contiguous or not array.flags.aligned:
        raise ValueError(f"{name} is {array.dtype} {list(array.shape)} instead of {np.dtype(dtype)} {list(shape)}")
