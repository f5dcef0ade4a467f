"""What is compared: how each of them is run, in a sentence, and what it embeds questions with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Peer:
    """A way in `ways`, with its requirements in `requirements`; `runs` is its name there, and of what it has built.

    searches: what a question goes through. embeds: the runtime of the question's embedding. threads: of that runtime,
    None for as many as it takes by itself.
    """

    name: str
    title: str
    searches: str
    embeds: str
    is_hybrid: bool = True
    is_earlier_system: bool = False
    of: str | None = None
    threads: int | None = None

    @property
    def runs(self) -> str:
        """The name of the program, and of the folder of what was built."""
        return self.of or self.name


PEERS = (
    Peer(
        "earlier_system",
        "the earlier system's way",
        "cosines with numpy and rank-bm25 over everything, RRF 60, bare texts; each write makes both anew and pickles",
        "ONNX Runtime, FP32, padded to 256 tokens",
        is_earlier_system=True,
    ),
    Peer(
        "earlier_system_one_thread",
        "the earlier system's way, one thread",
        "the same",
        "the same, with one thread as ours",
        is_earlier_system=True,
        of="earlier_system",
        threads=1,
    ),
    Peer(
        "sentence_transformers",
        "sentence-transformers, cosine",
        "`semantic_search` of normalized vectors in one tensor; no lexical leg",
        "PyTorch, FP32",
        is_hybrid=False,
    ),
    Peer(
        "chroma",
        "Chroma",
        "persistent client, HNSW as it comes; a local collection has no lexical leg",
        "its sentence-transformers function, PyTorch, FP32",
        is_hybrid=False,
    ),
    Peer(
        "lancedb",
        "LanceDB, hybrid",
        "full-text index and vectors (HNSW-SQ from 100 000 on, all of them below), RRF",
        "its sentence-transformers function, PyTorch, FP32",
    ),
    Peer(
        "qdrant",
        "Qdrant local, hybrid",
        "local mode, dense and BM25 vectors of FastEmbed, 20 of each by RRF",
        "FastEmbed, ONNX Runtime, FP32, not padded",
    ),
    Peer(
        "txtai",
        "txtai, hybrid",
        "`hybrid=True, content=True` and nothing else; a write is an upsert and a save",
        "Transformers, PyTorch, FP32",
    ),
)

OURS, OURS_PLAIN = "ours_maxsim", "ours_none"
TITLES = {OURS: "NPU Memory, maxsim", OURS_PLAIN: "NPU Memory, no reranker"} | {peer.name: peer.title for peer in PEERS}
