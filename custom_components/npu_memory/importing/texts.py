"""Memories in text files: JSON lines, Markdown, plain text, and the folder of Markdown files that ha-memory keeps."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
import json
from pathlib import Path
import re
from typing import Any

from .drafts import Draft, Fault, Found, UnreadableFile, pieces

HA_MEMORY_INDEX = "MEMORY.md"
MAX_TAG_CHARACTERS = 64

_BULLET = re.compile(r"\s*(?:[-*+]|\d+[.)])\s+(?:\[[ xX]\]\s+)?")
_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*\s*")
_RULE = re.compile(r"\s*([-*_])(?:\s*\1){2,}\s*")
_FENCE = re.compile(r"\s*(```|~~~)")


def jsonl(path: Path) -> Found:
    """Yield the memories of a file with one JSON object a line, as `npu-memory export` writes it."""
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
        except ValueError, RecursionError:
            yield Fault(f"line {number}", "It is not JSON.")
            continue
        if isinstance(data, dict):
            yield Draft(f"line {number}", data)
        else:
            yield Fault(f"line {number}", "It is not a JSON object.")


def plain(path: Path) -> Found:
    """Yield every line that is not blank as a memory."""
    extra = _dated(path)
    for number, line in enumerate(_lines(path), 1):
        for piece in pieces(line):
            yield Draft(f"line {number}", {"text": piece}, extra)


def markdown(path: Path) -> Found:
    """Yield every list item and every paragraph as a memory, with the headings above it as tags."""
    extra = _dated(path)
    for number, text, headings in _blocks(_lines(path)):
        tags = [heading[:MAX_TAG_CHARACTERS] for heading in headings if heading]
        for piece in pieces(text):
            yield Draft(f"line {number}", {"text": piece, "tags": tags}, extra)


def ha_memory(folder: Path) -> Found:
    """Yield every file of ha-memory's folder (or one such file) as a memory, with its name and type as tags."""
    files = sorted(folder.glob("*.md")) if folder.is_dir() else [folder]
    for file in files:
        if file.name == HA_MEMORY_INDEX or file.name.startswith("."):
            continue
        if file.is_symlink() or not file.is_file():
            yield Fault(file.name, "It is not a file of its own.")
            continue
        try:
            head, text = _front_matter("\n".join(_lines(file)))
        except UnreadableFile:
            yield Fault(file.name, "It is not text in UTF-8.")
            continue
        tags = [tag[:MAX_TAG_CHARACTERS] for tag in (head.get("type"), head.get("name", file.stem)) if tag]
        for piece in pieces(text or head.get("description", "")):
            yield Draft(file.name, {"text": piece, "tags": tags, "kind": "fact"}, _dated(file))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UnreadableFile("import_not_text") from error


def _dated(path: Path) -> Mapping[str, Any]:
    return {"created_at": datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")}


def _front_matter(text: str) -> tuple[dict[str, str], str]:
    """Return what stands between the first two lines of dashes, key by key, and what follows it."""
    if not text.startswith("---\n") or "\n---" not in text[4:]:
        return {}, text.strip()
    head, _, body = text[4:].partition("\n---")
    pairs = (line.partition(":") for line in head.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs if value.strip()}, body.strip()


def _blocks(lines: Iterable[str]) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """Yield list items and paragraphs: the number of the first line, the text, and the headings above."""
    headings: dict[int, str] = {}
    block: list[str] = []
    begun = 0
    in_code = False
    for number, line in enumerate((*lines, ""), 1):
        if _FENCE.match(line):
            in_code = not in_code
            continue
        heading = None if in_code else _HEADING.fullmatch(line)
        bullet = None if in_code else _BULLET.match(line)
        ends = not line.strip() or _RULE.fullmatch(line)
        if block and (heading or bullet or ends):
            yield begun, " ".join(block), tuple(headings[level] for level in sorted(headings))
            block = []
        if heading:
            level = len(heading[1])
            headings = {above: text for above, text in headings.items() if above < level} | {level: heading[2]}
        elif not ends:
            begun = begun if block else number
            block.append(line[bullet.end() :].strip() if bullet else line.strip())
