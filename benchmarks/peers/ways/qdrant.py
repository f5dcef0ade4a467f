"""Qdrant in local mode, hybrid as in its documentation: FastEmbed's dense and BM25 vectors, fused by reciprocal rank.

FastEmbed's stop words come from a hub; the list of bm25s stands in for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from bm25s.stopwords import STOPWORDS_EN
from fastembed import SparseTextEmbedding, TextEmbedding
from fastembed.common.model_description import ModelSource, PoolingType
import numpy as np
from qdrant_client import QdrantClient, models

from .answering import FOUND, NEAREST, Documents, Vector, answer

COLLECTION, DENSE, SPARSE = "memories", "dense", "bm25"
DIMENSIONS = 384
NAME = "local/all-MiniLM-L6-v2"
POOL = 20
AT_ONCE = 1_000


class Qdrant:
    """One collection of two vectors a point."""

    packages = ("qdrant-client", "fastembed", "onnxruntime")

    def __init__(self, model: Path) -> None:
        TextEmbedding.add_custom_model(
            model=NAME,
            pooling=PoolingType.MEAN,
            normalization=True,
            sources=ModelSource(hf=NAME),
            dim=DIMENSIONS,
            model_file="onnx/model.onnx",
        )
        self._dense = TextEmbedding(NAME, specific_model_path=str(model))
        # The publisher's tokenizer.json pads everything to 128 tokens, which would be an unfair burden.
        self._dense.model.tokenizer.enable_padding()
        self._sparse = SparseTextEmbedding("Qdrant/bm25", specific_model_path=str(model), stopwords=set(STOPWORDS_EN))

    def build(self, folder: Path, documents: Documents) -> None:
        """Upload in batches."""
        client = QdrantClient(path=str(folder))
        client.create_collection(
            COLLECTION,
            vectors_config={DENSE: models.VectorParams(size=DIMENSIONS, distance=models.Distance.COSINE)},
            sparse_vectors_config={SPARSE: models.SparseVectorParams(modifier=models.Modifier.IDF)},
        )
        for points in self._points(documents):
            client.upsert(COLLECTION, points)
        client.close()

    def open(self, folder: Path) -> None:
        """Load the collection."""
        self._client = QdrantClient(path=str(folder))

    def embed(self, text: str) -> Vector:
        """Return float32 [384]."""
        return np.asarray(next(iter(self._dense.query_embed(text))), np.float32)

    def ask(self, text: str) -> list[str]:
        """Query by both vectors."""
        legs = [
            models.Prefetch(query=self.embed(text).tolist(), using=DENSE, limit=POOL),
            models.Prefetch(query=_sparse(next(iter(self._sparse.query_embed(text)))), using=SPARSE, limit=POOL),
        ]
        fused = models.FusionQuery(fusion=models.Fusion.RRF)
        return self._names(self._client.query_points(COLLECTION, prefetch=legs, query=fused, limit=FOUND))

    def nearest(self, vector: Vector) -> list[str]:
        """Query by the dense vector."""
        return self._names(self._client.query_points(COLLECTION, query=vector.tolist(), using=DENSE, limit=NEAREST))

    def add(self, name: str, text: str) -> None:
        """Upsert one."""
        for points in self._points(Documents([name], [text], None)):
            self._client.upsert(COLLECTION, points)

    def forget(self, names: Sequence[str]) -> None:
        """Delete them."""
        self._client.delete(COLLECTION, models.PointIdsList(points=[_point_id(name) for name in names]))

    def _points(self, documents: Documents) -> Iterator[list[models.PointStruct]]:
        for start in range(0, len(documents.names), AT_ONCE):
            names = documents.names[start : start + AT_ONCE]
            texts = documents.texts[start : start + AT_ONCE]
            if documents.vectors is None:
                dense: Any = self._dense.embed(texts)
            else:
                dense = np.asarray(documents.vectors[start : start + AT_ONCE])
            yield [
                models.PointStruct(
                    id=_point_id(name),
                    vector={DENSE: vector.tolist(), SPARSE: _sparse(words)},
                    payload={"name": name, "text": text},
                )
                for name, text, vector, words in zip(names, texts, dense, self._sparse.embed(texts), strict=True)
            ]

    @staticmethod
    def _names(answered: models.QueryResponse) -> list[str]:
        return [point.payload["name"] for point in answered.points]


def _sparse(words: Any) -> models.SparseVector:
    return models.SparseVector(indices=words.indices.tolist(), values=words.values.tolist())


def _point_id(name: str) -> str:
    return str(uuid5(NAMESPACE_URL, name))


if __name__ == "__main__":
    answer(Qdrant)
