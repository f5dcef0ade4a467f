"""What a question says about when: the days it means, seen from when it is asked."""

from datetime import UTC, date, datetime, timedelta, timezone

from hypothesis import given, strategies as st
import pytest

from npu_memory_server.retrieval.moments import spans

TUESDAY = datetime(2026, 11, 17, 10, tzinfo=timezone(timedelta(hours=-5)))
DAY_MS = 86_400_000


def days(text: str, asked_at: datetime = TUESDAY) -> list[tuple[date, date]]:
    """Return the first day of each span and the last one, both included."""
    return [
        (
            datetime.fromtimestamp(span.begin_ms / 1000, asked_at.tzinfo).date(),
            datetime.fromtimestamp(span.end_ms / 1000 - 1, asked_at.tzinfo).date(),
        )
        for span in spans(text, asked_at)
    ]


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("what did we do yesterday", date(2026, 11, 16), date(2026, 11, 16)),
        ("Was haben wir vorgestern gegessen?", date(2026, 11, 15), date(2026, 11, 15)),
        ("what was on the list last week", date(2026, 11, 9), date(2026, 11, 15)),
        ("qu'est-ce qu'on a dit la semaine dernière", date(2026, 11, 9), date(2026, 11, 15)),
        ("¿qué compramos el mes pasado?", date(2026, 10, 1), date(2026, 10, 31)),
        ("wat zei ik vorige maand", date(2026, 10, 1), date(2026, 10, 31)),
        ("what did the gas meter say in August of last year", date(2025, 8, 1), date(2025, 8, 31)),
        ("what happened in March", date(2026, 3, 1), date(2026, 3, 31)),
        ("what happened in december", date(2025, 12, 1), date(2025, 12, 31)),
        ("what broke in March 2025", date(2025, 3, 1), date(2025, 3, 31)),
        ("who came last November", date(2025, 11, 1), date(2025, 11, 30)),
        ("how cold was it last winter", date(2025, 12, 1), date(2026, 2, 28)),
        ("what did we plant this fall", date(2026, 9, 1), date(2026, 11, 30)),
        ("what did we pay in 2024", date(2024, 1, 1), date(2024, 12, 31)),
        ("what did I say three days ago", date(2026, 11, 14), date(2026, 11, 14)),
        ("was war vor zwei Wochen", date(2026, 10, 29), date(2026, 11, 8)),
        ("who called on Sunday", date(2026, 11, 15), date(2026, 11, 15)),
    ],
)
def test_the_days_that_a_question_names_are_understood(text: str, first: date, last: date) -> None:
    assert days(text) == [(first, last)]


@pytest.mark.parametrize(
    "text",
    ["may I have the key", "we march every day", "how many years does the guarantee run", "where is the spare key", ""],
)
def test_a_question_that_names_no_time_means_none(text: str) -> None:
    assert days(text) == []


def test_a_day_begins_where_the_asker_lives() -> None:
    at_night = datetime(2026, 3, 2, 0, 30, tzinfo=timezone(timedelta(hours=9)))
    assert days("yesterday", at_night) == [(date(2026, 3, 1), date(2026, 3, 1))]
    assert days("yesterday", at_night.astimezone(UTC)) == [(date(2026, 2, 28), date(2026, 2, 28))]


WORDS = ("last week", "this year", "two", "999", "weeks ago", "in", "march", "2024", "winter", "on sunday", "vor", "a")


ZONES = (UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-12)))


@given(
    said=st.lists(st.sampled_from(WORDS), max_size=12),
    asked_at=st.datetimes(
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))])
    ),
)
def test_whatever_is_asked_and_whenever_each_span_has_at_least_a_day(said: list[str], asked_at: datetime) -> None:
    for span in spans(" ".join(said), asked_at):
        assert span.end_ms - span.begin_ms >= DAY_MS
