"""JSON lines from a file: each checked, and told of by its number when it is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
import hashlib
import json
from pathlib import Path
import sys
from typing import Any, BinaryIO, Generic, TypeVar

from ..errors import InvalidRequestError
from ..wire import IDENTIFIER, RecallRequest, RememberRequest, WireError, characters, from_data

Parsed = TypeVar("Parsed")

MAX_LINE_BYTES = 1024 * 1024
"""A memory of 8 192 characters with all that belongs to it takes a tenth of this."""

MAX_ANSWERS = 100

IMPORTED_FIELDS = (
    "text", "speaker", "created_at", "session", "area", "kind", "scope", "language", "tags", "source", "expires_at",
    "valid_to", "superseded_by", "derived_from",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line(Generic[Parsed]):
    """What a line holds, or what is wrong with it; `id` is the one it gives itself, if it does."""

    number: int
    value: Parsed | None
    fault: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class BatchQuestion:
    """A line of `recall --batch`: the question and the id that its answer is to carry."""

    id: str
    request: RecallRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a question to evaluate with says of its answer; without `answers` nothing is to be found."""

    type: str = field(default="question", metadata=characters(40, minimum=1))
    answers: tuple[str, ...] = field(metadata={**IDENTIFIER, "items": MAX_ANSWERS})
    outdated: tuple[str, ...] = field(default=(), metadata={**IDENTIFIER, "items": MAX_ANSWERS})


@dataclass(frozen=True, slots=True)
class JudgedQuestion:
    """A line of `evaluate`: the question as in a batch, and the answer that it should get."""

    id: str
    request: RecallRequest
    expected: Expected


def read_lines(path: Path, parse: Callable[[Mapping[str, Any]], Parsed]) -> Iterator[Line[Parsed]]:
    """Yield the lines of a JSONL file (`-`: standard input), blank ones left out. Raises `InvalidRequestError`."""
    try:
        with sys.stdin.buffer if str(path) == "-" else path.open("rb") as stream:
            number = 0
            while content := stream.readline(MAX_LINE_BYTES):
                number += 1
                if len(content) == MAX_LINE_BYTES and not content.endswith(b"\n"):
                    _skip_rest_of_line(stream)
                    yield Line(number, None, f"is longer than {MAX_LINE_BYTES} bytes")
                elif content.strip():
                    yield _parsed_line(number, content, parse)
    except OSError as error:
        raise InvalidRequestError(f"{path} cannot be read: {error.strerror}.") from error


def _skip_rest_of_line(stream: BinaryIO) -> None:
    while (more := stream.readline(MAX_LINE_BYTES)) and not more.endswith(b"\n"):
        pass


def _parsed_line(number: int, content: bytes, parse: Callable[[Mapping[str, Any]], Parsed]) -> Line[Parsed]:
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        return Line(number, None, "is not JSON")
    if not isinstance(data, dict):
        return Line(number, None, "is not a JSON object")
    try:
        return Line(number, parse(data))
    except WireError as error:
        return Line(number, None, error.sentence, str(data.get("id", "")))


def memory_to_import(data: Mapping[str, Any]) -> RememberRequest:
    """Return the memory in a line of an import file. Raises `WireError`.

    Without an `id` the line's content gives it one, so that importing the file again stores nothing twice.
    """
    fields = {name: data[name] for name in IMPORTED_FIELDS if data.get(name) is not None}
    memory_id = data.get("id")
    if memory_id is None:
        canonical = json.dumps(fields, sort_keys=True, ensure_ascii=True).encode()
        memory_id = f"import-{hashlib.sha256(canonical).hexdigest()[:32]}"
    return from_data(RememberRequest, {"source": "import", **fields, "memory_id": memory_id})


def question_to_ask(data: Mapping[str, Any], common: Mapping[str, Any]) -> BatchQuestion:
    """Return the question in a line of a batch, with the options that hold `common`ly. Raises `WireError`.

    `scope` is one scope or a list of them; without it the household is asked.
    """
    scope = data.get("scope")
    scopes = {} if scope is None else {"scopes": scope if isinstance(scope, list) else [scope]}
    fields = {name: data[name] for name in ("text", "asked_at", "speaker", "language") if data.get(name) is not None}
    return BatchQuestion(str(data.get("id", "")), from_data(RecallRequest, {**common, **fields, **scopes}))


def question_to_evaluate(data: Mapping[str, Any], common: Mapping[str, Any]) -> JudgedQuestion:
    """Return the question in a line of `evaluate`, with what it expects. Raises `WireError`."""
    asked = question_to_ask(data, common)
    return JudgedQuestion(asked.id, asked.request, from_data(Expected, data))
