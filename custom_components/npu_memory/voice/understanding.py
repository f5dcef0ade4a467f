"""What somebody asks memory to do, if that is what a sentence is about."""

from dataclasses import dataclass
from functools import cache
import re
import unicodedata

from .language import Command, Language
from .languages import LANGUAGES
from .languages.en import ENGLISH
from .templates import compiled, matched

MAX_CHARACTERS = 2000
"""Of what is looked at: a spoken sentence is shorter, and a long text is no command."""


@dataclass(frozen=True, slots=True)
class Understood:
    """A command, and what follows it: what is to be remembered, looked for or forgotten, as it was said."""

    command: Command
    text: str = ""


def language_of(tag: str | None) -> Language | None:
    """Return the language of a tag such as `de-CH`, if sentences of it are understood."""
    return LANGUAGES.get((tag or "").partition("-")[0].partition("_")[0].lower())


def spoken_language(tag: str | None) -> Language:
    """Return the language to answer in: that of the tag, or English."""
    return language_of(tag) or ENGLISH


def prepare(tag: str | None) -> None:
    """Make the patterns of a language, which takes a while (50 ms and more), so that no turn waits for it."""
    if language := language_of(tag):
        _patterns(language.code)


def understood(said: str, language: Language) -> Understood | None:
    """Return what a sentence asks memory to do, or None if it is not for memory."""
    said = unicodedata.normalize("NFC", said).strip()
    if not said or len(said) > MAX_CHARACTERS:
        return None
    for command, patterns in _patterns(language.code):
        if (text := matched(patterns, said)) is not None:
            return Understood(command, text)
    return None


@cache
def _patterns(code: str) -> tuple[tuple[Command, tuple[re.Pattern[str], ...]], ...]:
    templates = LANGUAGES[code].sentences
    return tuple((command, compiled(templates[command])) for command in Command)
