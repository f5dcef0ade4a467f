"""Why memories were chosen, as a table for a person."""

from __future__ import annotations

from collections.abc import Sequence

from ..wire import MemoryItem, Why
from .tables import Row, text_table

LEGEND = """\
Each number is what was added to a memory's score: "vector" for the likeness of meaning, "words" for that of the words.
The sum is what the relevance is made of. "place" is before the reranker, the last column what the reranker gave."""


def explanation(memories: Sequence[MemoryItem]) -> str:
    """Return a table with a row for each memory that says why it was chosen, and notes on some.

    Signals that added nothing to any of them have no column. Memories without a `why` are left out; without any there
    is no text.
    """
    whys = [(number, memory.why) for number, memory in enumerate(memories, 1) if memory.why is not None]
    if not whys:
        return ""
    signals = list(dict.fromkeys(one.signal for _, why in whys for one in why.contributions if one.value != 0))
    numbers = {memory.id: number for number, memory in enumerate(memories, 1)}
    notes = [f"{number}: {note}" for number, why in whys for note in _notes(why, numbers)]
    table = text_table(
        ["", "relevance", *signals, "sum", "place", "reranker"],
        [_row(number, memories[number - 1], why, signals) for number, why in whys],
    )
    return "\n".join([table, *notes, "", LEGEND])


def _row(number: int, memory: MemoryItem, why: Why, signals: Sequence[str]) -> Row:
    added = {one.signal: one.value for one in why.contributions}
    return [
        str(number),
        _number(memory.score, ".2f"),
        *(_number(added.get(signal), "+.3f") for signal in signals),
        _number(sum(added.values()) if added else None, ".3f"),
        str(why.place or "-"),
        _number(why.rerank, ".3f"),
    ]


def _notes(why: Why, numbers: dict[str, int]) -> list[str]:
    notes = []
    if why.outdated:
        notes.append("was corrected and counts less")
    if why.corrects is not None:
        notes.append(f"stands here because it has corrected {numbers.get(why.corrects, why.corrects)}")
    if why.perhaps_corrects is not None:
        older = numbers.get(why.perhaps_corrects, why.perhaps_corrects)
        notes.append(f"stands here because it is newer than {older} and may have changed it")
    if why.repeats:
        notes.append(f"says the same as {', '.join(str(numbers.get(one, one)) for one in why.repeats)}")
    return notes


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
