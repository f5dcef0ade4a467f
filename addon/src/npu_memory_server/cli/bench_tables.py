"""A benchmark's report as text."""

from __future__ import annotations

from collections.abc import Iterator

from ..benchmark.figures import Figure, Report, Row, Table
from ..benchmark.published import REMARK
from ..wire import NpuReport, NpuState
from .tables import text_table

FIGURE = ("p50 ms", "p95 ms", "n", "x M")
THEIRS = ("theirs, CPU ms", "theirs, NPU ms")


def as_text(report: Report, npu: NpuReport) -> str:
    """Return the machine, the tables, and what is to be known about them; `npu` says why there is none."""
    return "\n\n".join(["\n".join(_head(report, npu)), *_tables(report), "\n".join(_remarks(report))])


def _head(report: Report, npu: NpuReport) -> Iterator[str]:
    machine = report.machine
    yield f"{machine.cpu}, {machine.cores} cores, {machine.memory_gib} GiB, {machine.system}, Python {machine.python}"
    made = "made for this" if report.is_made else "your own"
    yield (
        f"{report.memories} memories ({made}); {report.questions} questions, {report.tokens_p50:g} tokens long, "
        f"{report.rounds} {'round' if report.rounds == 1 else 'rounds'}"
    )
    threads = "1 thread" if report.threads == 1 else f"{report.threads} threads"
    yield (
        f"M, the bare inference of these questions ({report.model}, {report.precision}, {threads}, unpadded): "
        f"{report.m.p50_ms:.2f} ms (p95 {report.m.p95_ms:.2f})"
    )
    if not _has_npu(report):
        state = "The NPU embeds no questions" if npu.state is NpuState.ACTIVE else f"No NPU is measured ({npu.state})"
        yield f"{state}: {npu.reason or 'for their length the CPU is faster'}."


def _has_npu(report: Report) -> bool:
    return any(row.npu for table in report.tables for row in table.rows)


def _tables(report: Report) -> Iterator[str]:
    has_npu = _has_npu(report)
    backends = [*(f"CPU {name}" for name in FIGURE), *(f"NPU {name}" for name in FIGURE)] if has_npu else [*FIGURE]
    for table in report.tables:
        measured = [row for row in table.rows if row.cpu or row.npu]
        if measured:
            yield text_table([table.title, *backends, *THEIRS], [_cells(row, has_npu=has_npu) for row in measured])
        if left_out := "\n".join(_left_out(table)):
            yield left_out


def _left_out(table: Table) -> Iterator[str]:
    if table.name == "configurations":
        yield from (f"{row.name}, not measured: {row.note}" for row in table.rows if row.note and not row.cpu)


def _cells(row: Row, *, has_npu: bool) -> list[str]:
    theirs = [row.published.cpu_ms, row.published.npu_ms] if row.published else [None, None]
    return [
        row.name,
        *_figures(row.cpu),
        *(_figures(row.npu) if has_npu else []),
        *("" if ms is None else f"{ms:g}" for ms in theirs),
    ]


def _figures(figure: Figure | None) -> list[str]:
    if figure is None:
        return [""] * len(FIGURE)
    return [f"{figure.p50_ms:.3g}", f"{figure.p95_ms:.3g}", str(figure.n), f"{figure.p50_in_m:.2f}"]


def _remarks(report: Report) -> Iterator[str]:
    yield REMARK
    cores = report.machine.cores
    load = f"The load of the {cores} cores was {report.load_before:.1f} before and {report.load_after:.1f} after"
    busy = report.load_before > cores / 4
    yield f"{load}{': others used them, and are part of the figures' if busy else ''}."
    if _has_npu(report):
        yield "On the NPU pooling and normalizing are part of the inference."
    if report.degraded:
        yield f"{report.degraded} answers were less than what was asked for, and are not all counted."
