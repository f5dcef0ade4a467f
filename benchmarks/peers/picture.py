"""The figures as a picture: how many milliseconds a question takes each way, by the number of memories, as SVG."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import math
from xml.sax.saxutils import escape

from benchmarks.peers.catalog import OURS, OURS_PLAIN, PEERS, TITLES
from benchmarks.peers.figures import Size

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 1020, 560, 86, 280, 90, 56
INK, PALE = "#222222", "#e2e2e2"
COLORS = {
    OURS: "#1f6fb4",
    OURS_PLAIN: "#7fb2dd",
    "earlier_system": "#8c4a2f",
    "earlier_system_one_thread": "#c99a82",
    "sentence_transformers": "#7a7a7a",
    "chroma": "#d9640a",
    "lancedb": "#2e8b57",
    "qdrant": "#b0307a",
    "txtai": "#b8960c",
}
LABEL_HEIGHT = 17.0

Place = Callable[[float], float]


def svg(sizes: Sequence[Size], machine: str) -> str:
    """Return the picture: a line for each way through the medians, one for M, on logarithmic axes."""
    lines = {name: _points(sizes, name) for name in (OURS, OURS_PLAIN, *(peer.name for peer in PEERS))}
    bare = [(size.memories, size.groups[0].m.p50) for size in sizes]
    values = [ms for points in (*lines.values(), bare) for _, ms in points]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    first, last = math.log10(sizes[0].memories), math.log10(sizes[-1].memories)

    def x(memories: float) -> float:
        share = (math.log10(memories) - first) / (last - first) if last > first else 0.5
        return LEFT + (WIDTH - LEFT - RIGHT) * share

    def y(ms: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (math.log10(ms) - low) / (high - low)

    parts = [
        _text(16, 30, "A question, beside others", size=20, weight="bold"),
        _text(16, 52, machine),
        _text(16, 70, "median of the whole question, ms, its embedding included; dashed: M, the bare inference"),
        *_grid(sizes, x, y, range(low, high + 1)),
        _path(bare, x, y, INK, "stroke-dasharray='3 4'"),
    ]
    ends = []
    for name, points in lines.items():
        if points:
            parts.append(_path(points, x, y, COLORS[name]))
            parts += [_dot(x(memories), y(ms), COLORS[name]) for memories, ms in points]
            ends.append((name, *points[-1]))
    parts += _labels(ends, x, y)
    size = f"width='{WIDTH}' height='{HEIGHT}'"
    head = (
        f"<svg xmlns='http://www.w3.org/2000/svg' {size} viewBox='0 0 {WIDTH} {HEIGHT}' "
        "font-family='system-ui, sans-serif' font-size='13'>"
    )
    return "\n".join([head, f"<rect {size} fill='#ffffff'/>", *parts, "</svg>\n"])


def _points(sizes: Sequence[Size], name: str) -> list[tuple[int, float]]:
    """Return the medians of a way; of ours, which is in every group, those of the first."""
    found = []
    for size in sizes:
        medians = [group.ways[name].question.p50 for group in size.groups if name in group.ways]
        found += [(size.memories, ms) for ms in medians[:1]]
    return found


def _grid(sizes: Sequence[Size], x: Place, y: Place, powers: range) -> Iterator[str]:
    for power in powers:
        at = y(10.0**power)
        yield f"<line x1='{LEFT}' x2='{WIDTH - RIGHT}' y1='{at:.1f}' y2='{at:.1f}' stroke='{PALE}'/>"
        yield _text(LEFT - 8, at + 4, f"{10.0**power:,g} ms", anchor="end")
    for size in sizes:
        at = x(size.memories)
        yield f"<line x1='{at:.1f}' x2='{at:.1f}' y1='{TOP}' y2='{HEIGHT - BOTTOM}' stroke='{PALE}'/>"
        yield _text(at, HEIGHT - BOTTOM + 20, f"{size.memories:,}", anchor="middle")
    yield _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - BOTTOM + 42, "memories", anchor="middle")


def _labels(ends: Sequence[tuple[str, int, float]], x: Place, y: Place) -> Iterator[str]:
    """Yield the names at the right edge, in the order of the lines' ends, moved apart where they would overlap."""
    ordered = sorted(ends, key=lambda end: y(end[2]))
    places: list[float] = []
    for _, _, ms in ordered:
        places.append(max(y(ms), places[-1] + LABEL_HEIGHT) if places else y(ms))
    over = max(0.0, places[-1] - (HEIGHT - BOTTOM)) if places else 0.0
    for (name, memories, ms), place in zip(ordered, places, strict=True):
        at, color = place - over, COLORS[name]
        yield (
            f"<line x1='{x(memories):.1f}' y1='{y(ms):.1f}' x2='{WIDTH - RIGHT + 14}' y2='{at:.1f}' "
            f"stroke='{color}' stroke-opacity='0.35'/>"
        )
        yield _text(WIDTH - RIGHT + 18, at + 4, TITLES[name], color=color)


def _path(points: Sequence[tuple[int, float]], x: Place, y: Place, color: str, more: str = "") -> str:
    joined = " ".join(f"{x(memories):.1f},{y(ms):.1f}" for memories, ms in points)
    return f"<polyline points='{joined}' fill='none' stroke='{color}' stroke-width='2' {more}/>"


def _dot(x: float, y: float, color: str) -> str:
    return f"<circle cx='{x:.1f}' cy='{y:.1f}' r='4' fill='{color}'/>"


def _text(
    x: float, y: float, said: str, *, size: int = 13, anchor: str = "start", weight: str = "normal", color: str = INK
) -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' text-anchor='{anchor}' font-weight='{weight}' "
        f"fill='{color}'>{escape(said)}</text>"
    )
