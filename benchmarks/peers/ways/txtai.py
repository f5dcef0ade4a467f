"""txtai in this process: hybrid search with contents, embedding with Transformers, as it comes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from txtai import Embeddings

from .answering import FOUND, NEAREST, Documents, Vector, answer

INDEX = "index"


class Txtai:
    """One index of vectors and words, with the texts in its database."""

    packages = ("txtai", "transformers", "faiss-cpu", "torch")

    def __init__(self, model: Path) -> None:
        self._model = model
        self._folder = Path()

    def build(self, folder: Path, documents: Documents) -> None:
        """Index and save."""
        embeddings = Embeddings(path=str(self._model), hybrid=True, content=True)
        if documents.vectors is not None:
            _hand_over(embeddings, documents.vectors)
        embeddings.index((name, text, None) for name, text in zip(documents.names, documents.texts, strict=True))
        embeddings.save(str(folder / INDEX))

    def open(self, folder: Path) -> None:
        """Load the index."""
        self._folder = folder
        self._embeddings = Embeddings()
        self._embeddings.load(str(folder / INDEX))

    def embed(self, text: str) -> Vector:
        """Return float32 [384]."""
        return np.asarray(self._embeddings.transform(text), np.float32)

    def ask(self, text: str) -> list[str]:
        """Search by both."""
        return [row["id"] for row in self._embeddings.search(text, FOUND)]

    def nearest(self, vector: Vector) -> list[str]:
        """Search the vectors alone, as the hybrid search does."""
        found = self._embeddings.ann.search(vector[None], NEAREST)[0]
        named = "select id from txtai where indexid = :row"
        return [self._embeddings.search(named, 1, parameters={"row": row})[0]["id"] for row, _ in found]

    def add(self, name: str, text: str) -> None:
        """Upsert one, and save: before that it would be gone with the process."""
        self._embeddings.upsert([(name, text, None)])
        self._embeddings.save(str(self._folder / INDEX))

    def forget(self, names: Sequence[str]) -> None:
        """Delete them, and save."""
        self._embeddings.delete(list(names))
        self._embeddings.save(str(self._folder / INDEX))


def _hand_over(embeddings: Embeddings, vectors: Vector) -> None:
    """Have the next index take ready-made vectors, in the order of the documents, instead of embedding."""
    done = 0

    def encode(texts: Sequence[str], _category: str | None = None) -> Vector:
        nonlocal done
        done += len(texts)
        return np.array(vectors[done - len(texts) : done])

    embeddings.model.encode = encode


if __name__ == "__main__":
    answer(Txtai)
