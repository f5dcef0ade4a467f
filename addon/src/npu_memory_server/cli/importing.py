"""`npu-memory import`: a file of memories, with a progress bar; to be interrupted and begun again as one likes."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from itertools import islice
import json
from pathlib import Path
import sys

from tqdm import tqdm

from ..errors import NpuMemoryError
from ..wire import Outcome, RememberRequest
from .opening import Memories
from .reading import memory_to_import, read_lines

Numbered = tuple[int, RememberRequest]

IN_FLIGHT = 64
"""Memories on their way at once, as many as a server takes from one connection: they share commits."""
READ_AT_ONCE = 512
"""Lines in memory: a file of a million is read as it is stored."""
POLL_SECONDS = 0.2
INTERRUPTED = "interrupted: {stored} stored, {there} there already; the same command again goes on from here"
NOT_EMBEDDED = "about {left} have no vector yet and are found by their words alone; a server goes on with them"


async def import_file(memories: Memories, path: Path, *, as_json: bool) -> int:
    """Import a JSONL file and wait until everything can be found by meaning; returns the exit code.

    What was stored when it is interrupted stays stored, and is passed over the next time.
    """
    total = await asyncio.to_thread(_count_lines, path)
    faults: list[str] = []

    def requests() -> Iterator[Numbered]:
        for line in read_lines(path, memory_to_import):
            if line.value is None:
                faults.append(f"line {line.number}: {line.fault}")
            else:
                yield line.number, line.value

    outcomes: Counter[Outcome] = Counter()
    try:
        faults += await store(memories, requests(), total, outcomes)
    except asyncio.CancelledError:
        stored, there = outcomes[Outcome.STORED], outcomes[Outcome.DUPLICATE]
        print(INTERRUPTED.format(stored=stored, there=there), file=sys.stderr)
        raise
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


def _count_lines(path: Path) -> int | None:
    """Return how many lines a file has, for the progress bar; None for what can be read only once."""
    try:
        with path.open("rb") as stream:
            return sum(piece.count(b"\n") for piece in iter(lambda: stream.read(1 << 20), b""))
    except OSError:
        return None


async def store(
    memories: Memories, numbered: Iterable[Numbered], total: int | None, outcomes: Counter[Outcome]
) -> list[str]:
    """Store memories, each with its line, and wait for their vectors; returns what was refused.

    `outcomes` is counted up as they are stored; `numbered` is read in a thread.
    """
    faults: list[str] = []
    unread = iter(numbered)
    waiting: deque[Numbered] = deque()
    reading = asyncio.Lock()
    with tqdm(total=total, desc="storing", unit=" memories", disable=None) as bar:

        async def following() -> Numbered | None:
            async with reading:
                if not waiting:
                    waiting.extend(await asyncio.to_thread(lambda: list(islice(unread, READ_AT_ONCE))))
                return waiting.popleft() if waiting else None

        async def work() -> None:
            while (one := await following()) is not None:
                number, request = one
                try:
                    outcomes[(await memories.remember(request)).outcome] += 1
                except NpuMemoryError as error:
                    faults.append(f"line {number}: {error}")
                bar.update()

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(IN_FLIGHT):
                    group.create_task(work())
        except* NpuMemoryError as errors:
            # The file could not be read (on).
            raise errors.exceptions[0] from None
    await _wait_for_embeddings(memories)
    return faults


async def _wait_for_embeddings(memories: Memories) -> None:
    pending = (await memories.status()).pending_embeddings
    with tqdm(total=pending, desc="embedding", unit=" memories", disable=None if pending else True) as bar:
        try:
            while pending:
                await asyncio.sleep(POLL_SECONDS)
                left = (await memories.status()).pending_embeddings
                bar.update(max(0, pending - left))
                pending = left
        except asyncio.CancelledError:
            bar.close()
            print(NOT_EMBEDDED.format(left=pending), file=sys.stderr)
            raise
