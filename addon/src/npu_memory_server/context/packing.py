"""The context of an answer: which lines it has, in which order, within a budget of tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from ..wire import LeftOut, Omission
from .lines import quoted
from .repetition import all_differ, says_the_same
from .shown import Count, Shown, line_tokens

EQUAL_RELEVANCE = 0.01
"""Scores are that exact at best."""
LONG_TOKENS = 96
"""A longer memory is cut rather than left out; half a sentence may say the opposite of the whole one."""
MIN_TEXT_TOKENS = 8
"""Less of a text than that says nothing."""
MAX_FRAGMENT_WORDS = 15
"""A longer turn is a thought of its own, also when it answers a question."""
SAME_THOUGHT = timedelta(minutes=10)
ELLIPSIS = "…"
BEFORE, AFTER = "just before", "right after"
WHERE_TOKENS = 4
"""Two words and the indentation, by either way to count."""

Neighbor = Callable[[Shown, bool], Shown | None]
"""The turn after one in its session, or else the one before it, if the asker may see it."""


@dataclass(frozen=True, slots=True)
class Packed:
    """The context, a line each, and the memories that it does not have, or not whole."""

    context: str
    left_out: tuple[LeftOut, ...]


def pack(found: Sequence[tuple[Shown, float]], max_tokens: int, count: Count, neighbor_of: Neighbor) -> Packed:
    """Return the context of what was `found` (with its relevance), of at most `max_tokens`.

    The most relevant come first, and of equally relevant ones the newest. Each thing is said once. What is left of the
    budget goes to the turns around a found one that complete its thought.
    """
    kept, left_out = _without_repetitions([one for one, _ in sorted(found, key=_rank)])
    lines, remaining = _fitting(kept, max_tokens, count, left_out)
    seen = {one.slot for one, _ in found}
    context: list[str] = []
    for one, line in lines:
        context.append(line)
        if remaining > 0 and (completing := _completing(one, neighbor_of)):
            where, neighbor = completing
            tokens = neighbor.tokens + WHERE_TOKENS
            if neighbor.slot not in seen and tokens <= remaining:
                seen.add(neighbor.slot)
                context.append(f"  - {where} {neighbor.line.removeprefix('- ')}")
                remaining -= tokens
    return Packed("\n".join(context), tuple(left_out))


def _rank(found: tuple[Shown, float]) -> tuple[int, bool, float]:
    one, score = found
    return -round(score / EQUAL_RELEVANCE), one.record.valid_to is not None, -one.record.created_at.timestamp()


def _without_repetitions(ranked: Sequence[Shown]) -> tuple[list[Shown], list[LeftOut]]:
    """Return one of those that say the same, in the best one's place: not an assistant's, and the newest."""
    if all_differ([one.essence for one in ranked]):
        return list(ranked), []
    kept: list[Shown] = []
    left_out: list[LeftOut] = []
    for one in ranked:
        place = next((place for place, other in enumerate(kept) if repeats(one, other)), None)
        if place is None:
            kept.append(one)
            continue
        better, worse = sorted((kept[place], one), key=_preference, reverse=True)
        kept[place] = better
        left_out.append(LeftOut(id=worse.item.id, reason=Omission.REPEATS))
    return kept, left_out


def repeats(one: Shown, other: Shown) -> bool:
    """Return whether only one of two memories needs to be shown; what was corrected does not repeat what holds."""
    both_hold = (one.record.valid_to is None) == (other.record.valid_to is None)
    return both_hold and says_the_same(one.essence, other.essence)


def _preference(one: Shown) -> tuple[bool, float]:
    return not one.essence.is_assistants, one.record.created_at.timestamp()


def _fitting(
    kept: Sequence[Shown], max_tokens: int, count: Count, left_out: list[LeftOut]
) -> tuple[list[tuple[Shown, str]], int]:
    """Return the lines that fit, and the tokens left; a long memory leaves up to half of them to the others."""
    everything = sum([one.tokens for one in kept])
    if everything <= max_tokens:
        return [(one, one.line) for one in kept], max_tokens - everything
    remaining = max_tokens
    lines: list[tuple[Shown, str]] = []
    for place, one in enumerate(kept):
        others = sum(other.tokens for other in kept[place + 1 :])
        share = remaining - min(others, remaining // 2)
        if one.tokens <= share or (one.tokens <= LONG_TOKENS and one.tokens <= remaining):
            lines.append((one, one.line))
            remaining -= one.tokens
            continue
        cut = _cut(one, share, count) if one.tokens > LONG_TOKENS or not lines else None
        if cut is None:
            left_out.append(LeftOut(id=one.item.id, reason=Omission.NO_ROOM))
            continue
        line, tokens = cut
        lines.append((one, line))
        remaining -= tokens
        left_out.append(LeftOut(id=one.item.id, reason=Omission.SHORTENED))
    return lines, remaining


def _cut(one: Shown, max_tokens: int, count: Count) -> tuple[str, int] | None:
    """Return the line of the beginning of a memory, and its tokens; None if hardly anything would be left of it."""
    room = max_tokens - line_tokens(one.heading, count)
    length = len(one.text)
    tokens = one.tokens
    while room >= MIN_TEXT_TOKENS and length > 1:
        length = min(length - 1, length * max_tokens // tokens)
        end = one.text.rfind(" ", length // 2, length + 1)
        beginning = one.text[: end if end > 0 else length].rstrip()
        line = one.heading + quoted(beginning + ELLIPSIS)
        tokens = line_tokens(line, count)
        if tokens <= max_tokens:
            return (line, tokens) if beginning else None
    return None


def _completing(one: Shown, neighbor_of: Neighbor) -> tuple[str, Shown] | None:
    """Return the turn that answers a found question, or the question that a found fragment answers; and where it is."""
    asks = one.essence.asks
    if one.record.session is None or not (asks or len(one.text.split()) <= MAX_FRAGMENT_WORDS):
        return None
    neighbor = neighbor_of(one, asks)
    if neighbor is None or neighbor.essence.asks == asks:
        return None
    if abs(neighbor.record.created_at - one.record.created_at) > SAME_THOUGHT:
        return None
    return (AFTER, neighbor) if asks else (BEFORE, neighbor)
