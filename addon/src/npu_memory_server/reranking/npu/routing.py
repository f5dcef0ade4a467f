"""The cross-encoder that reads on all cores of the NPU, where that is faster and right, and on the CPU otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
import threading
from time import perf_counter
from typing import Final

import onnxruntime as ort

from ...backend import Backend
from ...errors import ModelError
from ...npu.accelerator import Accelerator
from ...npu.faults import NpuBusyError, NpuFault, NpuLateFault
from ...npu.lane import Lane
from ...npu.pool import ContextPool
from ...npu.routes import Route
from ...npu.settings import CoreMask
from ...npu.tables import EmbeddingTables, NpuInput
from ...npu.trial import Limits
from ...wire import NpuReport
from ..base import Judged, Pair
from ..cross_encoder import CrossEncoder, stopping
from ..pace import Expectation
from .canaries import canaries, examination
from .context import PairContext

READ = "read what was found"


@dataclass(frozen=True, slots=True)
class PairModel:
    """What an NPU package gives: the tables in front of it, its lengths, the cores, and how a context is opened.

    That takes a core, a length, and windows that the context can be tried with.
    """

    tables: EmbeddingTables
    lengths: tuple[int, ...]
    cores: tuple[CoreMask, ...]
    open_context: Callable[[CoreMask, Sequence[NpuInput], int], PairContext]


@dataclass(slots=True)
class _Reading:
    """The texts of one question, handed out in their order to whoever is free, and what was found."""

    question: str
    texts: Sequence[str]
    until: float
    pool: ContextPool[float]
    options: ort.RunOptions
    logits: list[float | None]
    on_npu: int = 0
    next_place: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def places(self) -> Iterator[int]:
        """Yield places as long as there are any and there is time."""
        while perf_counter() < self.until:
            with self.lock:
                place, self.next_place = self.next_place, self.next_place + 1
            if place >= len(self.texts):
                return
            yield place


class RoutedCrossEncoder:
    """Reads as many pairs at a time as the NPU has cores. Blocks; one caller at a time."""

    def __init__(
        self,
        name: str,
        cpu: CrossEncoder,
        model: PairModel,
        *,
        npu_only: bool = False,
        limits: Limits | None = None,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        """Try the NPU out. Raises ModelError if the model is another one, NpuRequiredError if it fails and `npu_only`.

        `watching` looks after its accelerator from then on.
        """
        self._cpu = cpu
        self._tables = model.tables
        examined = [
            examination(length, pairs, model.tables, cpu) for length, pairs in canaries(cpu, model.lengths).items()
        ]
        self._canaries = {one.length: one.windows for one in examined}
        self._counts = {Backend.NPU: 0, Backend.CPU: 0}
        self._paces = {length: Expectation() for length in model.lengths}
        self._on_cpu = threading.Lock()
        self._threads = ThreadPoolExecutor(len(model.cores), "npu-memory-npu-read")
        self.accelerator: Final = Accelerator(
            name,
            examined,
            [partial(self._open_context, model, core) for core in model.cores],
            eager=True,
            npu_only=npu_only,
            limits=limits or Limits(),
            clock=clock,
        )

    @property
    def npu(self) -> NpuReport:
        """The state of the NPU; a window is a pair."""
        return self.accelerator.report(on_npu=self._counts[Backend.NPU], on_cpu=self._counts[Backend.CPU])

    def judge(self, question: str, texts: Sequence[str], until: float) -> Judged:
        """Read texts in their order, each with the question, until `until` (`perf_counter`).

        One that would take too long is passed over, in favor of shorter ones behind it. Raises `ModelError`, and
        `NpuRequiredError` if only the NPU may and cannot.
        """
        pool = self.accelerator.pool
        if pool is None:
            self.accelerator.require_cpu_allowed(READ)
            judged = self._cpu.judge(question, texts, until)
        else:
            judged = self._judge_on(pool, question, texts, until)
        self._counts[Backend.NPU] += judged.on_npu
        self._counts[Backend.CPU] += judged.reached - judged.on_npu
        return judged

    def close(self) -> None:
        """Release the NPU."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self.accelerator.close()

    def _judge_on(self, pool: ContextPool[float], question: str, texts: Sequence[str], until: float) -> Judged:
        with stopping(until) as options:
            reading = _Reading(question, texts, until, pool, options, [None] * len(texts))
            working = [self._threads.submit(self._read_some, reading, lane) for lane in pool.lanes[: len(texts)]]
            wait(working)
        for one in working:
            one.result()
        judged = Judged.of(reading.logits, reading.on_npu)
        if texts and not judged.reached:
            self._cpu.idle()
            for pace in self._paces.values():
                pace.fade()
        return judged

    def _read_some(self, reading: _Reading, lane: Lane[float]) -> None:
        """Read one text after the other on a lane, on the CPU if need be. Raises `ModelError`."""
        for place in reading.places():
            pair = self._cpu.pair(reading.question, reading.texts[place])
            found = self.accelerator.route(len(pair))
            if found is not None and found.backend is Backend.NPU and self.accelerator.pool is reading.pool:
                done, logit = self._on_npu(reading, lane, found, pair)
                if done:
                    reading.logits[place] = logit
                    continue
                self.accelerator.require_cpu_allowed(READ)
            elif self.accelerator.npu_only:
                if found is not None:
                    self.accelerator.require_cpu_allowed(READ)
                continue  # it is longer than anything the NPU reads, and keeps its place
            reading.logits[place] = self._read_on_cpu(reading, pair)

    def _on_npu(self, reading: _Reading, lane: Lane[float], found: Route, pair: Pair) -> tuple[bool, float | None]:
        """Return whether the NPU is done with a pair, and its logit, None if the time was too short for it."""
        pace = self._paces[found.length]
        limit, left = self.accelerator.limits.of(found), reading.until - perf_counter()
        if pace.most > left:
            return True, None
        began = perf_counter()
        try:
            logit = lane.run(self._tables.look_up(pair.ids, found.length, pair.types), min(limit, left))
        except NpuBusyError:
            return False, None
        except NpuLateFault as fault:
            if left < limit:  # the question ran out of time; whether the NPU hangs is seen later
                with reading.lock:
                    pace.exceeded(left)
                return True, None
            self.accelerator.faulted(reading.pool, fault)
            return False, None
        except NpuFault as fault:
            self.accelerator.faulted(reading.pool, fault)
            return False, None
        except ModelError:  # a token that its tables do not have
            return False, None
        self.accelerator.health.worked()
        with reading.lock:
            pace.measured(perf_counter() - began)
            reading.on_npu += 1
        return True, logit

    def _read_on_cpu(self, reading: _Reading, pair: Pair) -> float | None:
        with self._on_cpu:  # the threads of the NPU are not to take as many cores from the household
            if perf_counter() + self._cpu.predict(pair) > reading.until:
                return None
            return self._cpu.read(pair, reading.options)

    def _open_context(self, model: PairModel, core: CoreMask, length: int) -> PairContext:
        return model.open_context(core, self._canaries[length], length)
