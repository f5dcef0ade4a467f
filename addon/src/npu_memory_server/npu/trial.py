"""Trying the NPU out: both backends compute the canaries, are compared, and are timed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Generic

from ..backend import Backend
from .faults import NpuFault, NpuLateFault
from .lane import Lane, Output
from .routes import Route, route
from .tables import NpuInput

REPETITIONS = 5


@dataclass(frozen=True, slots=True)
class Limits:
    """How long things may take, in seconds: loading a model, a run of a canary, and any other one.

    A question waits for its run `factor` times what it took at the trial, but never less than `least` or more than
    `most`, and then for the CPU; bulk work always waits for `most`. A run that is not back after `hang` is given up.
    """

    load: float = 30.0
    first: float = 10.0
    hang: float = 10.0
    factor: float = 20.0
    least: float = 0.1
    most: float = 5.0

    def of(self, found: Route, *, bulk: bool = False) -> float:
        """Return how long a run on this route is waited for."""
        if bulk:
            return self.most
        return min(max(self.factor * (found.npu_ms or 0) / 1000, self.least), self.most)


@dataclass(frozen=True, slots=True, eq=False)
class Examination(Generic[Output]):
    """What tells whether the NPU can be believed at a length, and how fast the CPU is there.

    windows: the canaries, the last of them a typical one. on_cpu: what the CPU does for that one. agreement: from what
    the NPU makes of the windows, in their order, to how far that is what the CPU says; raises NpuFault if it is not.
    """

    length: int
    windows: tuple[NpuInput, ...]
    on_cpu: Callable[[], object]
    agreement: Callable[[Sequence[Output]], float]


def try_out(
    lane: Lane[Output],
    examinations: Sequence[Examination[Output]],
    limits: Limits,
    *,
    npu_only: bool,
    clock: Callable[[], float],
) -> Mapping[int, Route]:
    """Return the route of each length; one at which the NPU fails or disagrees is the CPU's.

    Raises NpuFault if that is so at all lengths, or if it hangs; ModelError.
    """
    routes: dict[int, Route] = {}
    faults: list[NpuFault] = []
    for one in sorted(examinations, key=lambda one: one.length):
        length = one.length
        cpu_ms = _median_ms(one.on_cpu, clock)
        try:
            lane.open(length, limits.load)
            agreement = require_agreement(lane, one, limits.first)
            npu_ms = _median_ms(partial(lane.run, one.windows[-1], limits.first), clock)
        except NpuLateFault:
            raise
        except NpuFault as fault:
            faults.append(fault)
            routes[length] = Route(length, Backend.CPU, None, cpu_ms, None, fault.reason)
        else:
            routes[length] = route(length, npu_ms=npu_ms, cpu_ms=cpu_ms, agreement=agreement, npu_only=npu_only)
    if len(faults) == len(routes):
        raise faults[0]
    return routes


def require_agreement(lane: Lane[Output], examination: Examination[Output], seconds: float) -> float:
    """Return how far a lane's answers agree with the CPU's.

    Raises NpuFault if there is a fault in one or they do not agree, and NpuBusyError.
    """
    return examination.agreement([lane.run(window, seconds) for window in examination.windows])


def _median_ms(work: Callable[[], object], clock: Callable[[], float]) -> float:
    times = []
    for _ in range(REPETITIONS):
        began = clock()
        work()
        times.append(clock() - began)
    return median(times) * 1000
