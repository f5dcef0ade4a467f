"""`npu-memory bench`: what a question costs on this machine, stage by stage, beside what others have published."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
import gc
import json
import os
from pathlib import Path
import secrets
import statistics
import sys
import tempfile

from tqdm import tqdm

from ..backend import Backend
from ..benchmark import made
from ..benchmark.configurations import load_available, make_shelf
from ..benchmark.figures import Report
from ..benchmark.machine import this_machine
from ..benchmark.measuring import Bench, count_steps, measure
from ..benchmark.plotting import svg
from ..benchmark.reporting import bare_inference, tables
from ..benchmark.switching import SwitchedEmbedder
from ..data_directory import DataDirectory
from ..embedding.base import Embedder
from ..embedding.choosing import load_cpu
from ..embedding.embedder import OnnxEmbedder, TextEmbedder
from ..embedding.projection import load_projection
from ..errors import InvalidRequestError, StorageError
from ..memory import Memory
from ..npu.board import Board
from ..settings import EMBEDDER, Settings
from ..store.database import FILE_NAME
from ..transport.client import connected
from ..transport.requests import Serving
from ..transport.server import listening
from ..wire import NpuReport
from .bench_tables import as_text
from .importing import store
from .opening import Memories, open_embedder
from .serving import SWITCH_SECONDS

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """What is to be measured, and where the results go besides; `memories` are made if `is_made`."""

    memories: int
    rounds: int
    is_made: bool
    json: Path | None
    plot: Path | None


@contextmanager
def directory(chosen: Path | None) -> Iterator[Path]:
    """Give the chosen data directory, which has to have memories, or a temporary one that is removed afterwards."""
    if chosen is None:
        with tempfile.TemporaryDirectory(prefix="npu-memory-bench-") as folder:
            yield Path(folder)
    elif (chosen / FILE_NAME).is_file():
        yield chosen
    else:
        raise InvalidRequestError(f"{chosen} has no memories. Without --data-dir the benchmark makes its own.")


async def bench(settings: Settings, options: BenchOptions) -> int:
    """Measure everything, print the tables, write the files; returns the exit code. Raises `NpuMemoryError`."""
    _require_writable(options)
    async with open_embedder(settings) as chosen:
        npu = chosen if isinstance(chosen, TextEmbedder) and chosen.backend == Backend.NPU else None
        cpu = await asyncio.to_thread(_load_cpu, settings)
        report = await measured(settings, options, cpu, npu, chosen.npu)
        print(as_text(report, chosen.npu))
    if options.json:
        _write(options.json, json.dumps(asdict(report), indent=2) + "\n")
    if options.plot:
        _write(options.plot, svg(report))
    return 0


async def measured(
    settings: Settings, options: BenchOptions, cpu: OnnxEmbedder, npu: TextEmbedder | None, state: NpuReport
) -> Report:
    """Measure on the CPU, and on the NPU unless that is None. Raises `NpuMemoryError`."""
    load_before = os.getloadavg()[0]
    embedders: dict[Backend, Embedder] = {Backend.CPU: cpu}
    if npu is not None:
        embedders[Backend.NPU] = npu
    switch = SwitchedEmbedder(embedders)
    shelf = make_shelf(settings.model_directory)
    loading = partial(load_available, threads=settings.threads, npu=settings.npu)
    with DataDirectory(settings.data_directory), ExitStack() as stack:
        configurations, missing = await asyncio.to_thread(loading, stack, shelf, settings.model_directory)
        memory = await Memory.open(settings.data_directory, switch, shelf=shelf)
        try:
            await _fill(memory, options)
            questions = made.questions()
            count = (await memory.status()).memories
            if not count:
                raise InvalidRequestError("There are no memories to ask: import some, or leave --data-dir out.")
            async with _behind_a_port(memory) as wire:
                projection = load_projection(cpu.manifest.name, cpu.dimensions)
                ways = Bench(memory, wire, switch, cpu, npu, projection, configurations, made.five(cpu.count_tokens))
                steps = count_steps(ways, options.rounds, len(questions))
                with tqdm(total=steps, desc="asking", unit=" questions", disable=None) as bar, _as_served():
                    samples = await measure(ways, questions, options.rounds, bar.update)
        finally:
            await memory.close()
    return Report(
        taken_at=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=this_machine(Board(), state),
        model=cpu.manifest.name,
        precision=cpu.precision,
        threads=settings.threads,
        npu=state.state,
        memories=count,
        is_made=options.is_made,
        rounds=options.rounds,
        questions=len(questions),
        tokens_p50=statistics.median(cpu.count_tokens(question) for question in questions),
        load_before=load_before,
        load_after=os.getloadavg()[0],
        degraded=samples.degraded,
        m=bare_inference(samples),
        tables=tables(samples, missing, with_npu=npu is not None),
    )


async def _fill(memory: Memory, options: BenchOptions) -> None:
    if options.is_made:
        refused = await store(memory, enumerate(made.memories(options.memories), 1), options.memories, Counter())
        if refused:
            raise StorageError(f"The memories of the benchmark could not be stored: {refused[0]}")
    await memory.indexed()
    await memory.embedded()


@asynccontextmanager
async def _behind_a_port(memory: Memory) -> AsyncIterator[Memories]:
    """Give a connection to the memory over TCP, from this process to itself."""
    token = secrets.token_urlsafe()
    async with listening(Serving(memory, token), LOOPBACK, 0) as (host, port), connected(host, port, token) as remote:
        yield remote


@contextmanager
def _as_served() -> Iterator[None]:
    """Treat threads and garbage as the server does, as long as it lasts."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(before)


def _require_writable(options: BenchOptions) -> None:
    """Say before everything is measured, not after it, that a result has no place to go to."""
    for path in (options.json, options.plot):
        if path is not None and not path.absolute().parent.is_dir():
            raise InvalidRequestError(f"{path} cannot be written: there is no folder {path.parent}.")
    if options.plot is not None and options.plot.suffix.lower() != ".svg":
        raise InvalidRequestError(f"{options.plot}: the picture is an SVG; give it a name that ends in .svg.")


def _write(path: Path, content: str) -> None:
    try:
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}.") from error


def _load_cpu(settings: Settings) -> OnnxEmbedder:
    return load_cpu(
        settings.model_directory,
        EMBEDDER,
        precision=settings.precision,
        threads=settings.threads,
        npu=settings.npu,
        board=Board(),
    )
