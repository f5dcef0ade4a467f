"""Which length of text goes to which backend, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..backend import Backend


@dataclass(frozen=True, slots=True)
class Route:
    """Where texts of up to `length` tokens go: the ms of one inference on each, how far they agree.

    What the NPU failed to do is None.
    """

    length: int
    backend: Backend
    npu_ms: float | None
    cpu_ms: float
    agreement: float | None
    reason: str


def route(length: int, *, npu_ms: float, cpu_ms: float, agreement: float, npu_only: bool) -> Route:
    """Send a length on which both agree to the faster backend; with `npu_only` to the NPU."""
    if npu_ms < cpu_ms:
        backend, reason = Backend.NPU, "the NPU is faster"
    elif npu_only:
        backend, reason = Backend.NPU, "the CPU is faster, and the settings forbid it"
    else:
        backend, reason = Backend.CPU, "the CPU is faster"
    return Route(length, backend, npu_ms, cpu_ms, agreement, reason)


def shortest(routes: Mapping[int, Route], tokens: int) -> Route | None:
    """Return the route of the shortest length that so many tokens fit in, or None if they fit in none."""
    return next((routes[length] for length in sorted(routes) if length >= tokens), None)
