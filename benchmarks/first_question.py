"""The first question after hours of silence, with and without `memory-prepare`, beside the hundredth.

A real server runs on a copy of a data directory. Each round lets it fall asleep, as far as that can be done in
seconds: the pages of its files and of its code leave memory (`process_madvise` with `MADV_PAGEOUT`, `posix_fadvise`
with `POSIX_FADV_DONTNEED`), the caches of the processor are filled with something else, and nobody asks for longer than
the server takes for a silence. Then somebody asks at once, or the microphone opens first (`memory-prepare`) and the
question comes a second later. Ninety-nine more questions follow; the last twenty of them stand for the hundredth. The
two ways take turns, and no question is asked twice.

    script/benchmark first_question DATA [--rounds N] [--json FILE]

It needs root for the code's pages; without it says so and goes on with the files.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator
import ctypes
import json
import os
from pathlib import Path
import random
import statistics
import sys
import tempfile
from time import perf_counter
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.askers import UNHURRIED_MS
from benchmarks.copied import copied
from benchmarks.household_words import question
from benchmarks.scale import machine, percentile, server
from npu_memory_server.memory import IDLE_SECONDS
from npu_memory_server.transport.client import RemoteMemory
from npu_memory_server.wire import RecallRequest

PIDFD_OPEN, PROCESS_MADVISE, MADV_PAGEOUT = 434, 440, 21  # Linux; include/uapi/asm-generic
SPEAKING_SECONDS = 1.0
AFTERWARDS = 99
HUNDREDTH = 20
CACHE_BYTES = 128 * 1024 * 1024
VECTORS_AT_ONCE = 512


class _Stretch(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def page_out(pid: int) -> bool:
    """Take the pages of a process out of memory that the kernel can bring back; returns whether it let us."""
    system = ctypes.CDLL(None, use_errno=True)
    stretches = []
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        fields = line.split()
        if not fields[-1].startswith("[v"):
            begin, end = (int(part, 16) for part in fields[0].split("-"))
            stretches.append(_Stretch(begin, end - begin))
    descriptor = system.syscall(PIDFD_OPEN, pid, 0)
    if descriptor < 0:
        return False
    allowed = True
    for start in range(0, len(stretches), VECTORS_AT_ONCE):
        some = stretches[start : start + VECTORS_AT_ONCE]
        batch = (_Stretch * len(some))(*some)
        allowed &= system.syscall(PROCESS_MADVISE, descriptor, batch, len(some), MADV_PAGEOUT, 0) >= 0
    os.close(descriptor)
    return allowed


def let_go_of(folder: Path) -> None:
    """Take the files of a folder out of the page cache."""
    for file in folder.iterdir():
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


async def fall_asleep(pid: int, data: Path) -> bool:
    """Let a server be as after hours without a question; returns whether its code left memory as well."""
    await asyncio.sleep(IDLE_SECONDS + 0.5)
    paged_out = await asyncio.to_thread(page_out, pid)
    await asyncio.to_thread(let_go_of, data)
    for _ in range(3):
        await asyncio.to_thread(np.sum, np.ones(CACHE_BYTES // 8))
    return paged_out


async def asked(memory: RemoteMemory, text: str) -> float:
    """Return the ms that a question took."""
    began = perf_counter()
    await memory.recall(RecallRequest(text=text, budget_ms=UNHURRIED_MS))
    return (perf_counter() - began) * 1000


def endless() -> Iterator[str]:
    """Yield questions, none of them twice."""
    chance = random.Random(5)  # noqa: S311 - nothing secret
    said = set()
    while True:
        if (text := question(chance)) not in said:
            said.add(text)
            yield text


async def measure(data: Path, rounds: int) -> dict[str, Any]:
    """Return the figures, in ms and as multiples of the hundredth."""
    texts = endless()
    first: dict[str, list[float]] = {"without_prepare": [], "with_prepare": []}
    hundredth: list[float] = []
    preparing: list[float] = []
    async with server(data, next(texts)) as (memory, pid, _):
        memories = (await memory.status()).memories
        for _ in range(AFTERWARDS):
            await asked(memory, next(texts))
        paged_out = True
        for _ in tqdm(range(rounds), desc="measuring", unit=" rounds", disable=None):
            for way, times in first.items():
                paged_out &= await fall_asleep(pid, data)
                if way == "with_prepare":
                    began = perf_counter()
                    await memory.prepare()
                    preparing.append((perf_counter() - began) * 1000)
                    await asyncio.sleep(SPEAKING_SECONDS)
                times.append(await asked(memory, next(texts)))
                later = [await asked(memory, next(texts)) for _ in range(AFTERWARDS)]
                hundredth += later[-HUNDREDTH:]
    usual = statistics.median(hundredth)
    return {
        "machine": machine(),
        "memories": memories,
        "code_left_memory": paged_out,
        "rounds": rounds,
        "hundredth": {"p50_ms": usual, "p95_ms": percentile(hundredth, 0.95)},
        "preparing": {"p50_ms": statistics.median(preparing), "most_ms": max(preparing)},
    } | {
        way: {
            "p50_ms": statistics.median(times),
            "most_ms": max(times),
            "p50_over_hundredth": statistics.median(times) / usual,
        }
        for way, times in first.items()
    }


def main() -> None:
    """Measure, and print a table; write JSON as well if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a data directory, of which a copy is asked")
    parser.add_argument("--rounds", type=int, default=10, help="of about 16 s (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measure(copied(options.data, Path(folder) / "data"), options.rounds))
    if not figures["code_left_memory"]:
        print("Without root the server's code stayed in memory: only its files left it.", file=sys.stderr)
    print("| memories | hundredth | first, without prepare | first, with prepare | preparing |")
    print("|---|---|---|---|---|")
    cells = [str(figures["memories"]), f"{figures['hundredth']['p50_ms']:.2f} ms"]
    cells += [
        f"{figures[way]['p50_ms']:.2f} ms ({figures[way]['p50_over_hundredth']:.2f})"
        for way in ("without_prepare", "with_prepare")
    ]
    print(f"| {' | '.join(cells)} | {figures['preparing']['p50_ms']:.0f} ms |")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
