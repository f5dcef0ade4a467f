"""The values in a statement: numbers, times, money, weekdays and dates, said in words or written in digits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
import re

from .analysis import fold
from .stop_words import ENGLISH

TOKEN = re.compile(r"[$€£]|\d+(?:[.,:]\d+)*|[^\W\d_]+(?:'[^\W\d_]+)*|[.;!?](?=\s|$)|,(?=\s)")
"""What a statement is read as: amounts, words with what follows their apostrophe, and the marks that end a clause."""


class ValueType(Enum):
    """What kind of answer a value is: only values of one kind can replace one another."""

    WEEKDAY = "weekday"
    MONTH = "month"
    DAY = "day"
    TIME = "time"
    MONEY = "money"
    NUMBER = "number"


@dataclass(frozen=True, slots=True)
class Value:
    """A value and the tokens [`start`, `end`) that say it; `text` is the same however it was said."""

    type: ValueType
    text: str
    start: int
    end: int


def _numbered(words: str, first: int = 0) -> dict[str, int]:
    """Return each group of synonyms, written `a/b c d/e`, with its number."""
    return {word: number for number, group in enumerate(words.split(), first) for word in group.split("/")}


WEEKDAYS = {
    "en": _numbered("monday tuesday wednesday thursday friday saturday sunday"),
    "de": _numbered("montag dienstag mittwoch donnerstag freitag samstag/sonnabend sonntag"),
    "fr": _numbered("lundi mardi mercredi jeudi vendredi samedi dimanche"),
    "es": _numbered("lunes martes miercoles jueves viernes sabado domingo"),
    "nl": _numbered("maandag dinsdag woensdag donderdag vrijdag zaterdag zondag"),
}
MONTHS = {
    "en": _numbered("january february march april may june july august september october november december", 1),
    "de": _numbered("januar februar marz april mai juni juli august september oktober november dezember", 1),
    "fr": _numbered("janvier fevrier mars avril mai juin juillet aout septembre octobre novembre decembre", 1),
    "es": _numbered("enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre", 1),
    "nl": _numbered("januari februari maart april mei juni juli augustus september oktober november december", 1),
}
UNITS = {
    "en": _numbered(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen"
    ),
    "de": _numbered(
        "null eins/ein zwei drei vier funf sechs sieben acht neun zehn elf zwolf dreizehn vierzehn funfzehn sechzehn "
        "siebzehn achtzehn neunzehn"
    ),
    "fr": _numbered(
        "zero un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept "
        "dix-huit dix-neuf"
    ),
    "es": _numbered(
        "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciseis "
        "diecisiete dieciocho diecinueve"
    ),
    "nl": _numbered(
        "nul een twee drie vier vijf zes zeven acht negen tien elf twaalf dertien veertien vijftien zestien zeventien "
        "achttien negentien"
    ),
}
TENS = {
    "en": _numbered("twenty thirty forty/fourty fifty sixty seventy eighty ninety", 2),
    "de": _numbered("zwanzig dreissig vierzig funfzig sechzig siebzig achtzig neunzig", 2),
    "fr": _numbered("vingt trente quarante cinquante soixante", 2),
    "es": _numbered("veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa", 2),
    "nl": _numbered("twintig dertig veertig vijftig zestig zeventig tachtig negentig", 2),
}
ORDINALS = {
    "en": _numbered(
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
        "fifteenth sixteenth seventeenth eighteenth nineteenth",
        1,
    )
    | {"twentieth": 20, "thirtieth": 30},
    "de": _numbered(
        "erste zweite dritte vierte funfte sechste siebte achte neunte zehnte elfte zwolfte dreizehnte vierzehnte "
        "funfzehnte sechzehnte siebzehnte achtzehnte neunzehnte",
        1,
    ),
    "fr": {"premier": 1},
    "es": {"primero": 1},
    "nl": _numbered(
        "eerste tweede derde vierde vijfde zesde zevende achtste negende tiende elfde twaalfde dertiende veertiende "
        "vijftiende zestiende zeventiende achttiende negentiende",
        1,
    ),
}
HUNDREDS = frozenset({"hundred", "hundert", "cent", "cien", "honderd"})
THOUSANDS = frozenset({"thousand", "tausend", "mille", "mil", "duizend"})
MONEY = frozenset({"$", "€", "£", "dollar", "dollars", "bucks", "euro", "euros", "pounds", "cents"})
BEFORE_A_TIME = {
    "en": frozenset({"at", "till", "until"}),
    "de": frozenset({"um", "bis"}),
    "fr": frozenset({"a"}),
    "es": frozenset({"las"}),
    "nl": frozenset({"om", "tot"}),
}
AFTER_A_TIME = frozenset({"uhr", "uur", "heures", "h", "am", "pm", "oclock", "o'clock"})
DIGIT_ORDINAL = frozenset({"st", "nd", "rd", "th"})
JOINS_UNITS_AND_TENS = {"de": "und", "nl": "en"}
FIRST_TEN = 10


def language_of(language: str | None) -> str:
    """Return the language whose words are looked for: `language` without its region if it is known, else English."""
    base = (language or "en").replace("_", "-").split("-")[0].lower()
    return base if base in WEEKDAYS else "en"


def tokens(text: str) -> list[str]:
    """Return the folded words, numbers and clause marks of a statement, e.g. `finns`, `3:40`, `.`."""
    return [fold(token) for token in TOKEN.findall(text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))]


def values(words: list[str], language: str) -> list[Value]:
    """Return the values among the tokens of a statement in the order in which they are said."""
    return list(_read(words, language))


def _read(words: list[str], language: str) -> Iterator[Value]:
    weekdays, months, ordinals = WEEKDAYS[language], MONTHS[language], ORDINALS[language]
    at = 0
    while at < len(words):
        word = words[at]
        if (day := _inflected(word, weekdays)) is not None:
            yield Value(ValueType.WEEKDAY, str(day), at, at + 1)
            at += 1
        elif word in months and not (word in {"may", "march"} and not _beside_a_number(words, at, language)):
            yield Value(ValueType.MONTH, str(months[word]), at, at + 1)
            at += 1
        elif (ordinal := _inflected(word, ordinals)) is not None and (word != "second" or _is_a_day(words, at, months)):
            yield Value(ValueType.DAY, str(ordinal), at, at + 1)
            at += 1
        elif (number := _number(words, at, language)) is not None:
            yield number
            at = number.end
        else:
            at += 1


def _inflected(word: str, among: dict[str, int]) -> int | None:
    """Look a word up without the ending that makes a plural, a genitive or `on Thursdays`."""
    for ending in ("", "s", "'s", "en", "n"):
        if word.endswith(ending) and (found := among.get(word[: len(word) - len(ending)])) is not None:
            return found
    return None


_AFTER_A_DAY = frozenset({"because", "anymore", "instead", "now", "since", "they"})


def _is_a_day(words: list[str], at: int, months: dict[str, int]) -> bool:
    """`the second` alone is a day; `the second shelf` is none."""
    after = words[at + 1] if at + 1 < len(words) else ""
    before = words[at - 1] if at else ""
    return before in months or (
        before == "the" and (not after.isalpha() or after in ENGLISH or after in _AFTER_A_DAY or after in months)
    )


def _beside_a_number(words: list[str], at: int, language: str) -> bool:
    """`may` and `march` are months only where a number follows or `in`, `from` or the like goes before."""
    after = words[at + 1 : at + 2]
    if any(word[0].isdigit() or _small(word, language) is not None or word in ORDINALS[language] for word in after):
        return True
    return any(
        word in {"in", "from", "since", "until", "by", "of", "last", "next", "this"}
        for word in words[max(0, at - 1) : at]
    )


def _small(word: str, language: str) -> int | None:
    """Return the number below a hundred that one word says, or None."""
    if (unit := UNITS[language].get(word)) is not None:
        return unit
    if (ten := TENS[language].get(word)) is not None:
        return ten * 10
    joint = JOINS_UNITS_AND_TENS.get(language)
    if joint and joint in word:
        unit_word, _, ten_word = word.rpartition(joint)
        unit, ten = UNITS[language].get(unit_word), TENS[language].get(ten_word)
        if unit is not None and ten is not None:
            return ten * 10 + unit
    return None


def _number(words: list[str], start: int, language: str) -> Value | None:
    parts, end, is_day = _parts(words, start, language)
    if not parts:
        return None
    text = ":".join(parts)
    before, after = words[start - 1] if start else "", words[end] if end < len(words) else ""
    month_near = (
        before in MONTHS[language]
        or after in MONTHS[language]
        or (after in {"of", "de"} and end + 1 < len(words) and words[end + 1] in MONTHS[language])
    )
    if is_day or after in DIGIT_ORDINAL:
        return Value(ValueType.DAY, text, start, end + (after in DIGIT_ORDINAL))
    if month_near and len(parts) == 1 and text.isdigit() and int(text) <= 31:
        return Value(ValueType.DAY, text, start, end)
    if before in MONEY or after in MONEY:
        return Value(ValueType.MONEY, text, start, end)
    if ":" in text or before in BEFORE_A_TIME[language] or after in AFTER_A_TIME:
        return Value(ValueType.TIME, text.removesuffix(":00"), start, end)
    return Value(ValueType.NUMBER, text, start, end)


def _parts(words: list[str], start: int, language: str) -> tuple[list[str], int, bool]:
    """Read one number: `three forty` has two parts, `forty nine thousand eight hundred and four` one.

    Returns the parts, the token after the last one, and whether it was an ordinal (`twenty fourth`).
    """
    if words[start][0].isdigit():
        digits = words[start].replace(",", "") if re.fullmatch(r"\d{1,3}(,\d{3})+", words[start]) else words[start]
        return [digits], start + 1, False
    parts: list[int] = []
    thousands = 0
    at = start
    while at < len(words):
        word = words[at]
        small = _small(word, language)
        if small is not None:
            joins = parts and parts[-1] >= FIRST_TEN * 2 and parts[-1] % FIRST_TEN == 0 and 0 < small < FIRST_TEN
            after_hundred = parts and parts[-1] >= 100 and parts[-1] % 100 == 0
            teens = language == "fr" and parts and parts[-1] == FIRST_TEN and 7 <= small < FIRST_TEN
            if joins or after_hundred or teens:
                parts[-1] += small
            else:
                parts.append(small)
        elif word in HUNDREDS and (language != "en" or parts or _follows_article(words, at)):
            parts = [*parts[:-1], (parts[-1] if parts else 1) * 100]
        elif word in THOUSANDS and (parts or language != "en"):
            thousands, parts = (parts[-1] if parts else 1) * 1000, []
        elif parts and (ordinal := _inflected(word, ORDINALS[language])) is not None and ordinal < FIRST_TEN:
            return [str(parts[-1] + ordinal)], at + 1, True
        elif not (
            word == "and" and parts and parts[-1] >= 100 and at + 1 < len(words) and _small(words[at + 1], language)
        ):
            break
        at += 1
    if thousands:
        parts = [thousands + sum(parts)]
    if parts == [1]:
        # "That one", "one of them"; in the other languages it is also the article.
        return [], start, False
    return [f"{part:02d}" if place else str(part) for place, part in enumerate(parts)], at, False


def _follows_article(words: list[str], at: int) -> bool:
    return at > 0 and words[at - 1] == "a"
