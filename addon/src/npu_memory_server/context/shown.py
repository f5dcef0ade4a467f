"""A memory as it is shown: what of that can be prepared before the next question comes."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

from ..records import Record, item_from_record
from ..wire import MAX_TEXT_CHARACTERS, MemoryItem
from .lines import heading, one_line, quoted
from .repetition import Essence, essence
from .secrets import mask, occurrences

Count = Callable[[str], int]
"""Counts the tokens of a text."""

BYTES_A_TOKEN = 6
"""Of UTF-8, at most. Ordinary text has 3 to 4; what the embedder's tokenizer sums up as one unknown token, such as a
run of letters or of signs, costs a language model more."""


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A memory with its secrets masked, as it travels and as it stands in a line of the context.

    `text` is one line, not quoted; `tokens` are those of the whole `line`, `heading` and quoted text.
    """

    slot: int
    record: Record = field(repr=False)
    item: MemoryItem = field(repr=False)
    heading: str
    text: str = field(repr=False)
    line: str = field(repr=False)
    tokens: int
    essence: Essence = field(repr=False)


def show(slot: int, record: Record, count: Count, *, allow_secrets: bool = False, hide: Collection[str] = ()) -> Shown:
    """Prepare a memory, without its secrets unless they are allowed, and without those of others (`hide`)."""
    spans = [*(() if allow_secrets else record.secrets), *occurrences(record.text, hide)]
    said = mask(record.text, spans)[:MAX_TEXT_CHARACTERS] if spans else record.text
    item = item_from_record(record)
    head, text = heading(record), one_line(said)
    line = head + quoted(text)
    return Shown(
        slot,
        record,
        replace(item, text=said) if spans else item,
        head,
        text,
        line,
        line_tokens(line, count),
        essence(record),
    )


def line_tokens(line: str, count: Count) -> int:
    """Return the tokens of a line.

    Those of all-MiniLM-L6-v2 differ from a language model's by little: for the lines of the sample household cl100k,
    o200k and Llama 3 count 1.01 to 1.03 times as many in English, and 0.80 to 0.98 in German, French, Spanish and
    Dutch. A factor per word and language is further off: 10 % a line on average in English, against 4 %.
    """
    return max(count(line), -(-len(line.encode()) // BYTES_A_TOKEN))
