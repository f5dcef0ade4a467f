"""The documents of each size, in files that every way can read, and what an exact search of their vectors finds.

Up to the sample household the ways embed the texts themselves. Above it, texts and vectors are those of the memories
that `household_of` makes, and the vectors are handed to the ways ready-made.
"""

from __future__ import annotations

from dataclasses import dataclass
import json
import os
from pathlib import Path
import sqlite3

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.ways.answering import NEAREST
from benchmarks.scale import HOUSEHOLD, prepared
from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.embedding.manifest import Precision
from npu_memory_server.settings import EMBEDDER
from npu_memory_server.store.database import FILE_NAME

JUDGED = 100
AT_ONCE = 20_000

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Corpus:
    """Files with the documents of one size, the questions about them, and the names that are nearest to the first ones.

    vectors: None where every way embeds the texts itself. asked: the vectors of the judged questions.
    """

    size: int
    texts: Path
    vectors: Path | None
    questions: tuple[str, ...]
    asked: tuple[list[float], ...]
    nearest: tuple[frozenset[str], ...]


async def corpus(keep: Path, size: int, embedder: OnnxEmbedder) -> Corpus:
    """Return the documents of a size; what is not in the folder yet is made."""
    ours = keep / "ours" / str(size)
    questions = await prepared(ours, size, embedder, keep)
    folder = keep / "corpus" / str(size)
    texts, vectors, judged = folder / "texts.jsonl", folder / "vectors.npy", folder / "judged.json"
    is_household = size <= sum(1 for _ in (HOUSEHOLD / "memories.jsonl").open(encoding="utf-8"))
    if not judged.exists():
        folder.mkdir(parents=True, exist_ok=True)
        names = _sample_household(texts, vectors) if is_household else _made(ours, texts, vectors)
        asked = np.array([embedder.embed(text).vector for text in questions[:JUDGED]])
        found = [[names[row] for row in rows] for rows in nearest(np.load(vectors, mmap_mode="r"), asked)]
        judged.write_text(json.dumps({"asked": asked.tolist(), "nearest": found}), encoding="utf-8")
    known = json.loads(judged.read_text(encoding="utf-8"))
    return Corpus(
        size,
        texts,
        None if is_household else vectors,
        tuple(questions),
        tuple(known["asked"]),
        tuple(frozenset(names) for names in known["nearest"]),
    )


def nearest(vectors: Vectors, asked: Vectors) -> list[list[int]]:
    """Return the rows of the `NEAREST` vectors by cosine, best first, for each of the asked ones."""
    best: list[list[tuple[float, int]]] = [[] for _ in asked]
    for start in range(0, len(vectors), AT_ONCE):
        cosines = asked @ vectors[start : start + AT_ONCE].T
        for place, scores in enumerate(cosines):
            rows = np.argsort(-scores)[:NEAREST]
            best[place] = sorted([*best[place], *((-float(scores[row]), start + int(row)) for row in rows)])[:NEAREST]
    return [[row for _, row in one] for one in best]


def _sample_household(texts: Path, vectors: Path) -> list[str]:
    """Write the bare texts of the sample household and their vectors in FP32; returns their ids."""
    lines = (HOUSEHOLD / "memories.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    _write(texts, [(row["id"], row["text"]) for row in rows])
    embedder = OnnxEmbedder.load(Path(os.environ["NPU_MEMORY_MODEL_DIR"]) / EMBEDDER, precision=Precision.FP32)
    np.save(vectors, np.array([embedder.embed(row["text"]).vector for row in rows]))
    return [row["id"] for row in rows]


def _made(ours: Path, texts: Path, vectors: Path) -> list[str]:
    """Write the texts and vectors of a data directory; returns their ids."""
    connection = sqlite3.connect(f"file:{ours / FILE_NAME}?mode=ro", uri=True)
    count = connection.execute("SELECT count(*) FROM vector").fetchone()[0]
    rows = connection.execute("SELECT id, text, vector FROM vector JOIN memory USING (slot) ORDER BY slot")
    documents: list[tuple[str, str]] = []
    written = None
    for name, text, vector in rows:
        own = np.frombuffer(vector, "<f4")
        if written is None:
            written = np.lib.format.open_memmap(vectors, mode="w+", dtype=np.float32, shape=(count, len(own)))
        written[len(documents)] = own
        documents.append((name, text))
    connection.close()
    _write(texts, documents)
    return [name for name, _ in documents]


def _write(file: Path, documents: list[tuple[str, str]]) -> None:
    with file.open("w", encoding="utf-8") as lines:
        for name, text in documents:
            lines.write(json.dumps({"id": name, "text": text}) + "\n")
