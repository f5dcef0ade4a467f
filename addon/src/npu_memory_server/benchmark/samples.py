"""What is measured of one question: its embedding by stage, and a recall by stage, in ms."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from time import perf_counter
from typing import Protocol

from ..backend import Backend
from ..embedding.embedder import OnnxEmbedder, TextEmbedder
from ..embedding.pooling import average, normalize
from ..embedding.projection import Projection, reduce
from ..errors import ModelError
from ..wire import MAX_BUDGET_MS, Context, RecallRequest

TOP_K = 5
UNHURRIED_MS = MAX_BUDGET_MS
"""No answer is cut short, however slow the machine: what a whole one costs is to be seen."""


class Asked(Protocol):
    """A memory in this process, or the connection to one."""

    async def recall(self, request: RecallRequest) -> Context:
        """Answer a question."""


@dataclass(frozen=True, slots=True)
class Series:
    """Which measurements belong together: a table, a row of it, and the hardware that embedded."""

    table: str
    row: str
    backend: Backend


@dataclass(slots=True)
class Samples:
    """All measurements, in ms, and how many answers were less than what was asked for."""

    taken: dict[Series, list[float]] = field(default_factory=lambda: defaultdict(list))
    degraded: int = 0

    def add(self, table: str, row: str, backend: Backend, ms: float) -> None:
        """Take in one measurement."""
        self.taken[Series(table, row, backend)].append(ms)


def embed_on_cpu(embedder: OnnxEmbedder, projection: Projection | None, text: str) -> dict[str, float]:
    """Embed a question step by step, as the embedder does; returns the ms of each stage. Raises `ModelError`."""
    began = perf_counter()
    ids, _ = embedder.tokenizer.encode_with_starts(text)
    window = embedder.tokenizer.windows(ids)[0]
    tokenized = perf_counter()
    token_vectors = embedder.encoder.session.run(window)
    inferred = perf_counter()
    mean = average(token_vectors)
    pooled = perf_counter()
    try:
        normalize(mean)
    except ValueError as error:
        raise ModelError("The model's answer to a question of the benchmark has no direction.") from error
    normalized = perf_counter()
    if projection is not None:
        reduce(token_vectors[1:-1], projection)
    ended = perf_counter()
    times = (began, tokenized, inferred, pooled, normalized, ended)
    stages = ("tokenize", "inference", "pooling", "normalizing", "token vectors for maxsim")
    return {
        **{stage: (end - start) * 1000 for stage, start, end in zip(stages, times, times[1:], strict=False)},
        "total": (ended - began) * 1000,
    }


def embed_on_npu(embedder: TextEmbedder, text: str) -> dict[str, float]:
    """Embed a question on the NPU, which pools and normalizes as well; returns ms, nothing if the CPU stepped in."""
    began = perf_counter()
    embedding = embedder.embed(text)
    total = (perf_counter() - began) * 1000
    timings = embedding.timings
    if timings.backend is not Backend.NPU:
        return {}
    return {"tokenize": timings.tokenize, "inference": timings.inference, "total": total}


async def recall(memory: Asked, request: RecallRequest) -> tuple[Context, float]:
    """Ask; returns the answer, and the ms that it took at the caller."""
    began = perf_counter()
    context = await memory.recall(request)
    return context, (perf_counter() - began) * 1000
