"""Trying the NPU out: both backends compute the canaries, are compared, and are timed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

from ..encoding import Encoder
from ..pooling import Vector
from .canaries import LEAST_COSINE, Canary
from .context import NpuOutput
from .faults import NpuFault, NpuLateFault
from .lane import Lane
from .routes import Route, route
from .tables import EmbeddingTables

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

    def of(self, found: Route, *, bulk: bool) -> float:
        """Return how long a run on this route is waited for."""
        if bulk:
            return self.most
        return min(max(self.factor * (found.npu_ms or 0) / 1000, self.least), self.most)


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """A canary and what the CPU made of it, float32 [d]."""

    canary: Canary
    vector: Vector


def expectations(canaries: Sequence[Canary], cpu: Encoder) -> list[Expected]:
    """Return what the CPU makes of the canaries. Raises ModelError."""
    return [Expected(canary, cpu.encode(canary.ids, bulk=False).vector) for canary in canaries]


def try_out(
    lane: Lane,
    tables: EmbeddingTables,
    expected: Sequence[Expected],
    cpu: Encoder,
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
    for length in sorted({one.canary.length for one in expected}):
        own = [one for one in expected if one.canary.length == length]
        typical = own[-1].canary
        cpu_ms = _median_ms(partial(cpu.encode, typical.ids, bulk=False), clock)
        try:
            lane.open(length, limits.load)
            cosine = require_agreement(lane, tables, own, limits.first)
            npu_ms = _median_ms(partial(_run, lane, tables, typical, limits.first), clock)
        except NpuLateFault:
            raise
        except NpuFault as fault:
            faults.append(fault)
            routes[length] = Route(length, cpu.backend, None, cpu_ms, None, fault.reason)
        else:
            routes[length] = route(length, npu_ms=npu_ms, cpu_ms=cpu_ms, cosine=cosine, npu_only=npu_only)
    if len(faults) == len(routes):
        raise faults[0]
    return routes


def require_agreement(lane: Lane, tables: EmbeddingTables, expected: Sequence[Expected], seconds: float) -> float:
    """Return the least cosine of a lane's answers to what was expected.

    Raises NpuFault if there is a fault in one or it is not what the CPU said, and NpuBusyError.
    """
    cosine = min(float(_run(lane, tables, one.canary, seconds).vector @ one.vector) for one in expected)
    if cosine < LEAST_COSINE:
        raise NpuFault(f"its vectors are not the CPU's (cosine {cosine:.4f}, at least {LEAST_COSINE} is needed)")
    return cosine


def _run(lane: Lane, tables: EmbeddingTables, canary: Canary, seconds: float) -> NpuOutput:
    return lane.run(tables.look_up(canary.ids, canary.length), seconds)


def _median_ms(work: Callable[[], object], clock: Callable[[], float]) -> float:
    times = []
    for _ in range(REPETITIONS):
        began = clock()
        work()
        times.append(clock() - began)
    return median(times) * 1000
