"""What goes into the NPU: the vectors of words and positions, looked up here, once for all contexts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...errors import ModelError
from ..encoding import Ids
from ..pooling import Vector

Table = npt.NDArray[np.float16]


@dataclass(frozen=True, slots=True, eq=False)
class NpuInput:
    """One window, padded: embeddings float32 [1, S, hidden], mask float32 [1, S] of 1 and 0, and its token ids."""

    embeddings: Vector
    mask: Vector
    ids: Ids

    @property
    def length(self) -> int:
        """S, in tokens."""
        return int(self.mask.shape[1])


class EmbeddingTables:
    """The rows of words, float16 [vocabulary, hidden], and of positions, float16 [positions, hidden]."""

    def __init__(self, words: Path, positions: Path, *, hidden: int, longest: int, pad_id: int) -> None:
        """Map the files into memory. Raises ModelError if they are not what the lengths of the model need."""
        self._words = _load(words, hidden)
        self._pad_id = pad_id
        self._positions = _load(positions, hidden)
        if len(self._positions) < longest:
            raise ModelError(f"{positions} has {len(self._positions)} positions, and the model needs {longest}")
        if pad_id >= len(self._words):
            raise ModelError(f"{words} has no row for the padding")

    def look_up(self, ids: Ids, length: int) -> NpuInput:
        """Return what the NPU reads for a window, int64 [n], n <= length. Raises ModelError for ids without a row.

        Padding is its own token at its position, not zeros: normalizing a row without variance divides by an epsilon
        that is 0 in 16 bits.
        """
        if ids.ndim != 1 or not 0 < len(ids) <= length <= len(self._positions):
            raise ModelError(f"a window of shape {list(ids.shape)} does not fit in {length} tokens")
        if int(ids.min()) < 0 or int(ids.max()) >= len(self._words):
            raise ModelError("the tokenizer knows more words than the model's table")
        padded = np.full(length, self._pad_id, np.int64)
        padded[: len(ids)] = ids
        embeddings = self._words[padded].astype(np.float32) + self._positions[:length].astype(np.float32)
        mask = np.zeros((1, length), np.float32)
        mask[0, : len(ids)] = 1
        return NpuInput(embeddings[np.newaxis], mask, ids)


def _load(path: Path, hidden: int) -> Table:
    try:
        table: Table = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is not a NumPy table that can be read: convert the model again") from error
    if table.dtype != np.float16 or table.ndim != 2 or table.shape[1] != hidden or not len(table):
        raise ModelError(f"{path} holds {table.dtype} {list(table.shape)} instead of float16 [rows, {hidden}]")
    return table
