"""One person asking while a bulk import runs: what it adds to an answer, in multiples of one import item's inference.

Two real servers run on copies of the same data directory. One is left alone; into the other `npu-memory import` puts
made sentences. Everything takes turns, each for some seconds: with the import and its server stopped (SIGSTOP) the
first one is asked, and one memory of the import after the other is embedded in this process, which is what an inference
of an item takes; then both go on, and the second one is asked. A person pauses after each answer for up to a tenth of a
second, so that a question comes at any moment of the import's work.

First memories are stored and embedded; half-way through the import is ended, and the server embeds what was stored.

    script/benchmark import_beside DATA [--memories 100000] [--seconds N] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import cycle
import json
import os
from pathlib import Path
import random
import signal
import statistics
import subprocess
import sys
import tempfile
from time import monotonic, perf_counter
from typing import Any

from tqdm import tqdm

from benchmarks.askers import UNHURRIED_MS, summary
from benchmarks.copied import copied
from benchmarks.household_of import DAYS, FIRST_DAY, joined, questions
from benchmarks.household_words import SPEAKERS, statement
from benchmarks.scale import machine, server
from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.records import Record, index_prefix
from npu_memory_server.settings import EMBEDDER
from npu_memory_server.transport.client import RemoteMemory
from npu_memory_server.wire import RecallRequest

TURN_SECONDS = 4.0
SETTLING_SECONDS = 0.3
LONGEST_PAUSE_SECONDS = 0.1
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


async def ask_for(memory: RemoteMemory, texts: Iterator[str], seconds: float, chance: random.Random) -> list[float]:
    """Ask with pauses for some seconds; returns the ms of each question."""
    times = []
    until = monotonic() + seconds
    while monotonic() < until:
        await asyncio.sleep(chance.uniform(0, LONGEST_PAUSE_SECONDS))
        began = perf_counter()
        await memory.recall(RecallRequest(text=next(texts), budget_ms=UNHURRIED_MS))
        times.append((perf_counter() - began) * 1000)
    return times


async def measure(data: Path, twin: Path, file: Path, items: Sequence[Record], seconds: float) -> dict[str, Any]:
    """Return the figures of both phases."""
    embedder = OnnxEmbedder.load(Path(os.environ["NPU_MEMORY_MODEL_DIR"]) / EMBEDDER)
    chance = random.Random(3)  # noqa: S311 - nothing secret
    texts = cycle(questions())
    following = cycle(items)
    figures: dict[str, Any] = {"machine": machine(), "phases": {}}
    async with server(data, "where is it") as (busy, pid, _), server(twin, "where is it") as (idle, _, _):
        figures["memories"] = (await idle.status()).memories
        for memory in (idle, busy):
            await ask_for(memory, texts, TURN_SECONDS, chance)
        with importing(file, data) as process:
            while (await busy.status()).memories == figures["memories"]:  # noqa: ASYNC110 - in another process
                await asyncio.sleep(0.1)
            bar = tqdm(total=round(seconds), desc="measuring", unit=" s", disable=None)
            for phase in PHASES:
                if phase == "embedding":
                    process.send_signal(signal.SIGINT)
                    await asyncio.to_thread(process.wait)
                alone: list[float] = []
                beside: list[float] = []
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
                figures["phases"][phase] = figures_of(alone, beside, inference) | {
                    "stored": after.memories - before.memories,
                    "embedded": after.memories - before.memories + before.pending_embeddings - after.pending_embeddings,
                    "left_to_embed": after.pending_embeddings,
                }
            bar.close()
    return figures


def figures_of(alone: list[float], beside: list[float], inference: list[float]) -> dict[str, Any]:
    """Return what was added, in ms and in inferences of one item."""
    item = statistics.median(inference)
    one, other = summary(alone), summary(beside)
    return {
        "alone": one,
        "beside": other,
        "inference_of_one_item": summary(inference),
        "p50_raised_by_inferences": (other["p50_ms"] - one["p50_ms"]) / item,
        "p95_raised_by_inferences": (other["p95_ms"] - one["p95_ms"]) / item,
    }


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
    print("| beside an import | alone p50 / p95 | beside p50 / p95 | one item | p95 raised by | stored | embedded |")
    print("|---|---|---|---|---|---|---|")
    for phase, one in figures["phases"].items():
        alone, beside = (f"{one[name]['p50_ms']:.2f} / {one[name]['p95_ms']:.2f} ms" for name in ("alone", "beside"))
        print(
            f"| {phase} | {alone} | {beside} | {one['inference_of_one_item']['p50_ms']:.2f} ms "
            f"| {one['p95_raised_by_inferences']:.2f} items | {one['stored']} | {one['embedded']} |"
        )
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
