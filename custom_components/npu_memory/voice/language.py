"""What a language has to say about memory: the sentences that are understood, the answers, and the dates in them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Command(StrEnum):
    """What a sentence asks for; of two that fit, the first is meant."""

    REMEMBER_PRIVATELY = "remember_privately"
    REMEMBER = "remember"
    ABOUT = "about"
    WHEN = "when"
    FORGET_LAST = "forget_last"
    FORGET = "forget"
    CORRECT = "correct"
    WHY = "why"
    CONFIRM = "confirm"
    """A yes that says to what: the only one that Home Assistant's own agent hands on."""
    YES = "yes"
    NO = "no"


class Say(StrEnum):
    """What is answered; the names in braces are filled in."""

    REMEMBERED = "remembered"
    """{text}"""
    REMEMBERED_PRIVATELY = "remembered_privately"
    """{text}"""
    WHO_ARE_YOU = "who_are_you"
    NOT_REMEMBERED = "not_remembered"
    NOT_REACHED = "not_reached"
    NOTHING_FOUND = "nothing_found"
    NOTHING_TO_FORGET = "nothing_to_forget"
    NOTHING_LAST = "nothing_last"
    NOTHING_ASKED = "nothing_asked"
    SHALL_I_FORGET = "shall_i_forget"
    """{quotation}"""
    HOW_TO_CONFIRM = "how_to_confirm"
    """Where the next sentence may go to somebody else, unless it says what it is about."""
    FORGOTTEN = "forgotten"
    NOT_FORGOTTEN = "not_forgotten"
    GONE_ALREADY = "gone_already"
    KEPT = "kept"
    CORRECTED = "corrected"
    """{text}"""
    CORRECTED_ALREADY = "corrected_already"
    CORRECTION = "correction"
    """What is stored of a correction: {said}, {old}"""
    BECAUSE = "because"
    """{quotation}"""
    NO_REASON = "no_reason"
    SAID = "said"
    """{when}, {speaker}, {text}"""
    SAID_IN = "said_in"
    """{when}, {speaker}, {area}, {text}"""
    ANSWERED = "answered"
    """{when}, {text}"""
    NOTED = "noted"
    """{when}, {text}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """One language; `sentences` are templates as Home Assistant writes them: [optional], (one|other), {text}.

    `when` returns a spoken date in the time zone of both moments: the moment itself, and now.
    """

    code: str
    sentences: Mapping[Command, tuple[str, ...]]
    answers: Mapping[Say, str]
    when: Callable[[datetime, datetime], str]

    def say(self, what: Say, **values: str) -> str:
        """Return an answer, filled in; it begins with a capital letter."""
        sentence = self.answers[what].format(**values)
        return sentence[:1].upper() + sentence[1:]
