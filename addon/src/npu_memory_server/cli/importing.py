"""`npu-memory import`: a file of memories, with a progress bar; to be interrupted and begun again as one likes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
import json
from pathlib import Path
import sys

from tqdm import tqdm

from ..errors import NpuMemoryError
from ..wire import Outcome, RememberRequest
from .opening import Memories
from .reading import memory_to_import, read_lines

IN_FLIGHT = 32
"""Memories on their way at once: they share commits."""
POLL_SECONDS = 0.2


async def import_file(memories: Memories, path: Path, *, as_json: bool) -> int:
    """Import a JSONL file and wait until everything can be found by meaning; returns the exit code."""
    lines = list(await asyncio.to_thread(lambda: list(read_lines(path, memory_to_import))))
    faults = [f"line {line.number}: {line.fault}" for line in lines if line.value is None]
    numbered = [(line.number, line.value) for line in lines if line.value is not None]
    outcomes, refused = await store(memories, numbered)
    faults += refused
    report = {
        "stored": outcomes[Outcome.STORED],
        "there_already": outcomes[Outcome.DUPLICATE],
        "forgotten_before": outcomes[Outcome.FORGOTTEN],
        "faults": faults,
    }
    if as_json:
        print(json.dumps(report))
    else:
        print(
            f"{report['stored']} stored, {report['there_already']} there already, "
            f"{report['forgotten_before']} left out because they were forgotten, {len(faults)} faulty lines"
        )
        for fault in faults:
            print(f"  {fault}", file=sys.stderr)
    return 1 if faults else 0


async def store(
    memories: Memories, numbered: Sequence[tuple[int, RememberRequest]]
) -> tuple[Counter[Outcome], list[str]]:
    """Store memories, each with its line, and wait for their vectors; returns the outcomes and what was refused."""
    outcomes: Counter[Outcome] = Counter()
    faults: list[str] = []
    waiting = iter(numbered)
    with tqdm(total=len(numbered), desc="storing", unit=" memories", disable=None) as bar:

        async def work() -> None:
            for number, request in waiting:
                try:
                    outcomes[(await memories.remember(request)).outcome] += 1
                except NpuMemoryError as error:
                    faults.append(f"line {number}: {error}")
                bar.update()

        async with asyncio.TaskGroup() as group:
            for _ in range(IN_FLIGHT):
                group.create_task(work())
    await _wait_for_embeddings(memories)
    return outcomes, faults


async def _wait_for_embeddings(memories: Memories) -> None:
    pending = (await memories.status()).pending_embeddings
    with tqdm(total=pending, desc="embedding", unit=" memories", disable=None if pending else True) as bar:
        while pending:
            await asyncio.sleep(POLL_SECONDS)
            left = (await memories.status()).pending_embeddings
            bar.update(max(0, pending - left))
            pending = left
