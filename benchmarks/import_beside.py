"""One person asking while a bulk import runs: what it adds to an answer, in multiples of one import item's inference.

Two real servers run on copies of the same data directory. One is left alone; into the other `npu-memory import` puts
made sentences. Everything takes turns, each for some seconds: with the import and its server stopped (SIGSTOP) the
first one is asked, and one memory of the import after the other is embedded in this process, which is what an inference
of an item takes; then both go on, and the second one is asked. A person pauses after each answer for up to a tenth of a
second, so that a question comes at any moment of the import's work.

First memories are stored and embedded; half-way through the import is ended, and the server embeds what was stored.

The asked memory grows meanwhile, and the twin does not. So in the end a third server, which is left alone with all that
was stored, is asked in turns with the twin: what its size adds is not the import's work. Memories that have no vector
by then get that of another one.

    script/benchmark import_beside DATA [--memories 100000] [--seconds N] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import cycle
import json
import os
from pathlib import Path
import random
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from time import monotonic, perf_counter
from typing import Any

from tqdm import tqdm

from benchmarks.askers import UNHURRIED_MS, summary
from benchmarks.copied import copied
from benchmarks.household_of import DAYS, FIRST_DAY, index, joined, questions
from benchmarks.household_words import SPEAKERS, statement
from benchmarks.scale import machine, server
from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.records import Record, index_prefix
from npu_memory_server.settings import EMBEDDER
from npu_memory_server.store.database import FILE_NAME
from npu_memory_server.transport.client import RemoteMemory
from npu_memory_server.wire import RecallRequest

TURN_SECONDS = 4.0
SETTLING_SECONDS = 0.3
LONGEST_PAUSE_SECONDS = 0.1
GROWN_TURNS = 4
PHASES = ("storing and embedding", "embedding")


def made(count: int) -> list[Record]:
    """Return memories to import, each of two made sentences; the same ones every time."""
    chance = random.Random(4)  # noqa: S311 - nothing secret
    return [
        Record(
            id=f"imported-{number}",
            text=joined(statement(chance), statement(chance)),
            created_at=FIRST_DAY + timedelta(days=chance.randrange(DAYS)),
            speaker=chance.choice(SPEAKERS),
        )
        for number in range(count)
    ]


def write_import(path: Path, records: Sequence[Record]) -> None:
    """Write memories as lines to import."""
    with path.open("w") as lines:
        for record in records:
            line = {
                "id": record.id,
                "text": record.text,
                "created_at": record.created_at.isoformat(),
                "speaker": record.speaker,
            }
            lines.write(json.dumps(line) + "\n")


@contextmanager
def importing(file: Path, data: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run an import into the server that has `data`; ended at the end."""
    command = (sys.executable, "-m", "npu_memory_server", "import", str(file), "--data-dir", str(data))
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()


@dataclass(frozen=True, slots=True)
class Asked:
    """One question: the ms until its answer was there, and those that the server counts, without the way to it."""

    client: float
    server: float


async def ask_for(memory: RemoteMemory, texts: Iterator[str], seconds: float, chance: random.Random) -> list[Asked]:
    """Ask with pauses for some seconds."""
    asked = []
    until = monotonic() + seconds
    while monotonic() < until:
        await asyncio.sleep(chance.uniform(0, LONGEST_PAUSE_SECONDS))
        began = perf_counter()
        answer = await memory.recall(RecallRequest(text=next(texts), budget_ms=UNHURRIED_MS))
        asked.append(Asked((perf_counter() - began) * 1000, answer.timings.total))
    return asked


def give_vectors(data: Path) -> int:
    """Give memories that have no vector yet those of others, and count all memories; no server may have them."""
    with closing(sqlite3.connect(data / FILE_NAME)) as database, database:
        others = database.execute(
            "SELECT embedder, vector, tokens FROM vector WHERE length(tokens) > 0 ORDER BY slot DESC LIMIT 5000"
        ).fetchall()
        without = database.execute("SELECT slot FROM memory WHERE slot NOT IN (SELECT slot FROM vector)").fetchall()
        database.executemany(
            "INSERT INTO vector (slot, embedder, vector, tokens) VALUES (?, ?, ?, ?)",
            [(slot, *other) for (slot,), other in zip(without, cycle(others))],
        )
        database.execute("DELETE FROM unexamined")
        count: int = database.execute("SELECT count(*) FROM memory").fetchone()[0]
        return count


async def ask_both(
    twin: RemoteMemory, data: Path, texts: Iterator[str], chance: random.Random
) -> tuple[list[Asked], list[Asked]]:
    """Return what was asked of the twin and, in turns, of a server that is left alone with `data`."""
    small: list[Asked] = []
    large: list[Asked] = []
    async with server(data, "where is it") as (grown, _, _):
        await ask_for(grown, texts, TURN_SECONDS, chance)
        for _ in range(GROWN_TURNS):
            small += await ask_for(twin, texts, TURN_SECONDS, chance)
            large += await ask_for(grown, texts, TURN_SECONDS, chance)
    return small, large


async def measure(data: Path, twin: Path, file: Path, items: Sequence[Record], seconds: float) -> dict[str, Any]:
    """Return the figures of both phases."""
    embedder = OnnxEmbedder.load(Path(os.environ["NPU_MEMORY_MODEL_DIR"]) / EMBEDDER)
    chance = random.Random(3)  # noqa: S311 - nothing secret
    texts = cycle(questions())
    following = cycle(items)
    figures: dict[str, Any] = {"machine": machine()}
    phases: dict[str, tuple[list[Asked], list[Asked], list[float], dict[str, int]]] = {}
    async with AsyncExitStack() as idling:
        idle, _, _ = await idling.enter_async_context(server(twin, "where is it"))
        async with AsyncExitStack() as working:
            busy, pid, _ = await working.enter_async_context(server(data, "where is it"))
            figures["memories"] = (await idle.status()).memories
            for memory in (idle, busy):
                await ask_for(memory, texts, TURN_SECONDS, chance)
            process = working.enter_context(importing(file, data))
            while (await busy.status()).memories == figures["memories"]:  # noqa: ASYNC110 - in another process
                await asyncio.sleep(0.1)
            bar = working.enter_context(tqdm(total=round(seconds), desc="measuring", unit=" s", disable=None))
            for phase in PHASES:
                if phase == "embedding":
                    process.terminate()
                    await asyncio.to_thread(process.wait)
                alone: list[Asked] = []
                beside: list[Asked] = []
                inference: list[float] = []
                before = await busy.status()
                until = monotonic() + seconds / 2
                while monotonic() < until:
                    began = monotonic()
                    stopped = [pid] if process.poll() is not None else [process.pid, pid]
                    for one in stopped:
                        os.kill(one, signal.SIGSTOP)
                    try:
                        await asyncio.sleep(SETTLING_SECONDS)
                        alone += await ask_for(idle, texts, TURN_SECONDS, chance)
                        for _ in range(50):
                            record = next(following)
                            inference.append(embedder.embed(record.text, index_prefix(record)).timings.inference)
                    finally:
                        for one in reversed(stopped):
                            os.kill(one, signal.SIGCONT)
                    await asyncio.sleep(SETTLING_SECONDS)
                    beside += await ask_for(busy, texts, TURN_SECONDS, chance)
                    bar.update(round(monotonic() - began))
                after = await busy.status()
                done = {
                    "stored": after.memories - before.memories,
                    "embedded": after.memories - before.memories + before.pending_embeddings - after.pending_embeddings,
                    "left_to_embed": after.pending_embeddings,
                }
                phases[phase] = alone, beside, inference, done
        figures["grown_to"] = give_vectors(data)
        await index(data, embedder)
        sizes = await ask_both(idle, data, texts, chance)
    figures["phases"] = {
        phase: figures_of(alone, beside, sizes, inference) | done
        for phase, (alone, beside, inference, done) in phases.items()
    }
    return figures


def figures_of(
    alone: list[Asked], beside: list[Asked], sizes: tuple[list[Asked], list[Asked]], inference: list[float]
) -> dict[str, Any]:
    """Return what was added, in ms and in inferences of one item; `sizes` are left alone: the twin and a grown one."""
    item = statistics.median(inference)
    one, other, small, large = (summary([asked.client for asked in some]) for some in (alone, beside, *sizes))
    figures: dict[str, Any] = {
        "alone": one,
        "beside": other,
        "in_the_server": {
            "alone": summary([asked.server for asked in alone]),
            "beside": summary([asked.server for asked in beside]),
        },
        "sizes": {"twin": small, "grown": large},
        "inference_of_one_item": summary(inference),
    }
    for share in ("p50", "p95"):
        figures[f"{share}_raised_by_inferences"] = (other[f"{share}_ms"] - one[f"{share}_ms"]) / item
        figures[f"{share}_raised_by_size"] = (large[f"{share}_ms"] - small[f"{share}_ms"]) / item
    return figures


def main() -> None:
    """Measure, and print a table; write JSON as well if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a data directory, of which copies are used")
    parser.add_argument("--memories", type=int, default=100_000, help="in the file to import (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=180, help="default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options = parser.parse_args()
    items = made(options.memories)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "import.jsonl"
        write_import(file, items)
        data, twin = (copied(options.data, Path(folder) / name) for name in ("data", "twin"))
        figures = asyncio.run(measure(data, twin, file, items, options.seconds))
    print(f"{figures['memories']} memories, which grew to {figures['grown_to']}; p50 / p95 in ms, then in items")
    print("| beside an import | left alone | beside it | one item | p95 raised by | the size alone raises it by |")
    print("|---|---|---|---|---|---|")
    for phase, one in figures["phases"].items():
        alone, beside = (f"{one[name]['p50_ms']:.2f} / {one[name]['p95_ms']:.2f}" for name in ("alone", "beside"))
        print(
            f"| {phase}: {one['stored']} stored, {one['embedded']} embedded | {alone} | {beside} "
            f"| {one['inference_of_one_item']['p50_ms']:.2f} | {one['p95_raised_by_inferences']:.2f} "
            f"| {one['p95_raised_by_size']:.2f} |"
        )
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
