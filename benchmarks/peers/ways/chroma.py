"""Chroma in this process, with a persistent client. Its local collections search vectors alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import chromadb
from chromadb.config import Settings
from chromadb.utils.embedding_functions import SentenceTransformerEmbeddingFunction
import numpy as np

from .answering import FOUND, NEAREST, Documents, Vector, answer

COLLECTION = "memories"


class Chroma:
    """One collection, cosine, HNSW as it comes."""

    packages = ("chromadb", "sentence-transformers", "torch")

    def __init__(self, model: Path) -> None:
        self._embedder = SentenceTransformerEmbeddingFunction(
            model_name=str(model), device="cpu", normalize_embeddings=True
        )

    def build(self, folder: Path, documents: Documents) -> None:
        """Add in batches as large as the client takes."""
        client = _client(folder)
        collection = client.create_collection(
            COLLECTION, embedding_function=self._embedder, configuration={"hnsw": {"space": "cosine"}}
        )
        size = client.get_max_batch_size()
        for start in range(0, len(documents.names), size):
            part = slice(start, start + size)
            collection.add(
                ids=list(documents.names[part]),
                documents=list(documents.texts[part]),
                embeddings=None if documents.vectors is None else np.array(documents.vectors[part]),
            )

    def open(self, folder: Path) -> None:
        """Open the collection."""
        self._collection = _client(folder).get_collection(COLLECTION, embedding_function=self._embedder)

    def embed(self, text: str) -> Vector:
        """Return float32 [384]."""
        return np.asarray(self._embedder([text])[0], np.float32)

    def ask(self, text: str) -> list[str]:
        """Query by text."""
        found: list[str] = self._collection.query(query_texts=[text], n_results=FOUND)["ids"][0]
        return found

    def nearest(self, vector: Vector) -> list[str]:
        """Query by vector."""
        found: list[str] = self._collection.query(query_embeddings=[vector], n_results=NEAREST)["ids"][0]
        return found

    def add(self, name: str, text: str) -> None:
        """Add one."""
        self._collection.add(ids=[name], documents=[text])

    def forget(self, names: Sequence[str]) -> None:
        """Delete them."""
        self._collection.delete(ids=list(names))


def _client(folder: Path) -> chromadb.ClientAPI:
    return chromadb.PersistentClient(path=str(folder), settings=Settings(anonymized_telemetry=False))


if __name__ == "__main__":
    answer(Chroma)
