"""How well a statement fits as a correction of an earlier one, in log-odds, and what each sign is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..wire import CorrectionReason
from . import correction_weights as weight
from .cues import WEAK, Cue, contrasts
from .likeness import Rarity, other_phrases, other_values, same_phrase, shared_terms, shared_values
from .places import Phrase, PhraseType
from .statements import Statement
from .values import ValueType

ASSISTANT = "assistant"
Kind = ValueType | PhraseType
DATES: frozenset[Kind] = frozenset({ValueType.MONTH, ValueType.DAY})
PHRASES: frozenset[Kind] = frozenset(PhraseType)
PLACES = frozenset({PhraseType.PLACE})

OCCASION_APART = timedelta(days=150)
"""Dated occasions that are said so far apart are two: this year's concert, and last year's."""


PLACES = frozenset({PhraseType.PLACE})


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
class Fit:
    """How well a statement fits as a correction of `old`, and why it is one."""

    old: Said
    log_odds: float
    reason: CorrectionReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What a new and an old statement share, and in what they differ.

    `nouns` are the shared terms that are no names, `pairs` the phrases that differ, `other` the kinds of value and
    phrase that differ, and `cues` those that say a change.
    """

    new: Said
    old: Said
    cosine: float
    foreign: bool
    names: frozenset[str]
    shared: frozenset[str]
    nouns: frozenset[str]
    denied: frozenset[str]
    denies_value: bool
    pairs: Sequence[tuple[Phrase, Phrase]]
    other: frozenset[Kind]
    cues: frozenset[Cue]

    @property
    def denies(self) -> bool:
        """Whether the new statement says that something of the old one is not so."""
        return self.denies_value or bool(self.denied)


def fit(new: Said, candidate: Candidate, rarity: Rarity) -> Fit | None:
    """Return how well `new` fits as a correction of one earlier statement, or None if it cannot be one."""
    old = candidate.said
    if not is_comparable(new, old):
        return None
    both = compared(new, old, candidate.cosine)
    now = new.statement
    if both.cosine < weight.MIN_COSINE or not (both.cues or both.other or both.denies_value):
        return None
    if not (now.values or now.phrases or now.denied or now.subject - both.shared - now.owners):
        # "They say that pottery changes": that something changes, and not to what.
        return None
    if not both.cues and not both.denies_value and _is_series(both):
        return None
    if has_other_label(both):
        return None
    log_odds = weight.BIAS + weight.COSINE * (both.cosine - weight.MIN_COSINE)
    log_odds += same_subject(both, rarity) + _change(both, rarity) + _against(both)
    return Fit(old, log_odds, reason(both.cues, denied=both.denies))


def compared(new: Said, old: Said, cosine: float) -> Compared:
    """Return what two statements share and in what they differ; `cosine` is that of their vectors."""
    now, then = new.statement, old.statement
    foreign = new.language != old.language
    names = now.names | then.names
    differing = other_values(now, then)
    if differing and then.subject <= then.names:
        # "Doctor Falk is on Tuesday": where a name is all that a statement is about, the name is its subject.
        names -= then.subject
    shared = shared_terms(now.subject - now.denied, then.subject, foreign=foreign)
    denied = shared_terms(now.denied - now.owners, then.subject | then.places, foreign=foreign)
    if foreign and (shared | denied) - now.owners:
        cosine = max(cosine, weight.FOREIGN_COSINE)
    if foreign:
        shared |= now.owners & then.owners
    pairs = other_phrases(now, then, names)
    other: frozenset[Kind] = differing | frozenset(one.type for one, _ in pairs)
    cues = now.cues - WEAK
    if PhraseType.PLACE not in other:
        cues -= {Cue.PLACED}
    if now.renewed & then.subject:
        cues |= {Cue.CHANGED}
    return Compared(
        new=new,
        old=old,
        cosine=cosine,
        foreign=foreign,
        names=names,
        shared=shared,
        nouns=shared - names,
        denied=denied,
        denies_value=bool(shared_values(now.denied_values, then.values)),
        pairs=pairs,
        other=other,
        cues=cues,
    )


def _is_series(both: Compared) -> bool:
    """Return whether two statements are entries of a diary, or readings and receipts: a day and a number, each time."""
    if both.other & PHRASES:
        return False
    numbers = both.other - DATES
    return both.new.statement.is_event or both.old.statement.is_event or len(numbers) > 0 < len(both.other & DATES)


def same_subject(both: Compared, rarity: Rarity) -> float:
    """Return the log-odds of what both are about."""
    now, then = both.new.statement, both.old.statement
    common = sum(rarity(term) * (1 if both.denies or term in both.nouns else weight.NAME) for term in both.shared)
    log_odds = weight.SHARED_SUBJECT * min(common, weight.FULL_SUBJECT)
    is_named = both.shared and both.denies and (both.denied or both.cosine >= weight.NEAR)
    if not both.nouns and not is_named:
        log_odds += weight.NO_SUBJECT
    if (
        shared_terms(now.topic - both.names, then.topic - both.names, foreign=both.foreign)
        and shared_terms(now.topic, then.subject) == now.topic
        and shared_terms(then.topic, now.subject) == then.topic
    ):
        log_odds += weight.SAME_TOPIC
    return log_odds


def _change(both: Compared, rarity: Rarity) -> float:
    """Return the log-odds of what says that something is no longer so."""
    now, then = both.new.statement, both.old.statement
    log_odds = (
        weight.DENIED_VALUE if both.denies_value else weight.DENIED_TERM * min(sum(map(rarity, both.denied)), 1.0)
    )
    if both.other:
        log_odds += weight.OTHER_VALUE + weight.SECOND_OTHER_VALUE * (len(both.other - {ValueType.MONTH}) > 1)
    if both.cues:
        return log_odds + weight.CUE + weight.SECOND_CUE * (len(both.cues) > 1)
    if Cue.HINT in now.cues:
        log_odds += weight.HINT_CUE
    if not both.denies_value:
        if now.subject and now.subject == then.subject:
            log_odds += weight.SAME_FRAME
        else:
            log_odds += max(
                (_same_thing(one, another, then.topic, both.names) for one, another in both.pairs),
                default=weight.OTHER_FRAME,
            )
    return log_odds


def is_comparable(new: Said, old: Said) -> bool:
    """Return whether `old` was said before `new`, claims something, and is not what `new` only confirms."""
    if old.statement.is_question or (old.created_at, old.id) >= (new.created_at, new.id):
        return False
    if new.speaker != ASSISTANT:
        return True
    # What the assistant confirms was said by somebody just before: that record is the correction of what others said.
    # It closes what it had confirmed itself, and what was said in another conversation.
    return old.speaker == ASSISTANT or new.session is None or old.session != new.session


def reason(cues: frozenset[Cue], *, denied: bool) -> CorrectionReason:
    """Return why a statement with these cues is a correction."""
    if denied:
        return CorrectionReason.DENIED
    for cue, reason in (
        (Cue.CORRECTED, CorrectionReason.CORRECTED),
        (Cue.CHANGED, CorrectionReason.CHANGED),
        (Cue.ENDED, CorrectionReason.CHANGED),
        (Cue.PLACED, CorrectionReason.CHANGED),
        (Cue.ONSET, CorrectionReason.ONSET),
    ):
        if cue in cues:
            return reason
    return CorrectionReason.RESTATED


def _same_thing(one: Phrase, other: Phrase, topic: frozenset[str], names: frozenset[str]) -> float:
    heads = other.heads - names
    if not any(some and shared_terms(some, one.heads) == some for some in (heads, topic - names)):
        return weight.OTHER_FRAME
    if one.type is PhraseType.COMPLEMENT:
        return weight.CALLED_OTHERWISE
    return weight.SAME_THING if len(one.heads - names) == len(heads) else weight.ALSO_THAT_THING


def _against(both: Compared) -> float:
    """Return the log-odds of what speaks against a correction."""
    new, old = both.new, both.old
    now, then = new.statement, old.statement
    log_odds = _other_owner(now, then) + _other_matter(both) + _other_occasion(both)
    if PhraseType.PLACE not in both.other and same_phrase(now, then, PLACES):
        log_odds += weight.SAME_PLACE
    if then.is_fragment:
        log_odds += weight.FRAGMENT
    if now.is_plan:
        log_odds += weight.PLAN
    if new.session is not None and new.session == old.session:
        log_odds += weight.SAME_SESSION
    return log_odds


def _other_owner(now: Statement, then: Statement) -> float:
    if now.owners and then.owners:
        if not now.owners & then.owners:
            return weight.OTHER_OWNER
        if now.owners - then.owners:
            return weight.MORE_OWNERS
    return 0.0


def has_other_label(both: Compared) -> bool:
    """Return whether each is about another number, locker 4 and locker 5, and the new one takes nothing back."""
    now, then = both.new.statement, both.old.statement
    is_other = bool(now.labels and then.labels) and not now.labels & then.labels
    return is_other and not both.denies and Cue.CORRECTED not in both.cues


def is_other_of_a_kind(both: Compared) -> bool:
    """Return whether each begins with another one of two that are told apart: the left bay, and the right one."""
    now, then = both.new.statement.called_by, both.old.statement.called_by
    return not both.denied and any(
        now & group and then & group and not now & then & group for group in contrasts(both.new.language)
    )


def _other_matter(both: Compared) -> float:
    """Return the log-odds of their being about two things, or two attributes of one."""
    now, then = both.new.statement, both.old.statement
    log_odds = weight.OTHER_OF_A_KIND * is_other_of_a_kind(both)
    if now.values and then.values and not both.other and not both.denies and not now.values & then.values:
        log_odds += weight.OTHER_ATTRIBUTE
    main = DATES if then.main in DATES else frozenset({then.main})
    if then.main is not None and both.other and not both.denies and not both.other & (main | PHRASES):
        log_odds += weight.PARTIAL
    if not both.foreign and not both.denied:
        has_own = shared_terms(now.topic, then.subject) != now.topic
        if has_own and shared_terms(then.topic, now.subject) != then.topic:
            log_odds += weight.OTHER_TOPIC
    return log_odds


def _other_occasion(both: Compared) -> float:
    """Return the log-odds of both being right: on two days, in two years."""
    now, then = both.new.statement, both.old.statement
    apart = both.new.created_at - both.old.created_at
    log_odds = 0.0
    both_dated = bool(both.other & DATES) and Cue.CHANGED in both.cues & then.cues
    if both_dated or (now.is_event and then.is_event and not now.cues & {Cue.CORRECTED, Cue.CHANGED}):
        log_odds += weight.DIARY
    elif then.is_event:
        log_odds += weight.HAPPENED
    is_habit = ValueType.WEEKDAY in both.other and bool(both.cues)
    is_over = _is_over(both.old, both.new.created_at)
    if both.other & DATES and not is_habit and (is_over or apart > OCCASION_APART):
        log_odds += weight.OVER if both.cues or both.denies or not is_over else weight.OVER_AND_NO_CUE
    elif not both.cues and not both.denies and apart > OCCASION_APART:
        log_odds += weight.NEXT_OCCASION if now.is_of_this_year else weight.NEXT_YEAR * (not both.other & PHRASES)
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
