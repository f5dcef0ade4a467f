"""The encoder that uses the NPU where it is faster and right, and the CPU for everything else, in the same request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
import threading
from time import perf_counter
from typing import Final

from ...backend import Backend
from ...npu.accelerator import Accelerator
from ...npu.faults import NpuBusyError, NpuFault
from ...npu.lane import Lane, OpenContext
from ...npu.pool import ContextPool
from ...npu.tables import EmbeddingTables, Ids, NpuInput
from ...npu.trial import Limits, require_agreement
from ...wire import NpuReport, NpuState
from ..encoding import Encoded, Encoder
from ..tokenizing import TextTokenizer
from .canaries import canaries, examination
from .context import NpuOutput

BULK_LANES = 2
"""With the one for questions, as many as an RK3588's NPU has cores."""


@dataclass(frozen=True, slots=True)
class Model:
    """What an NPU package gives: how a context of a length is opened, the tables in front of it, the longest text."""

    tables: EmbeddingTables
    open_context: OpenContext[NpuOutput]
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

        `watching` looks after its accelerator from then on.
        """
        self._cpu = cpu
        self._tables = model.tables
        known = canaries(model.tokenizer, model.lengths)
        self._confirming = {
            length: examination(length, windows[-1:], model.tables, cpu) for length, windows in known.items()
        }
        self._counts = Counts()
        self._unconfirmed: set[tuple[ContextPool[NpuOutput], Lane[NpuOutput], int]] = set()
        self._bulk_on_cpu = threading.Lock()
        self.accelerator: Final = Accelerator(
            "",
            [examination(length, windows, model.tables, cpu) for length, windows in known.items()],
            [model.open_context] * (1 + BULK_LANES),
            npu_only=npu_only,
            limits=limits or Limits(),
            clock=clock,
        )

    @property
    def backend(self) -> Backend:
        """The NPU, if it does the shortest texts, questions."""
        route = self.accelerator.route(1) if self.accelerator.health.state is NpuState.ACTIVE else None
        return route.backend if route else Backend.CPU

    @property
    def lanes(self) -> int:
        """How many threads may encode in bulk at a time."""
        return BULK_LANES

    @property
    def report(self) -> NpuReport:
        """The state of the NPU for the status."""
        return self.accelerator.report(on_npu=self._counts.npu, on_cpu=self._counts.cpu)

    def encode(self, ids: Ids, *, bulk: bool) -> Encoded:
        """Encode one window, int64 [n], special tokens included.

        Raises ModelError if the output of the CPU is unusable, NpuRequiredError if only the NPU may and cannot.
        """
        encoded = self._on_npu(ids, bulk)
        if encoded is None:
            self.accelerator.require_cpu_allowed("answer")
            encoded = self._on_cpu(ids, bulk)
        with self._counts.lock:
            if encoded.backend is Backend.NPU:
                self._counts.npu += 1
            else:
                self._counts.cpu += 1
        return encoded

    def make_way(self) -> None:
        """Leave bulk work alone: it is on other lanes than the questions."""

    def confirm(self) -> bool:
        """Return whether all that was encoded in bulk since the last call can be believed.

        A canary on each context that was used tells. If one fails, the NPU is put to rest.
        """
        with self._counts.lock:
            used, self._unconfirmed = self._unconfirmed, set()
        believed = True
        for pool, lane, length in used:
            try:
                require_agreement(lane, self._confirming[length], self.accelerator.limits.first)
            except NpuBusyError:
                believed = False
            except NpuFault as fault:
                believed = False
                self.accelerator.refuse(pool, fault)
        return believed

    def close(self) -> None:
        """Release the NPU."""
        self.accelerator.close()

    def _on_npu(self, ids: Ids, bulk: bool) -> Encoded | None:
        """Return the NPU's answer, or None if the CPU has to give it."""
        pool, found = self.accelerator.pool, self.accelerator.route(len(ids))
        if pool is None or found is None or found.backend is not Backend.NPU:
            return None
        began = perf_counter()
        window = self._tables.look_up(ids, found.length)
        looked_up = perf_counter()
        try:
            seconds = self.accelerator.limits.of(found, bulk=bulk)
            output = self._in_bulk(pool, window, seconds) if bulk else pool.first.run(window, seconds)
        except NpuBusyError:
            return None
        except NpuFault as fault:
            self.accelerator.faulted(pool, fault)
            return None
        self.accelerator.health.worked()
        return Encoded(
            vector=output.vector,
            token_vectors=output.token_vectors,
            backend=Backend.NPU,
            inference=(perf_counter() - looked_up) * 1000,
            pooling=(looked_up - began) * 1000,
        )

    def _in_bulk(self, pool: ContextPool[NpuOutput], window: NpuInput, seconds: float) -> NpuOutput:
        with pool.other_lane(seconds) as lane:
            self.accelerator.open(lane, window.length)
            with self._counts.lock:
                self._unconfirmed.add((pool, lane, window.length))
            return lane.run(window, seconds)

    def _on_cpu(self, ids: Ids, bulk: bool) -> Encoded:
        if not bulk:
            return self._cpu.encode(ids, bulk=False)
        with self._bulk_on_cpu:  # the lanes of the NPU are not to take as many cores from the household
            return self._cpu.encode(ids, bulk=True)
