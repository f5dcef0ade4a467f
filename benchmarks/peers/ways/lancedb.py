"""LanceDB in this process: hybrid search of a table with a full-text index and the embedding function of the registry.

Up to 100 000 rows its documentation searches without a vector index; from there on the table has one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import lancedb
from lancedb.embeddings import get_registry
from lancedb.index import FTS, HnswSq
from lancedb.pydantic import LanceModel, Vector as VectorOf
import numpy as np
import pyarrow as pa

from .answering import FOUND, NEAREST, Documents, Vector, answer

TABLE = "memories"
INDEXED_FROM = 100_000
AT_ONCE = 50_000


class LanceDb:
    """One table, fused by reciprocal rank, as it comes."""

    packages = ("lancedb", "sentence-transformers", "torch")

    def __init__(self, model: Path) -> None:
        self._embedder: Any = get_registry().get("sentence-transformers").create(name=str(model), device="cpu")

    def build(self, folder: Path, documents: Documents) -> None:
        """Add in batches; then index."""
        embedder = self._embedder

        class Memory(LanceModel):
            id: str
            text: str = embedder.SourceField()
            vector: VectorOf(embedder.ndims()) = embedder.VectorField()  # type: ignore[valid-type]

        table = lancedb.connect(folder).create_table(TABLE, schema=Memory)
        for batch in _batches(documents):
            table.add(batch)
        table.create_index("text", config=FTS())
        if len(documents.names) >= INDEXED_FROM:
            table.create_index("vector", config=HnswSq(distance_type="cosine"))
        table.optimize()

    def open(self, folder: Path) -> None:
        """Open the table."""
        self._table = lancedb.connect(folder).open_table(TABLE)

    def embed(self, text: str) -> Vector:
        """Return float32 [384]."""
        return np.array(self._embedder.compute_query_embeddings(text)[0], np.float32)

    def ask(self, text: str) -> list[str]:
        """Search by both, fused by reciprocal rank."""
        found = self._table.search(text, query_type="hybrid").distance_type("cosine").select(["id"]).limit(FOUND)
        return [row["id"] for row in found.to_list()]

    def nearest(self, vector: Vector) -> list[str]:
        """Search by the vector alone."""
        found = self._table.search(vector, query_type="vector").distance_type("cosine").select(["id"]).limit(NEAREST)
        return [row["id"] for row in found.to_list()]

    def add(self, name: str, text: str) -> None:
        """Add one; what is not indexed yet is searched row by row."""
        self._table.add([{"id": name, "text": text}])

    def forget(self, names: Sequence[str]) -> None:
        """Delete them."""
        self._table.delete("id IN ({})".format(", ".join(f"'{name}'" for name in names)))


def _batches(documents: Documents) -> Iterator[Any]:
    for start in range(0, len(documents.names), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        columns: dict[str, Any] = {"id": documents.names[part], "text": documents.texts[part]}
        if documents.vectors is not None:
            flat = np.ascontiguousarray(documents.vectors[part])
            columns["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), flat.shape[1])
        yield pa.table(columns)


if __name__ == "__main__":
    answer(LanceDb)
