"""Memories as they are spoken, in every language."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from hypothesis import example, given, strategies as st
import pytest

from custom_components.npu_memory.voice.language import Command, Language, Say
from custom_components.npu_memory.voice.languages import LANGUAGES
from custom_components.npu_memory.voice.languages.en import ENGLISH
from custom_components.npu_memory.voice.telling import quoted, told, worth_saying
from custom_components.npu_memory.wire import MemoryItem

BERLIN = timezone(timedelta(hours=1))
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=BERLIN)

languages = pytest.mark.parametrize("language", list(LANGUAGES.values()), ids=list(LANGUAGES))


def memory(text: str, speaker: str | None = None, created_at: str = "2026-03-03T18:30:00+00:00") -> MemoryItem:
    return MemoryItem(id="id", text=text, speaker=speaker, created_at=created_at)


@languages
def test_a_language_has_all_sentences_and_all_answers(language: Language) -> None:
    assert set(language.sentences) == set(Command)
    assert set(language.answers) == set(Say)
    names = {
        say: {name for name in ("when", "speaker", "area", "text", "quotation", "said", "old") if f"{{{name}}}" in text}
        for say, text in ENGLISH.answers.items()
    }
    for say, text in language.answers.items():
        assert text.count("{") == len(names[say])
        assert all(f"{{{name}}}" in text for name in names[say])


@languages
@given(text=st.text(), speaker=st.none() | st.text(), area=st.none() | st.text())
def test_what_is_spoken_is_one_line(language: Language, text: str, speaker: str | None, area: str | None) -> None:
    item = replace(memory(text, speaker), area=area)
    assert len(quoted(item, language, NOW, with_place=True).splitlines()) == 1


@languages
@given(moment=st.datetimes(timezones=st.timezones()), zone=st.timezones())
@example(moment=datetime.min.replace(tzinfo=UTC), zone=timezone(timedelta(hours=-12)))
@example(moment=datetime.max.replace(tzinfo=UTC), zone=timezone(timedelta(hours=12)))
def test_every_moment_can_be_told(language: Language, moment: datetime, zone: tzinfo) -> None:
    item = memory("Milk.", created_at=moment.isoformat())
    assert quoted(item, language, NOW.astimezone(zone)).endswith("Milk.")


@pytest.mark.parametrize(
    ("code", "item", "sentence"),
    [
        ("en", memory("The code is 4711.", "Anna"), "On March 3, Anna said: The code is 4711."),
        ("en", memory("It is 4711", "Anna", "2024-12-31T23:30:00+00:00"), "On January 1, 2025, Anna said: It is 4711."),
        ("en", memory("It is done!", "assistant"), "On March 3, I answered: It is done!"),
        ("en", memory("Buy milk"), "On March 3, I noted: Buy milk."),
        ("de", memory("Der Code ist 4711", "Anna"), "Am 3. März sagte Anna: Der Code ist 4711."),
        ("fr", memory("Le code est 4711", "Anna"), "Le 3 mars, Anna a dit : Le code est 4711."),
        ("fr", memory("Oui", "Anna", "2025-04-01T12:00:00+00:00"), "Le 1er avril 2025, Anna a dit : Oui."),
        ("es", memory("El código es 4711", "Anna"), "El 3 de marzo, Anna dijo: El código es 4711."),
        ("nl", memory("De code is 4711", "Anna"), "Op 3 maart zei Anna: De code is 4711."),
    ],
)
def test_a_memory_is_spoken_with_who_and_when(code: str, item: MemoryItem, sentence: str) -> None:
    assert quoted(item, LANGUAGES[code], NOW) == sentence


@pytest.mark.parametrize(
    ("said_at", "called"),
    [
        (
            "2026-11-21T09:30:00+01:00",
            ["today at 9:30 am", "heute um 9:30 Uhr", "aujourd'hui à 9 h 30", "hoy a las 9:30", "vandaag om 9:30 uur"],
        ),
        (
            "2026-11-21T00:00:00+01:00",
            ["today at 12 am", "heute um 0 Uhr", "aujourd'hui à 0 h", "hoy a las 0", "vandaag om 0 uur"],
        ),
        (
            "2026-11-20T13:00:00+01:00",
            ["yesterday at 1 pm", "gestern um 13 Uhr", "hier à 13 h", "ayer a las 13", "gisteren om 13 uur"],
        ),
        (
            "2026-11-20T01:00:00+01:00",
            ["yesterday at 1 am", "gestern um 1 Uhr", "hier à 1 h", "ayer a la 1", "gisteren om 1 uur"],
        ),
        ("2026-11-17T13:00:00+01:00", ["on Tuesday", "am Dienstag", "mardi", "el martes", "op dinsdag"]),
        (
            "2026-11-14T13:00:00+01:00",
            ["on November 14", "am 14. November", "le 14 novembre", "el 14 de noviembre", "op 14 november"],
        ),
        (
            "2025-11-14T13:00:00+01:00",
            [
                "on November 14, 2025",
                "am 14. November 2025",
                "le 14 novembre 2025",
                "el 14 de noviembre de 2025",
                "op 14 november 2025",
            ],
        ),
        (
            "2026-11-23T13:00:00+01:00",
            ["on November 23", "am 23. November", "le 23 novembre", "el 23 de noviembre", "op 23 november"],
        ),
    ],
)
def test_dates_are_called_as_people_call_them(said_at: str, called: list[str]) -> None:
    moment = datetime.fromisoformat(said_at)
    assert [LANGUAGES[code].when(moment, NOW) for code in ("en", "de", "fr", "es", "nl")] == called


def test_where_it_was_said_is_told_too_if_that_is_known() -> None:
    item = replace(memory("The code is 4711.", "Anna"), area="Kitchen")
    assert quoted(item, ENGLISH, NOW, with_place=True) == "On March 3, Anna said (Kitchen): The code is 4711."
    assert quoted(memory("Hm.", "Anna"), ENGLISH, NOW, with_place=True) == "On March 3, Anna said: Hm."


def test_only_the_best_are_spoken() -> None:
    assert [item.text for item in worth_saying(memory(f"{n}") for n in range(9))] == ["0", "1", "2"]


def test_what_was_corrected_is_not_spoken_beside_its_correction() -> None:
    old = replace(memory("The vet is on Friday."), id="old", superseded_by="new")
    new = replace(memory("The vet is on Monday."), id="new")
    assert worth_saying([new, old]) == (new,)
    assert worth_saying([old]) == (old,)


def test_what_is_far_less_to_the_point_than_the_best_is_not_spoken() -> None:
    best, near, far = (replace(memory(f"Number {score}."), score=score) for score in (0.6, 0.5, 0.4))
    assert worth_saying([best, near, far]) == (best, near)


@languages
def test_nothing_found_is_said(language: Language) -> None:
    assert told([], language, NOW) == language.say(Say.NOTHING_FOUND)
