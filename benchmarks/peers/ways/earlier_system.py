"""The earlier system's way: padded FP32, vectors and BM25 over everything, fused by rank, and all of it made anew.

Bare texts; the first 2k of both legs by reciprocal rank fusion with 60; with each document that is added the lexical
index is built again over all of them, and a compressed pickle of everything is written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
import gzip
from pathlib import Path
import pickle

import numpy as np
from rank_bm25 import BM25Okapi

from .answering import FOUND, NEAREST, Documents, Vector, answer
from .onnx_embedding import PaddedEmbedder

RRF_K = 60
FILE = "memory.pickle.gz"


class EarlierSystem:
    """Everything in memory, and in one file."""

    packages = ("numpy", "onnxruntime", "rank-bm25")

    def __init__(self, model: Path) -> None:
        self.embed = PaddedEmbedder(model)
        self._folder = Path()
        self._names: list[str] = []
        self._texts: list[str] = []
        self._vectors: Vector = np.zeros((0, 384), np.float32)

    def build(self, folder: Path, documents: Documents) -> None:
        """Embed, index and save."""
        self._folder = folder
        self._names, self._texts = list(documents.names), list(documents.texts)
        if documents.vectors is None:
            self._vectors = np.stack([self.embed(text) for text in self._texts])
        else:
            self._vectors = np.array(documents.vectors)
        self._index()
        self._save()

    def open(self, folder: Path) -> None:
        """Read the pickle, and build the lexical index."""
        self._folder = folder
        with gzip.open(folder / FILE) as file:
            kept = pickle.load(file)  # noqa: S301 - written by this program; the earlier system kept it so
        self._names, self._texts, self._vectors = kept["names"], kept["documents"], kept["vectors"]
        self._index()

    def ask(self, text: str) -> list[str]:
        """Rank by both, and fuse."""
        pool = 2 * FOUND
        scores: dict[int, float] = defaultdict(float)
        lexical = np.argsort(-self._words.get_scores(_words(text)))[:pool]
        dense = np.argsort(-(self._vectors @ self.embed(text)))[:pool]
        for rows in (lexical, dense):
            for rank, row in enumerate(rows.tolist(), 1):
                scores[row] += 1 / (RRF_K + rank)
        return [self._names[row] for row in sorted(scores, key=lambda row: -scores[row])[:FOUND]]

    def nearest(self, vector: Vector) -> list[str]:
        """Compare with everything."""
        return [self._names[row] for row in np.argsort(-(self._vectors @ vector))[:NEAREST].tolist()]

    def add(self, name: str, text: str) -> None:
        """Embed one, and make everything else anew."""
        self._names.append(name)
        self._texts.append(text)
        self._vectors = np.vstack([self._vectors, self.embed(text)])
        self._index()
        self._save()

    def forget(self, names: Sequence[str]) -> None:
        """Drop them, and make everything anew."""
        kept = [row for row, name in enumerate(self._names) if name not in names]
        self._names = [self._names[row] for row in kept]
        self._texts = [self._texts[row] for row in kept]
        self._vectors = self._vectors[kept]
        self._index()
        self._save()

    def _index(self) -> None:
        self._words = BM25Okapi([_words(text) for text in self._texts])

    def _save(self) -> None:
        # Beside the old one and then in its place: a measurement that is stopped must not damage what was built.
        beside = self._folder / f"{FILE}.new"
        with gzip.open(beside, "wb") as file:
            pickle.dump({"vectors": self._vectors, "names": self._names, "documents": self._texts}, file)
        beside.replace(self._folder / FILE)


def _words(text: str) -> list[str]:
    return text.lower().split()


if __name__ == "__main__":
    answer(EarlierSystem)
