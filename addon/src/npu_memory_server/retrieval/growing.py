"""A numpy array that grows at its end without being copied for every row."""

from __future__ import annotations

from typing import Any, Generic, Self, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

Scalar = TypeVar("Scalar", bound=np.generic)


class GrowingArray(Generic[Scalar]):
    """Rows appended one by one.

    `values` are those that are there, writable in place: a view that is valid until the next `append`.
    """

    values: NDArray[Scalar]

    def __init__(self, dtype: DTypeLike, width: int | None = None) -> None:
        """Make an empty array [0] or, with a `width`, [0, width]."""
        self._rows: NDArray[Any] = np.zeros((64, *([] if width is None else [width])), dtype)
        self.values = self._rows[:0]

    @classmethod
    def of(cls, rows: NDArray[Any]) -> Self:
        """Begin with these rows, which are taken over and not copied until the first `append`."""
        array = cls.__new__(cls)
        array._rows = rows
        array.values = rows[:]
        return array

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.values)

    def append(self, row: Any) -> None:
        """Add a row at the end."""
        length = len(self.values)
        if length == len(self._rows):
            grown = np.zeros((max(64, length + length // 2), *self._rows.shape[1:]), self._rows.dtype)
            grown[:length] = self._rows
            self._rows = grown
        self._rows[length] = row
        self.values = self._rows[: length + 1]
