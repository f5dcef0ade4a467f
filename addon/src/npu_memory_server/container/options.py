"""What the app's user has chosen: the Supervisor writes it to a file, the server reads it as environment and flags."""

from __future__ import annotations

from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any

from ..errors import InvalidRequestError

OPTIONS_FILE = "options.json"
MAX_BYTES = 64 * 1024

OPTIONS = {
    "rag_strategy": "RAG_STRATEGY",
    "top_k": "TOP_K",
    "rerank_model": "RERANK_MODEL",
    "npu_embedder_enabled": "NPU_EMBEDDER_ENABLED",
    "npu_fallback_cpu": "NPU_FALLBACK_CPU",
    "npu_core_mask": "NPU_CORE_MASK",
    "rknn_embedder_path": "RKNN_EMBEDDER_PATH",
    "handle_transcripts": "--handle-transcripts",
    "log_level": "--log-level",
}
"""Each option of the app: the environment variable, or the flag of `npu-memory serve`, that it stands for."""


@dataclass(frozen=True, slots=True)
class Choices:
    """Options as the server takes them, and the names of those that it does not know."""

    environment: dict[str, str]
    arguments: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def read_options(file: Path) -> Choices:
    """Return what the file says; nothing if it is missing. Raises `InvalidRequestError`.

    Switches become 1 and 0 in the environment. An option that is empty keeps the server's default.
    """
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return Choices({})
    except OSError as error:
        raise InvalidRequestError(f"The options in {file} cannot be read: {error.strerror}.") from error
    try:
        options = json.loads(content) if len(content) <= MAX_BYTES else None
    except ValueError:
        options = None
    if not isinstance(options, dict):
        raise InvalidRequestError(f"{file} does not hold options: save the app's configuration again.")
    environment: dict[str, str] = {}
    arguments: list[str] = []
    for name, target in OPTIONS.items():
        value = options.get(name)
        if value is None or value == "":
            continue
        text = _text(name, value)
        if not target.startswith("--"):
            environment[target] = text
        elif not isinstance(value, bool):
            arguments += [target, text]
        elif value:
            arguments.append(target)
    return Choices(environment, tuple(arguments), tuple(sorted(options.keys() - OPTIONS.keys())))


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int) or (isinstance(value, str) and value.isprintable()):
        return str(value)
    raise InvalidRequestError(f"The option {name} is neither a text, a whole number nor a switch.")
