"""What the host does in front of a model for the NPU, as the server does: rows of tables added up, and padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from npu_memory_server.embedding.pooling import Vector

from .export_npu import EMBEDDINGS, IDS, MASK, TYPES
from .texts import Encoded
from .weights import EncoderWeights

Half = npt.NDArray[np.float16]
EMBEDDING_TABLE = "embeddings.npy"
POSITION_TABLE = "positions.npy"
TYPE_TABLE = "types.npy"


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """The tables in 16 bits: words [vocabulary, hidden], positions [max_length, hidden], types [2, hidden].

    An embedder reads single texts: it has no table of types, and the row of type 0 is in that of the words.
    """

    words: Half
    positions: Half
    types: Half | None

    def save(self, folder: Path) -> list[str]:
        """Write one `.npy` file for each table, and return their names. Raises OSError."""
        tables = {EMBEDDING_TABLE: self.words, POSITION_TABLE: self.positions, TYPE_TABLE: self.types}
        written = {name: table for name, table in tables.items() if table is not None}
        for name, table in written.items():
            np.save(folder / name, table, allow_pickle=False)
        return list(written)


def make_tables(weights: EncoderWeights) -> Tables:
    """Round the tables to 16 bits."""
    positions = weights.positions.astype(np.float16)
    if weights.head is None:
        return Tables((weights.words + weights.types[0]).astype(np.float16), positions, None)
    return Tables(weights.words.astype(np.float16), positions, weights.types.astype(np.float16))


def prepare(
    texts: Sequence[Encoded], length: int, pad_id: int, tables: Tables | None, *, pairs: bool
) -> Mapping[str, npt.NDArray[np.generic]]:
    """Return the inputs of a model for `length` tokens, by name and in its order, one row a text.

    With tables `embeddings` float32 [n, length, hidden], without `input_ids` int64 [n, length] (for pairs
    `token_type_ids` too); then `mask` float32 [n, length].
    """
    ids = np.full((len(texts), length), pad_id, np.int64)
    types = np.zeros((len(texts), length), np.int64)
    mask = np.zeros((len(texts), length), np.float32)
    for row, text in enumerate(texts):
        count = len(text.ids)
        ids[row, :count], types[row, :count], mask[row, :count] = text.ids, text.types, 1
    if tables is None:
        return {IDS: ids, **({TYPES: types} if pairs else {}), MASK: mask}
    embeddings: Vector = tables.words[ids].astype(np.float32) + tables.positions[:length]
    if tables.types is not None:
        embeddings += tables.types[types]
    return {EMBEDDINGS: embeddings, MASK: mask}
