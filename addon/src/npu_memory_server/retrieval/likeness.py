"""What two statements have in common and in what they differ: terms, values, and phrases."""

from __future__ import annotations

from collections.abc import Callable
import math

from .places import Phrase, PhraseType
from .statements import Statement
from .values import ValueType

Rarity = Callable[[str], float]
"""How rare a term is among all memories: 1 for one that is in none or one, near 0 for one that is in all."""
Typed = tuple[ValueType, str]

AMOUNTS = frozenset({ValueType.NUMBER, ValueType.MONEY})
SIZES_APART = 10
"""What a thing costs, weighs or counts does not change by more than this factor."""
COUNTED = frozenset({ValueType.MONEY, ValueType.TIME, ValueType.DAY})
STEM = 4
"""So many letters make a word that is worth comparing."""

COMMON_FROM = 500
"""In a small memory every word is rare; rarity is reckoned as if there were so many memories at least."""


def rarity(frequency: int, memories: int) -> float:
    """Return how rare a term is that is in `frequency` of `memories`: 1 in none, 0.9 in one of 500, near 0 in all.

    The idf of Lucene's BM25, divided by the largest.
    """
    total = max(memories, COMMON_FROM)
    return math.log1p((total - min(frequency, total) + 0.5) / (frequency + 0.5)) / math.log1p((total + 0.5) / 0.5)


def shared_terms(some: frozenset[str], others: frozenset[str], *, foreign: bool = False) -> frozenset[str]:
    """Return the terms of `some` that are among the others, or are one of them misheard or in another language."""
    same = some & others
    return same | {
        term
        for term in some - same
        if any(term[0] == other[0] and are_alike(term, other, foreign=foreign) for other in others - same)
    }


def are_alike(one: str, other: str, *, foreign: bool = False) -> bool:
    """Return whether two terms are probably one: misheard by a letter, or with another ending.

    In two languages also where one word begins the other: "skat", "skatrunde".
    """
    shorter, longer = sorted((one, other), key=len)
    if foreign and len(shorter) >= STEM and longer.startswith(shorter):
        return True
    if one[0] != other[0] or len(shorter) <= STEM:
        return False
    if len(one) == len(other):
        return sum(a != b for a, b in zip(one, other, strict=True)) <= 1
    common = next((place for place, letter in enumerate(shorter) if letter != longer[place]), len(shorter))
    return common > STEM and common >= len(longer) - 3


def shared_values(some: frozenset[Typed], others: frozenset[Typed]) -> frozenset[Typed]:
    """Return the values of `others` that are among some; a bare number may be any amount or time: "instead of four"."""
    numbers = {text for kind, text in some if kind is ValueType.NUMBER}
    return frozenset(one for one in others if one in some or (one[0] in COUNTED and one[1] in numbers))


def other_values(now: Statement, then: Statement) -> frozenset[ValueType]:
    """Return the kinds of value of which both have one and the new statement has one that the old has not."""
    kinds = {kind for kind, _ in then.values | then.denied_values}
    other = {kind for kind, _ in now.values - then.values if kind in kinds}
    other -= {kind for kind in other & AMOUNTS if not _are_near(kind, now.values, then.values | then.denied_values)}
    if not other and ValueType.NUMBER in {kind for kind, _ in now.values - then.values} and now.denied_values:
        # "Five euros isn't enough, it is eight."
        other = {kind for kind, _ in shared_values(now.denied_values, then.values)}
    return frozenset(other)


def _are_near(kind: ValueType, some: frozenset[Typed], others: frozenset[Typed]) -> bool:
    """Return whether any amounts of two statements may be two of one thing: of like size, or no plain numbers."""
    try:
        first, second = ([float(text) for one, text in side if one is kind] for side in (some, others))
    except ValueError:
        return True
    return any(max(a, b) <= SIZES_APART * min(a, b) for a in first for b in second if a != b)


def other_phrases(now: Statement, then: Statement, names: frozenset[str]) -> list[tuple[Phrase, Phrase]]:
    """Return the pairs of phrases of one kind with which they say something else of the same thing."""
    return [
        (one, other)
        for one in now.phrases
        if not one.denied
        for other in then.phrases
        if one.type is other.type and not other.denied and _differ(one, other, names)
    ]


def _differ(one: Phrase, other: Phrase, names: frozenset[str]) -> bool:
    same = shared_terms(one.terms, other.terms)
    return bool(shared_terms(one.heads - names, other.heads)) and same != one.terms and len(same) < len(other.terms)


def same_phrase(now: Statement, then: Statement, among: frozenset[PhraseType]) -> bool:
    """Return whether both say the same of the same thing with a phrase of one of these kinds."""
    return any(
        one.type is other.type
        and one.type in among
        and one.terms & other.terms == one.terms
        and one.heads & other.heads
        for one in now.phrases
        if one.terms and not one.denied
        for other in then.phrases
    )
