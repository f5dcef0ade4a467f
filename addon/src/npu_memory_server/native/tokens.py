"""Reading token vectors in C: as `store.token_file.read` does it, without a step of Python for each memory."""

from __future__ import annotations

from collections.abc import Mapping
import ctypes
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Slots = NDArray[np.int64]
FAILED = -1
NONE = -1


@dataclass(frozen=True, slots=True, eq=False)
class Vectors:
    """Where the vectors of a file are.

    bounds: uint32 [slots + 1], ascending, in vectors. is_here: uint8 [slots], which may change. at: where they begin,
    in bytes. descriptor: that of the open file.
    """

    bounds: NDArray[np.uint32]
    is_here: NDArray[np.uint8]
    at: int
    descriptor: int


class _File(ctypes.Structure):
    """`struct token_file` of tokens.c."""

    _fields_ = (
        ("bounds", ctypes.c_void_p),
        ("is_here", ctypes.c_void_p),
        ("at", ctypes.c_int64),
        ("descriptor", ctypes.c_int64),
    )


class _Files(ctypes.Structure):
    """`struct token_files` of tokens.c."""

    _fields_ = (
        ("files", ctypes.POINTER(_File)),
        ("count", ctypes.c_int64),
        ("slots", ctypes.c_int64),
        ("reduced", ctypes.c_int64),
    )


class TokenReads:
    """Reads from some files, as long as they are the same and open. Not thread-safe: one thread uses it."""

    def __init__(self, functions: ctypes.CDLL, files: Mapping[int, Vectors], slots: int, reduced: int) -> None:
        """Use the functions of the library, and files by their numbers, with so many slots and bytes a vector."""
        self._call = functions.tokens_read
        self._call.restype = ctypes.c_int64
        number, address = ctypes.c_int64, ctypes.c_void_p
        self._call.argtypes = (address, address, number, address, number, address)
        self._files = dict(files)
        count = max(files, default=-1) + 1
        table = (_File * count)(*[_File(descriptor=NONE) for _ in range(count)])
        for one, file in files.items():
            if file.bounds.shape != (slots + 1,) or file.is_here.shape != (slots,):
                raise ValueError(f"each file of token vectors has {slots} slots")
            table[one] = _File(file.bounds.ctypes.data, file.is_here.ctypes.data, file.at, file.descriptor)
        self._table = _Files(table, count, slots, reduced)
        self._slots = self._sizes = np.empty(0, np.int64)
        self._room = np.empty(0, np.int8)

    def __call__(self, slots: Slots) -> tuple[NDArray[np.int8], Slots]:
        """See `store.token_file.read`; what is returned holds until the next call. Raises `OSError`."""
        count = len(slots)
        if count > len(self._slots):
            self._slots, self._sizes = np.empty(2 * count, np.int64), np.empty(2 * count, np.int64)
        self._slots[:count] = slots
        done = self._read(count)
        if done > len(self._room):
            self._room = np.empty(2 * done, np.int8)
            done = self._read(count)
        if done == FAILED:
            raise OSError("a file of token vectors is shorter than it was")
        return self._room[:done], self._sizes[:count]

    def _read(self, count: int) -> int:
        slots, room, sizes = self._slots.ctypes.data, self._room.ctypes.data, self._sizes.ctypes.data
        done: int = self._call(ctypes.addressof(self._table), slots, count, room, len(self._room), sizes)
        return done
