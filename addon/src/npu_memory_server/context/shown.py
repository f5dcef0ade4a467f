"""A memory as it is shown: what of that can be prepared before the next question comes."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

from ..records import Record, item_from_record
from ..wire import MAX_TEXT_CHARACTERS, MemoryItem, Why, to_json
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

    `text` is one line, not quoted; `tokens` are those of the whole `line`, `heading` and quoted text. `written` is the
    item as JSON up to where what a question adds to it goes.
    """

    slot: int
    record: Record = field(repr=False)
    item: MemoryItem = field(repr=False)
    heading: str
    text: str = field(repr=False)
    line: str = field(repr=False)
    tokens: int
    essence: Essence = field(repr=False)
    written: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A memory of an answer with its relevance, from 0 to 1, and why it is there if the question wants to know."""

    shown: Shown
    score: float
    why: Why | None = None

    def item(self) -> MemoryItem:
        """Return it as it travels."""
        return replace(self.shown.item, score=self.score, why=self.why)

    def written(self) -> str:
        """Return the same as JSON."""
        why = "" if self.why is None else f',"why":{to_json(self.why)}'
        return f'{self.shown.written},"score":{self.score!r}{why}}}'


def show(slot: int, record: Record, count: Count, *, allow_secrets: bool = False, hide: Collection[str] = ()) -> Shown:
    """Prepare a memory, without its secrets unless they are allowed, and without those of others (`hide`)."""
    spans = [*(() if allow_secrets else record.secrets), *occurrences(record.text, hide)]
    said = mask(record.text, spans)[:MAX_TEXT_CHARACTERS] if spans else record.text
    item = item_from_record(record)
    item = replace(item, text=said) if spans else item
    head, text = heading(record), one_line(said)
    line = head + quoted(text)
    return Shown(
        slot,
        record,
        item,
        head,
        text,
        line,
        line_tokens(line, count),
        essence(record),
        to_json(item).removesuffix("}"),
    )


def line_tokens(line: str, count: Count) -> int:
    """Return the tokens of a line.

    Those of all-MiniLM-L6-v2 differ from a language model's by little: for the lines of the sample household cl100k,
    o200k and Llama 3 count 1.01 to 1.03 times as many in English, and 0.80 to 0.98 in German, French, Spanish and
    Dutch. A factor per word and language is further off: 10 % a line on average in English, against 4 %.
    """
    return max(count(line), -(-len(line.encode()) // BYTES_A_TOKEN))
