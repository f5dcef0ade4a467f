"""The words by which a transcript is judged, by language; `transcripts` has the rules."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What a language says before, in and after a command, and what no sentence ends with.

    `commands` begin one, after any of the `requests`; `house_questions` ask for what the house knows by itself;
    `command_ends` make a command of what begins with a request. Where one of `statements` is in it, it says something.
    """

    unfinished: frozenset[str]
    requests: tuple[str, ...]
    commands: frozenset[str]
    command_ends: tuple[str, ...]
    house_questions: tuple[str, ...]
    statements: frozenset[str]


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


WAKE_WORDS = (
    "okay nabu",
    "ok nabu",
    "hey nabu",
    "hey jarvis",
    "jarvis",
    "hey mycroft",
    "hey rhasspy",
    "hey home assistant",
    "hey assistant",
    "alexa",
    "computer",
    "hey google",
    "okay google",
    "ok google",
    "hey siri",
)

OUT_OF_SILENCE = frozenset(
    {
        "you",
        "thank you",
        "thanks",
        "thank you very much",
        "thank you for watching",
        "thanks for watching",
        "thank you so much for watching",
        "please subscribe",
        "see you next time",
        "see you in the next video",
        "bye bye",
        "the end",
        "vielen dank",
        "vielen dank fürs zuschauen",
        "danke fürs zuschauen",
        "das war s",
        "bis zum nächsten mal",
        "merci",
        "merci d avoir regardé",
        "merci d avoir regardé cette vidéo",
        "gracias",
        "gracias por ver",
        "gracias por ver el video",
        "gracias por ver el vídeo",
        "bedankt voor het kijken",
        "dank u wel",
        "tot de volgende keer",
    }
)
"""What speech recognizers that were trained on films write when nobody speaks."""

CREDITS = ("untertitel", "sous titr", "subtítulos", "subtitles by", "ondertitel", "captions by", "transcribed by")
"""How the names of those begin who have made the subtitles of such films."""

WORDS = {
    "en": Words(
        unfinished=_set("a an the and or but because if my our your their whose every"),
        requests=("please", "can you", "could you", "would you", "will you", "hey", "now", "and"),
        commands=_set(
            "turn switch set dim brighten open close shut lock unlock start stop pause resume play skip mute "
            "unmute increase decrease raise lower cancel activate deactivate enable disable run add snooze lights "
            "light volume"
        ),
        command_ends=(),
        house_questions=(
            "what time",
            "what s the time",
            "what is the time",
            "what day is",
            "what s the date",
            "what s the weather",
            "what is the weather",
            "how s the weather",
            "what s the temperature",
            "what is the temperature",
            "how warm is it",
            "how cold is it",
        ),
        statements=_set("is are was were will has had have because since says said i we he she they who which should"),
    ),
    "de": Words(
        unfinished=_set("eine einen einem einer und oder aber weil dass wenn mein meine meinen unser unsere"),
        requests=("bitte", "kannst du", "könntest du", "würdest du", "hey", "jetzt", "und"),
        commands=_set(
            "schalte schalt mach mache dimme öffne schließe schließ schliesse sperre starte stoppe stopp pausiere "
            "spiele spiel überspringe stelle stell erhöhe senke reduziere aktiviere deaktiviere füge fahre fahr "
            "setze setz licht"
        ),
        command_ends=(
            "an",
            "aus",
            "einschalten",
            "ausschalten",
            "anschalten",
            "anmachen",
            "ausmachen",
            "öffnen",
            "schließen",
            "stellen",
            "dimmen",
        ),
        house_questions=(
            "wie spät",
            "wie viel uhr",
            "wie viel grad",
            "wie warm",
            "wie kalt",
            "wie wird das wetter",
            "wie ist das wetter",
        ),
        statements=_set("ist sind war waren wird hat haben hatte weil ich wir denn sagt sagte"),
    ),
    "fr": Words(
        unfinished=_set("le les un une des et ou mais parce mon ma mes notre nos du au aux"),
        requests=("s il te plaît", "peux tu", "tu peux", "pourrais tu", "est ce que tu peux", "et"),
        commands=_set(
            "allume allumer éteins éteindre ouvre ouvrir ferme fermer verrouille déverrouille lance lancer "
            "démarre arrête arrêter stoppe mets mettre monte monter baisse baisser augmente diminue règle régler "
            "joue jouer active désactive ajoute ajouter"
        ),
        command_ends=(),
        house_questions=("quelle heure", "quel temps", "quelle est la température", "il fait combien"),
        statements=_set("est sont était sera parce puisque je nous dit"),
    ),
    "es": Words(
        unfinished=_set("el los las un una unos unas y o pero porque mi mis tu tus su sus del al que"),
        requests=("por favor", "puedes", "podrías", "y"),
        commands=_set(
            "enciende encender apaga apagar prende abre abrir cierra cerrar bloquea desbloquea inicia para detén "
            "pausa reproduce pon poner sube subir baja bajar aumenta disminuye ajusta activa desactiva añade "
            "agrega"
        ),
        command_ends=(),
        house_questions=("qué hora", "qué tiempo", "qué temperatura", "cuántos grados"),
        statements=_set("es son era eran será está estaba han ha porque yo nosotros dice dijo"),
    ),
    "nl": Words(
        unfinished=_set("de een en of maar omdat mijn onze jouw hun"),
        requests=("alsjeblieft", "kun je", "kan je", "wil je", "zou je", "en"),
        commands=_set(
            "zet doe schakel dim open sluit vergrendel ontgrendel start stop pauzeer hervat speel verhoog verlaag "
            "activeer deactiveer voeg licht"
        ),
        command_ends=("aan", "uit", "aandoen", "uitdoen", "aanzetten", "uitzetten", "openen", "sluiten", "dimmen"),
        house_questions=("hoe laat", "wat voor weer", "wat is het weer", "hoe warm", "hoe koud"),
        statements=_set("is zijn was waren wordt heeft hebben had omdat want ik wij we zegt zei"),
    ),
}
