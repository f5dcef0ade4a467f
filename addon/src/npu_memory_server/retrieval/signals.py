"""What speaks for a memory before anybody has asked: pure functions on its text."""

from __future__ import annotations

import math
import re

from .weights import Weights

FULL_LENGTH = 40
"""Words from which on a statement is no more likely to say something."""

SHORT_TURN = 14
"""Words up to which a question word anywhere makes a question: "i use the table where is the iron"."""

_OPENS_A_QUESTION = re.compile(
    r"(?:(?:um|uh|so|and|but|okay|ok|oh|well|then|no|yes|yeah|hey)\W+)*"
    r"(?:what|when|where|who|whose|why|how|which|did|do|does|is|are|can|could|will|would|should|have|has|any"
    r"|was|wann|warum|wer|wie|wo|quand|qui|où|cuándo|dónde|quién|waar|wanneer)\b",
    re.IGNORECASE,
)
_ASKS = re.compile(
    r"\b(?:what|when|where|who|whose|why|how|which"
    r"|wann|warum|wer|wie|wo|wohin|womit|quand|où|comment|combien|cuándo|dónde|quién|cómo|cuánto|waar|wanneer|hoe)\b",
    re.IGNORECASE,
)


def prior(text: str, weights: Weights) -> float:
    """Return what is added to a memory's score for a statement that says something."""
    words = min(len(text.split()), FULL_LENGTH)
    bonus = weights.length_bonus * math.log1p(words) / math.log1p(FULL_LENGTH)
    return bonus - weights.question_malus if is_question(text) else bonus


def is_question(text: str) -> bool:
    """Return whether a text asks: it ends with a question mark, or, as speech has none, sounds like it."""
    said = text.strip()
    if opens_a_question(said):
        return True
    return len(said.split()) <= SHORT_TURN and _ASKS.search(said) is not None


def opens_a_question(text: str) -> bool:
    """Return whether a text begins or ends like a question."""
    said = text.strip()
    return said.endswith("?") or _OPENS_A_QUESTION.match(said) is not None
