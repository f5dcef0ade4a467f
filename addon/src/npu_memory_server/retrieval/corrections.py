"""Whether a statement corrects an earlier one: the same subject, another value. No language model, only a decision.

The decision is a pure function of the two statements, so that it does not depend on the order in which memories are
embedded. What is decided surely closes the earlier memory; what is not is only proposed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
import math

from ..wire import CorrectionReason
from .cues import Cue
from .statements import Statement
from .values import ValueType

CLOSING_CONFIDENCE = 0.6
"""From here on the earlier memory is closed."""
PROPOSING_CONFIDENCE = 0.3
"""From here on a correction is at least proposed."""
SAME_SUBJECT = 0.7
"""So many rare terms, and a value, shared by two earlier statements make them two that say the same."""
MIN_COSINE = 0.28
"""Two statements further apart than this are about different things, whatever words they share."""

FOREIGN_COSINE = 0.6
"""What two statements in different languages that share a word are taken to have: the model may know only one."""

ASSISTANT = "assistant"
DATES = frozenset({ValueType.MONTH, ValueType.DAY})

# The weights are log-odds, chosen by hand on the sample household; docs/decisions has what each is worth.
BIAS = -5.4
COSINE = 5.0
"""For each 1.0 of cosine above `MIN_COSINE`."""
SHARED_SUBJECT = 1.2
"""For each rare term that both are about, up to `FULL_SUBJECT`."""
FULL_SUBJECT = 2.0
NO_SUBJECT = -2.5
CUE = 2.2
SECOND_CUE = 0.7
HINT_CUE = 0.5
DENIED_VALUE = 2.0
"""The new statement says that the old one's value is not so: "not thursday"."""
DENIED_TERM = 1.4
OTHER_VALUE = 1.3
"""A value of a kind that the old statement has, and another than that."""
SECOND_OTHER_VALUE = 0.6
CONFIRMATION = -0.3
"""What confirmed the corrected statement is corrected with it, and nearly as surely."""
ANOTHER_FITS_BETTER = -3.0
"""A statement has one subject: what it fits worse than another memory is rarely corrected as well."""
MARGIN = 0.5
"""In log-odds; what is that close to the best is as good."""
SAME_FRAME = 2.0
"""Without any cue: nothing but the value differs."""
OTHER_FRAME = -2.5
"""Without any cue: something else differs as well, so that it is probably another thing."""
OTHER_OWNER = -3.0
OTHER_TOPIC = -2.0
"""Each begins with something that the other does not mention: "the guest room has", "the kids room has"."""
MORE_OWNERS = -1.2
DIARY = -3.0
"""Both say what happened on a day, or are readings: a series, not a correction."""
OVER = -3.0
"""The day that the old statement is about has passed: the new one is about the next occasion."""
HAPPENED = -1.0
"""The old statement alone is one of a diary."""
NEXT_YEAR = -2.0
"""Nothing but "this year" says that it is another, and it is another year."""
SAME_SESSION = -0.8

OCCASION_APART = timedelta(days=150)
"""Dated occasions that are said so far apart are two: this year's concert, and last year's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A statement with what is known of its saying; `speaker` is folded."""

    id: str
    statement: Statement
    created_at: datetime
    speaker: str | None
    session: str | None
    language: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """An earlier statement that may be the one that is corrected, and the cosine of the two."""

    said: Said
    cosine: float


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


@dataclass(frozen=True, slots=True)
class _Fit:
    old: Said
    log_odds: float
    reason: CorrectionReason


Rarity = Callable[[str], float]
"""How rare a term is among all memories: 1 for one that is in none or one, near 0 for one that is in all."""


def may_correct(new: Said) -> bool:
    """Return whether a statement can correct anything at all: it claims something, and says a change or a value."""
    statement = new.statement
    if statement.is_question or (new.speaker == ASSISTANT and not statement.is_acknowledgment):
        return False
    return bool(statement.cues or statement.values)


def corrections(new: Said, candidates: Sequence[Candidate], rarity: Rarity) -> list[Found]:
    """Return what `new` corrects among the candidates, surest first; what is not even to be proposed is left out.

    The best fitting candidate counts in full, another one only if it says the same as the best: a confirmation of the
    outdated value, or the link before it in a chain.
    """
    if not may_correct(new):
        return []
    fits = [fit for candidate in candidates if (fit := _fit(new, candidate, rarity)) is not None]
    if not fits:
        return []
    best = max(fits, key=lambda fit: (fit.log_odds, fit.old.id))
    found = []
    for fit in fits:
        log_odds = fit.log_odds
        if _confirms(fit.old, best.old) and _says_the_same(fit.old.statement, best.old.statement, rarity):
            log_odds = max(log_odds, best.log_odds + CONFIRMATION)
        elif log_odds < best.log_odds - MARGIN and not _says_the_same(fit.old.statement, best.old.statement, rarity):
            log_odds += ANOTHER_FITS_BETTER
        confidence = 1 / (1 + math.exp(-log_odds))
        if confidence >= PROPOSING_CONFIDENCE:
            found.append(Found(fit.old.id, confidence, fit.reason))
    return sorted(found, key=lambda one: (-one.confidence, one.corrected_id))


def _confirms(one: Said, other: Said) -> bool:
    """Return whether one of two statements is the assistant's confirmation of the other."""
    return one.session is not None and one.session == other.session and one.speaker == ASSISTANT != other.speaker


def _says_the_same(one: Statement, other: Statement, rarity: Rarity) -> bool:
    """Return whether two earlier statements say the same of the same thing, so that both are outdated at once."""
    shared = _shared(one.subject, other.subject)
    return bool(one.values & other.values) and sum(map(rarity, shared)) >= SAME_SUBJECT


def _fit(new: Said, candidate: Candidate, rarity: Rarity) -> _Fit | None:
    """Return how well `new` fits as a correction of one earlier statement, or None if it cannot be one."""
    old = candidate.said
    foreign = new.language != old.language
    now, then = new.statement, old.statement
    shared = _shared(now.subject - now.denied, then.subject, foreign=foreign)
    denied = _shared(now.denied - now.owners, then.subject, foreign=foreign)
    cosine = max(candidate.cosine, FOREIGN_COSINE) if foreign and (shared | denied) - now.owners else candidate.cosine
    if not _comparable(new, old) or cosine < MIN_COSINE:
        return None
    log_odds = BIAS + COSINE * (cosine - MIN_COSINE)
    shared |= now.owners & then.owners if foreign else frozenset()
    log_odds += SHARED_SUBJECT * min(sum(map(rarity, shared)), FULL_SUBJECT) if shared else NO_SUBJECT
    denied_value = bool(now.denied_values & then.values)
    denied_term = min(sum(map(rarity, denied)), 1.0)
    other = _other_values(now, then)
    cues = now.cues - {Cue.HINT}
    if now.renewed & then.subject:
        cues |= {Cue.CHANGED}
    if not cues and not other and not denied_value:
        return None
    if not now.values and not now.denied and not now.subject - shared - now.owners:
        # "They say that pottery changes": that something changes, and not to what.
        return None
    if denied_value:
        log_odds += DENIED_VALUE
    else:
        log_odds += DENIED_TERM * denied_term
    if other:
        log_odds += OTHER_VALUE + SECOND_OTHER_VALUE * (len(other - {ValueType.MONTH}) > 1)
    if cues:
        log_odds += CUE + SECOND_CUE * (len(cues) > 1)
    elif Cue.HINT in now.cues:
        log_odds += HINT_CUE
    if not cues and not denied_value:
        if now.is_event or then.is_event or len(other - DATES) > 0 < len(other & DATES):
            # A diary, or readings and receipts: a day and a number, each time others.
            return None
        log_odds += SAME_FRAME if now.subject and now.subject == then.subject else OTHER_FRAME
    denies = denied_value or denied_term > 0
    log_odds += _against(new, old, other, cues, denies=denies)
    return _Fit(old, log_odds, _reason(cues, denied=denies))


def _comparable(new: Said, old: Said) -> bool:
    if old.statement.is_question or (old.created_at, old.id) >= (new.created_at, new.id):
        return False
    if new.speaker != ASSISTANT:
        return True
    # What the assistant confirms was said by somebody just before: that record is the correction of what others said.
    # It closes what it had confirmed itself, and what was said in another conversation.
    return old.speaker == ASSISTANT or new.session is None or old.session != new.session


def _reason(cues: frozenset[Cue], *, denied: bool) -> CorrectionReason:
    if denied:
        return CorrectionReason.DENIED
    for cue, reason in (
        (Cue.CORRECTED, CorrectionReason.CORRECTED),
        (Cue.CHANGED, CorrectionReason.CHANGED),
        (Cue.ENDED, CorrectionReason.CHANGED),
        (Cue.ONSET, CorrectionReason.ONSET),
    ):
        if cue in cues:
            return reason
    return CorrectionReason.RESTATED


def _other_values(now: Statement, then: Statement) -> frozenset[ValueType]:
    """Return the kinds of value of which both have one and the new statement has one that the old has not."""
    kinds = {kind for kind, _ in then.values | then.denied_values}
    return frozenset(kind for kind, _ in now.values - then.values if kind in kinds)


def _against(new: Said, old: Said, other: frozenset[ValueType], cues: frozenset[Cue], *, denies: bool) -> float:
    """Return the log-odds of what speaks against a correction."""
    now, then = new.statement, old.statement
    apart = new.created_at - old.created_at
    log_odds = 0.0
    if now.owners and then.owners:
        if not now.owners & then.owners:
            log_odds += OTHER_OWNER
        elif now.owners - then.owners:
            log_odds += MORE_OWNERS
    both_dated = bool(other & DATES) and Cue.CHANGED in cues & then.cues
    if both_dated or (now.is_event and then.is_event and not now.cues & {Cue.CORRECTED, Cue.CHANGED}):
        log_odds += DIARY
    elif then.is_event:
        log_odds += HAPPENED
    comparable = not denies and new.language == old.language
    if comparable and _shared(now.topic, then.subject) != now.topic and _shared(then.topic, now.subject) != then.topic:
        log_odds += OTHER_TOPIC
    is_habit = ValueType.WEEKDAY in other and bool(cues)
    if other & DATES and not is_habit and (_is_over(old, new.created_at) or apart > OCCASION_APART):
        log_odds += OVER
    elif not cues and not denies and apart > OCCASION_APART:
        log_odds += NEXT_YEAR
    if new.session is not None and new.session == old.session:
        log_odds += SAME_SESSION
    return log_odds


def _is_over(old: Said, now: datetime) -> bool:
    """Return whether the last of the days that a statement names had passed by `now`."""
    months = {int(text) for kind, text in old.statement.values if kind is ValueType.MONTH}
    days = {int(text) for kind, text in old.statement.values if kind is ValueType.DAY}
    if len(months) != 1 or not days:
        return False
    said = old.created_at
    year = said.year + (min(months) < said.month)
    try:
        last = said.replace(year=year, month=min(months), day=max(days))
    except ValueError:
        return False
    return last.date() < now.date()


def _shared(some: frozenset[str], others: frozenset[str], *, foreign: bool = False) -> frozenset[str]:
    """Return the terms of `some` that are among the others, or are one of them misheard or in another language."""
    same = some & others
    return same | {
        term for term in some - same if any(are_alike(term, other, foreign=foreign) for other in others - same)
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
