"""`npu-memory recall`: one question for a person, or a batch of them for a program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
import json
from pathlib import Path
import sys
from typing import Any

from tqdm import tqdm

from ..errors import InvalidRequestError, NpuMemoryError
from ..wire import Context, RecallRequest, Timings
from .explaining import explanation
from .opening import Memories
from .reading import question_to_ask, read_lines


async def ask(memories: Memories, request: RecallRequest, *, as_json: bool) -> int:
    """Ask one question and print what is found; returns the exit code."""
    context = await memories.recall(request)
    if as_json:
        print(json.dumps(answer_data(context), ensure_ascii=False))
        return 0
    for number, memory in enumerate(context.memories, 1):
        place = f"{number}: " if request.explain else ""
        who = f"{memory.speaker}: " if memory.speaker else ""
        until = f" (until {memory.valid_to[:10]})" if memory.valid_to else ""
        print(f"{place}{memory.score:.2f}  {memory.created_at[:10]}  {who}{memory.text}{until}  [{memory.id}]")
    if request.explain and context.memories:
        print(f"\n{explanation(context.memories)}")
    if not context.memories:
        print("Nothing was found.")
    if context.degraded:
        print(f"Note: {context.degraded}", file=sys.stderr)
    print(f"{context.timings.total:.1f} ms on {context.backend}: {stages(context.timings)}", file=sys.stderr)
    return 0


async def ask_batch(memories: Memories, queries: Path, output: Path, common: Mapping[str, Any]) -> int:
    """Answer a file of questions, one after the other so that the timings are honest; returns the exit code.

    A line that cannot be answered gets a line with its `id` and an `error`. Raises `InvalidRequestError`.
    """
    lines = list(read_lines(queries, partial(question_to_ask, common=common)))
    failed = 0
    unfinished = output.with_name(f"{output.name}.unfinished")
    try:
        with unfinished.open("w", encoding="utf-8") as stream:
            for line in tqdm(lines, desc="asking", unit=" questions", disable=None):
                if line.value is None:
                    answer: dict[str, Any] = {"id": line.id, "error": f"line {line.number}: {line.fault}"}
                else:
                    answer = {"id": line.value.id}
                    try:
                        answer |= answer_data(await memories.recall(line.value.request))
                    except NpuMemoryError as error:
                        answer["error"] = str(error)
                failed += "error" in answer
                stream.write(json.dumps(answer, ensure_ascii=False) + "\n")
        unfinished.replace(output)
    except OSError as error:
        raise InvalidRequestError(f"{output} cannot be written: {error.strerror}.") from error
    print(f"{len(lines) - failed} questions answered, {failed} failed: {output}", file=sys.stderr)
    return 1 if failed else 0


def answer_data(context: Context) -> dict[str, Any]:
    """Return an answer as JSON data: `memories`, `context`, `timings` (ms by stage), `backend`, perhaps `degraded`."""
    data = asdict(context)
    data.pop("id")
    return {**data, "timings": {name: round(ms, 3) for name, ms in data["timings"].items()}}


def stages(timings: Timings) -> str:
    """Return the ms of each stage in a line."""
    names = ("wait", "tokenize", "inference", "pooling", "lexical", "vector", "fusion", "rerank", "context")
    return ", ".join(f"{name} {getattr(timings, name):.2f}" for name in names)
