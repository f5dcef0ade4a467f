"""Voice time at 742, 10 000, 100 000 and 1 000 000 memories: what a recall costs at the client, in multiples of M.

M is the bare inference of the same question, in the same run and taking turns with the recalls. Above the sample
household the memories are made by `household_of`; a directory that is there already is used as it is, so that the
million is made once. For each size a real server is started on it.

M is of our own int8 file. With `--ordinary` the same multiples are also given of an int8 file as onnxruntime's
`quantize_dynamic` makes it by default: less exact (docs/decisions/0001), and another speed on each kind of processor.

"Least" is what a server takes that only infers, asked over a bare socket (`benchmarks/floor.py`).

    script/benchmark scale DIRECTORY [--sizes 742,10000,100000,1000000] [--rounds N] [--ordinary] [--json FILE]
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
import sqlite3
import statistics
import sys
import tempfile
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto
from onnxruntime.quantization import quantize_dynamic

from benchmarks.floor import Floor, floor
from benchmarks.household_of import fill, index, kept_sentences, questions
from npu_memory_server.data_directory import ADDRESS_FILE, read_token, server_address
from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.embedding.manifest import FileRole, Precision, load_manifest
from npu_memory_server.embedding.onnx_session import OnnxSession
from npu_memory_server.retrieval.weights import Weights
from npu_memory_server.settings import EMBEDDER
from npu_memory_server.store.database import FILE_NAME
from npu_memory_server.transport.client import RemoteMemory, connected
from npu_memory_server.wire import ForgetRequest, RecallRequest, RememberRequest, Reranker, Strategy, Timings

HOUSEHOLD = Path(__file__).resolve().parent.parent / "samples" / "household"
STAGES = ("wait", "tokenize", "inference", "pooling", "lexical", "vector", "fusion", "rerank", "context", "total")
NEAREST = 10
JUDGED = 100
REMEMBERED = 50
MEBIBYTE = 1024 * 1024
SCOPES = ("household", "person:Nora", "person:Teo", "person:Maya", "person:Finn", "person:Ilse")


def percentile(values: list[float], share: float) -> float:
    """Return the value that this share of `values` does not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def resident_mib(pid: int) -> float:
    """Return the resident memory of a process, mapped files included."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


@asynccontextmanager
async def server(data: Path, question: str) -> AsyncIterator[tuple[RemoteMemory, int, float]]:
    """Run a server; gives a connection, the process id, and the seconds until the first answer."""
    (data / ADDRESS_FILE).unlink(missing_ok=True)
    began = perf_counter()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "npu_memory_server", "serve", "--host", "127.0.0.1", "--port", "0"),
        *("--log-level", "warning", "--data-dir", str(data)),
    )
    try:
        async with asyncio.timeout(600):
            while (address := server_address(data)) is None:  # noqa: ASYNC110 - a file says when another process is ready
                await asyncio.sleep(0.01)
        async with connected(address.host, address.port, read_token(data)) as memory:
            await memory.recall(RecallRequest(text=question, budget_ms=60_000))
            started = perf_counter() - began
            waking = RecallRequest(text=question, budget_ms=60_000)
            while "made anew" in (await memory.recall(waking)).degraded:  # noqa: ASYNC110 - in another process
                await asyncio.sleep(1)
            yield memory, process.pid, started
    finally:
        process.terminate()
        await process.wait()


async def prepared(data: Path, size: int, embedder: OnnxEmbedder, folder: Path) -> list[str]:
    """Make the memories of this size unless they are there; returns the questions to ask about them."""
    there = (data / FILE_NAME).exists()
    if size > sum(1 for _ in (HOUSEHOLD / "memories.jsonl").open()):
        if not there:
            fill(data, embedder, kept_sentences(embedder, folder), size)
            await index(data, embedder)
        return questions()
    if not there:
        filling = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "npu_memory_server", "import", str(HOUSEHOLD / "memories.jsonl")),
            *("--data-dir", str(data)),
        )
        if await filling.wait():
            raise SystemExit("the sample household could not be imported")
    return [json.loads(line)["text"] for line in (HOUSEHOLD / "questions.jsonl").read_text().splitlines()]


def exact(data: Path, embedder: OnnxEmbedder, texts: list[str]) -> list[set[str]]:
    """Return the ids of the nearest memories by the cosine of all of them, for each question."""
    asked = np.array([embedder.embed(text).vector for text in texts])
    best: list[list[tuple[float, str]]] = [[] for _ in texts]
    connection = sqlite3.connect(f"file:{data / FILE_NAME}?mode=ro", uri=True)
    rows = connection.execute("SELECT id, vector, valid_to_ms IS NOT NULL FROM vector JOIN memory USING (slot)")
    while batch := rows.fetchmany(20_000):
        cosines = asked @ np.frombuffer(b"".join(row[1] for row in batch), "<f4").reshape(len(batch), -1).T
        # What was corrected counts a little less in every answer, and so here.
        cosines = cosines * np.where([row[2] for row in batch], Weights().past, 1.0)
        for place, scores in enumerate(cosines):
            nearest = np.argpartition(scores, -NEAREST)[-NEAREST:] if len(batch) > NEAREST else np.arange(len(batch))
            best[place] = sorted([*best[place], *((float(scores[one]), batch[one][0]) for one in nearest)])[-NEAREST:]
    connection.close()
    return [{name for _, name in one} for one in best]


async def recall_of_vectors(memory: RemoteMemory, data: Path, embedder: OnnxEmbedder, texts: list[str]) -> float:
    """Return the share of the nearest that the vector leg finds, over the wire."""
    found = 0
    truth = exact(data, embedder, texts)
    for text, wanted in zip(texts, truth, strict=True):
        request = RecallRequest(
            text=text, strategy=Strategy.VECTOR, reranker=Reranker.NONE, top_k=NEAREST, scopes=SCOPES, budget_ms=10_000
        )
        found += len(wanted & {one.id for one in (await memory.recall(request)).memories})
    return found / (NEAREST * len(texts))


def ordinary_model(packages: Path) -> OnnxSession:
    """Return the same model in int8 as most have it: `quantize_dynamic` with what holds by default, one thread."""
    manifest = load_manifest(packages / EMBEDDER)
    original = packages / EMBEDDER / manifest.file(FileRole.ONNX, Precision.FP32).name
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "ordinary.onnx"
        quantize_dynamic(original, made, extra_options={"DefaultTensorType": TensorProto.FLOAT})
        return OnnxSession(made, threads=1, dimensions=manifest.dimensions)


def tokens(embedder: OnnxEmbedder, text: str) -> NDArray[np.int64]:
    """Return the token ids of a question, int64 [n]."""
    (ids,) = embedder.tokenizer.windows(embedder.tokenizer.encode(text))
    return ids


def inference_ms(session: OnnxSession, embedder: OnnxEmbedder, text: str) -> float:
    """Return how long a model takes for a text, its tokens at hand."""
    ids = tokens(embedder, text)
    began = perf_counter()
    session.run(ids)
    return (perf_counter() - began) * 1000


async def recalls(
    memory: RemoteMemory,
    least: Floor,
    embedder: OnnxEmbedder,
    ordinary: OnnxSession | None,
    texts: list[str],
    rounds: int,
) -> dict[str, dict[str, Any]]:
    """Ask in turns, each after a bare inference: without a reranker, with MaxSim; then the server that only infers."""
    bare: list[float] = []
    bare_before_least: list[float] = []
    least_of_all: list[float] = []
    ordinary_bare: list[float] = []
    whole: dict[Reranker, list[float]] = {Reranker.NONE: [], Reranker.MAXSIM: []}
    stages: dict[Reranker, list[Timings]] = {Reranker.NONE: [], Reranker.MAXSIM: []}
    for _ in range(rounds):
        for text in texts:
            for reranker, times in whole.items():
                if ordinary is not None:
                    ordinary_bare.append(inference_ms(ordinary, embedder, text))
                bare.append(inference_ms(embedder.encoder.session, embedder, text))
                began = perf_counter()
                context = await memory.recall(RecallRequest(text=text, reranker=reranker, budget_ms=10_000))
                times.append((perf_counter() - began) * 1000)
                stages[reranker].append(context.timings)
        # Not between the recalls: another process and its weights would take the caches of both sides.
        for text in texts:
            bare_before_least.append(inference_ms(embedder.encoder.session, embedder, text))
            least_of_all.append(least.ask_ms(tokens(embedder, text)))
    bare_p50 = statistics.median(bare)
    figures: dict[str, dict[str, Any]] = {
        "bare_inference": {"n": len(bare), "p50_ms": bare_p50, "p95_ms": percentile(bare, 0.95)},
        "least": {
            "n": len(least_of_all),
            "p50_ms": statistics.median(least_of_all),
            "p95_ms": percentile(least_of_all, 0.95),
            "bare_inference_p50_ms": statistics.median(bare_before_least),
            "multiple_of_m": statistics.median(least_of_all) / statistics.median(bare_before_least),
        },
    }
    if ordinary_bare:
        figures["ordinary_inference"] = {
            "n": len(ordinary_bare),
            "p50_ms": statistics.median(ordinary_bare),
            "p95_ms": percentile(ordinary_bare, 0.95),
        }
    for reranker, times in whole.items():
        p50 = statistics.median(times)
        figures[reranker.value] = {
            "n": len(times),
            "p50_ms": p50,
            "p95_ms": percentile(times, 0.95),
            "multiple_of_m": p50 / bare_p50,
            **({"multiple_of_ordinary_m": p50 / statistics.median(ordinary_bare)} if ordinary_bare else {}),
            "p95_over_p50": percentile(times, 0.95) / p50,
            "stages_p50_ms": {
                stage: statistics.median(getattr(one, stage) for one in stages[reranker]) for stage in STAGES
            },
        }
    return figures


async def remembering(memory: RemoteMemory) -> dict[str, float]:
    """Store some memories one after the other, each when the one before has its vector, and forget them again."""
    times = []
    names = []
    for number in range(REMEMBERED):
        request = RememberRequest(text=f"Parcel {number} of this measurement lies in the shed.")
        began = perf_counter()
        names.append((await memory.remember(request)).memory_id)
        times.append((perf_counter() - began) * 1000)
        while (await memory.status()).pending_embeddings:  # noqa: ASYNC110 - in another process
            await asyncio.sleep(0.005)
    await memory.forget(ForgetRequest(memory_ids=tuple(names)))
    return {"n": len(times), "p50_ms": statistics.median(times), "p95_ms": percentile(times, 0.95)}


async def measure(folder: Path, sizes: list[int], rounds: int, *, with_ordinary: bool) -> dict[str, Any]:
    """Return the figures of all sizes."""
    packages = Path(os.environ["NPU_MEMORY_MODEL_DIR"])
    embedder = OnnxEmbedder.load(packages / EMBEDDER)
    ordinary = ordinary_model(packages) if with_ordinary else None
    figures: dict[str, Any] = {"machine": machine(), "sizes": {}}
    for size in sizes:
        data = folder / str(size)
        texts = await prepared(data, size, embedder, folder)
        async with server(data, texts[0]) as (memory, pid, started):
            for text in texts:  # once for the caches of both sides
                embedder.embed(text)
                await memory.recall(RecallRequest(text=text, budget_ms=10_000))
            with floor(packages / EMBEDDER) as least:
                asked = await recalls(memory, least, embedder, ordinary, texts, rounds)
            found = await recall_of_vectors(memory, data, embedder, texts[:JUDGED])
            figures["sizes"][size] = {
                "memories": (await memory.status()).memories,
                **asked,
                "recall_at_10_of_vectors": found,
                "resident_mib": resident_mib(pid),
                "start_to_first_answer_s": started,
                "remember": await remembering(memory),
                "disk_mib": sum(file.stat().st_size for file in data.iterdir()) / MEBIBYTE,
            }
        print_row(size, figures["sizes"][size])
    return figures


def machine() -> dict[str, Any]:
    """Return what the figures were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    model = next(named, platform.processor())
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "load": os.getloadavg(),
    }


def print_row(size: int, figures: dict[str, Any]) -> None:
    """Print the figures of one size as a line of a table."""
    none, maxsim = figures["none"], figures["maxsim"]
    print(
        f"| {size} | {figures['bare_inference']['p50_ms']:.2f} ms | {figures['least']['multiple_of_m']:.2f} M "
        f"| {none['multiple_of_m']:.2f} M | {maxsim['multiple_of_m']:.2f} M | {none['p95_over_p50']:.2f} "
        f"| {figures['recall_at_10_of_vectors']:.3f} | {figures['remember']['p50_ms']:.1f} ms "
        f"| {figures['start_to_first_answer_s']:.2f} s | {figures['resident_mib']:.0f} MiB |",
        flush=True,
    )
    if (ordinary := figures.get("ordinary_inference")) is not None:
        print(
            f"| | ordinary int8: {ordinary['p50_ms']:.2f} ms | | {none['multiple_of_ordinary_m']:.2f} "
            f"| {maxsim['multiple_of_ordinary_m']:.2f} | | | | | |",
            flush=True,
        )


def main() -> None:
    """Measure and print a table; write JSON as well if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, help="where the memories of each size are made, and found again")
    parser.add_argument("--sizes", default="742,10000,100000,1000000", help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=2, help="how often each question is asked (default: 2)")
    parser.add_argument("--ordinary", action="store_true", help="compare with an ordinary int8 file of the model too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options = parser.parse_args()
    print("| memories | M | least | no reranker | with maxsim | p95 / p50 | recall@10 | remember | start | resident |")
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    sizes = [int(size) for size in options.sizes.split(",")]
    figures = asyncio.run(measure(options.directory, sizes, options.rounds, with_ordinary=options.ordinary))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
