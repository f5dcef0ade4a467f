"""What memory costs a language model of one's own in the second turn of a conversation, by where memories are put.

Speaks to a llama-server (llama.cpp) as Home Assistant's agents do: a system prompt of about 2 000 tokens, a first
turn, its answer, and a second turn, which is measured: how many tokens the server had to read, and the time to its
first token as a multiple of the same turn without memory. The ways take turns, each time with a prompt that the server
has not seen.

    script/benchmark prompt_cache --url http://127.0.0.1:8080 [--past N] [--rounds N] [--json FILE]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from http.client import HTTPConnection
import json
from pathlib import Path
import statistics
import sys
from time import perf_counter
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
INTEGRATION = ModuleType("npu_memory")
INTEGRATION.__path__ = [str(ROOT / "custom_components" / "npu_memory")]
sys.modules["npu_memory"] = INTEGRATION  # without its __init__, which needs Home Assistant

from npu_memory import prompt, wire  # type: ignore[attr-defined] # noqa: E402

TOP_K = 5
MAX_TOKENS = 500
ANSWER_TOKENS = 16
LAMPS = 72
"""So that the system prompt has about 2 000 tokens."""
PAST = (
    (
        "How warm is it in room {n}?",
        "It is {n} degrees in room {n}, which is a little less than yesterday at this time.",
    ),
    (
        "Thank you, and is the window of room {n} open?",
        "No, the window of room {n} has been closed since this morning.",
    ),
)
"""What was said before, over and over."""
QUESTIONS = ("Who has the spare key?", "And when is swim practice?")


@dataclass(frozen=True)
class Turn:
    """What the second turn has cost: tokens that were read, and s to the first token."""

    read: int
    first_token: float
    answer: str


def home(salt: str) -> str:
    """Return the static part of a system prompt; `salt` makes it one that the server does not know."""
    devices = "\n".join(f"- name: lamp number {n}, area: room {n % 9}, domain: light, state: off" for n in range(LAMPS))
    return f"[{salt}] You are a voice assistant for Home Assistant. Answer in one sentence.\nDevices:\n{devices}"


def quoted(first: int) -> prompt.Quoted:
    """Return some memories of the sample household as the integration quotes them."""
    lines = (ROOT / "samples" / "household" / "memories.jsonl").read_text(encoding="utf-8").splitlines()
    said = [json.loads(line) for line in lines[first : first + TOP_K]]
    memories = [
        wire.MemoryItem(id=one["id"], text=one["text"], speaker=one.get("speaker"), created_at=one["created_at"])
        for one in said
    ]
    return prompt.quote(memories, UTC, MAX_TOKENS)


def without_memory(base: str, turn: int) -> tuple[str, str]:
    """Return system prompt and message of a turn."""
    return base, QUESTIONS[turn]


def in_the_system_prompt(base: str, turn: int) -> tuple[str, str]:
    """Return system prompt and message of a turn; both turns have memories of their own."""
    return f"{base}\n{prompt.memory_prompt(quoted(turn * TOP_K))}", QUESTIONS[turn]


def below_the_message(base: str, turn: int) -> tuple[str, str]:
    """Return the same with other memories for each turn, below the message."""
    message = prompt.message_with_memory(QUESTIONS[turn], quoted(turn * TOP_K).lines)
    return f"{base}\n{prompt.BELOW}", message


def below_the_first_message(base: str, turn: int) -> tuple[str, str]:
    """Return the same where the second turn needs what the first was told, so that it is not told again."""
    message = QUESTIONS[turn] if turn else prompt.message_with_memory(QUESTIONS[turn], quoted(0).lines)
    return f"{base}\n{prompt.BELOW}", message


WAYS: dict[str, Callable[[str, int], tuple[str, str]]] = {
    "without memory": without_memory,
    "system prompt": in_the_system_prompt,
    "below the message, other memories": below_the_message,
    "below the message, the same memories": below_the_first_message,
}


def ask(url: str, messages: list[dict[str, str]]) -> Turn:
    """Have the server answer, and measure it."""
    address = urlsplit(url)
    connection = HTTPConnection(address.hostname or "127.0.0.1", address.port or 80, timeout=600)
    body = {
        "messages": messages,
        "stream": True,
        "temperature": 0,
        "max_tokens": ANSWER_TOKENS,
        "cache_prompt": True,
        "id_slot": 0,
        "timings_per_token": True,
    }
    started = perf_counter()
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    if response.status != 200:
        raise SystemExit(f"The server answers {response.status}: {response.read().decode()[:300]}")
    first: float | None = None
    answer, read = "", 0
    for line in response:
        if not line.startswith(b"data: {"):
            continue
        chunk: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
        read = int(chunk.get("timings", {}).get("prompt_n", read))
        for choice in chunk.get("choices", ()):
            if text := choice["delta"].get("content"):
                first = first or perf_counter() - started
                answer += text
    connection.close()
    return Turn(read, first or perf_counter() - started, answer or "Yes.")


def second_turn(url: str, way: Callable[[str, int], tuple[str, str]], salt: str, past: int) -> tuple[int, Turn]:
    """Hold two turns after `past` others; return the tokens of the first and what the second has cost."""
    base = home(salt)
    system, message = way(base, 0)
    said = [
        {"role": role, "content": text.format(n=number)}
        for number in range(past)
        for role, text in zip(("user", "assistant"), PAST[number % len(PAST)], strict=True)
    ]
    said.append({"role": "user", "content": message})
    first = ask(url, [{"role": "system", "content": system}, *said])
    system, message = way(base, 1)
    said += [{"role": "assistant", "content": first.answer}, {"role": "user", "content": message}]
    return first.read, ask(url, [{"role": "system", "content": system}, *said])


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="of a llama-server, such as http://127.0.0.1:8080")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--past", type=int, default=0, help="turns of the conversation before these two")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    turns: dict[str, list[Turn]] = {name: [] for name in WAYS}
    tokens = 0
    for number in range(arguments.rounds):
        for name, way in WAYS.items():
            tokens, turn = second_turn(arguments.url, way, f"{number} {name} {perf_counter()}", arguments.past)
            turns[name].append(turn)
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
    plain = turns["without memory"]
    table = {
        name: {
            "tokens_read": statistics.median(turn.read for turn in measured),
            "first_token_ratio": statistics.median(
                turn.first_token / bare.first_token for turn, bare in zip(measured, plain, strict=True)
            ),
            "first_token_ms": statistics.median(turn.first_token for turn in measured) * 1000,
        }
        for name, measured in turns.items()
    }
    print(f"First turn: about {tokens} tokens. The second turn, median of {arguments.rounds}:")
    print(f"{'':38}{'tokens read':>12}{'first token':>14}{'ms':>8}")
    for name, row in table.items():
        print(f"{name:38}{row['tokens_read']:12.0f}{row['first_token_ratio']:13.2f}x{row['first_token_ms']:8.0f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
