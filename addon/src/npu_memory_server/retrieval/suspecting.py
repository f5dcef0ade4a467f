"""Which earlier memory a statement may well have changed, though nothing is sure enough to propose it.

A suspicion closes nothing and is shown to nobody. It only decides between two memories that a question has found
anyway, both near the top: the newer one goes first. So it may be wrong more often than a proposal.
"""

from __future__ import annotations

from collections.abc import Sequence
import math

from . import correction_weights as weight
from .corrections import Found, may_correct
from .cues import Cue
from .fitting import (
    PHRASES,
    Candidate,
    Compared,
    Said,
    compared,
    has_other_label,
    is_comparable,
    is_other_of_a_kind,
    reason,
    same_subject,
)
from .likeness import Rarity

SUSPECTING_CONFIDENCE = 0.12
"""From here on a change is suspected."""
LONG_WORDS = 25
"""A statement of more words says several things, of which one may have changed."""


def suspected(new: Said, candidates: Sequence[Candidate], rarity: Rarity) -> Found | None:
    """Return the one earlier memory that `new` may have changed, with a confidence from 0 to 1; None if there is none.

    `new` has to say a change, however vaguely, or to deny something. Readings, of which each is as right as the one
    before, do neither.
    """
    if not may_correct(new) or new.statement.is_plan:
        return None
    best: tuple[float, str, Compared] | None = None
    for candidate in candidates:
        if not is_comparable(new, candidate.said) or candidate.cosine < weight.MIN_SUSPECTED_COSINE:
            continue
        both = compared(new, candidate.said, candidate.cosine)
        if both.cues or both.denies or (Cue.SIGN in new.statement.cues and not new.statement.is_event):
            best = max(
                best or (-math.inf, "", both), (_log_odds(both, rarity), both.old.id, both), key=lambda one: one[:2]
            )
    if best is None or _is_another_s(best[2]) or is_other_of_a_kind(best[2]) or has_other_label(best[2]):
        # What fits best is only another of its kind: then it changes nothing else either.
        return None
    confidence = 1 / (1 + math.exp(-best[0]))
    if confidence < SUSPECTING_CONFIDENCE:
        return None
    return Found(best[1], confidence, reason(best[2].cues, denied=best[2].denies))


def _is_another_s(both: Compared) -> bool:
    now, then = both.new.statement.owners, both.old.statement.owners
    return bool(now and then and not now & then)


def _log_odds(both: Compared, rarity: Rarity) -> float:
    now, then = both.new.statement, both.old.statement
    log_odds = weight.SUSPICION_BIAS + weight.SUSPICION_COSINE * both.cosine
    log_odds += weight.SUSPICION_CUE * bool(both.cues) + weight.SUSPICION_DENIAL * both.denies
    log_odds += weight.SUSPICION_SUBJECT * max(same_subject(both, rarity), 0.0)
    log_odds += weight.SUSPICION_OTHER_VALUE * bool(both.other - PHRASES)
    log_odds += weight.SUSPICION_OTHER_PHRASE * bool(both.other & PHRASES)
    log_odds += weight.SUSPICION_EVENT * (now.is_event + then.is_event)
    log_odds += weight.SUSPICION_LONG * (then.words > LONG_WORDS)
    return log_odds + weight.SUSPICION_NEW_VALUE * (bool(now.values) and not then.values)
