"""The figures as tables of Markdown, and their place in a document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.peers.catalog import OURS, OURS_PLAIN, PEERS, TITLES
from benchmarks.peers.figures import Derived, Figure, Measured, Size, derived, findings

HEAD = (
    "", "p50 / p95, ms", "in M", "in ours", "over M, in ours", "over its embedding, ms", "recall@10", "write, ms",
    "start, s", "resident, MiB", "disk, MiB",
)  # fmt: skip
NOTHING = "-"
BEGIN, END = "<!-- begin: script/benchmark peers -->", "<!-- end -->"


def report(sizes: Sequence[Size]) -> str:
    """Return a table for each size with a line for each way, who was left out, and what was to be shown."""
    return "\n".join([*(line for size in sizes for line in _size(size)), *(f"- {one}" for one in findings(sizes)), ""])


def _size(size: Size) -> Iterator[str]:
    yield f"**{size.memories:,} memories**"
    yield ""
    yield f"| {' | '.join(HEAD)} |"
    yield f"|---|{'---:|' * (len(HEAD) - 1)}"
    for group in size.groups:
        names = [name for name in (OURS, OURS_PLAIN, *(peer.name for peer in PEERS)) if name in group.ways]
        yield _row(["M, bare inference", _times(group.m), "1"])
        for name in names:
            yield _row([TITLES[name], *_cells(group.ways[name], derived(group, name))])
    yield ""
    if size.left_out:
        yield "Left out:"
        yield ""
        yield from (f"- {TITLES[name]}: {reason}." for name, reason in size.left_out.items())
        yield ""


def _cells(way: Measured, one: Derived) -> list[str]:
    return [
        _times(way.question),
        f"{one.multiple_of_m:.1f}",
        f"{one.times_ours:.1f}",
        f"{one.over_m_times_ours:.1f}",
        _ms(one.over_embedding),
        NOTHING if way.recall is None else f"{way.recall:.3f}",
        _write(way),
        f"{way.start_s:.1f}",
        f"{way.resident_mib:,.0f}",
        f"{way.disk_mib:,.0f}",
    ]


def _write(way: Measured) -> str:
    if way.write is None:
        return way.write_left_out or NOTHING
    if way.write_answered is None:
        return _ms(way.write.p50)
    return f"{_ms(way.write.p50)} (stored after {_ms(way.write_answered.p50)})"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join([*cells, *([''] * (len(HEAD) - len(cells)))])} |"


def _times(one: Figure) -> str:
    return f"{_ms(one.p50)} / {_ms(one.p95)}"


def _ms(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def inserted(document: str, tables: str) -> str:
    """Return a document with the tables between its marks instead of what is there. Raises ValueError without marks."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"there is no place between {BEGIN} and {END}")
    return f"{before}{begin}\n\n{tables}\n{end}{after}"
