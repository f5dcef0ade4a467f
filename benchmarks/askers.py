"""Eight people asking at once: how long each of them waits, in multiples of one who asks alone.

Starts a real server on a copy of a data directory, with a connection for each person. Everything takes turns in one
run: one person asks some questions, one after the other; then all of them ask at the same moment, and again when
everybody has an answer; then all of them ask without a pause, each as soon as the answer is there.

    script/benchmark askers DATA [--people 8] [--rounds N] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
import json
from pathlib import Path
import statistics
import tempfile
from time import perf_counter
from typing import Any

from tqdm import tqdm

from benchmarks.copied import copied
from benchmarks.household_of import questions
from benchmarks.scale import machine, percentile, server
from npu_memory_server.data_directory import read_token, server_address
from npu_memory_server.transport.client import RemoteMemory, connected
from npu_memory_server.wire import RecallRequest

UNHURRIED_MS = 10_000.0
"""The budget: nobody's answer is to become worse, and so faster, because others ask."""


async def asked(memory: RemoteMemory, text: str) -> float:
    """Return the ms that a question took."""
    began = perf_counter()
    await memory.recall(RecallRequest(text=text, budget_ms=UNHURRIED_MS))
    return (perf_counter() - began) * 1000


async def one_after_the_other(memory: RemoteMemory, texts: Sequence[str]) -> list[float]:
    """Return the ms of each question of one person."""
    return [await asked(memory, text) for text in texts]


async def measure(data: Path, people: int, rounds: int) -> dict[str, Any]:
    """Return the figures, in ms and as multiples."""
    texts = questions()
    alone: list[float] = []
    at_once: list[float] = []
    without_pause: list[list[float]] = [[] for _ in range(people)]
    async with AsyncExitStack() as stack:
        first, _, _ = await stack.enter_async_context(server(data, texts[0]))
        if (address := server_address(data)) is None:
            raise SystemExit("the server has ended")
        others = [
            await stack.enter_async_context(connected(address.host, address.port, read_token(data)))
            for _ in range(people - 1)
        ]
        everybody = [first, *others]
        memories = (await first.status()).memories
        for text in texts:  # once for the caches of both sides
            await asked(first, text)
        for number in tqdm(range(rounds), desc="asking", unit=" rounds", disable=None):
            some = [texts[(number * people + place) % len(texts)] for place in range(people * 4)]
            alone += await one_after_the_other(first, some)
            for start in range(0, len(some), people):
                at_once += await asyncio.gather(*map(asked, everybody, some[start : start + people]))
            shares = [some[place::people] for place in range(people)]
            times = await asyncio.gather(*map(one_after_the_other, everybody, shares))
            for place, more in enumerate(times):
                without_pause[place] += more
    figures = {
        "machine": machine(),
        "memories": memories,
        "people": people,
        "alone": summary(alone),
        "at_once": summary(at_once),
        "without_a_pause": summary([one for some in without_pause for one in some]),
        "least_and_most_of_one_person_p95_ms": [
            min(percentile(one, 0.95) for one in without_pause),
            max(percentile(one, 0.95) for one in without_pause),
        ],
    }
    for name in ("at_once", "without_a_pause"):
        figures[name]["p95_over_p95_alone"] = figures[name]["p95_ms"] / figures["alone"]["p95_ms"]
        figures[name]["p95_over_p50_alone"] = figures[name]["p95_ms"] / figures["alone"]["p50_ms"]
    return figures


def summary(times: list[float]) -> dict[str, float]:
    """Return how many there are, the median and the 95th percentile."""
    return {"n": len(times), "p50_ms": statistics.median(times), "p95_ms": percentile(times, 0.95)}


def main() -> None:
    """Measure, and print a table; write JSON as well if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a data directory, of which a copy is asked")
    parser.add_argument("--people", type=int, default=8, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=60, help="of 32 questions in each way (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = copied(options.data, Path(folder) / "data")
        figures = asyncio.run(measure(data, options.people, options.rounds))
    print("| | p50 | p95 | of p95 alone |")
    print("|---|---|---|---|")
    for name in ("alone", "at_once", "without_a_pause"):
        one = figures[name]
        of_alone = one["p95_ms"] / figures["alone"]["p95_ms"]
        print(f"| {name.replace('_', ' ')} | {one['p50_ms']:.2f} ms | {one['p95_ms']:.2f} ms | {of_alone:.2f} |")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
