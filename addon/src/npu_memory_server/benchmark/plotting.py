"""A picture of a report: a line for each stage and configuration, on one logarithmic axis, as SVG."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import math
from xml.sax.saxutils import escape

from .figures import Figure, Published, Report, Row, Table

WIDTH, LEFT, RIGHT = 980, 250, 90
LINE, HEAD, TOP, BOTTOM = 24, 46, 134, 44
CPU, NPU, INK, PALE = "#1f6fb4", "#d9640a", "#222222", "#e2e2e2"
CPU_SIZE, NPU_SIZE = 7.0, 4.5
"""Of the diamonds: one can be seen inside the other where both figures are the same."""
FONT = "font-family='system-ui, sans-serif'"

Place = Callable[[float], float]


def svg(report: Report) -> str:
    """Return the picture: the median of each figure with a bar to its 95th percentile, the published ones hollow."""
    tables = [(table, [row for row in table.rows if row.cpu or row.npu]) for table in report.tables]
    tables = [(table, rows) for table, rows in tables if rows]
    values = [ms for _, rows in tables for row in rows for ms in _values(row)]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))

    def place(ms: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (math.log10(ms) - low) / (high - low)

    height = TOP + sum(HEAD + LINE * len(rows) for _, rows in tables) + BOTTOM
    parts = [*_grid(report, place, range(low, high + 1), height), *_legend(report, tables)]
    y = float(TOP)
    for table, rows in tables:
        parts.append(_text(16, y + 28, table.title, weight="bold"))
        y += HEAD
        for row in rows:
            parts += _line(row, y, place)
            y += LINE
    size = f"width='{WIDTH}' height='{height:g}'"
    head = f"<svg xmlns='http://www.w3.org/2000/svg' {size} viewBox='0 0 {WIDTH} {height:g}' {FONT} font-size='13'>"
    return "\n".join([head, f"<rect {size} fill='#ffffff'/>", *parts, "</svg>\n"])


def _values(row: Row) -> Iterator[float]:
    for figure in (row.cpu, row.npu):
        if figure:
            yield from (figure.p50_ms, figure.p95_ms)
    yield from (ms for _, ms in _theirs(row.published))


def _theirs(published: Published | None) -> list[tuple[str, float]]:
    if published is None:
        return []
    both = [("CPU", published.cpu_ms), ("NPU", published.npu_ms)]
    return [(name, ms) for name, ms in both if ms is not None]


def _grid(report: Report, place: Place, powers: range, height: float) -> Iterator[str]:
    machine = report.machine
    yield _text(16, 30, "What a question costs", size=20, weight="bold")
    yield _text(
        16, 52, f"{machine.cpu}, {machine.cores} cores, {report.memories} memories, {report.questions} questions"
    )
    bottom = height - BOTTOM + 8
    for power in powers:
        x = place(10.0**power)
        yield f"<line x1='{x:.1f}' x2='{x:.1f}' y1='{TOP}' y2='{bottom:g}' stroke='{PALE}'/>"
        yield _text(x, bottom + 18, f"{10.0**power:,g} ms", anchor="middle")
    x = place(report.m.p50_ms)
    yield f"<line x1='{x:.1f}' x2='{x:.1f}' y1='{TOP}' y2='{bottom:g}' stroke='{INK}' stroke-dasharray='3 4'/>"
    yield _text(x, TOP - 6, "M", anchor="middle")


def _legend(report: Report, tables: list[tuple[Table, list[Row]]]) -> Iterator[str]:
    y, x = 78.0, 16.0
    yield from (_dot(x + 5, y - 4, CPU), _text(x + 16, y, "CPU"))
    x += 60
    if any(row.npu for _, rows in tables for row in rows):
        yield from (_dot(x + 5, y - 4, NPU), _text(x + 16, y, "NPU"))
        x += 60
    yield _text(x, y, f"median, with a bar to the 95th percentile; M: bare inference, {report.m.p50_ms:.2f} ms")
    y += 22
    yield from (_diamond(21, y - 4, CPU, CPU_SIZE), _diamond(41, y - 4, NPU, NPU_SIZE))
    yield _text(
        56, y, "CPU and NPU of an RK3588, as published by the earlier system; nothing of that was measured here"
    )


def _line(row: Row, y: float, place: Place) -> Iterator[str]:
    yield _text(LEFT - 12, y + 4, row.name, anchor="end")
    for name, ms in _theirs(row.published):
        yield _diamond(place(ms), y, *((CPU, CPU_SIZE) if name == "CPU" else (NPU, NPU_SIZE)))
    for figure, color, offset in ((row.cpu, CPU, -3.0 if row.npu else 0.0), (row.npu, NPU, 3.0 if row.cpu else 0.0)):
        if figure:
            yield _bar(figure, y + offset, color, place)
    shown = row.npu or row.cpu
    if shown:
        yield _text(WIDTH - 12, y + 4, f"{shown.p50_ms:.3g} ms", anchor="end", color=NPU if row.npu else CPU)


def _bar(figure: Figure, y: float, color: str, place: Place) -> str:
    start, end = place(figure.p50_ms), place(figure.p95_ms)
    bar = f"<line x1='{start:.1f}' x2='{end:.1f}' y1='{y:g}' y2='{y:g}' stroke='{color}' stroke-width='2'/>"
    return bar + _dot(start, y, color)


def _dot(x: float, y: float, color: str) -> str:
    return f"<circle cx='{x:.1f}' cy='{y:g}' r='4.5' fill='{color}'/>"


def _diamond(x: float, y: float, color: str, size: float) -> str:
    points = f"{x:.1f},{y - size:g} {x + size:.1f},{y:g} {x:.1f},{y + size:g} {x - size:.1f},{y:g}"
    return f"<polygon points='{points}' fill='#ffffff' stroke='{color}' stroke-width='1.5'/>"


def _text(
    x: float, y: float, said: str, *, size: int = 13, anchor: str = "start", weight: str = "normal", color: str = INK
) -> str:
    return (
        f"<text x='{x:.1f}' y='{y:g}' font-size='{size}' text-anchor='{anchor}' font-weight='{weight}' "
        f"fill='{color}'>{escape(said)}</text>"
    )
