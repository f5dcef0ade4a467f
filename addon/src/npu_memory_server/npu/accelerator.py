"""A model on the NPU: tried out against the CPU, looked after, put to rest when it fails, and tried again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import logging
import threading
from typing import Final, Generic

from ..backend import Backend
from ..errors import ModelError
from ..wire import NpuReport, NpuRoute, NpuState
from .faults import NpuBusyError, NpuFault, NpuLastingFault, NpuRequiredError
from .health import Health
from .lane import Lane, OpenContext, Output
from .pool import ContextPool
from .routes import Route, shortest
from .trial import Examination, Limits, require_agreement, try_out

LOGGER = logging.getLogger(__name__)

CANARY_SECONDS = 3600.0
MOST_STUCK_POOLS = 3


class Accelerator(Generic[Output]):
    """Any number of threads may ask it for its lanes and tell it of faults; `watching` looks after it."""

    def __init__(
        self,
        what: str,
        examinations: Sequence[Examination[Output]],
        open_contexts: Sequence[OpenContext[Output]],
        *,
        eager: bool = False,
        npu_only: bool = False,
        limits: Limits,
        clock: Callable[[], float],
    ) -> None:
        """Try the NPU out. Raises NpuRequiredError if it fails and `npu_only`.

        `what` names its use in the log, if it has several. There is a lane for each of the `open_contexts`; with
        `eager` all of them are opened and examined at once, otherwise only the first.
        """
        self._what = what
        self._examinations = {one.length: one for one in examinations}
        self._open_contexts = open_contexts
        self._eager = eager
        self.npu_only: Final = npu_only
        self.limits: Final = limits
        self._clock = clock
        self.health: Final = Health(clock, what)
        self.pool: ContextPool[Output] | None = None
        self._routes: Mapping[int, Route] = {}
        self._versions: dict[str, str] = {}
        self._left: list[ContextPool[Output]] = []
        self._checked_at = clock()
        self.changed: Final = threading.Event()
        """Set when it is worth asking again how long there is nothing to do."""
        self._try()
        if npu_only and (reason := self._why_not_npu_only()):
            self.close()
            raise NpuRequiredError(f"The NPU cannot be used, and the CPU is not allowed to do its work: {reason}")

    def route(self, tokens: int) -> Route | None:
        """Return the route of the shortest length that so many tokens fit in, or None if they fit in none."""
        return shortest(self._routes, tokens)

    def require_cpu_allowed(self, cannot: str) -> None:
        """Raise NpuRequiredError if the CPU may not do what the NPU cannot, which `cannot` names."""
        if self.npu_only:
            raise NpuRequiredError(f"The NPU cannot {cannot}, and the CPU is not allowed to: {self.health.reason}")

    def report(self, *, on_npu: int, on_cpu: int) -> NpuReport:
        """Return its state for the status; the numbers are the windows that each backend has computed."""
        return NpuReport(
            state=self.health.state,
            reason=self.health.reason,
            routes=tuple(
                NpuRoute(one.length, one.backend, one.npu_ms, one.cpu_ms, one.agreement, one.reason)
                for one in self._routes.values()
            ),
            npu_windows=on_npu,
            cpu_windows=on_cpu,
            failures=self.health.failures,
            retry_seconds=self.health.seconds_to_retry,
            runtime=self._versions.get("API", ""),
            driver=self._versions.get("DRV", ""),
        )

    def open(self, lane: Lane[Output], length: int) -> None:
        """Open and examine the context of a length, if it is not open yet. Raises NpuFault and NpuBusyError."""
        if length not in lane.lengths:
            lane.open(length, self.limits.load)
            require_agreement(lane, self._examinations[length], self.limits.first)

    def faulted(self, pool: ContextPool[Output], fault: NpuFault) -> None:
        """Take in that a call on one of the pool's lanes went wrong."""
        if self.pool is pool and self.health.faulted(fault):
            self._dismiss(pool)

    def refuse(self, pool: ContextPool[Output], fault: NpuFault) -> None:
        """Put the NPU to rest, unless that has happened since the pool was asked for."""
        if self.pool is pool:
            self.health.refused(fault)
            self._dismiss(pool)

    def close(self) -> None:
        """Release the NPU."""
        if self.pool is not None:
            self.pool.close(wait=True)

    @property
    def idle_seconds(self) -> float:
        """How long there is nothing to be looked after."""
        rest = self.health.seconds_to_retry
        return rest if rest is not None else max(self._checked_at + CANARY_SECONDS - self._clock(), 0.0)

    def look_after(self) -> None:
        """Do what is due: try a resting NPU again, or compare the canaries of one in use."""
        if self.health.seconds_to_retry == 0:
            self._try()
        if self._clock() - self._checked_at >= CANARY_SECONDS:
            self.check()

    def check(self) -> None:
        """Compare the canaries on every open context; what disagrees puts the NPU to rest."""
        pool, self._checked_at = self.pool, self._clock()
        if pool is None:
            return
        for lane in pool.lanes:
            for length in lane.lengths:
                try:
                    if self._routes[length].backend is Backend.NPU:
                        require_agreement(lane, self._examinations[length], self.limits.first)
                except NpuBusyError:
                    continue
                except NpuFault as fault:
                    self.refuse(pool, fault)
                    return

    def _try(self) -> None:
        self._left = [pool for pool in self._left if pool.stuck]
        if len(self._left) >= MOST_STUCK_POOLS:
            stuck = sum(pool.stuck for pool in self._left)
            self.health.refused(NpuLastingFault(f"{stuck} calls to the NPU never came back: restart the server"))
            return
        pool = ContextPool(self._open_contexts, self.limits.hang)
        try:
            routes = try_out(
                pool.first,
                list(self._examinations.values()),
                self.limits,
                npu_only=self.npu_only,
                clock=self._clock,
            )
            if self._eager:
                for lane in pool.lanes:
                    for one in routes.values():
                        if one.backend is Backend.NPU:
                            self.open(lane, one.length)
        except (NpuFault, ModelError) as error:
            fault = error if isinstance(error, NpuFault) else NpuFault(str(error))
            self.health.refused(fault)
            self._dismiss(pool)
            return
        self._routes, self._versions = routes, pool.first.versions
        self._checked_at = self._clock()
        self.pool = pool
        self.health.recovered()
        for one in routes.values():
            where = f"{self._what}: " if self._what else ""
            LOGGER.info("%sUp to %s tokens are read on the %s: %s", where, one.length, one.backend, one.reason)

    def _dismiss(self, pool: ContextPool[Output]) -> None:
        """Let go of contexts that are not to be trusted any more."""
        if self.pool is pool:
            self.pool = None
        pool.close(wait=False)
        self._left.append(pool)
        self.changed.set()

    def _why_not_npu_only(self) -> str:
        if self.health.state is not NpuState.ACTIVE:
            return self.health.reason
        return "; ".join(
            f"{one.length} tokens: {one.reason}" for one in self._routes.values() if one.backend is Backend.CPU
        )
