"""What an assistant with memory adds to a turn of a real Home Assistant, over text, through the Assist pipeline.

Starts a memory server with the sample household and a Home Assistant, and holds two long conversations at once, a turn
of one after a turn of the other: with an agent alone, and with an assistant with memory in front of the same agent.
Then the same with the memory server stopped. The agent stands in for a language model that always needs the same time;
it says how many memories its prompt had.

    script/benchmark turns [--turns N] [--turns-without-server N] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
import json
import os
from pathlib import Path
import platform
import re
import statistics
import sys
import tempfile
from time import perf_counter
from typing import Any

from script.demonstration import memory_server, setup
from script.demonstration.home_assistant import HomeAssistant
from script.demonstration.house import house
from script.demonstration.memory_server import Command

CHECKOUT = Path(__file__).resolve().parents[2]
HOUSEHOLD = CHECKOUT / "samples" / "household"
AGENT = "conversation.stand_in_agent"
CONFIGURATION = """\
homeassistant:
  name: NPU Memory
  country: US
  time_zone: America/New_York # the sample household's
config:
conversation:
assist_pipeline:
stand_in_agent:
logger:
  default: warning
"""
PAUSE_SECONDS = 0.15
"""Between two turns: what a turn has left to be done behind its answer's back is not the next one's."""
WARM_UP_TURNS = 10

type Inference = Callable[[str], Awaitable[float]]


@dataclass(frozen=True)
class Turn:
    """A turn as whoever speaks has it: ms from the question to the first words, and to the whole answer.

    `pieces` are those that the answer came in, `memories` those that the agent's prompt had.
    """

    first_ms: float
    whole_ms: float
    pieces: int
    memories: int
    conversation: str


@dataclass
class Conversation:
    """A conversation through one pipeline."""

    home: HomeAssistant
    pipeline: str
    id: str | None = None

    async def say(self, text: str) -> Turn | None:
        """Take a turn; None if it was not the agent that answered, as with "when did I ...", which the memory does."""
        first: list[float] = []
        answers: list[dict[str, Any]] = []
        started = perf_counter()

        def seen(event: dict[str, Any]) -> bool:
            data = event["data"]
            if event["type"] == "intent-progress" and (data.get("chat_log_delta") or {}).get("content"):
                first.append(perf_counter())
            elif event["type"] == "intent-end":
                answers.append(data["intent_output"])
            elif event["type"] == "error":
                raise SystemExit(f"The pipeline failed: {data['message']}")
            return bool(event["type"] == "run-end")

        await self.home.events(
            "assist_pipeline/run",
            seen,
            start_stage="intent",
            end_stage="intent",
            pipeline=self.pipeline,
            conversation_id=self.id,
            input={"text": text},
        )
        ended = perf_counter()
        (answer,) = answers
        self.id = answer["conversation_id"]
        said = re.fullmatch(r"I was given (\d+) memories\.", answer["response"]["speech"]["plain"]["speech"])
        if said is None or not first:
            return None
        return Turn(
            first_ms=(first[0] - started) * 1000,
            whole_ms=(ended - started) * 1000,
            pieces=len(first),
            memories=int(said[1]),
            conversation=self.id or "",
        )


@asynccontextmanager
async def bare_inference(python: Path) -> AsyncIterator[Inference]:
    """Give a function that returns the ms of a question's inference, in a process that does nothing else."""
    environment = {**os.environ, "PYTHONPATH": f"{CHECKOUT}{os.pathsep}{CHECKOUT / 'addon' / 'src'}"}
    command = (str(python), "-m", "benchmarks.turns.bare_inference")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, env=environment)
    questions, answers = process.stdin, process.stdout
    if questions is None or answers is None:
        raise SystemExit("There are no pipes to the bare inference.")

    async def inference(question: str) -> float:
        questions.write(f"{question}\n".encode())
        return float(await answers.readline())

    try:
        yield inference
    finally:
        process.terminate()
        await process.wait()


async def measure(turns: int, turns_without_server: int, folder: Path, server_python: Path) -> dict[str, Any]:
    """Return the figures."""
    command = Command(CHECKOUT, server_python, Path(os.environ["NPU_MEMORY_MODEL_DIR"]), folder / "data")
    lines = (HOUSEHOLD / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    questions = [json.loads(line)["text"] for line in lines]
    await memory_server.import_memories(command, HOUSEHOLD / "memories.jsonl")
    agent = Path(__file__).parent / "stand_in_agent"
    async with house(folder, command, Path(sys.executable), CONFIGURATION, [agent]) as home_of:
        assistant = await home_of.add_assistant("With memory", agent=AGENT)
        pipelines = [
            await setup.add_pipeline(home_of.home, AGENT, "Alone"),
            await setup.add_pipeline(home_of.home, assistant, "With memory"),
        ]
        async with bare_inference(server_python) as bare:
            both = [Conversation(home_of.home, pipeline) for pipeline in pipelines]
            await take_turns(both, questions[-WARM_UP_TURNS:], bare)
            both = [Conversation(home_of.home, pipeline) for pipeline in pipelines]
            with_server = await take_turns(
                both, repeated(questions, turns), bare, partial(home_of.last_turn, assistant)
            )
            home_of.stop_server()
            await take_turns(both, questions[-WARM_UP_TURNS:])
            without_server = await take_turns(both, repeated(questions, turns_without_server))
        version = (await home_of.home.command("get_config"))["version"]
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "home_assistant": version,
        "memories": len((HOUSEHOLD / "memories.jsonl").read_text(encoding="utf-8").splitlines()),
        "with_server": with_server,
        "server_stopped": without_server,
    }


def repeated(questions: list[str], number: int) -> list[str]:
    """Return so many questions, from the beginning again when they are at their end."""
    return [questions[turn % len(questions)] for turn in range(number)]


async def take_turns(
    both: list[Conversation],
    questions: list[str],
    bare: Inference | None = None,
    last_turn: Callable[[], Awaitable[dict[str, Any]]] | None = None,
) -> dict[str, Any]:
    """Ask every question in both conversations, each being the first every other time; return what differs."""
    alone: list[Turn] = []
    remembering: list[Turn] = []
    inferences: list[float] = []
    waited: list[float] = []
    outcomes: dict[str, int] = {}
    for number, question in enumerate(questions):
        taken: dict[int, Turn | None] = {}
        report: dict[str, Any] | None = None
        for place in (0, 1) if number % 2 else (1, 0):
            taken[place] = await both[place].say(question)
            if last_turn is not None and place == 1:
                report = await last_turn()
            await asyncio.sleep(PAUSE_SECONDS)
        one, other = taken[0], taken[1]
        if one is None or other is None:
            continue
        alone.append(one)
        remembering.append(other)
        if report is not None:
            waited.append(report["waited_ms"])
            outcomes[report["event_type"]] = outcomes.get(report["event_type"], 0) + 1
        if bare is not None:
            inferences.append(await bare(question))
        if sys.stderr.isatty():
            print(f"\r  turn {number + 1} of {len(questions)} ", end="", file=sys.stderr, flush=True)
    figures = differences(alone, remembering)
    if inferences:
        inference = statistics.median(inferences)
        figures["bare_inference_ms"] = {"p50": inference, "p95": percentile(inferences, 0.95)}
        figures["whole_in_bare_inferences"] = figures["whole"]["more_ms_p50"] / inference
        figures["asked_at_most_ms"] = 1.6 * inference + 5
    if waited:
        figures["waited_for_memory_ms"] = {"p50": statistics.median(waited), "p95": percentile(waited, 0.95)}
        figures["outcomes"] = outcomes
    return figures


def differences(alone: list[Turn], remembering: list[Turn]) -> dict[str, Any]:
    """Return the figures of both sides and what memory adds, each time pair by pair."""
    figures: dict[str, Any] = {"turns": len(alone)}
    for name in ("first", "whole"):
        before = [getattr(turn, f"{name}_ms") for turn in alone]
        after = [getattr(turn, f"{name}_ms") for turn in remembering]
        more = [b - a for a, b in zip(before, after, strict=True)]
        quarter = max(1, len(more) // 4)
        figures[name] = {
            "alone_ms": {"p50": statistics.median(before), "p95": percentile(before, 0.95)},
            "with_memory_ms": {"p50": statistics.median(after), "p95": percentile(after, 0.95)},
            "median_difference_ms": statistics.median(after) - statistics.median(before),
            "more_ms_p50": statistics.median(more),
            "more_ms_p95": percentile(more, 0.95),
            "more_ms_p50_first_quarter": statistics.median(more[:quarter]),
            "more_ms_p50_last_quarter": statistics.median(more[-quarter:]),
        }
    figures["pieces_p50"] = statistics.median(turn.pieces for turn in remembering)
    figures["turns_with_memories"] = sum(turn.memories > 0 for turn in remembering)
    figures["conversations"] = len({turn.conversation for turn in remembering})
    return figures


def percentile(values: list[float], share: float) -> float:
    """Return the value that this share of `values` does not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def table(figures: dict[str, Any]) -> str:
    """Return the figures for a person to read."""
    lines = [f"{'ms, p50':44}{'alone':>8}{'with':>8}{'more':>8}{'p95':>8}{'first 1/4':>11}{'last 1/4':>10}"]
    for label, part in (("", figures["with_server"]), (", server stopped", figures["server_stopped"])):
        for name, said in (("first", "to the first words"), ("whole", "to the end of the answer")):
            row = part[name]
            lines.append(
                f"{said + label:44}{row['alone_ms']['p50']:8.2f}{row['with_memory_ms']['p50']:8.2f}"
                f"{row['more_ms_p50']:8.2f}{row['more_ms_p95']:8.2f}{row['more_ms_p50_first_quarter']:11.2f}"
                f"{row['more_ms_p50_last_quarter']:10.2f}"
            )
    part = figures["with_server"]
    waited, inference = part["waited_for_memory_ms"]["p50"], part["bare_inference_ms"]["p50"]
    asked, found = part["asked_at_most_ms"], part["whole"]["more_ms_p50"]
    lines += [
        f"{part['turns']} turns, {part['turns_with_memories']} with memories in the prompt: {part['outcomes']}",
        f"pieces of an answer: {part['pieces_p50']:.0f}; waited for memory: {waited:.2f} ms",
        f"M, bare inference: {inference:.2f} ms; 1.6 M + 5 ms, asked for: {asked:.2f} ms; more: {found:.2f} ms",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=200, help="of each conversation (default: 200)")
    parser.add_argument("--turns-without-server", type=int, default=50, help="when it is stopped (default: 50)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server_python = Path(os.environ["SERVER_PYTHON"])
        figures = asyncio.run(measure(options.turns, options.turns_without_server, Path(folder), server_python))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(table(figures))


if __name__ == "__main__":
    main()
