"""The encoder that uses the NPU where it is faster and right, and the CPU for everything else, in the same request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
import logging
import threading
from time import perf_counter

from ...errors import ModelError
from ...wire import NpuReport, NpuRoute, NpuState
from ..encoding import Backend, Encoded, Encoder, Ids
from ..tokenizing import TextTokenizer
from .canaries import canaries
from .context import NpuOutput, RknnContext
from .faults import NpuBusyError, NpuFault, NpuLastingFault, NpuRequiredError
from .health import Health
from .lane import Lane
from .pool import ContextPool
from .routes import Route, shortest
from .tables import EmbeddingTables, NpuInput
from .trial import Limits, expectations, require_agreement, try_out

LOGGER = logging.getLogger(__name__)

CANARY_SECONDS = 3600.0
BULK_LANES = 2
"""With the one for questions, as many as an RK3588's NPU has cores."""
MOST_STUCK_LANES = 3


@dataclass(frozen=True, slots=True)
class Model:
    """What an NPU package gives: how a context of a length is opened, the tables in front of it, the longest text."""

    tables: EmbeddingTables
    open_context: Callable[[int], RknnContext]
    lengths: tuple[int, ...]
    tokenizer: TextTokenizer


@dataclass(slots=True)
class Counts:
    """How many windows each backend has encoded."""

    npu: int = 0
    cpu: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class RoutedEncoder:
    """Any number of threads may encode in bulk, and one questions."""

    def __init__(
        self,
        cpu: Encoder,
        model: Model,
        *,
        npu_only: bool = False,
        limits: Limits | None = None,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        """Try the NPU out. Raises NpuRequiredError if it fails and `npu_only`.

        `watching` looks after it from then on.
        """
        self._cpu = cpu
        self._model = model
        self._npu_only = npu_only
        self._limits = limits or Limits()
        self._clock = clock
        self._health = Health(clock)
        self._expected = expectations(canaries(model.tokenizer, model.lengths), cpu)
        self._pool: ContextPool | None = None
        self._routes: Mapping[int, Route] = {}
        self._versions: dict[str, str] = {}
        self._left: list[Lane] = []
        self._counts = Counts()
        self._unconfirmed: set[tuple[ContextPool, Lane, int]] = set()
        self._bulk_on_cpu = threading.Lock()
        self._checked_at = clock()
        self.changed = threading.Event()
        """Set when it is worth asking again how long there is nothing to do."""
        self._try()
        if npu_only and (reason := self._why_not_npu_only()):
            self.close()
            raise NpuRequiredError(f"The NPU cannot be used, and the CPU is not allowed to do its work: {reason}")

    @property
    def backend(self) -> Backend:
        """The NPU, if it does the shortest texts, questions."""
        route = shortest(self._routes, 1) if self._health.state is NpuState.ACTIVE else None
        return route.backend if route else Backend.CPU

    @property
    def lanes(self) -> int:
        """How many threads may encode in bulk at a time."""
        return BULK_LANES

    @property
    def report(self) -> NpuReport:
        """The state of the NPU for the status."""
        return NpuReport(
            state=self._health.state,
            reason=self._health.reason,
            routes=tuple(
                NpuRoute(one.length, one.backend, one.npu_ms, one.cpu_ms, one.cosine, one.reason)
                for one in self._routes.values()
            ),
            npu_windows=self._counts.npu,
            cpu_windows=self._counts.cpu,
            failures=self._health.failures,
            retry_seconds=self._health.seconds_to_retry,
            runtime=self._versions.get("API", ""),
            driver=self._versions.get("DRV", ""),
        )

    def encode(self, ids: Ids, *, bulk: bool) -> Encoded:
        """Encode one window, int64 [n], special tokens included.

        Raises ModelError if the output of the CPU is unusable, NpuRequiredError if only the NPU may and cannot.
        """
        encoded = self._on_npu(ids, bulk)
        if encoded is None:
            if self._npu_only:
                raise NpuRequiredError(f"The NPU cannot answer, and the CPU is not allowed to: {self._health.reason}")
            encoded = self._on_cpu(ids, bulk)
        with self._counts.lock:
            if encoded.backend is Backend.NPU:
                self._counts.npu += 1
            else:
                self._counts.cpu += 1
        return encoded

    def confirm(self) -> bool:
        """Return whether all that was encoded in bulk since the last call can be believed.

        A canary on each context that was used tells. If one fails, the NPU is put to rest.
        """
        with self._counts.lock:
            used, self._unconfirmed = self._unconfirmed, set()
        believed = True
        for pool, lane, length in used:
            try:
                self._require_agreement(lane, length, only_last=True)
            except NpuBusyError:
                believed = False
            except NpuFault as fault:
                believed = False
                if self._pool is pool:
                    self._health.refused(fault)
                    self._dismiss(pool)
        return believed

    def close(self) -> None:
        """Release the NPU."""
        if self._pool is not None:
            self._pool.close(wait=True)

    @property
    def idle_seconds(self) -> float:
        """How long there is nothing to be looked after."""
        rest = self._health.seconds_to_retry
        return rest if rest is not None else max(self._checked_at + CANARY_SECONDS - self._clock(), 0.0)

    def look_after(self) -> None:
        """Do what is due: try a resting NPU again, or compare the canaries of one in use."""
        if self._health.seconds_to_retry == 0:
            self._try()
        if self._clock() - self._checked_at >= CANARY_SECONDS:
            self.check()

    def check(self) -> None:
        """Compare the canaries on every open context; what disagrees puts the NPU to rest."""
        pool, self._checked_at = self._pool, self._clock()
        if pool is None:
            return
        for lane in pool.lanes:
            for length in lane.lengths:
                try:
                    if self._routes[length].backend is Backend.NPU:
                        self._require_agreement(lane, length)
                except NpuBusyError:
                    continue
                except NpuFault as fault:
                    self._health.refused(fault)
                    self._dismiss(pool)
                    return

    def _on_npu(self, ids: Ids, bulk: bool) -> Encoded | None:
        """Return the NPU's answer, or None if the CPU has to give it."""
        pool, found = self._pool, shortest(self._routes, len(ids))
        if pool is None or found is None or found.backend is not Backend.NPU:
            return None
        began = perf_counter()
        window = self._model.tables.look_up(ids, found.length)
        looked_up = perf_counter()
        try:
            seconds = self._limits.of(found, bulk=bulk)
            output = self._in_bulk(pool, window, seconds) if bulk else pool.questions.run(window, seconds)
        except NpuBusyError:
            return None
        except NpuFault as fault:
            if self._pool is pool and self._health.faulted(fault):
                self._dismiss(pool)
            return None
        self._health.worked()
        return Encoded(
            vector=output.vector,
            token_vectors=output.token_vectors,
            backend=Backend.NPU,
            inference=(perf_counter() - looked_up) * 1000,
            pooling=(looked_up - began) * 1000,
        )

    def _in_bulk(self, pool: ContextPool, window: NpuInput, seconds: float) -> NpuOutput:
        with pool.bulk_lane(seconds) as lane:
            if window.length not in lane.lengths:
                lane.open(window.length, self._limits.load)
                self._require_agreement(lane, window.length)
            with self._counts.lock:
                self._unconfirmed.add((pool, lane, window.length))
            return lane.run(window, seconds)

    def _on_cpu(self, ids: Ids, bulk: bool) -> Encoded:
        if not bulk:
            return self._cpu.encode(ids, bulk=False)
        with self._bulk_on_cpu:  # the lanes of the NPU are not to take as many cores from the household
            return self._cpu.encode(ids, bulk=True)

    def _require_agreement(self, lane: Lane, length: int, *, only_last: bool = False) -> None:
        own = [one for one in self._expected if one.canary.length == length]
        require_agreement(lane, self._model.tables, own[-1:] if only_last else own, self._limits.first)

    def _try(self) -> None:
        self._left = [lane for lane in self._left if lane.stuck]
        if len(self._left) >= MOST_STUCK_LANES:
            self._health.refused(
                NpuLastingFault(f"{len(self._left)} calls to the NPU never came back: restart the server")
            )
            return
        pool = ContextPool(self._model.open_context, BULK_LANES, self._limits.hang)
        try:
            routes = try_out(
                pool.questions,
                self._model.tables,
                self._expected,
                self._cpu,
                self._limits,
                npu_only=self._npu_only,
                clock=self._clock,
            )
        except (NpuFault, ModelError) as error:
            fault = error if isinstance(error, NpuFault) else NpuFault(str(error))
            self._health.refused(fault)
            self._dismiss(pool)
            return
        self._routes, self._versions = routes, pool.questions.versions
        self._checked_at = self._clock()
        self._pool = pool
        self._health.recovered()
        for one in routes.values():
            LOGGER.info("Texts of up to %s tokens are embedded on the %s: %s", one.length, one.backend, one.reason)

    def _dismiss(self, pool: ContextPool) -> None:
        """Let go of contexts that are not to be trusted any more."""
        if self._pool is pool:
            self._pool = None
        pool.close(wait=False)
        self._left += pool.lanes
        self.changed.set()

    def _why_not_npu_only(self) -> str:
        if self._health.state is not NpuState.ACTIVE:
            return self._health.reason
        return "; ".join(
            f"{one.length} tokens: {one.reason}" for one in self._routes.values() if one.backend is Backend.CPU
        )
