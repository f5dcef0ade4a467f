"""What goes into the NPU: the vectors of words, positions and types, looked up here, once for all contexts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import ModelError

Ids = npt.NDArray[np.int64]
Table = npt.NDArray[np.float16]

TYPES = 2
"""BERT tells the first text of a pair from the second (Devlin et al., 2018, section 3)."""


@dataclass(frozen=True, slots=True, eq=False)
class NpuInput:
    """One window, padded: embeddings float32 [1, S, hidden], mask float32 [1, S] of 1 and 0.

    ids: int64 [n], its tokens. types: int64 [n], 0 or 1, of a pair of texts; None for a single one.
    """

    embeddings: npt.NDArray[np.float32]
    mask: npt.NDArray[np.float32]
    ids: Ids
    types: Ids | None = None

    @property
    def length(self) -> int:
        """S, in tokens."""
        return int(self.mask.shape[1])


class EmbeddingTables:
    """The rows of words, float16 [vocabulary, hidden], of positions, float16 [positions, hidden], and of types.

    Those, float16 [2, hidden], are a cross-encoder's; the words of an embedder have type 0 in them.
    """

    def __init__(
        self, words: Path, positions: Path, types: Path | None = None, *, hidden: int, longest: int, pad_id: int
    ) -> None:
        """Map the files into memory. Raises ModelError if they are not what the lengths of the model need."""
        self._words = _load(words, hidden)
        self._pad_id = pad_id
        self._positions = _load(positions, hidden)
        self._types = _load(types, hidden) if types is not None else None
        if len(self._positions) < longest:
            raise ModelError(f"{positions} has {len(self._positions)} positions, and the model needs {longest}")
        if pad_id >= len(self._words):
            raise ModelError(f"{words} has no row for the padding")
        if self._types is not None and len(self._types) != TYPES:
            raise ModelError(f"{types} has {len(self._types)} rows instead of {TYPES}")

    def look_up(self, ids: Ids, length: int, types: Ids | None = None) -> NpuInput:
        """Return what the NPU reads for a window, int64 [n], n <= length; `types`, int64 [n], are those of a pair.

        Padding is its own token at its position, not zeros: normalizing a row without variance divides by an epsilon
        that is 0 in 16 bits. Raises ModelError for ids without a row.
        """
        if ids.ndim != 1 or not 0 < len(ids) <= length <= len(self._positions):
            raise ModelError(f"a window of shape {list(ids.shape)} does not fit in {length} tokens")
        if int(ids.min()) < 0 or int(ids.max()) >= len(self._words):
            raise ModelError("the tokenizer knows more words than the model's table")
        padded = np.full(length, self._pad_id, np.int64)
        padded[: len(ids)] = ids
        embeddings = self._words[padded].astype(np.float32) + self._positions[:length].astype(np.float32)
        if self._types is not None and types is not None:
            padded[:] = 0
            padded[: len(types)] = types
            embeddings += self._types[padded].astype(np.float32)
        mask = np.zeros((1, length), np.float32)
        mask[0, : len(ids)] = 1
        return NpuInput(embeddings[np.newaxis], mask, ids, types)


def _load(path: Path, hidden: int) -> Table:
    try:
        table: Table = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is not a NumPy table that can be read: convert the model again") from error
    if table.dtype != np.float16 or table.ndim != 2 or table.shape[1] != hidden or not len(table):
        raise ModelError(f"{path} holds {table.dtype} {list(table.shape)} instead of float16 [rows, {hidden}]")
    return table
