"""Whether a fact that a language model has made of what was said is founded in it. Pure and deterministic.

Every name and every number of a fact must stand in its sources, letter by letter: no digit, no number word and no
capitalized word comes from elsewhere, and at least half of its other words are theirs. In doubt a fact is refused: what
was said stays in any case.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
import re
import unicodedata

from .number_words import is_number_word

LONG_WORD = 4
"""Letters; shorter ones hold a sentence together. So many at its beginning make two words the same."""

_TOKEN = re.compile(r"\d+(?:[.,:/'\u2019\u00a0\u202f-]\d+)*|[^\W\d_]+")

BEGINNINGS: Mapping[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "en": "the a it its he she they his her their this that these those there in on at for from with since every",
        "de": "der die das ein eine es er sie ihr ihre sein seine im am in auf für von mit seit jeder jede",
        "fr": "le la les l un une il elle ils elles son sa ses leur leurs ce cette dans sur à pour de depuis chaque",
        "es": "el la los las un una él ella ellos ellas su sus este esta en para con de desde cada",
        "nl": "de het een hij zij ze zijn haar hun dit dat deze in op voor van met sinds elke",
    }.items()
}
"""What is capitalized at the beginning of a sentence without being anybody's name, by language."""


def is_founded(fact: str, sources: Iterable[str], language: str | None) -> bool:
    """Return whether a fact says nothing that is not in `sources`, each who said it and what.

    Without a `language` whatever begins with a capital is taken for a name, the first word too.
    """
    said = [_normal(source) for source in sources]
    there = {token.casefold() for source in said for token in _TOKEN.findall(source)}
    if not all(claim in there for claim in claims(fact, language)):
        return False
    signs = {sign for sign in fact if sign.isnumeric() and not sign.isdecimal()}
    if not all(any(_normal(sign) in source for source in said) for sign in signs):
        return False
    words = [token.casefold() for token in _TOKEN.findall(_normal(fact)) if len(token) >= LONG_WORD]
    beginnings = {token[:LONG_WORD] for token in there}
    return 2 * sum(word[:LONG_WORD] in beginnings for word in words) >= len(words)


def claims(fact: str, language: str | None) -> list[str]:
    """Return the names and numbers of a fact, folded."""
    exempt = BEGINNINGS.get((language or "").partition("-")[0].casefold(), frozenset())
    found = []
    for place, token in enumerate(_TOKEN.findall(_normal(fact))):
        folded = token.casefold()
        is_name = any(not sign.islower() for sign in token)
        if (is_name or is_number_word(folded)) and not (place == 0 and folded in exempt):
            found.append(folded)
    return found


def _normal(text: str) -> str:
    """Return a text in which signs that are written in several ways, such as ² and 2, are written in one."""
    return unicodedata.normalize("NFKC", text)
