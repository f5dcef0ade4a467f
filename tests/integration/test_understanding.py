"""Which sentences are for memory, and what of them is kept: in every language, as people and Whisper write them."""

from collections.abc import Iterator
import re
import unicodedata

from hassil.intents import Intents, WildcardSlotList
from hassil.recognize import recognize_all
from hypothesis import given, strategies as st
import pytest

from custom_components.npu_memory.voice.language import Command
from custom_components.npu_memory.voice.languages import LANGUAGES
from custom_components.npu_memory.voice.templates import TEXT, compiled, matched
from custom_components.npu_memory.voice.understanding import (
    Understood,
    language_of,
    prepare,
    spoken_language,
    understood,
)

EXAMPLES = [
    ("en", "Remember that the boiler was serviced on the third of March.", Command.REMEMBER),
    ("en", " remember that the boiler was serviced", Command.REMEMBER),
    ("en", "Please remember that Dr. Who's room is 4.5, not 5!", Command.REMEMBER),
    ("en", "Don't forget that we are out of milk", Command.REMEMBER),
    ("en", "Don\u2019t forget that we are out of milk", Command.REMEMBER),
    ("en", "Can you remember that I like tea?", Command.REMEMBER),
    ("en", "Remember just for me that the present is in the attic", Command.REMEMBER_PRIVATELY),
    ("en", "What do you know about Oma Ilse?", Command.ABOUT),
    ("en", "When did I last change the filter?", Command.WHEN),
    ("en", "Forget that the boiler was serviced.", Command.FORGET),
    ("en", "forget what I said about the boiler", Command.FORGET),
    ("en", "Forget the last thing.", Command.FORGET_LAST),
    ("en", "Forget that.", Command.FORGET_LAST),
    ("en", "No, it is Sunday at ten.", Command.CORRECT),
    ("en", "No, it's Sunday.", Command.CORRECT),
    ("en", "Why do you think that?", Command.WHY),
    ("en", "How do you know that?", Command.WHY),
    ("en", "Yes.", Command.YES),
    ("en", "Yes, please!", Command.YES),
    ("en", "Yes, forget it.", Command.CONFIRM),
    ("en", "No, keep it.", Command.NO),
    ("en", "No.", Command.NO),
    ("de", "Merk dir, dass der Kessel am dritten März gewartet wurde.", Command.REMEMBER),
    ("de", "Merke dir bitte, dass ich Tee mag.", Command.REMEMBER),
    ("de", "Vergiss nicht, dass die Milch alle ist", Command.REMEMBER),
    ("de", "Merk dir nur für mich, dass das Geschenk auf dem Dachboden ist.", Command.REMEMBER_PRIVATELY),
    ("de", "Was weißt du über Oma Ilse?", Command.ABOUT),
    ("de", "Wann habe ich zuletzt den Filter gewechselt?", Command.WHEN),
    ("de", "Vergiss, dass der Kessel gewartet wurde.", Command.FORGET),
    ("de", "Vergiss das Letzte.", Command.FORGET_LAST),
    ("de", "Vergiss das wieder.", Command.FORGET_LAST),
    ("de", "Nein, es ist am Sonntag.", Command.CORRECT),
    ("de", "Warum glaubst du das?", Command.WHY),
    ("de", "Woher weißt du das?", Command.WHY),
    ("de", "Ja, bitte.", Command.YES),
    ("de", "Ja, vergiss es.", Command.CONFIRM),
    ("de", "Nein, danke.", Command.NO),
    ("fr", "Souviens-toi que la chaudière a été révisée le trois mars.", Command.REMEMBER),
    ("fr", "N'oublie pas qu'il n'y a plus de lait.", Command.REMEMBER),
    ("fr", "Souviens-toi qu\u2019Anna aime le thé.", Command.REMEMBER),
    ("fr", "Que sais-tu d'Ilse ?", Command.ABOUT),
    ("fr", "Note que le code est 4711.", Command.REMEMBER),
    ("fr", "Retiens seulement pour moi que le cadeau est au grenier.", Command.REMEMBER_PRIVATELY),
    ("fr", "Que sais-tu de mamie Ilse ?", Command.ABOUT),
    ("fr", "Quand ai-je changé le filtre pour la dernière fois ?", Command.WHEN),
    ("fr", "Oublie que la chaudière a été révisée.", Command.FORGET),
    ("fr", "Oublie la dernière chose.", Command.FORGET_LAST),
    ("fr", "Non, c'est dimanche à dix heures.", Command.CORRECT),
    ("fr", "Pourquoi penses-tu ça ?", Command.WHY),
    ("fr", "Oui, s'il te plaît.", Command.YES),
    ("fr", "Oui, oublie-le.", Command.CONFIRM),
    ("fr", "Non merci.", Command.NO),
    ("es", "Recuerda que la caldera se revisó el tres de marzo.", Command.REMEMBER),
    ("es", "Acuérdate de que me gusta el té.", Command.REMEMBER),
    ("es", "Recuerda solo para mí que el regalo está en el desván.", Command.REMEMBER_PRIVATELY),
    ("es", "¿Qué sabes de la abuela Ilse?", Command.ABOUT),
    ("es", "¿Cuándo fue la última vez que cambié el filtro?", Command.WHEN),
    ("es", "Olvida que la caldera se revisó.", Command.FORGET),
    ("es", "Olvida lo último.", Command.FORGET_LAST),
    ("es", "No, es el domingo a las diez.", Command.CORRECT),
    ("es", "¿Por qué crees eso?", Command.WHY),
    ("es", "Sí, por favor.", Command.YES),
    ("es", "Sí, olvídalo.", Command.CONFIRM),
    ("es", "No, gracias.", Command.NO),
    ("nl", "Onthoud dat de ketel op drie maart is nagekeken.", Command.REMEMBER),
    ("nl", "Vergeet niet dat de melk op is.", Command.REMEMBER),
    ("nl", "Onthoud alleen voor mij dat het cadeau op zolder ligt.", Command.REMEMBER_PRIVATELY),
    ("nl", "Wat weet je over oma Ilse?", Command.ABOUT),
    ("nl", "Wanneer heb ik voor het laatst het filter vervangen?", Command.WHEN),
    ("nl", "Vergeet dat de ketel is nagekeken.", Command.FORGET),
    ("nl", "Vergeet het laatste.", Command.FORGET_LAST),
    ("nl", "Nee, het is op zondag om tien uur.", Command.CORRECT),
    ("nl", "Waarom denk je dat?", Command.WHY),
    ("nl", "Ja, graag.", Command.YES),
    ("nl", "Ja, vergeet het maar.", Command.CONFIRM),
    ("nl", "Nee, laat maar.", Command.NO),
]
NOT_FOR_MEMORY = [
    ("en", "Remember to buy milk"),
    ("en", "Turn on the light"),
    ("en", "When is the next train?"),
    ("en", "When did Mozart die?"),
    ("en", "Why is the sky blue?"),
    ("en", "No, turn it off"),
    ("en", "I will never forget that evening"),
    ("en", "Forget it"),
    ("en", "Yes, turn on the light"),
    ("en", "..."),
    ("en", ""),
    ("de", "Erinnere mich daran, Milch zu kaufen"),
    ("de", "Mach das Licht an"),
    ("de", "Wann fährt der nächste Zug?"),
    ("fr", "Allume la lumière"),
    ("es", "Enciende la luz"),
    ("nl", "Doe het licht aan"),
]


@pytest.mark.parametrize(("code", "said", "command"), EXAMPLES)
def test_a_sentence_is_understood(code: str, said: str, command: Command | None) -> None:
    heard = understood(said, LANGUAGES[code])
    assert (heard.command if heard else None) == command


@pytest.mark.parametrize(("code", "said"), NOT_FOR_MEMORY)
def test_what_is_not_for_memory_is_left_to_others(code: str, said: str) -> None:
    assert understood(said, LANGUAGES[code]) is None


def test_what_is_to_be_remembered_stays_as_it_was_said() -> None:
    said = "Please,  remember that Dr. Who's room is 4.5 (not 5), and the code: 47-11!"
    assert understood(said, LANGUAGES["en"]) == Understood(
        Command.REMEMBER, "Dr. Who's room is 4.5 (not 5), and the code: 47-11!"
    )


@given(st.text(min_size=1, max_size=100))
def test_no_word_after_the_opening_is_changed(text: str) -> None:
    said = unicodedata.normalize("NFC", f"Remember that: {text}").strip()
    heard = understood(said, LANGUAGES["en"])
    if heard is not None and heard.command is Command.REMEMBER:
        assert said.endswith(heard.text)
        assert re.sub(r"\W", "", said.removesuffix(heard.text)).casefold() == "rememberthat"


@pytest.mark.parametrize("code", list(LANGUAGES))
def test_home_assistants_own_agent_understands_the_same(code: str) -> None:
    """The sentences are templates of hassil: what it recognizes is what the patterns recognize."""
    language = LANGUAGES[code]
    templates = {command.value: {"data": [{"sentences": list(s)}]} for command, s in language.sentences.items()}
    intents = Intents.from_dict({"language": code, "intents": templates})
    intents.slot_lists["text"] = WildcardSlotList("text")
    for example_code, said, command in EXAMPLES:
        if example_code == code and command is not None:
            found = {result.intent.name for result in recognize_all(said, intents)}
            assert command.value in found, said


def variants(template: str) -> Iterator[str]:
    """Yield the sentences that a template stands for."""
    group = re.search(r"\[([^\[\]()]*)\]|\(([^\[\]()]*)\)", template)
    if group is None:
        yield " ".join(template.split())
        return
    choices = [*group[1].split("|"), ""] if group[1] is not None else group[2].split("|")
    for choice in choices:
        yield from variants(f"{template[: group.start()]}{choice}{template[group.end() :]}")


@pytest.mark.parametrize("code", list(LANGUAGES))
def test_every_sentence_of_a_template_is_understood_and_ends_with_its_text(code: str) -> None:
    language = LANGUAGES[code]
    for templates in language.sentences.values():
        sentences = compiled(templates)
        for template in templates:
            assert template.count("{") == template.endswith(TEXT), template
            for sentence in variants(template):
                text = matched(sentences, sentence.replace(TEXT, "x y"))
                assert text is not None, sentence
                assert text.endswith("x y") is sentence.endswith(TEXT)


def test_a_language_is_found_by_its_tag() -> None:
    for tag, code in (("de-CH", "de"), ("en", "en"), ("pt-BR", None), ("fr_FR", "fr"), (None, None), ("", None)):
        language = language_of(tag)
        assert (language.code if language else None) == code
    assert spoken_language("it").code == "en"


@pytest.mark.parametrize("said", ["." * 1999, "Remember" + "," * 1900 + "x", "Please " * 250])
def test_a_long_run_of_anything_is_seen_through(said: str) -> None:
    prepare("en")
    prepare("it")
    assert understood(said, LANGUAGES["en"]) is None


def test_a_long_text_is_no_command() -> None:
    assert understood("Remember that " + "so " * 2000, LANGUAGES["en"]) is None
