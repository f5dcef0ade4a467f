"""Asks every question in every way, in turns and each time in another order, so that all ways see the same machine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter

from ..backend import Backend
from ..embedding.embedder import OnnxEmbedder, TextEmbedder
from ..embedding.projection import Projection
from ..memory import Memory
from ..wire import RecallRequest, Reranker
from .configurations import Configuration
from .samples import TOP_K, UNHURRIED_MS, Asked, Samples, embed_on_cpu, embed_on_npu, recall
from .switching import SwitchedEmbedder, SwitchedReader

SLOW_EVERY = 5
"""Of so many rounds a cross-encoder takes part in one: it takes longer than all the others together."""
SLOW_WARM_UP = 3
"""Questions for each cross-encoder; the others are asked all of them once before anything is measured."""
OVER_THE_WIRE = "recall over the wire (TCP, maxsim)"

Way = Callable[[str, Samples], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Bench:
    """What is asked: the memory, the same behind a port, and what it embeds and reads with.

    `npu` is None where there is none. `five` are the texts that a cross-encoder reads with the first question.
    """

    memory: Memory
    wire: Asked
    switch: SwitchedEmbedder
    cpu: OnnxEmbedder
    npu: TextEmbedder | None
    projection: Projection | None
    configurations: Mapping[Configuration, SwitchedReader | None]
    five: Sequence[str]

    def use(self, backend: Backend) -> None:
        """Embed and read on this hardware from now on, as far as it can."""
        self.switch.use(backend)
        for reader in self.configurations.values():
            if reader is not None:
                reader.use(backend)


def count_steps(bench: Bench, rounds: int, questions: int) -> int:
    """Return how often `measure` reports progress."""
    quick, slow = _ways(bench)
    return sum(len(ways) for _, ways in _plan(quick, slow, rounds, questions))


async def measure(bench: Bench, questions: Sequence[str], rounds: int, progress: Callable[[], object]) -> Samples:
    """Ask everything `rounds` times after a warm-up; `progress` is called after each question in each way.

    Raises `NpuMemoryError`.
    """
    quick, slow = _ways(bench)
    samples, thrown_away = Samples(), Samples()
    for number, (is_measured, ways) in enumerate(_plan(quick, slow, rounds, len(questions))):
        turn = number % len(ways)
        for way in (*ways[turn:], *ways[:turn]):
            await way(questions[number % len(questions)], samples if is_measured else thrown_away)
            progress()
    return samples


def _plan(
    quick: Sequence[Way], slow: Sequence[Way], rounds: int, questions: int
) -> Iterator[tuple[bool, Sequence[Way]]]:
    """Yield for one question after the other, round by round, whether it counts, and in which ways it is asked."""
    for number in range(questions):
        yield False, (*quick, *slow) if number < SLOW_WARM_UP else quick
    for round_number in range(rounds):
        for _ in range(questions):
            yield True, quick if round_number % SLOW_EVERY else (*quick, *slow)


def _ways(bench: Bench) -> tuple[Sequence[Way], Sequence[Way]]:
    """Return the quick ways of asking, and the slow ones."""
    quick: list[Way] = [partial(_embed_on_cpu, bench)]
    if bench.npu is not None:
        quick.append(partial(_embed_on_npu, bench.npu))
    slow: list[Way] = []
    for backend in Backend:
        embeds = backend is Backend.CPU or bench.npu is not None
        for one, reader in bench.configurations.items():
            if embeds:
                (slow if one.is_slow else quick).append(partial(_recall, bench, backend, one))
            if reader is not None and (backend is Backend.CPU or reader.has_npu):
                slow.append(partial(_read_five, bench, backend, one, reader))
        if embeds:
            quick.append(partial(_recall_over_the_wire, bench, backend))
    return quick, slow


async def _embed_on_cpu(bench: Bench, question: str, samples: Samples) -> None:
    _add(samples, Backend.CPU, await asyncio.to_thread(embed_on_cpu, bench.cpu, bench.projection, question))


async def _embed_on_npu(embedder: TextEmbedder, question: str, samples: Samples) -> None:
    _add(samples, Backend.NPU, await asyncio.to_thread(embed_on_npu, embedder, question))


def _add(samples: Samples, backend: Backend, stages: Mapping[str, float]) -> None:
    for stage, ms in stages.items():
        samples.add("embedding", stage, backend, ms)


async def _recall(bench: Bench, backend: Backend, way: Configuration, question: str, samples: Samples) -> None:
    bench.use(backend)
    context, ms = await recall(bench.memory, _request(question, way.reranker))
    if context.backend != backend:
        samples.degraded += 1
        return
    samples.degraded += bool(context.degraded)
    samples.add("configurations", way.name, backend, ms)
    timings = context.timings
    if way.reranker is Reranker.NONE:
        found = {"vector": timings.vector, "lexical": timings.lexical, "fusion": timings.fusion}
        for stage, taken in (*found.items(), ("vector, lexical and fusion", sum(found.values()))):
            samples.add("retrieval", stage, backend, taken)
    elif way.reranker is Reranker.MAXSIM:
        samples.add("retrieval", "rerank (maxsim)", backend, timings.rerank)
        samples.add("retrieval", "context", backend, timings.context)
    elif (read := context.reranked) is not None and read.reached and _where(read.reached, read.on_npu) is backend:
        samples.add("reading", way.name, backend, timings.rerank / read.reached)


async def _read_five(
    bench: Bench, backend: Backend, way: Configuration, reader: SwitchedReader, question: str, samples: Samples
) -> None:
    bench.use(backend)
    began = perf_counter()
    judged = await asyncio.to_thread(reader.judge, question, bench.five, began + UNHURRIED_MS / 1000)
    ms = (perf_counter() - began) * 1000
    if judged.reached == len(bench.five) and _where(judged.reached, judged.on_npu) is backend:
        samples.add("five", way.name, backend, ms)


def _where(reached: int, on_npu: int) -> Backend | None:
    """Return what has read all that was read, or None if both did."""
    return Backend.NPU if on_npu == reached else None if on_npu else Backend.CPU


async def _recall_over_the_wire(bench: Bench, backend: Backend, question: str, samples: Samples) -> None:
    bench.use(backend)
    context, ms = await recall(bench.wire, _request(question, Reranker.MAXSIM))
    if context.backend == backend:
        samples.add("configurations", OVER_THE_WIRE, backend, ms)


def _request(question: str, reranker: Reranker) -> RecallRequest:
    return RecallRequest(text=question, language="en", reranker=reranker, top_k=TOP_K, budget_ms=UNHURRIED_MS)
