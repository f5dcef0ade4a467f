"""What is written down about a conversion: for a program as JSON, for a person as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
import json
import math
from pathlib import Path

from npu_memory_server.embedding.manifest import ModelKind

from .accuracy import Cosines, Neighbors
from .estimate import CORES, Estimate

JSON_NAME = "report.json"
MARKDOWN_NAME = "report.md"
HEADER = (
    "model",
    "length",
    "MB",
    "built in",
    "in 8 bits",
    "cosine, mean",
    "least",
    "tokens, least",
    "rank correlation",
)
CANDIDATES = 5
BEFORE_MS = 925
"""What a cross-encoder of 12 layers took for as many on the NPU of the system before this one."""


@dataclass(frozen=True, slots=True)
class ModelReport:
    """One model file. length: in tokens, None if it takes any. seconds: what building it took.

    vectors, tokens: cosines of text vectors and of token vectors to the original's; rank_correlation: Spearman's, of a
    cross-encoder's scores. layers_in_8_bits: matrix products of the compiled model in 8 bits, of all of them.
    """

    file: str
    bytes: int
    sha256: str
    seconds: float
    length: int | None = None
    vectors: Cosines | None = None
    tokens: Cosines | None = None
    rank_correlation: float | None = None
    estimate: Estimate | None = None
    layers_in_8_bits: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """A whole conversion.

    checked_with: texts or pairs. bars: what the result had to reach. for_cpu: the model that the CPU runs beside an
    NPU. harmless: warnings of the toolkit that mean nothing, by their meaning, with how often they came; warnings: all
    others.
    """

    model: str
    revision: str
    kind: str
    target: str
    precision: str
    seconds: float
    checked_with: int
    bars: Mapping[str, float]
    models: tuple[ModelReport, ...]
    tools: Mapping[str, str]
    mask_bias: float | None = None
    neighbors: Neighbors | None = None
    rank_correlation: float | None = None
    tables: Mapping[str, int] = field(default_factory=dict)
    for_cpu: ModelReport | None = None
    harmless: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def write(report: Report, folder: Path) -> None:
    """Write both forms into a folder. Raises OSError."""
    (folder / JSON_NAME).write_text(json.dumps(asdict(report), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / MARKDOWN_NAME).write_text("\n".join(markdown(report)) + "\n", encoding="utf-8")


def markdown(report: Report) -> Iterator[str]:
    """Yield the lines of the report for a person."""
    yield f"# {report.model} for {report.target}, {report.precision}"
    yield ""
    yield f"Kind {report.kind}, revision {report.revision}, converted and checked in {report.seconds:.0f} s."
    yield ""
    yield from _table(
        HEADER,
        [_row(model) for model in report.models],
    )
    if report.tables:
        yield ""
        yield "Tables for the host: " + ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in report.tables.items())
    if report.for_cpu and report.for_cpu.vectors:
        yield ""
        yield (
            f"For the CPU beside the NPU: {report.for_cpu.file}, {report.for_cpu.bytes / 1e6:.1f} MB, least cosine "
            f"{report.for_cpu.vectors.least:.7f}"
        )
    yield ""
    what = "pairs" if report.kind == ModelKind.CROSS_ENCODER else "texts"
    yield f"Checked against the FP32 original with {report.checked_with} {what} of all lengths and many languages:"
    if report.neighbors:
        yield f"- ten nearest neighbors: {report.neighbors.agreement:.2%} agree but for ties,"
        yield f"  {report.neighbors.identical:.2%} of the lists of ten have exactly the same members"
    if report.rank_correlation is not None:
        yield f"- rank correlation over all pairs, each at the shortest length: {report.rank_correlation:.5f}"
    yield "- demanded: " + ", ".join(f"{name} {value:g}" for name, value in report.bars.items())
    estimates = [(model.length, model.estimate) for model in report.models if model.estimate]
    if estimates:
        yield from _estimates(estimates)
        if report.kind == ModelKind.CROSS_ENCODER:
            yield from _five_candidates(*estimates[-1])
    yield ""
    if report.harmless or report.warnings:
        yield "## Warnings of the toolkit"
        yield ""
        for warning in report.warnings or ["none that matters"]:
            yield f"- {warning}"
        for meaning, count in report.harmless.items():
            yield f"- harmless, {count} times: {meaning}"
        yield ""
    yield "## Versions and checksums"
    yield ""
    yield from (f"- {tool} {number}" for tool, number in report.tools.items())
    yield from (f"- {model.file}: {model.bytes} bytes, SHA-256 {model.sha256}" for model in report.models)


def _estimates(estimates: Sequence[tuple[int | None, Estimate]]) -> Iterator[str]:
    yield ""
    yield "## Estimated time on the NPU"
    yield ""
    yield "Estimates in ms for one text on one core at 1 GHz, from the compiler's table of cycles; nothing was measured"
    yield "on a board. docs/npu.md says how they come about."
    yield ""
    header = ["length", "table", "memory", "attention", "operations", "at 10 us each", "at 27 us each"]
    rows = [
        [
            str(length),
            *(f"{part:.2f}" for part in (found.table, found.traffic, found.attention)),
            str(found.operations),
            f"{found.least:.1f}",
            f"{found.most:.1f}",
        ]
        for length, found in estimates
    ]
    yield from _table(header, rows)


def _five_candidates(length: int | None, found: Estimate) -> Iterator[str]:
    rounds = math.ceil(CANDIDATES / CORES)
    yield ""
    yield f"Five candidates of {length} tokens take {rounds} rounds on {CORES} cores: {rounds * found.least:.1f} ms if"
    yield f"each core has the memory for itself, {rounds * found.crowded:.1f} ms if they share what one has, at 27 us"
    yield f"each. The system before this one took {BEFORE_MS} ms for five, whatever their length."


def _row(model: ModelReport) -> list[str]:
    return [
        model.file,
        str(model.length or "any"),
        f"{model.bytes / 1e6:.1f}",
        f"{model.seconds:.1f} s",
        "{} of {}".format(*model.layers_in_8_bits) if model.layers_in_8_bits else "",
        f"{model.vectors.mean:.7f}" if model.vectors else "",
        f"{model.vectors.least:.7f}" if model.vectors else "",
        f"{model.tokens.least:.6f}" if model.tokens else "",
        f"{model.rank_correlation:.5f}" if model.rank_correlation is not None else "",
    ]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield a table without the columns that nothing stands in."""
    used = [column for column in range(len(header)) if any(row[column] for row in rows)]
    for row in (header, ["---"] * len(header), *rows):
        yield "| " + " | ".join(row[column] for column in used) + " |"
