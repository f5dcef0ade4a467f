"""Text to search terms: words folded and stemmed, and without those that every question has."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, lru_cache
import re
import unicodedata

import Stemmer

from .stop_words import STOP_WORDS

WORD = re.compile(r"\w+(?:[.,:]\d+)*", re.UNICODE)
"""Words of any script; numbers, times and codes such as `21.5`, `7:30` and `F22` stay whole."""

STEMMERS = {
    "da": "danish",
    "de": "german",
    "en": "english",
    "es": "spanish",
    "fi": "finnish",
    "fr": "french",
    "hu": "hungarian",
    "it": "italian",
    "nb": "norwegian",
    "nl": "dutch",
    "no": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sv": "swedish",
    "tr": "turkish",
}


def terms(text: str, language: str | None = None) -> list[str]:
    """Return the search terms of `text` in their order; unknown languages are stemmed as English."""
    return terms_of(folded_words(text), language)


def terms_of(said: Iterable[str], language: str | None = None) -> list[str]:
    """Return the search terms of folded words in their order."""
    stem, stop_words = stemmer(language), stop_words_of(language)
    return [stem(word) for word in said if word not in stop_words]


def folded_words(text: str) -> list[str]:
    """Return all words of `text` in their order, stop words too, folded."""
    return [fold(word) for word in WORD.findall(text)]


def words(text: str, language: str | None = None) -> list[tuple[int, int, str | None]]:
    """Return where each word of `text` begins and ends, and its search term; None for a stop word."""
    stem, stop_words = stemmer(language), stop_words_of(language)
    found = []
    for match in WORD.finditer(text):
        word = fold(match.group())
        found.append((match.start(), match.end(), None if word in stop_words else stem(word)))
    return found


@lru_cache(maxsize=65536)
def fold(word: str) -> str:
    """Return a word without case and diacritics, so that `Café` and `cafe` are the same."""
    # Again afterwards: what a compatibility character stands for may be in capitals, and folding may compose.
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", word).casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def stemmer(language: str | None) -> Callable[[str], str]:
    """Return what reduces a folded word to its stem; unknown languages are stemmed as English."""
    return _stem(_base_language(language))


def stop_words_of(language: str | None) -> frozenset[str]:
    """Return the folded words that say nothing in a language; unknown languages are taken as English."""
    return STOP_WORDS[_base_language(language)]


@lru_cache(maxsize=256)
def _base_language(language: str | None) -> str:
    base = (language or "en").replace("_", "-").split("-")[0].lower()
    return base if base in STEMMERS else "en"


@cache
def _stem(language: str) -> Callable[[str], str]:
    stem_word: Callable[[str], str] = Stemmer.Stemmer(STEMMERS[language]).stemWord
    return stem_word
