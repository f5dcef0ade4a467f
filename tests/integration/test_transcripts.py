"""Which transcripts are remembered, on what recognizers write."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, strategies as st
import pytest

from custom_components.npu_memory.transcript_words import WORDS
from custom_components.npu_memory.transcripts import REPETITION, Repetitions, Unkept, is_command, why_not_kept

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (" The boiler was serviced on the third of March.", "en"),
        ("the spare key is with joost", "en"),
        (" When was the boiler serviced?", "en-US"),
        ("One was the heating last serviced", "en"),
        ("Open house at school is on the twelfth.", "en"),
        ("Play rehearsal was moved to Thursday because the hall is taken", "en"),
        ("Set the table for six on Sunday, we have Oma and the Hendersons coming over for lunch", "en"),
        ("Remind me to call Mr. Odum tomorrow", "en"),
        ("Turn off the heating when we leave", "en"),
        ("My locker code has changed.", "en"),
        ("You know that I like my coffee black", "en"),
        ("Der Schornsteinfeger kommt am Dienstag.", "de"),
        ("Mach dir keine Sorgen, ich habe den Schlüssel", "de"),
        ("Le plombier vient jeudi matin", "fr"),
        ("La llave está en el cajón", "es"),
        ("De sleutel ligt onder de mat", "nl"),
        ("Kattilan huolto on maaliskuussa", "fi"),
        ("turn on the lights", None),
        ("The dog, Otto, ate my (good) shoes", "en"),
    ],
)
def test_what_somebody_tells_or_asks_is_kept(text: str, language: str | None) -> None:
    assert why_not_kept(text, language, continues=False) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "...",
        " .",
        "[BLANK_AUDIO]",
        "(music playing)",
        " *sighs*",
        "♪ ♪",
        " Thank you.",
        " Thanks for watching!",
        "you",
        "Untertitel der Amara.org-Community",
        "Untertitelung des ZDF, 2020",
        "Sous-titres réalisés para la communauté d'Amara.org",
        "Subtítulos realizados por la comunidad de Amara.org",
        " Bedankt voor het kijken!",
        "no no no no no",
    ],
)
@pytest.mark.parametrize("continues", [False, True])
def test_what_recognizers_make_of_silence_is_not(text: str, continues: bool) -> None:
    assert why_not_kept(text, "en", continues=continues) is Unkept.SILENCE


@pytest.mark.parametrize("text", ["Okay, Nabu.", "hey jarvis", "Hey Jarvis, hey Jarvis!", "Alexa?"])
def test_a_wake_word_alone_is_not(text: str) -> None:
    assert why_not_kept(text, "en", continues=True) is Unkept.WAKE_WORD


def test_what_follows_a_wake_word_is_judged_without_it() -> None:
    assert why_not_kept("Hey Jarvis, the parcel has arrived.", "en", continues=False) is None
    assert why_not_kept("Hey Jarvis, turn on the light.", "en", continues=False) is Unkept.COMMAND


def test_a_single_word_is_only_kept_as_an_answer() -> None:
    assert why_not_kept("Tuesday.", "en", continues=False) is Unkept.FRAGMENT
    assert why_not_kept("Tuesday.", "en", continues=True) is None


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("remember that the", "en"),
        ("What is the name of my", "en"),
        ("I wanted to say that we…", "en"),
        ("The plumber is coming on...", "en"),
        ("The plumber is com-", "en"),
        ("Der Schlüssel liegt unter einer", "de"),
        ("La clé est dans le", "fr"),
        ("La llave está en el", "es"),
        ("De sleutel ligt onder de", "nl"),
    ],
)
def test_what_was_cut_off_is_not(text: str, language: str) -> None:
    assert why_not_kept(text, language, continues=False) is Unkept.CUT_OFF


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (" Turn on the kitchen light.", "en"),
        ("please turn the lights off", "en"),
        ("Could you open the blinds in the bedroom?", "en"),
        ("set a timer for five minutes", "en"),
        ("Add milk to the shopping list", "en"),
        (" What time is it?", "en"),
        ("What's the weather tomorrow?", "en"),
        ("lights off", "en"),
        ("Schalte das Licht in der Küche ein", "de"),
        ("Bitte mach die Rollläden zu", "de"),
        ("Kannst du das Licht anmachen?", "de"),
        ("Licht aus", "de"),
        ("Wie spät ist es?", "de"),
        ("Allume la lumière du salon", "fr"),
        ("Peux-tu éteindre la télé, s'il te plaît ?", "fr"),
        ("Quelle heure est-il ?", "fr"),
        ("Enciende la luz de la cocina", "es"),
        ("¿Puedes bajar las persianas?", "es"),
        ("¿Qué hora es?", "es"),
        ("Doe het licht in de keuken aan", "nl"),
        ("Kun je het licht uitdoen?", "nl"),
        ("Hoe laat is het?", "nl"),
    ],
)
def test_pure_commands_and_questions_to_the_house_are_not(text: str, language: str) -> None:
    assert why_not_kept(text, language, continues=False) is Unkept.COMMAND
    assert is_command(text, language)


def test_the_same_again_is_not_but_it_is_some_other_day() -> None:
    said = Repetitions()
    assert not said.has("The parcel has arrived.", NOW)
    assert said.has(" the parcel has arrived", NOW + timedelta(seconds=3))
    assert not said.has("The parcel has not arrived.", NOW + timedelta(seconds=4))
    assert said.has("The parcel has arrived", NOW + timedelta(seconds=8))
    assert not said.has("The parcel has arrived.", NOW + timedelta(seconds=8) + REPETITION)


@given(st.text(), st.none() | st.sampled_from([*WORDS, "en-GB", "xx"]), st.booleans())
def test_whatever_a_recognizer_writes_there_is_an_answer(text: str, language: str | None, continues: bool) -> None:
    unkept = why_not_kept(text, language, continues=continues)
    assert unkept is None or unkept in Unkept
    if is_command(text, language) and unkept is None:
        pytest.fail("a command is kept")
