"""What speaks for a memory before anybody has asked: pure functions on its text."""

from __future__ import annotations

import math
import re

QUESTION_MALUS = 0.05
"""Questions of others repeat the words of a question and answer nothing; worth 1 point of recall@5 on LoCoMo."""
LENGTH_BONUS = 0.05
"""At `FULL_LENGTH` words; short turns ("really", "um in the bath") are close to everything. Worth 1 to 2 points."""
FULL_LENGTH = 40

_OPENS_A_QUESTION = re.compile(
    r"(?:(?:um|uh|so|and|okay|ok|hey)\s+)*"
    r"(?:what|when|where|who|whose|why|how|which|did|do|does|is|are|can|could|will|would|should"
    r"|was|wann|warum|wer|wie|wo|quand|qui|où|cuándo|dónde|quién|waar|wanneer|wie)\b",
    re.IGNORECASE,
)


def prior(text: str) -> float:
    """Return what is added to a memory's score in the scale of a cosine, for a statement that says something."""
    words = min(len(text.split()), FULL_LENGTH)
    bonus = LENGTH_BONUS * math.log1p(words) / math.log1p(FULL_LENGTH)
    return bonus - QUESTION_MALUS if is_question(text) else bonus


def is_question(text: str) -> bool:
    """Return whether a text asks: it ends with a question mark, or, as speech has none, opens with a question word."""
    return text.rstrip().endswith("?") or _OPENS_A_QUESTION.match(text.lstrip()) is not None
