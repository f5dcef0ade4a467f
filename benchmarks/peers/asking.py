"""Asking: everybody the same questions, in turns, in an order that changes with every question."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
import random
from time import perf_counter, time_ns

from benchmarks.peers.building import OPEN_SECONDS, Built, Limits, command, environment, folder_of
from benchmarks.peers.catalog import OURS, OURS_PLAIN, Peer
from benchmarks.peers.corpus import Corpus
from benchmarks.peers.figures import Figure, Group, Measured, figure
from benchmarks.peers.line import Line, WayError, line
from benchmarks.peers.ours import Ours, ours
from benchmarks.peers.ways.answering import NEAREST
from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.wire import Reranker

WARM = 5
WRITES = 10
WRITE_SECONDS = 60.0
WRITING_SECONDS = 15.0
JUDGING_SECONDS = 20.0
FEWEST = 5

THINGS = ("tungsten gasket", "sextant", "theremin", "plumb bob", "periscope", "astrolabe", "zither", "anvil")
PLACES = ("in the boathouse", "under the funicular", "beside the weighbridge")

Step = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Manner:
    """How to ask. rest_s: pause before each measured step, in which threads that spin after another's come to rest.

    way_seconds: after so much time in a way it is asked no more. memory_mib: what the ways of a group hold together.
    """

    questions: int
    rest_s: float
    way_seconds: float
    memory_mib: float


@dataclass(slots=True)
class Running:
    """A way that is open, and what it has taken so far, ms."""

    peer: Peer
    line: Line
    start_s: float
    limits: Limits
    left_out: str | None = None

    async def ask(self, do: str, seconds: float, **more: object) -> tuple[dict[str, list[str]], float]:
        """Ask the way for something. Raises WayError."""
        return await self.line.ask({"do": do, **more}, seconds)


def groups(ways: Sequence[tuple[Peer, Built]], memory_mib: float) -> list[list[Peer]]:
    """Divide ways, in their order, into groups that hold no more memory together than that, if one alone does not."""
    divided: list[list[Peer]] = []
    held = 0.0
    for peer, one in ways:
        if not divided or held + one.resident_mib > memory_mib:
            divided.append([])
            held = 0.0
        divided[-1].append(peer)
        held += one.resident_mib
    return divided


async def ask_group(
    keep: Path,
    corpus: Corpus,
    peers: Sequence[Peer],
    embedder: OnnxEmbedder,
    limits: Limits,
    manner: Manner,
    outcomes: dict[str, Built],
) -> tuple[Group, dict[str, str]]:
    """Open our server and the ways, ask all of them in turns, and end them; returns also who failed and how."""
    failed: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(ours(keep, corpus, embedder))
        running = []
        for peer in peers:
            try:
                running.append(await _opened(stack, keep, corpus, peer, limits))
            except WayError as error:
                failed[peer.name] = _reason(error, keep)
        times = await _turns(server, running, corpus, embedder, manner)
        ways = await _ours_measured(server, corpus, times)
        for way in running:
            if way.left_out is None:
                try:
                    ways[way.peer.name] = await _measured(way, corpus, times, outcomes[way.peer.name])
                except WayError as error:
                    way.left_out = str(error)
            if way.left_out is not None:
                failed[way.peer.name] = _reason(way.left_out, keep)
        return Group(figure(times["m"]), ways), failed


async def _opened(stack: AsyncExitStack, keep: Path, corpus: Corpus, peer: Peer, limits: Limits) -> Running:
    """Start a way and ask it the first question; what that took is its start-up."""
    folder = folder_of(keep, peer, corpus.size)
    opened = await stack.enter_async_context(
        line(command(peer), environment(peer), folder.with_suffix(".log"), limits.memory_mib)
    )
    way = Running(peer, opened, 0.0, limits)
    await way.ask("open", OPEN_SECONDS, folder=str(folder))
    await way.ask("ask", OPEN_SECONDS, text=corpus.questions[0])
    way.start_s = perf_counter() - opened.began
    return way


async def _turns(
    server: Ours, running: Sequence[Running], corpus: Corpus, embedder: OnnxEmbedder, manner: Manner
) -> dict[str, list[float]]:
    """Return the ms of every step by its name: `m`, ours, and each way and its embedding."""
    times: dict[str, list[float]] = defaultdict(list)

    async def bare(text: str) -> None:
        began = perf_counter()
        timings = embedder.embed(text).timings
        times["embedding"].append((perf_counter() - began) * 1000)
        times["m"].append(timings.inference)

    steps: list[Step] = [bare]
    for name, reranker in ((OURS, Reranker.MAXSIM), (OURS_PLAIN, Reranker.NONE)):
        steps.append(_ours_step(server, name, reranker, times))
    for way in running:
        steps += [way_step(way, do, times, manner.way_seconds) for do in ("ask", "embed")]
    for text in corpus.questions[:WARM]:
        for step in steps:
            await step(text)
    times.clear()
    chance = random.Random(3)  # noqa: S311 - nothing secret
    for text in (corpus.questions * (1 + manner.questions // len(corpus.questions)))[: manner.questions]:
        for step in chance.sample(steps, len(steps)):
            await asyncio.sleep(manner.rest_s)
            await step(text)
    return times


def _ours_step(server: Ours, name: str, reranker: Reranker, times: dict[str, list[float]]) -> Step:
    async def step(text: str) -> None:
        times[name].append(await server.ask(text, reranker))

    return step


def way_step(way: Running, do: str, times: dict[str, list[float]], most_seconds: float) -> Step:
    """Return what asks a way and keeps the ms, until it has had so many seconds, or has failed, or is too slow."""
    taken = times_key(way.peer.name, do)

    async def step(text: str) -> None:
        spent = sum(times[times_key(way.peer.name, "ask")]) / 1000
        if way.left_out is not None or (spent > most_seconds and len(times[taken]) >= FEWEST):
            return
        try:
            _, ms = await way.ask(do, 4 * way.limits.question_seconds, text=text)
        except WayError as error:
            way.left_out = str(error)
        else:
            times[taken].append(ms)
            if len(times[taken]) == FEWEST and min(times[taken]) > way.limits.question_seconds * 1000:
                way.left_out = f"took more than {way.limits.question_seconds:g} s for a question"

    return step


def times_key(name: str, do: str) -> str:
    """Return under which name the times of a way are collected."""
    return f"{name} {do}"


async def _ours_measured(server: Ours, corpus: Corpus, times: dict[str, list[float]]) -> dict[str, Measured]:
    resident = server.resident_mib
    recall = await server.recall_of_vectors(corpus)
    answered, embedded = await server.write(added_texts(2 * WRITES))
    return {
        name: Measured(
            question=figure(times[name]),
            embedding=figure(times["embedding"]),
            recall=recall,
            start_s=server.start_s,
            resident_mib=resident,
            disk_mib=server.disk_mib,
            write=embedded,
            write_answered=answered,
        )
        for name in (OURS, OURS_PLAIN)
    }


async def _measured(way: Running, corpus: Corpus, times: dict[str, list[float]], outcome: Built) -> Measured:
    resident = way.line.resident_mib()
    recall = await _recall_of_vectors(way, corpus)
    write, unwritten = await _write(way)
    return Measured(
        question=figure(times[times_key(way.peer.name, "ask")]),
        embedding=figure(times[times_key(way.peer.name, "embed")]),
        recall=recall,
        start_s=way.start_s,
        resident_mib=resident,
        disk_mib=outcome.disk_mib,
        write=write,
        write_left_out=unwritten,
        build_s=outcome.seconds,
        build_cpu_s=outcome.cpu_seconds,
    )


async def _recall_of_vectors(way: Running, corpus: Corpus) -> float:
    """Return the share of the nearest that the vector leg finds, of as many questions as there is time for."""
    found = judged = 0
    until = perf_counter() + JUDGING_SECONDS
    for vector, nearest in zip(corpus.asked, corpus.nearest, strict=True):
        answered, _ = await way.ask("nearest", OPEN_SECONDS, vector=vector)
        found += len(nearest & set(answered["found"]))
        judged += 1
        if perf_counter() > until:
            break
    return found / (NEAREST * judged)


async def _write(way: Running) -> tuple[Figure | None, str | None]:
    """Add texts, one after the other, see that each is found, and forget them; ms, or why there are none."""
    times: list[float] = []
    names: list[str] = []
    run = time_ns()
    until = perf_counter() + WRITING_SECONDS
    try:
        for number, text in enumerate(added_texts(WRITES)):
            names.append(f"added-{run}-{number}")
            _, ms = await way.ask("add", WRITE_SECONDS, name=names[-1], text=text)
            times.append(ms)
            answered, _ = await way.ask("ask", OPEN_SECONDS, text=text)
            if names[-1] not in answered["found"]:
                return None, "what was added was not found"
            if perf_counter() > until:
                break
        await way.ask("forget", OPEN_SECONDS, names=names)
    except WayError as error:
        return (figure(times), None) if times else (None, str(error))
    return figure(times), None


def added_texts(count: int) -> list[str]:
    """Return texts to be stored, each of them unlike what a household says."""
    return [f"The {thing} lies {place}." for place in PLACES for thing in THINGS][:count]


def _reason(error: WayError | str, keep: Path) -> str:
    return str(error).replace(str(keep), "…")
