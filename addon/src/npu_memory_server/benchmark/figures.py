"""What a benchmark has found: figures in ms and as multiples of M, beside those that others have published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math
import statistics

from .machine import Machine

FORMAT = 1
EARLIER_SYSTEM = "published by the earlier system, not measured here"


@dataclass(frozen=True, slots=True)
class Figure:
    """How long something took `n` times: ms, and the median as a multiple of M, the bare inference of a question."""

    p50_ms: float
    p95_ms: float
    n: int
    p50_in_m: float


@dataclass(frozen=True, slots=True)
class Published:
    """What somebody else has published of the same stage, in ms; None where they have not."""

    cpu_ms: float | None = None
    npu_ms: float | None = None
    whose: str = EARLIER_SYSTEM


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: a figure on each backend, and the published one; `note` says why there is none, if so."""

    name: str
    cpu: Figure | None = None
    npu: Figure | None = None
    published: Published | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows that belong together."""

    name: str
    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that is known after a benchmark. It names no text, no host and no folder.

    `is_made` is whether the memories were made for it. `load` is how many wanted to run in the last minute, before
    anything was done and at the end (when one of them is this). `degraded`
    is how many answers were less than what was asked for.
    """

    format: int = FORMAT
    taken_at: str
    machine: Machine
    model: str
    precision: str
    threads: int
    npu: str
    memories: int
    is_made: bool
    rounds: int
    questions: int
    tokens_p50: float
    load_before: float
    load_after: float
    degraded: int
    m: Figure
    tables: tuple[Table, ...]


def figure(samples: Sequence[float], bare_ms: float) -> Figure:
    """Return median and 95th percentile (nearest rank) of one sample or more, in ms; `bare_ms` is the median of M."""
    p50 = statistics.median(samples)
    p95 = max(p50, sorted(samples)[math.ceil(0.95 * len(samples)) - 1])
    return Figure(p50, p95, len(samples), p50 / bare_ms)
