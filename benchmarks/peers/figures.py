"""What was measured of each way, and what follows from it: multiples of M, and what is left without the embedding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
import statistics
from typing import Any

from benchmarks.peers.catalog import OURS, PEERS
from benchmarks.scale import percentile

AIM_EARLIER = 15.0
AIM_HYBRID = 5.0
EARLIER_SIZE = 742


@dataclass(frozen=True, slots=True)
class Figure:
    """Median and 95th percentile of n times, ms."""

    n: int
    p50: float
    p95: float


def figure(times: Sequence[float]) -> Figure:
    """Return the figure of some times; there must be one."""
    return Figure(len(times), statistics.median(times), percentile(list(times), 0.95))


@dataclass(frozen=True, slots=True)
class Measured:
    """A way at a size. embedding: of a question, by itself.

    recall: share of the nearest `NEAREST` that the vector leg finds; None where that was not measured. write: until
    what was stored has its vector and is found; write_answered: until "stored" was said, where that is earlier.
    """

    question: Figure
    embedding: Figure
    recall: float | None
    start_s: float
    resident_mib: float
    disk_mib: float
    write: Figure | None = None
    write_left_out: str | None = None
    write_answered: Figure | None = None
    build_s: float | None = None
    build_cpu_s: float | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Ways that were asked in turns with each other, with M and with ours."""

    m: Figure
    ways: dict[str, Measured]


@dataclass(frozen=True, slots=True)
class Size:
    """All groups of a size, and who is not in one for which reason."""

    memories: int
    groups: list[Group]
    left_out: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Derived:
    """times_ours: how many times what ours (with maxsim) takes, of the same group.

    over_m: the whole without the bare inference; over_embedding: without what the way itself takes to embed; ms.
    """

    multiple_of_m: float
    times_ours: float
    over_m: float
    over_m_times_ours: float
    over_embedding: float


def derived(group: Group, name: str) -> Derived:
    """Return what follows from the figures of a way in its group."""
    way, ours, m = group.ways[name], group.ways[OURS].question.p50, group.m.p50
    whole = way.question.p50
    return Derived(
        multiple_of_m=whole / m,
        times_ours=whole / ours,
        over_m=whole - m,
        over_m_times_ours=(whole - m) / (ours - m),
        over_embedding=whole - way.embedding.p50,
    )


def findings(sizes: Sequence[Size]) -> list[str]:
    """Return a sentence for each thing that was to be shown, met or not."""
    said = []
    for size in sizes:
        others = {peer: derived(group, peer.name) for group in size.groups for peer in PEERS if peer.name in group.ways}
        for peer, one in others.items():
            if peer.is_earlier_system and size.memories == EARLIER_SIZE:
                said.append(_said(size, f"{peer.title}: {one.times_ours:.1f} times ours", AIM_EARLIER, one.times_ours))
            elif peer.is_hybrid and not peer.is_earlier_system:
                over = one.over_m_times_ours
                said.append(_said(size, f"{peer.title}, over M: {over:.1f} times ours", AIM_HYBRID, over))
        if others:
            nearest = min(others, key=lambda peer: others[peer].times_ours)
            least = others[nearest].times_ours
            text = f"faster than each in total; the nearest is {nearest.title}, {least:.1f} times ours"
            said.append(_said(size, text, 1.0, least))
    return said


def _said(size: Size, text: str, aim: float, found: float) -> str:
    said = f"{size.memories:,} memories: {'met' if found >= aim else 'missed'}: {text}"
    return f"{said} (aim {aim:g})" if aim > 1 else said


def sizes_from(data: Sequence[dict[str, Any]]) -> list[Size]:
    """Return sizes from what `dataclasses.asdict` has made of them."""
    return [
        Size(
            one["memories"],
            [
                Group(Figure(**group["m"]), {name: _measured(way) for name, way in group["ways"].items()})
                for group in one["groups"]
            ],
            one["left_out"],
        )
        for one in data
    ]


def _measured(data: dict[str, Any]) -> Measured:
    times = {name: Figure(**data[name]) for name in ("question", "embedding")}
    writes = {name: data[name] and Figure(**data[name]) for name in ("write", "write_answered")}
    return Measured(**{**data, **times, **writes})
