"""A numpy array that grows at its end without being copied for every row."""

from __future__ import annotations

from typing import Any, Generic, Self, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

Scalar = TypeVar("Scalar", bound=np.generic)


class GrowingArray(Generic[Scalar]):
    """Rows appended one by one; `values` is a view of those that are there, valid until the next `append`."""

    def __init__(self, dtype: DTypeLike, width: int | None = None) -> None:
        """Make an empty array [0] or, with a `width`, [0, width]."""
        self._rows: NDArray[Any] = np.zeros((64, *([] if width is None else [width])), dtype)
        self._length = 0

    @classmethod
    def of(cls, rows: NDArray[Any]) -> Self:
        """Begin with these rows, which are taken over and not copied until the first `append`."""
        array = cls.__new__(cls)
        array._rows = rows
        array._length = len(rows)
        return array

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._length

    @property
    def values(self) -> NDArray[Scalar]:
        """The rows, writable in place."""
        return self._rows[: self._length]

    def append(self, row: Any) -> None:
        """Add a row at the end."""
        if self._length == len(self._rows):
            grown = np.zeros((max(64, self._length + self._length // 2), *self._rows.shape[1:]), self._rows.dtype)
            grown[: self._length] = self._rows
            self._rows = grown
        self._rows[self._length] = row
        self._length += 1
