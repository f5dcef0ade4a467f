"""Whether a statement corrects an earlier one: the same subject, another value. No language model, only a decision.

The decision is a pure function of the two statements, so that it does not depend on the order in which memories are
embedded. What is decided surely closes the earlier memory; what is not is only proposed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math

from ..wire import CorrectionReason
from .fitting import ASSISTANT, Candidate, Said, fit
from .likeness import Rarity, same_phrase, shared_terms
from .places import PhraseType
from .statements import Statement

ANY_PHRASE = frozenset(PhraseType)

CLOSING_CONFIDENCE = 0.6
"""From here on the earlier memory is closed."""
PROPOSING_CONFIDENCE = 0.3
"""From here on a correction is at least proposed."""
SAME_SUBJECT = 0.7
"""So many rare terms, and a value, shared by two earlier statements make them two that say the same."""
CONFIRMATION = -0.3
"""What confirmed the corrected statement is corrected with it, and nearly as surely."""
ANOTHER_FITS_BETTER = -3.0
"""A statement has one subject: what it fits worse than another memory is rarely corrected as well."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was decided: `corrected_id` is no longer so, with a confidence from 0 to 1."""

    corrected_id: str
    confidence: float
    reason: CorrectionReason

    @property
    def closes(self) -> bool:
        """Whether it is sure enough to close the earlier memory rather than to be proposed."""
        return self.confidence >= CLOSING_CONFIDENCE


def may_correct(new: Said) -> bool:
    """Return whether a statement can correct anything at all: it claims something, and says a change or a value."""
    statement = new.statement
    if statement.is_question or (new.speaker == ASSISTANT and not statement.is_acknowledgment):
        return False
    return bool(statement.cues or statement.values or statement.phrases)


def corrections(new: Said, candidates: Sequence[Candidate], rarity: Rarity) -> list[Found]:
    """Return what `new` corrects among the candidates, surest first; what is not even to be proposed is left out.

    A statement has one subject: the best fitting candidate counts in full, another one only if it says the same as the
    best, such as a confirmation of the outdated value.
    """
    if not may_correct(new):
        return []
    fits = [one for candidate in candidates if (one := fit(new, candidate, rarity)) is not None]
    if not fits:
        return []
    best = max(fits, key=lambda one: (one.log_odds, one.old.id))
    found = []
    for one in fits:
        log_odds = one.log_odds
        says_the_same = one is best or _says_the_same(one.old.statement, best.old.statement, rarity)
        if says_the_same and _confirms(one.old, best.old):
            log_odds = max(log_odds, best.log_odds + CONFIRMATION)
        elif not says_the_same:
            log_odds += ANOTHER_FITS_BETTER
        confidence = 1 / (1 + math.exp(-log_odds))
        if confidence >= PROPOSING_CONFIDENCE:
            found.append(Found(one.old.id, confidence, one.reason))
    return sorted(found, key=lambda one: (-one.confidence, one.corrected_id))


def _confirms(one: Said, other: Said) -> bool:
    """Return whether one of two statements is the assistant's confirmation of the other."""
    return one.session is not None and one.session == other.session and one.speaker == ASSISTANT != other.speaker


def _says_the_same(one: Statement, other: Statement, rarity: Rarity) -> bool:
    """Return whether two earlier statements say the same of the same thing, so that both are outdated at once."""
    shared = shared_terms(one.subject, other.subject)
    return (bool(one.values & other.values) or same_phrase(one, other, ANY_PHRASE)) and sum(
        map(rarity, shared)
    ) >= SAME_SUBJECT
