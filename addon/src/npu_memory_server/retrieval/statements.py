"""What a statement says, as far as telling whether it corrects another needs it: subject, values, and cues."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
import re

from . import cues as said_by
from .analysis import STOP_WORDS, terms
from .cues import Cue
from .signals import is_question
from .values import Value, ValueType, language_of, tokens, values

MAX_TOPIC = 8


@dataclass(frozen=True, slots=True)
class Statement:
    """A text taken apart. All terms are stemmed; `owners` are the people it is about, where it names any.

    `subject` are the content terms that are no value and no cue, `topic` those before the first verb, `denied` what it
    says not to be so, and `renewed` what it calls new.
    """

    subject: frozenset[str]
    values: frozenset[tuple[ValueType, str]]
    denied: frozenset[str]
    denied_values: frozenset[tuple[ValueType, str]]
    cues: frozenset[Cue]
    owners: frozenset[str]
    renewed: frozenset[str]
    topic: frozenset[str]
    is_question: bool = False
    is_acknowledgment: bool = False
    is_event: bool = False
    is_elliptic: bool = False

    @property
    def terms(self) -> frozenset[str]:
        """All terms whose rarity counts."""
        return self.subject | self.denied | self.owners


def statement(text: str, language: str | None, speaker: str | None, people: Iterable[str]) -> Statement:
    """Take a text apart. `people` are the folded first names that are known; `speaker` is who `I` and `my` mean."""
    base = language_of(language)
    words = tokens(text)
    folded = " ".join(words)
    said = values(words, base)
    in_value = {place for value in said for place in range(value.start, value.end)}
    starts = _starts(words)
    cue_words: set[int] = set()
    cues = set()
    for cue, pattern in said_by.cues(base):
        for match in pattern.finditer(folded):
            cues.add(cue)
            cue_words.update(place for place, at in enumerate(starts) if match.start() <= at < match.end())
    denials = [said_by.denials(base)] + [said_by.CHANGED_FROM] * (Cue.CHANGED in cues)
    denied_places = _denied(words, folded, starts, denials)
    content = {place: _term(word, language) for place, word in enumerate(words) if word[0].isalpha()}
    subject = frozenset(
        term for place, term in content.items() if term and place not in in_value and place not in cue_words
    )
    # "From November": when it begins is no value of what it is about.
    said = [value for value in said if value.type is ValueType.WEEKDAY or value.start not in cue_words]
    return Statement(
        subject=subject,
        values=_typed(value for value in said if value.start not in denied_places),
        denied=frozenset(term for place in denied_places if (term := content.get(place))),
        denied_values=_typed(value for value in said if value.start in denied_places),
        cues=frozenset(cues),
        renewed=frozenset(
            term
            for place, word in enumerate(words)
            if said_by.NEW.match(word)
            and not said_by.NEW_YEAR.match(" ".join(words[place : place + 2]))
            and not (place and (place - 1) in in_value)
            for term in (content.get(place + 1), content.get(place + 2))
            if term
        ),
        topic=_topic(words, {place: term for place, term in content.items() if term in subject}),
        owners=_owners(words, speaker, frozenset(people)),
        is_question=is_question(text),
        is_acknowledgment=said_by.ACKNOWLEDGMENT.match(folded) is not None,
        is_event=said_by.DIARY.search(folded) is not None,
        is_elliptic=said_by.ELLIPTIC.match(folded) is not None,
    )


def _typed(said: Iterable[Value]) -> frozenset[tuple[ValueType, str]]:
    return frozenset((value.type, value.text) for value in said)


def _starts(words: list[str]) -> list[int]:
    starts, at = [], 0
    for word in words:
        starts.append(at)
        at += len(word) + 1
    return starts


def _denied(words: list[str], folded: str, starts: list[int], denials: list[re.Pattern[str]]) -> frozenset[int]:
    """Return the places of the words that say what is not so any more."""
    places: set[int] = set()
    for match in (match for denial in denials for match in denial.finditer(folded)):
        first = next((place for place, at in enumerate(starts) if at >= match.end()), len(words))
        for place in range(first, min(first + said_by.DENIED_TOKENS, len(words))):
            if words[place] in said_by.DENIAL_ENDS and place > first:
                break
            places.add(place)
    return frozenset(places)


def _topic(words: list[str], content: dict[int, str]) -> frozenset[str]:
    """Return the content terms before the first verb, which comes early in what is said of a thing."""
    verb = next((place for place, word in enumerate(words[:MAX_TOPIC]) if word in said_by.VERBS), 0)
    return frozenset(term for place, term in content.items() if place < verb and term)


def _term(word: str, language: str | None) -> str:
    bare = word.split("'", maxsplit=1)[0] if word.endswith("'s") else word
    if bare in said_by.EMPTY or bare in STOP_WORDS or len(bare) < 2:
        return ""
    return next(iter(terms(bare, language)), "")


def _owners(words: list[str], speaker: str | None, people: frozenset[str]) -> frozenset[str]:
    named = set()
    for word, following in zip(words, [*words[1:], ""], strict=True):
        bare = word.removesuffix("'s")
        name = next((one for one in (bare, bare.removesuffix("s")) if one in people), None)
        if name is not None and following not in said_by.REPORTS:
            named.add(name)
    if not named and speaker and said_by.FIRST_PERSON & set(words):
        named.add(speaker)
    return frozenset(named)


def about(turn: Statement, earlier: Sequence[Statement]) -> Statement:
    """Return a turn that names nothing itself ("it's wednesdays now") as one about what was said just before it."""
    if not (turn.is_elliptic and turn.cues - {Cue.HINT}):
        return turn
    return replace(turn, subject=turn.subject.union(*(one.subject for one in earlier)))
