"""When a question is about: "last week", "in March", "two years ago", as spans of time. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import Enum
from itertools import pairwise
import re

from .analysis import fold
from .moment_words import (
    AGO_AFTER,
    AGO_BEFORE,
    ASKS_BACK,
    BEFORE_A_MONTH,
    DAYS_BACK,
    LAST,
    MONTHS,
    NUMBERS,
    ON,
    SEASONS,
    THIS,
    UNITS,
    WEEKDAYS,
    Unit,
)

_TOKEN = re.compile(r"\w+")
_YEAR = re.compile(r"(?:19|20)\d\d")
_NAMES = frozenset({*DAYS_BACK, *UNITS, *SEASONS, *MONTHS, *WEEKDAYS})
"""What a span of time begins with, if it is no year."""
FIRST_YEAR, LAST_YEAR = 1900, 2200
"""Beyond them nobody asks, and the calendar's own ends are far."""
SLACK = {Unit.DAY: 1, Unit.WEEK: 5, Unit.MONTH: 20, Unit.YEAR: 150}
"""Days on either side of "so many units ago", which nobody means to the day."""
DAYS = {Unit.DAY: 1, Unit.WEEK: 7, Unit.MONTH: 30, Unit.YEAR: 365}
MOST_DAYS_AGO = 365 * 100
SEASON_MONTHS = 3
YEAR_WITHIN = 4
"""Words after a month or a season in which its year is said."""


class Which(Enum):
    """Which one of its kind a period is, seen from the asking."""

    THIS = 0
    LAST = 1


@dataclass(frozen=True, slots=True)
class Span:
    """From one moment, included, to another, excluded; both in ms since 1970."""

    begin_ms: int
    end_ms: int


def spans(text: str, asked_at: datetime) -> tuple[Span, ...]:
    """Return the spans of time that a question names, seen from when it is asked; most questions name none.

    `asked_at` is aware: its time zone says where a day begins. English, German, French, Spanish and Dutch.
    """
    tokens = [fold(token) for token in _TOKEN.findall(text)]
    today = asked_at.date()
    if not FIRST_YEAR < today.year < LAST_YEAR:
        return ()
    if _NAMES.isdisjoint(tokens) and _YEAR.search(" ".join(tokens)) is None:
        return ()
    found = dict.fromkeys(_dates(tokens, today))
    return tuple(Span(_ms(begin, asked_at), _ms(end, asked_at)) for begin, end in found)


def asks_back(text: str, asked_at: datetime) -> bool:
    """Return whether a question wants to know how something was: "before it moved", "last year", "vorher"."""
    if not ASKS_BACK.isdisjoint(_TOKEN.findall(fold(text))):
        return True
    asked_ms = int(asked_at.timestamp() * 1000)
    return any(span.end_ms <= asked_ms for span in spans(text, asked_at))


def _dates(tokens: Sequence[str], today: date) -> Iterator[tuple[date, date]]:
    """Yield first days, included, and last ones, excluded."""
    for place, token in enumerate(tokens):
        before = tokens[place - 1] if place else ""
        after = tokens[place + 1] if place + 1 < len(tokens) else ""
        which = _which(before, after)
        if token in DAYS_BACK:
            yield _days(today, -DAYS_BACK[token], 1)
        elif token in UNITS and (ago := _ago(tokens, place)) is not None:
            yield _around(today, ago, UNITS[token])
        elif token in UNITS and which is not None and not _belongs(tokens, place):
            yield _period(today, UNITS[token], which)
        elif token in SEASONS and (which is not None or _year_of(tokens, place, today) is not None):
            yield _months_of(today, SEASONS[token], SEASON_MONTHS, which, _year_of(tokens, place, today))
        elif token in MONTHS and _is_month(token, before, after, which):
            yield _months_of(today, MONTHS[token], 1, which, _year_of(tokens, place, today))
        elif token in WEEKDAYS and (before in ON or which is Which.LAST):
            yield _days(today, -((today.weekday() - WEEKDAYS[token]) % 7 or 7), 1)
        elif _YEAR.fullmatch(token) and not _belongs(tokens, place):
            yield date(int(token), 1, 1), date(int(token) + 1, 1, 1)


def _which(before: str, after: str) -> Which | None:
    """French and Spanish say "last" after the word, and "this" before it."""
    if before in LAST or after in LAST:
        return Which.LAST
    return Which.THIS if before in THIS else None


def _ago(tokens: Sequence[str], place: int) -> int | None:
    """Return the number before the unit at `place` if it counts back: "two weeks ago", "vor zwei Wochen"."""
    if not place:
        return None
    word = tokens[place - 1]
    number = int(word) if word.isascii() and word.isdigit() and len(word) <= 3 else NUMBERS.get(word)
    first = place - 1
    if number is None and word in ("of", "couple") and place > 1:
        number, first = NUMBERS.get(tokens[place - 2]), place - 2
    counts_back = tokens[place + 1 : place + 2] in AGO_AFTER or any(
        tuple(tokens[max(0, first - len(words)) : first]) == words for words in AGO_BEFORE
    )
    return number if counts_back else None


def _is_month(token: str, before: str, after: str, which: Which | None) -> bool:
    """Some names of months are other words as well: "may", "march", "mars"."""
    return which is not None or before in BEFORE_A_MONTH or before.isdigit() or after.isdigit() or len(token) > 5


def _year_of(tokens: Sequence[str], place: int, today: date) -> int | None:
    """Return the year that is said after a month or a season: "March 2025", "in August of last year"."""
    after = tokens[place + 1 : place + 1 + YEAR_WITHIN]
    for token, following in pairwise([*after, ""]):
        if _YEAR.fullmatch(token):
            return int(token)
        if UNITS.get(token) is Unit.YEAR and following in LAST:
            return today.year - 1
        if token in LAST and UNITS.get(following) is Unit.YEAR:
            return today.year - 1
    return None


def _belongs(tokens: Sequence[str], place: int) -> bool:
    """Return whether a year at `place` belongs to a month or a season before it."""
    before = tokens[max(0, place - YEAR_WITHIN) : place]
    is_year = _YEAR.fullmatch(tokens[place]) or UNITS.get(tokens[place]) is Unit.YEAR
    return bool(is_year) and any(token in MONTHS or token in SEASONS for token in before)


def _days(today: date, first: int, count: int) -> tuple[date, date]:
    begin = today + timedelta(days=first)
    return begin, begin + timedelta(days=count)


def _around(today: date, ago: int, unit: Unit) -> tuple[date, date]:
    back = min(ago * DAYS[unit], MOST_DAYS_AGO)
    return _days(today, -back - SLACK[unit], 2 * SLACK[unit] + 1) if unit is not Unit.DAY else _days(today, -back, 1)


def _period(today: date, unit: Unit, which: Which) -> tuple[date, date]:
    back = which.value
    if unit is Unit.DAY:
        return _days(today, -back, 1)
    if unit is Unit.WEEK:
        return _days(today, -today.weekday() - 7 * back, 7)
    if unit is Unit.MONTH:
        return _months(today, -back, 1)
    return date(today.year - back, 1, 1), date(today.year - back + 1, 1, 1)


def _months_of(today: date, first_month: int, count: int, which: Which | None, year: int | None) -> tuple[date, date]:
    """Return a month or a season: of a year, or the last to have begun, or with "last" the last that is over."""
    if year is not None:
        return _months(date(year, first_month, 1), 0, count)
    back = (today.month - first_month) % 12
    if which is Which.LAST and back < count:
        back += 12
    return _months(today, -back, count)


def _months(today: date, first: int, count: int) -> tuple[date, date]:
    def begin(number: int) -> date:
        year, month = divmod(number, 12)
        return date(year, month + 1, 1)

    number = today.year * 12 + today.month - 1 + first
    return begin(number), begin(number + count)


def _ms(day: date, asked_at: datetime) -> int:
    return int(datetime.combine(day, time(), asked_at.tzinfo).timestamp() * 1000)
