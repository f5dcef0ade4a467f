"""Which transcripts are worth remembering: the rules, in one place.

Accidents of the wake word, silence, cut-off sentences, repetitions and pure commands are not. In doubt a turn is kept.
What somebody asks to be remembered is not judged here. Pure: no clock, no Home Assistant.
"""

from datetime import datetime, timedelta
from enum import StrEnum
import re

from .transcript_words import CREDITS, OUT_OF_SILENCE, WAKE_WORDS, WORDS, Words

MAX_COMMAND_WORDS = 10
"""Longer ones say something beside the command."""
REPETITION = timedelta(minutes=10)
"""Whoever says the same again so soon was not understood, or two satellites have heard it."""
MIN_LOOP = 3
"""So often the same word, and nothing else, is a recognizer that has got stuck."""

_ANNOTATION = re.compile(r"\[[^\]]*\]|\([^)]*\)|\*[^*]*\*|[♪♫]+")
_NO_WORD = re.compile(r"\W+")
_CUT = re.compile(r"(?:\.\.\.|…|[-\u2013\u2014])\s*$")


class Unkept(StrEnum):
    """Why a transcript is not remembered."""

    SILENCE = "silence"
    WAKE_WORD = "wake_word"
    FRAGMENT = "fragment"
    """A single word out of nothing; in a conversation it may be an answer."""
    CUT_OFF = "cut_off"
    COMMAND = "command"
    REPETITION = "repetition"


def why_not_kept(text: str, language: str | None, *, continues: bool) -> Unkept | None:
    """Return why a transcript is not worth remembering, or None if it is.

    `continues` says that something was said before in this conversation. Repetitions are `Repetitions`' to find.
    """
    said = _plain(_ANNOTATION.sub(" ", text))
    if not said or said in OUT_OF_SILENCE or said.startswith(CREDITS) or _is_stuck(said):
        return Unkept.SILENCE
    rest = _without_wake_word(said)
    if not rest:
        return Unkept.WAKE_WORD
    if not continues and " " not in rest:
        return Unkept.FRAGMENT
    words = _words(language)
    if words and _is_command(rest, words):
        return Unkept.COMMAND
    is_cut_off = _CUT.search(text) or (words and rest.rpartition(" ")[2] in words.unfinished)
    return Unkept.CUT_OFF if is_cut_off else None


def is_command(text: str, language: str | None) -> bool:
    """Say whether a transcript tells the house to do something, or asks what only the house knows, and nothing else."""
    words = _words(language)
    return words is not None and _is_command(_without_wake_word(_plain(text)), words)


class Repetitions:
    """What was said lately."""

    def __init__(self) -> None:
        """Begin with nothing said."""
        self._said: dict[str, datetime] = {}

    def has(self, text: str, now: datetime) -> bool:
        """Say whether this was said lately, and note that it was said now."""
        self._said = {said: moment for said, moment in self._said.items() if now - moment < REPETITION}
        plain = _plain(text)
        repeated = plain in self._said
        self._said[plain] = now
        return repeated


def _plain(text: str) -> str:
    return _NO_WORD.sub(" ", text).strip().casefold()


def _words(language: str | None) -> Words | None:
    return WORDS.get((language or "").partition("-")[0].casefold())


def _is_stuck(said: str) -> bool:
    words = said.split()
    return len(words) >= MIN_LOOP and len(set(words)) == 1


def _without_wake_word(said: str) -> str:
    return _without_beginnings(said, WAKE_WORDS)


def _without_beginnings(said: str, beginnings: tuple[str, ...]) -> str:
    while beginning := next((one for one in beginnings if said == one or said.startswith(f"{one} ")), None):
        said = said.removeprefix(beginning).lstrip()
    return said


def _is_command(said: str, words: Words) -> bool:
    rest = _without_beginnings(said, words.requests)
    if rest.startswith(words.house_questions):
        return True
    spoken = rest.split()
    if not spoken or len(spoken) > MAX_COMMAND_WORDS or not words.statements.isdisjoint(spoken):
        return False
    return spoken[0] in words.commands or (rest != said and spoken[-1] in words.command_ends)
