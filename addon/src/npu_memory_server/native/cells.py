"""The kernels for vectors in cells (addon/native/cells.c), with what they read and write."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.intp]

_ARRAYS = (
    ("centers", np.int8),
    ("basis", np.float32),
    ("starts", np.int64),
    ("held", np.int64),
    ("row_of", np.uint32),
    ("codes", np.int8),
    ("scales", np.float32),
    ("coarse", np.int8),
    ("new_row_of", np.uint32),
    ("new_cell_of", np.uint16),
    ("new_codes", np.int8),
    ("new_scales", np.float32),
    ("new_coarse", np.int8),
    ("place_of", np.int32),
)
_WORK = (
    *("toward", "projected", "aim", "cell_scores", "chosen", "firsts", "lasts"),
    *("new_places", "scores", "peaks", "picked", "picked_scores", "cosines", "keys"),
)
_BLOCK = 16


class _Cells(ctypes.Structure):
    """`struct cells`."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("dimensions", "reduced", "cells", "saved", "newer", "rows")),
        *((name, ctypes.c_void_p) for name, _ in _ARRAYS),
    ]


class _Seen(ctypes.Structure):
    """`struct seen`."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("total", "stretches", "recent")),
        *((name, ctypes.c_void_p) for name in _WORK),
    ]


class CellKernels:
    """The kernels over arrays as they are now; what they have seen of a question is kept until the next one."""

    def __init__(self, functions: ctypes.CDLL, **arrays: NDArray[Any]) -> None:
        """Take the arrays of `struct cells`, which may be written to but not move; `starts` ascend, from 0 to all.

        Raises ValueError if one does not fit the others.
        """
        self._functions = functions
        cells, dimensions = arrays["centers"].shape
        reduced = arrays["basis"].shape[1]
        saved, newer, self._rows = len(arrays["row_of"]), len(arrays["new_row_of"]), len(arrays["place_of"])
        self._size = (newer, self._rows)
        shapes = {
            "centers": (cells, dimensions),
            "basis": (dimensions, reduced),
            "starts": (cells + 1,),
            "held": (cells,),
            "row_of": (saved,),
            "codes": (saved, dimensions),
            "scales": (saved,),
            "coarse": (saved, reduced),
            "new_row_of": (newer,),
            "new_cell_of": (newer,),
            "new_codes": (newer, dimensions),
            "new_scales": (newer,),
            "new_coarse": (newer, reduced),
            "place_of": (self._rows,),
        }
        for name, dtype in _ARRAYS:
            _require(name, arrays[name], dtype, shapes[name])
        self._arrays = arrays  # so that they stay where they are
        self._table = _Cells(
            dimensions, reduced, cells, saved, newer, self._rows, *(arrays[name].ctypes.data for name, _ in _ARRAYS)
        )
        places = saved + newer
        work = {
            "toward": (dimensions, np.int8),
            "projected": (reduced, np.float64),
            "aim": (reduced, np.int8),
            "cell_scores": (cells, np.int32),
            "chosen": (cells, np.uint8),
            "firsts": (cells, np.int64),
            "lasts": (cells, np.int64),
            "new_places": (newer, np.int32),
            "scores": (places, np.int32),
            "peaks": (places // _BLOCK + 1, np.int32),
            "picked": (places, np.int32),
            "picked_scores": (places, np.int32),
            "cosines": (places, np.float32),
            "keys": (2 * places, np.uint64),
        }
        self._work = [np.empty(*work[name]) for name in _WORK]
        self._seen = _Seen(0, 0, 0, *(array.ctypes.data for array in self._work))
        self._query = np.empty(dimensions, np.float32)
        self._best = np.empty(places, np.int64), np.empty(places, np.int32)
        self._nearest = np.empty(places, np.int64), np.empty(places, np.float32)
        self._asked = np.empty(places, np.int64), np.empty(places, np.float32)
        # Made once: to ask an array where it is takes longer than what is done with it.
        self._look = ctypes.byref(self._table), ctypes.byref(self._seen), self._query.ctypes.data
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
            raise IndexError(f"a row is none of {self._rows}")
        return self._asked[1][:count].copy()


def _require(name: str, array: NDArray[Any], dtype: type[np.generic], shape: tuple[int, ...]) -> None:
    if array.dtype != dtype or array.shape != shape or not array.flags.c_contiguous or not array.flags.aligned:
        raise ValueError(f"{name} is {array.dtype} {list(array.shape)} instead of {np.dtype(dtype)} {list(shape)}")
