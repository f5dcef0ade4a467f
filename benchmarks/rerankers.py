"""What a cross-encoder of twelve layers costs, and whether it keeps to a budget.

Makes a model of the shape of ms-marco-MiniLM-L-12-v2 with random weights, int8 as flashrank has them (its time is that
of the real one, its order means nothing), or takes a real one from a folder. Measures five memories of the sample
household read at their real lengths and, in turns with that, in one batch that is padded to 512 tokens, and in one that
is padded to its longest, as flashrank does; and then whole recalls with a budget, among memories of all lengths. A busy
machine shows in the latter: a budget is time on the clock.

    script/benchmark rerankers [--model FOLDER] [--rounds N] [--budget MS] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Sequence
import json
import logging
import os
from pathlib import Path
import platform
import random
import statistics
import tempfile
from time import perf_counter
from typing import Any

import numpy as np
import onnxruntime as ort
from onnxruntime.quantization import quantize_dynamic
from tokenizers import Tokenizer
from tqdm import tqdm

from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.memory import Memory
from npu_memory_server.reranking.cross_encoder import CrossEncoder
from npu_memory_server.reranking.files import CrossEncoderFiles, find_files
from npu_memory_server.reranking.shelf import Places, Shelf
from npu_memory_server.settings import EMBEDDER
from npu_memory_server.wire import RecallRequest, RememberRequest, Reranker

from .made_cross_encoder import MINILM_L12, cross_encoder, random_weights, write_model

HOUSEHOLD = Path(__file__).resolve().parent.parent / "samples" / "household"
CANDIDATES = 5
PADDED_TO = 512
LONG_MEMORIES = 200
MAX_JOINED = 24
"""Memories of the household that are joined to a long one, at most: about 500 tokens."""
UNHURRIED_SECONDS = 600.0


def made(folder: Path, tokenizer: Path) -> Path:
    """Make the model in a folder and return that."""
    model = folder / "made"
    write_model(model, "fp32.onnx", cross_encoder(MINILM_L12, random_weights(MINILM_L12)), tokenizer, MINILM_L12)
    logging.getLogger().setLevel(logging.ERROR)
    quantize_dynamic(model / "fp32.onnx", model / "int8.onnx")
    (model / "fp32.onnx").unlink()
    return model


class Batch:
    """The same model, reading all pairs in one batch, each padded to `length` tokens or to the longest of them."""

    def __init__(self, files: CrossEncoderFiles, length: int | None) -> None:
        """Load it with one thread, as the other one is."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = ort.InferenceSession(str(files.model), options, providers=["CPUExecutionProvider"])
        self._inputs = [node.name for node in self._session.get_inputs()]
        self._tokenizer = Tokenizer.from_file(str(files.tokenizer))
        self._tokenizer.enable_truncation(PADDED_TO)
        self._tokenizer.enable_padding(length=length)

    def judge(self, question: str, texts: Sequence[str]) -> None:
        """Read all texts with the question."""
        read = self._tokenizer.encode_batch([(question, text) for text in texts])
        given = {
            "input_ids": [one.ids for one in read],
            "attention_mask": [one.attention_mask for one in read],
            "token_type_ids": [one.type_ids for one in read],
        }
        self._session.run(None, {name: np.array(given[name], np.int64) for name in self._inputs})


def one_by_one_and_in_batches(files: CrossEncoderFiles, rounds: int) -> dict[str, Any]:
    """Read five memories in each way in turns; returns ms (p50), and what a batch takes as a multiple of one by one."""
    alone, padded, longest = CrossEncoder(files), Batch(files, PADDED_TO), Batch(files, None)
    ways: dict[str, Callable[[str, Sequence[str]], object]] = {
        "one_by_one": lambda question, texts: alone.judge(question, texts, perf_counter() + UNHURRIED_SECONDS),
        f"batch_padded_to_{PADDED_TO}": padded.judge,
        "batch_padded_to_its_longest": longest.judge,
    }
    chosen = random.Random(3)  # noqa: S311 - to choose examples
    questions, memories = _lines("questions.jsonl"), _lines("memories.jsonl")
    took: dict[str, list[float]] = {name: [] for name in ways}
    for number in tqdm(range(rounds + 1), desc="five memories", disable=None):
        question = chosen.choice(questions)
        texts = chosen.sample(memories, CANDIDATES)
        for name, judge in ways.items():
            began = perf_counter()
            judge(question, texts)
            if number:  # the first one of each allocates
                took[name].append((perf_counter() - began) * 1000)
    first = took["one_by_one"]
    ratios = {
        name: [long / short for long, short in zip(times, first, strict=True)]
        for name, times in took.items()
        if times is not first
    }
    return {
        "candidates": CANDIDATES,
        "ms_p50": {name: statistics.median(times) for name, times in took.items()},
        "as_multiple_of_one_by_one": {
            name: {"p50": statistics.median(values), "least": min(values)} for name, values in ratios.items()
        },
    }


async def within_a_budget(folder: Path, model: Path, models: Path, rounds: int, budget_ms: float) -> dict[str, Any]:
    """Ask with a budget among memories of all lengths; returns by how many ms it was exceeded, and what was read."""
    shelf = Shelf(Places(folder, model))
    shelf.load(Reranker.LOCAL)
    memory = await Memory.open(folder, OnnxEmbedder.load(models), shelf=shelf)
    chosen = random.Random(4)  # noqa: S311 - to choose examples
    said = _lines("memories.jsonl")
    over: list[float] = []
    reached: list[int] = []
    try:
        for text in [
            *said,
            *(" ".join(chosen.sample(said, chosen.randint(2, MAX_JOINED))) for _ in range(LONG_MEMORIES)),
        ]:
            await memory.remember(RememberRequest(text=text))
        await memory.embedded()
        questions = _lines("questions.jsonl")
        for number in tqdm(range(rounds + 5), desc="budget", unit=" questions", disable=None):
            request = RecallRequest(text=chosen.choice(questions), budget_ms=budget_ms, reranker=Reranker.LOCAL)
            began = perf_counter()
            context = await memory.recall(request)
            took_ms = (perf_counter() - began) * 1000
            if number >= 5:
                over.append(took_ms - budget_ms)
                reached.append(context.reranked.reached if context.reranked else 0)
    finally:
        await memory.close()
    return {
        "budget_ms": budget_ms,
        **_over(over),
        "reached": {"least": min(reached), "p50": statistics.median(reached), "most": max(reached)},
    }


def _over(over: Sequence[float]) -> dict[str, Any]:
    """Return by how many ms a budget was exceeded, and how often by no more than 10."""
    ordered = sorted(over)
    return {
        "questions": len(over),
        "over_ms": {"p50": statistics.median(over), "p99": ordered[int(0.99 * (len(over) - 1))], "most": ordered[-1]},
        "kept_within_10_ms": sum(ms <= 10 for ms in over) / len(over),
    }


def _lines(name: str) -> list[str]:
    return [json.loads(line)["text"] for line in (HOUSEHOLD / name).read_text(encoding="utf-8").splitlines()]


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="a cross-encoder in flashrank's layout")
    parser.add_argument("--rounds", type=int, default=20, help="how often five are read (default: %(default)s)")
    parser.add_argument("--questions", type=int, default=300, help="asked with a budget (default: %(default)s)")
    parser.add_argument("--budget", type=float, default=50.0, metavar="MS", help="default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options = parser.parse_args()
    models = Path(os.environ["NPU_MEMORY_MODEL_DIR"]) / EMBEDDER
    with tempfile.TemporaryDirectory() as scratch:
        model = options.model or made(Path(scratch), models / "tokenizer.json")
        figures = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
            "model": str(options.model) if options.model else "12 layers of 384, random weights, int8",
            "five": one_by_one_and_in_batches(find_files(model), options.rounds),
            "budget": asyncio.run(within_a_budget(Path(scratch), model, models, options.questions, options.budget)),
        }
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
