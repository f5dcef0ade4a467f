"""Which reader a file needs, and whether it may be read at all."""

from collections.abc import Callable
from enum import StrEnum
from itertools import islice
from pathlib import Path

from .ai_memory import ai_memory
from .drafts import MAX_FILE_BYTES, MAX_MEMORIES, Draft, Fault, Found, UnreadableFile
from .pickled import GZIP, py_tars
from .texts import ha_memory, jsonl, markdown, plain

MAX_FILES = 10_000
SQLITE = b"SQLite format 3\0"
PICKLE = b"\x80"
JSON = b"{"


class Format(StrEnum):
    """What a file is."""

    AI_MEMORY = "ai_memory"
    HA_MEMORY = "ha_memory"
    JSONL = "jsonl"
    MARKDOWN = "markdown"
    PY_TARS = "py_tars"
    TEXT = "text"


READERS: dict[Format, Callable[[Path], Found]] = {
    Format.AI_MEMORY: ai_memory,
    Format.HA_MEMORY: ha_memory,
    Format.JSONL: jsonl,
    Format.MARKDOWN: markdown,
    Format.PY_TARS: py_tars,
    Format.TEXT: plain,
}


def read(path: Path, named: Format | None) -> tuple[Format, list[Draft | Fault]]:
    """Return what a file is (as named, or by its first bytes and its ending) and what it holds.

    Raises `UnreadableFile` and `OSError`.
    """
    if path.is_dir():
        files = list(islice(path.glob("*.md"), MAX_FILES + 1))
        if named not in {None, Format.HA_MEMORY}:
            raise UnreadableFile("import_is_folder")
        if len(files) > MAX_FILES or sum(file.lstat().st_size for file in files) > MAX_FILE_BYTES:
            raise UnreadableFile("import_too_large")
    elif not path.exists():
        raise UnreadableFile("import_not_found")
    elif not path.is_file():
        raise UnreadableFile("import_not_a_file")
    elif path.stat().st_size > MAX_FILE_BYTES:
        raise UnreadableFile("import_too_large")
    chosen = named or _recognized(path)
    found = list(islice(READERS[chosen](path), MAX_MEMORIES + 1))
    if len(found) > MAX_MEMORIES:
        raise UnreadableFile("import_too_large")
    return chosen, found


def _recognized(path: Path) -> Format:
    if path.is_dir():
        return Format.HA_MEMORY
    with path.open("rb") as stream:
        beginning = stream.read(4096)
    if beginning.startswith(SQLITE):
        return Format.AI_MEMORY
    if beginning.startswith((GZIP, PICKLE)):
        return Format.PY_TARS
    if beginning.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(JSON):
        return Format.JSONL
    if path.suffix.lower() in (".md", ".markdown"):
        return Format.HA_MEMORY if beginning.startswith(b"---\nname:") else Format.MARKDOWN
    return Format.TEXT
