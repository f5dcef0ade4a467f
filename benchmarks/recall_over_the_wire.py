"""What a recall costs at the client, over the wire, in multiples of the bare inference of the same question.

Starts a real server on the sample household, then takes turns: one bare inference of a question in this process (tokens
in, vectors out, nothing else), one whole recall of the same question through the server's port. Everything is given as
a multiple of the bare inference, because machines are noisy and differ.

    script/benchmark recall_over_the_wire [--reranker maxsim|none] [--rounds N] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
import json
import os
from pathlib import Path
import platform
import statistics
import sys
import tempfile
from time import perf_counter

from npu_memory_server.data_directory import read_token, server_address
from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.settings import EMBEDDER
from npu_memory_server.transport.client import RemoteMemory, connected
from npu_memory_server.wire import RecallRequest, Reranker, Timings

HOUSEHOLD = Path(__file__).resolve().parent.parent / "samples" / "household"
STAGES = (
    "wait", "tokenize", "inference", "pooling", "lexical", "vector", "fusion", "rerank", "context", "total",
)  # fmt: skip


def percentile(values: list[float], share: float) -> float:
    """Return the value that this share of `values` does not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


@asynccontextmanager
async def server(data: Path) -> AsyncIterator[RemoteMemory]:
    """Run a server on the sample household and give a connection to it."""
    command = (sys.executable, "-m", "npu_memory_server")
    options = ("--data-dir", str(data))
    filling = await asyncio.create_subprocess_exec(*command, "import", str(HOUSEHOLD / "memories.jsonl"), *options)
    if await filling.wait():
        raise SystemExit("the sample household could not be imported")
    process = await asyncio.create_subprocess_exec(
        *command, "serve", "--host", "127.0.0.1", "--port", "0", "--log-level", "warning", *options
    )
    try:
        async with asyncio.timeout(30):
            while (address := server_address(data)) is None:  # noqa: ASYNC110 - a file says when another process is ready
                await asyncio.sleep(0.05)
        async with connected(address.host, address.port, read_token(data)) as memory:
            yield memory
    finally:
        process.terminate()
        await process.wait()


async def measure(rounds: int, reranker: Reranker) -> dict[str, object]:
    """Ask every question of the sample household `rounds` times; returns the figures, in ms and as multiples."""
    lines = (HOUSEHOLD / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    questions = [json.loads(line)["text"] for line in lines]
    embedder = OnnxEmbedder.load(Path(os.environ["NPU_MEMORY_MODEL_DIR"]) / EMBEDDER)
    bare: list[float] = []
    whole: list[float] = []
    ratios: list[float] = []
    stages: list[Timings] = []
    with tempfile.TemporaryDirectory() as folder:
        async with server(Path(folder)) as memory:
            for question in questions:
                embedder.embed(question)
                await memory.recall(RecallRequest(text=question, reranker=reranker))
            for _ in range(rounds):
                for question in questions:
                    inference = embedder.embed(question, tokens=False).timings.inference
                    began = perf_counter()
                    context = await memory.recall(RecallRequest(text=question, reranker=reranker))
                    recall = (perf_counter() - began) * 1000
                    bare.append(inference)
                    whole.append(recall)
                    ratios.append(recall / inference)
                    stages.append(context.timings)
    bare_p50 = statistics.median(bare)
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "reranker": reranker,
        "memories": len((HOUSEHOLD / "memories.jsonl").read_text(encoding="utf-8").splitlines()),
        "n": len(whole),
        "bare_inference_ms": {"p50": bare_p50, "p95": percentile(bare, 0.95)},
        "recall_ms": {"p50": statistics.median(whole), "p95": percentile(whole, 0.95)},
        "recall_as_multiple": statistics.median(whole) / bare_p50,
        "pairwise_multiple_p50": statistics.median(ratios),
        "p95_over_p50": percentile(whole, 0.95) / statistics.median(whole),
        "stages_ms_p50": {stage: statistics.median(getattr(timings, stage) for timings in stages) for stage in STAGES},
    }


def main() -> None:
    """Measure, and print a table or write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often each question is asked (default: 5)")
    parser.add_argument(
        "--reranker", type=Reranker, choices=list(Reranker), default=Reranker.MAXSIM, help="default: %(default)s"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options = parser.parse_args()
    figures = asyncio.run(measure(options.rounds, options.reranker))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
