"""What a reader finds, and how that becomes a memory: nothing of it is trusted before the wire's own check."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
import hashlib
import json
import textwrap
from typing import Any

from ..wire import MAX_TEXT_CHARACTERS, RememberRequest, from_data

MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_MEMORIES = 100_000
SOURCE = "import"

FIELDS = (
    "text",
    "speaker",
    "created_at",
    "session",
    "area",
    "kind",
    "scope",
    "language",
    "tags",
    "source",
    "expires_at",
    "valid_to",
    "superseded_by",
)


class UnreadableFile(Exception):
    """A file that cannot be imported at all; `key` names the translated reason."""

    def __init__(self, key: str) -> None:
        """Keep the key below `exceptions` in the translations."""
        super().__init__(key)
        self.key = key


@dataclass(frozen=True, slots=True)
class Draft:
    """A memory as a file has it, and where; `extra` is not part of what tells it from others (a file's date)."""

    place: str
    fields: Mapping[str, Any]
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fault:
    """A place in a file that is no memory, and why; the reason quotes nothing."""

    place: str
    reason: str


type Found = Iterator[Draft | Fault]


def request_from(draft: Draft, defaults: Mapping[str, Any]) -> RememberRequest:
    """Return the memory in a draft, with `defaults` for what it does not say. Raises `WireError`.

    Without an `id` the content gives it one, the same as `npu-memory import` does, so that importing a file again
    stores nothing twice.
    """
    fields = {name: draft.fields[name] for name in FIELDS if draft.fields.get(name) is not None}
    memory_id = draft.fields.get("id")
    if memory_id is None:
        canonical = json.dumps(fields, sort_keys=True, ensure_ascii=True, default=str).encode()
        memory_id = f"import-{hashlib.sha256(canonical).hexdigest()[:32]}"
    return from_data(
        RememberRequest, {"source": SOURCE, **defaults, **draft.extra, **fields, "memory_id": str(memory_id)}
    )


def pieces(text: str) -> list[str]:
    """Return a text in pieces of a memory's length, cut between words; a text that fits is one piece."""
    text = text.strip()
    if len(text) <= MAX_TEXT_CHARACTERS:
        return [text] if text else []
    return textwrap.wrap(text, MAX_TEXT_CHARACTERS, replace_whitespace=False, expand_tabs=False)
