"""sentence-transformers and a cosine over everything, as in its documentation of semantic search. No lexical leg.

Vectors are normalized, so that the inner product is the cosine. They lie in a file of float32 that grows at its end.
"""

from __future__ import annotations

from collections.abc import Sequence
import json
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import dot_score, semantic_search
import torch

from .answering import FOUND, NEAREST, Documents, Vector, answer

DIMENSIONS = 384
ROW_BYTES = DIMENSIONS * 4
VECTORS, TEXTS = "vectors.f32", "texts.jsonl"


class Cosine:
    """All vectors as one tensor."""

    packages = ("sentence-transformers", "transformers", "torch")

    def __init__(self, model: Path) -> None:
        self._model = SentenceTransformer(str(model), device="cpu")
        self._folder = Path()
        self._names: list[str] = []
        self._vectors = torch.zeros(0, DIMENSIONS)

    def build(self, folder: Path, documents: Documents) -> None:
        """Embed in batches, and write both files."""
        vectors = documents.vectors
        if vectors is None:
            vectors = self._model.encode(list(documents.texts), normalize_embeddings=True)
        np.asarray(vectors, np.float32).tofile(folder / VECTORS)
        with (folder / TEXTS).open("w", encoding="utf-8") as file:
            for name, text in zip(documents.names, documents.texts, strict=True):
                file.write(json.dumps({"id": name, "text": text}) + "\n")

    def open(self, folder: Path) -> None:
        """Read both files."""
        self._folder = folder
        self._vectors = torch.from_numpy(np.fromfile(folder / VECTORS, np.float32).reshape(-1, DIMENSIONS))
        with (folder / TEXTS).open(encoding="utf-8") as lines:
            self._names = [json.loads(line)["id"] for line in lines]

    def embed(self, text: str) -> Vector:
        """Return float32 [384], L2-normalized."""
        return self._tensor(text).numpy()

    def ask(self, text: str) -> list[str]:
        """Compare with everything."""
        return self._best(self._tensor(text), FOUND)

    def nearest(self, vector: Vector) -> list[str]:
        """Compare with everything."""
        return self._best(torch.from_numpy(vector), NEAREST)

    def add(self, name: str, text: str) -> None:
        """Append to the tensor and to the files."""
        vector = self._tensor(text)
        self._vectors = torch.cat([self._vectors, vector[None]])
        self._names.append(name)
        with (self._folder / VECTORS).open("ab") as file:
            file.write(vector.numpy().tobytes())
        with (self._folder / TEXTS).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"id": name, "text": text}) + "\n")

    def forget(self, names: Sequence[str]) -> None:
        """Cut off the last ones."""
        if set(self._names[-len(names) :]) != set(names):
            raise ValueError("only what was added last can be forgotten here")
        left = len(self._names) - len(names)
        self._names, self._vectors = self._names[:left], self._vectors[:left]
        with (self._folder / VECTORS).open("rb+") as file:
            file.truncate(left * ROW_BYTES)
        lines = (self._folder / TEXTS).read_bytes().splitlines(keepends=True)
        (self._folder / TEXTS).write_bytes(b"".join(lines[:left]))

    def _tensor(self, text: str) -> torch.Tensor:
        vector: torch.Tensor = self._model.encode(text, convert_to_tensor=True, normalize_embeddings=True)
        return vector

    def _best(self, vector: torch.Tensor, count: int) -> list[str]:
        hits = semantic_search(vector, self._vectors, top_k=count, score_function=dot_score)[0]
        return [self._names[hit["corpus_id"]] for hit in hits]


if __name__ == "__main__":
    answer(Cosine)
