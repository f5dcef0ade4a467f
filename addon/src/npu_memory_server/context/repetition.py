"""Which memories say the same, so that each thing is shown once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import re

from ..records import Record
from ..retrieval.analysis import terms
from ..retrieval.signals import is_question

ASSISTANT = "assistant"
"""The speaker of what an assistant has answered."""

MIN_TERMS = 2
"""With fewer search terms nothing can be said about two texts but whether they are the same."""

_NO_WORD = re.compile(r"\W+")
_DENIES = re.compile(
    r"\b(?:not|no|never|none|without|cannot|\w+n['\u2019]t|nicht|kein\w*|nie|niemals|ohne|pas|jamais|aucune?|sans|non|nunca"
    r"|sin|tampoco|niet|geen|nooit|zonder)\b",
    re.IGNORECASE,
)
_CONFIRMS = frozenset(
    word
    for line in (
        "noted note ok okay got understood sure done saved save stored store added add right thanks thank now good",
        "notiert gut verstanden gespeichert gemerkt danke alles klar noté compris enregistré merci bien anotado",
        "entendido guardado gracias genoteerd begrepen opgeslagen bedankt goed",
    )
    for term in terms(line)
    for word in (term,)
)
"""What an assistant says around what it repeats."""


@dataclass(frozen=True, slots=True)
class Essence:
    """What a text has in common with another one that says the same in other words or another order."""

    words: str
    terms: frozenset[str]
    denies: bool
    asks: bool
    is_assistants: bool


def essence(record: Record) -> Essence:
    """Return the essence of a memory."""
    is_assistants = record.speaker == ASSISTANT
    found = frozenset(terms(record.text, record.language))
    return Essence(
        words=_NO_WORD.sub(" ", record.text).strip().casefold() or record.text,
        terms=found - _CONFIRMS if is_assistants else found,
        denies=_DENIES.search(record.text) is not None,
        asks=is_question(record.text),
        is_assistants=is_assistants,
    )


def all_differ(some: Sequence[Essence]) -> bool:
    """Return whether no two of them say the same, as far as that can be told without comparing each with each."""
    assistants = [one.terms for one in some if one.is_assistants]
    return (
        len({one.words for one in some}) == len(some)
        and len({one.terms for one in some}) == len(some)
        and not any(repeated < one.terms for repeated in assistants for one in some)
    )


def says_the_same(one: Essence, other: Essence) -> bool:
    """Return whether only one of two needs to be shown: they differ in punctuation or in words that carry nothing.

    What an assistant has said is also the same if it only repeats a part of what somebody else said. A value, a name or
    a "not" that only one of them has always makes a difference.
    """
    if one.words == other.words:
        return True
    if one.denies != other.denies or one.asks != other.asks or min(len(one.terms), len(other.terms)) < MIN_TERMS:
        return False
    return (
        one.terms == other.terms
        or (one.is_assistants and one.terms < other.terms)
        or (other.is_assistants and other.terms < one.terms)
    )
