"""What a statement says, as far as telling whether it corrects another needs it: subject, values, and cues."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set as AbstractSet
from dataclasses import dataclass, replace
from itertools import pairwise
import re

from . import cues as said_by
from .analysis import terms
from .cues import Cue
from .places import AT, AUXILIARIES, CALLED, ENDS, HAS, IS, JOINS, NO_PLACE, PLACED, STAYS, SUBJECTS, Phrase, phrases
from .signals import is_question, opens_a_question
from .stop_words import ENGLISH
from .values import MONEY, TOKEN, Value, ValueType, language_of, tokens, values

MAX_TOPIC = 8


@dataclass(frozen=True, slots=True)
class Statement:
    """A text taken apart. All terms are stemmed; `owners` are the people it is about, where it names any.

    `subject` are the content terms that are no value, no place and no cue, `topic` those of them that it begins with,
    `places` those that say where, `names` those that name people, makes and the like, `denied` what it says not to be
    so, and `renewed` what it calls new. `labels` are the numbers that tell what it is about from others of its kind
    ("locker 4 is"), `called_by` the words that do. `main` is the kind of its first value that is more than
    a number.
    """

    subject: frozenset[str]
    values: frozenset[tuple[ValueType, str]]
    denied: frozenset[str]
    denied_values: frozenset[tuple[ValueType, str]]
    cues: frozenset[Cue]
    owners: frozenset[str]
    renewed: frozenset[str]
    topic: frozenset[str]
    phrases: tuple[Phrase, ...] = ()
    places: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()
    main: ValueType | None = None
    is_plan: bool = False
    is_of_this_year: bool = False
    is_fragment: bool = False
    is_question: bool = False
    is_acknowledgment: bool = False
    is_event: bool = False
    is_elliptic: bool = False
    words: int = 0
    called_by: frozenset[str] = frozenset()

    @property
    def terms(self) -> frozenset[str]:
        """All terms whose rarity counts."""
        return self.subject | self.denied | self.owners


def statement(text: str, language: str | None, speaker: str | None, people: Iterable[str]) -> Statement:
    """Take a text apart. `people` are the folded first names that are known; `speaker` is who `I` and `my` mean."""
    base = language_of(language)
    people = frozenset(people)
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
            if cue is Cue.SIGN:
                continue
            cue_words.update(place for place, at in enumerate(starts) if match.start() <= at < match.end())
    denials = [said_by.denials(base)] + [said_by.CHANGED_FROM] * (Cue.CHANGED in cues)
    denied_places = _denied(words, folded, starts, denials)
    idle = (
        IS[base]
        | STAYS[base]
        | PLACED[base]
        | AT[base]
        | ENDS
        | AUXILIARIES
        | NO_PLACE
        | MONEY
        | said_by.TITLES
        | said_by.FRACTIONS
    )
    content = {
        place: "" if word in idle else _term(word, language) for place, word in enumerate(words) if word[0].isalpha()
    }
    denied_places |= {
        value.start
        for value in said
        if said_by.NOT_SO.match(folded, starts[value.end] - 1 if value.end < len(words) else len(folded))
    }
    names = _names(text, words, content, in_value, people, base)
    found, in_place, in_phrase = phrases(words, content, in_value, denied_places, names, base)
    subject = frozenset(
        term for place, term in content.items() if term and place not in in_value | cue_words | in_place
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
        topic=_topic(words, {place: term for place, term in content.items() if term in subject}, in_value, names, base),
        phrases=tuple(found),
        places=frozenset(content[place] for place in in_place if content.get(place)),
        names=names,
        labels=_labels(words, said, idle, base),
        main=next((value.type for value in said if value.type is not ValueType.NUMBER), None),
        is_fragment=words[:1] != [] and words[0] in AT[base] | said_by.OPENS_A_FRAGMENT,
        is_of_this_year=said_by.THIS_YEAR.search(folded) is not None,
        is_plan=said_by.PLAN.search(folded) is not None,
        owners=_owners(words, in_phrase, speaker, people),
        is_question=is_question(text) and not (cues - said_by.WEAK and _goes_on(text, folded)),
        is_acknowledgment=said_by.ACKNOWLEDGMENT.match(folded) is not None,
        is_event=said_by.DIARY.search(folded) is not None,
        is_elliptic=said_by.ELLIPTIC.match(folded) is not None,
        words=len(words),
        called_by=_called_by(words, base),
    )


def _goes_on(text: str, folded: str) -> bool:
    """Return whether a question word is in the middle of a statement."""
    return not opens_a_question(text) and said_by.RELATIVE.match(folded) is not None


def _typed(said: Iterable[Value]) -> frozenset[tuple[ValueType, str]]:
    return frozenset((value.type, value.text) for value in said)


def _labels(words: list[str], said: Iterable[Value], idle: AbstractSet[str], language: str) -> frozenset[str]:
    """Return the plain numbers between a noun and a verb: "locker 4 is", "bus 12 leaves"."""
    verbs = said_by.VERBS | said_by.OF_A_LABEL | IS[language] | STAYS[language] | HAS[language] | CALLED[language]
    return frozenset(
        value.text
        for value in said
        if value.type is ValueType.NUMBER
        and value.start > 0
        and value.end < len(words)
        and words[value.start - 1].isalpha()
        and words[value.start - 1] not in idle | verbs | ENGLISH
        and words[value.end] in verbs
    )


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
            if words[place] in said_by.VERBS and place > first:
                # "Isn't enough the kitty is eight": what goes before the next verb is what that is said of.
                begins = next((at for at in range(place - 1, first, -1) if words[at] in said_by.ARTICLES), place)
                places.difference_update(range(begins, place))
                break
            places.add(place)
    return frozenset(places)


def _topic(
    words: list[str], content: dict[int, str], in_value: AbstractSet[int], names: AbstractSet[str], language: str
) -> frozenset[str]:
    """Return the content terms before the first verb, or behind it if it says what somebody has done with a thing."""
    verbs = said_by.VERBS | IS[language] | STAYS[language] | CALLED[language]
    for place, word in enumerate(words[:MAX_TOPIC]):
        before = frozenset(term for at, term in content.items() if at < place and term)
        if word in PLACED[language] | said_by.ALTERED or (word in HAS[language] and before <= names):
            done_with = []
            for at in range(place + 1, len(words)):
                if at in in_value or words[at] in JOINS | SUBJECTS | AT[language] | said_by.TO or words[at] in verbs:
                    break
                done_with.append(at)
            behind = frozenset(term for at in done_with if (term := content.get(at)))
            return behind or before
        if word in verbs:
            return before
    return frozenset()


def _called_by(words: list[str], language: str) -> frozenset[str]:
    """Return the words before the first verb that tell a thing apart: the left bay, the smoke alarm in the hall."""
    verbs = said_by.VERBS | IS[language] | STAYS[language] | CALLED[language]
    first_verb = next((place for place, word in enumerate(words[:MAX_TOPIC]) if word in verbs), 0)
    bare = frozenset(word.removesuffix("'s") for word in words[:first_verb])
    return bare & frozenset().union(*said_by.contrasts(language))


def _names(
    text: str,
    words: list[str],
    content: dict[int, str],
    in_value: AbstractSet[int],
    people: frozenset[str],
    language: str,
) -> frozenset[str]:
    """Return the terms that are names: of those who have spoken, behind a title, or written like one."""
    found = list(TOKEN.finditer(text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")))
    capital = [match.group()[0].isupper() for match in found]
    compound = ["-" in text[max(0, match.start() - 1) : match.end() + 1] for match in found]
    names = set()
    for place, term in content.items():
        if place in in_value:
            continue
        before = words[place - 1] if place else "."
        joined = place + 1 in content and text[found[place].end() : found[place + 1].start()] == " "
        begins = before in {".", "!", "?", ";"} and not (joined and capital[place + 1])
        is_written = language != "de" and capital[place] and not begins and not compound[place]
        if term and (
            is_written or before in said_by.TITLES or {words[place], words[place].removesuffix("'s")} & people
        ):
            names.add(term)
    return frozenset(names)


def _term(word: str, language: str | None) -> str:
    bare = word.split("'", maxsplit=1)[0] if word.endswith("'s") else word
    if bare in said_by.EMPTY or bare in ENGLISH or len(bare) < 2:
        return ""
    return next(iter(terms(bare, language)), "")


def _owners(
    words: list[str], in_phrase: AbstractSet[int], speaker: str | None, people: frozenset[str]
) -> frozenset[str]:
    named = set()
    for place, (word, following) in enumerate(pairwise([*words, ""])):
        if place in in_phrase:
            continue
        bare = word.removesuffix("'s")
        name = next((one for one in (bare, bare.removesuffix("s")) if one in people), None)
        if name is not None and following not in said_by.REPORTS:
            named.add(name)
    if not named and speaker:
        done = said_by.ALTERED | said_by.DONE.union(*PLACED.values())
        if any(
            word in said_by.FIRST_PERSON and place not in in_phrase and following not in done
            for place, (word, following) in enumerate(pairwise([*words, ""]))
        ):
            named.add(speaker)
    return frozenset(named)


def about(turn: Statement, earlier: Sequence[Statement]) -> Statement:
    """Return a turn that names nothing itself ("it's wednesdays now") as one about what was said just before it."""
    if not (turn.is_elliptic and turn.cues - said_by.WEAK):
        return turn
    subject = turn.subject.union(*(one.subject for one in earlier))
    said_of = tuple(replace(one, heads=one.heads or subject) for one in turn.phrases)
    return replace(turn, subject=subject, phrases=said_of)
