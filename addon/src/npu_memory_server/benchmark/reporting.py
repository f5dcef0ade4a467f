"""From measurements to tables: what was measured beside what the earlier system has published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import statistics

from ..backend import Backend
from .configurations import CONFIGURATIONS
from .figures import Figure, Row, Table, figure
from .measuring import OVER_THE_WIRE
from .published import PUBLISHED
from .samples import Samples, Series

CROSS_ENCODERS = tuple(one.name for one in CONFIGURATIONS if one.is_slow)
LAYOUT: Sequence[tuple[str, str, Sequence[str]]] = (
    (
        "embedding",
        "Embedding a question, by stage",
        ("tokenize", "inference", "pooling", "normalizing", "token vectors for maxsim", "total"),
    ),
    (
        "retrieval",
        "Retrieval, by stage",
        ("vector", "lexical", "fusion", "vector, lexical and fusion", "rerank (maxsim)", "context"),
    ),
    ("configurations", "A whole question", (*(one.name for one in CONFIGURATIONS), OVER_THE_WIRE)),
    ("reading", "Reranking, for each memory that is read", CROSS_ENCODERS),
    ("five", "Reranking five memories, pairs of 128 tokens", CROSS_ENCODERS),
)
ON_THE_NPU = "on the NPU it is part of the inference"


def bare_inference(samples: Samples) -> Figure:
    """Return M: the inference of the questions on the CPU, tokens in and vectors out."""
    taken = samples.taken[Series("embedding", "inference", Backend.CPU)]
    return figure(taken, statistics.median(taken))


def tables(samples: Samples, missing: Mapping[str, str], *, with_npu: bool) -> tuple[Table, ...]:
    """Return all tables; `missing` says by the name of a configuration why it was not measured."""
    bare = bare_inference(samples).p50_ms

    def measured(table: str, name: str, backend: Backend) -> Figure | None:
        taken = samples.taken.get(Series(table, name, backend))
        return figure(taken, bare) if taken else None

    def row(table: str, name: str) -> Row:
        cpu, npu = measured(table, name, Backend.CPU), measured(table, name, Backend.NPU)
        note = missing.get(name, "")
        if with_npu and name in ("pooling", "normalizing"):
            note = ON_THE_NPU
        return Row(name, cpu, npu, PUBLISHED[table].get(name), note)

    return tuple(Table(name, title, tuple(row(name, one) for one in rows)) for name, title, rows in LAYOUT)
