"""The memories as text for a language model: quoted, each with its day and its speaker."""

from __future__ import annotations

import json

from ..records import Record, spoken_date


def context_line(record: Record) -> str:
    """Return a memory as one line.

    Its text is written as a JSON string: whatever is in it, line breaks and quotation marks too, stays inside its
    quotation marks.
    """
    who = f", {_quoted_name(record.speaker)}" if record.speaker else ""
    ended = f", no longer so since {spoken_date(record.valid_to)}" if record.valid_to else ""
    return f"- ({spoken_date(record.created_at)}{who}{ended}) {_quoted(record.text)}"


def _quoted(text: str) -> str:
    """Spaces of all kinds become plain ones: JSON leaves some line breaks of Unicode as they are."""
    return json.dumps(" ".join(text.split()), ensure_ascii=False)


def _quoted_name(name: str) -> str:
    """A name is somebody's input as well: it keeps to its line and cannot close the parenthesis."""
    return " ".join(name.split()).replace("(", "").replace(")", "")
