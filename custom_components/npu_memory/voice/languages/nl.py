"""Dutch."""

from datetime import datetime

from ..dates import Nearness, nearness
from ..language import Command, Language, Say

DAYS = ("maandag", "dinsdag", "woensdag", "donderdag", "vrijdag", "zaterdag", "zondag")
MONTHS = (
    "januari", "februari", "maart", "april", "mei", "juni",
    "juli", "augustus", "september", "oktober", "november", "december",
)  # fmt: skip

SENTENCES = {
    Command.REMEMBER_PRIVATELY: ("onthoud [alsjeblieft] (alleen|enkel) voor mij dat {text}",),
    Command.REMEMBER: (
        "[alsjeblieft] (onthoud|noteer|onthou) [alsjeblieft] dat {text}",
        "(kun|kan|wil|zou) je [alsjeblieft] (onthouden|noteren) dat {text}",
        "[alsjeblieft] vergeet [alsjeblieft] niet dat {text}",
    ),
    Command.ABOUT: (
        "wat (weet|herinner) je [je] [allemaal] (over|van) {text}",
        "weet je iets (over|van) {text}",
        "wat heb ik je (over|van) {text}",
    ),
    Command.WHEN: (
        "wanneer (heb|had|ben|was) ik [voor het laatst] {text}",
        "wanneer (hebben|hadden|zijn|waren) we [voor het laatst] {text}",
    ),
    Command.FORGET_LAST: (
        "[alsjeblieft] vergeet [alsjeblieft] het laatste [dat ik zei|wat ik zei]",
        "[alsjeblieft] vergeet [alsjeblieft] dat [maar|weer]",
        "[alsjeblieft] vergeet [alsjeblieft] wat ik [net|zojuist] (zei|heb gezegd)",
    ),
    Command.FORGET: (
        "[alsjeblieft] vergeet [alsjeblieft] (dat|alles over) {text}",
        "[alsjeblieft] vergeet [alsjeblieft] wat (ik|je) [je] (over|van|weet over) {text}",
        "[alsjeblieft] (wis|verwijder) de herinnering (aan|dat|over) {text}",
    ),
    Command.CORRECT: (
        "nee (het|hij|zij|ze|dat) (is|was) {text}",
        "nee (ze|die) (zijn|waren) {text}",
        "(dat klopt niet|dat is fout|dat is niet waar) (het|hij|zij|ze) (is|was) {text}",
    ),
    Command.WHY: (
        "waarom (denk|geloof|zeg|vind) je dat",
        "hoe weet je dat",
        "waar heb je dat vandaan",
        "wie heeft dat gezegd",
    ),
    Command.CONFIRM: ("ja [graag] vergeet (het|dat) [maar]",),
    Command.YES: ("(ja|jawel|jep|prima|oké|oke|ok|zeker|graag|precies) [graag|hoor]", "[ja] doe (dat|het) [maar]"),
    Command.NO: (
        "(nee|neen|nooit) [dank je|bedankt]",
        "[nee] (bewaar het|niet doen|doe maar niet|laat maar)",
        "[nee] vergeet het niet",
        "annuleer",
    ),
}

ANSWERS = {
    Say.REMEMBERED: "Onthouden: {text}",
    Say.REMEMBERED_PRIVATELY: "Onthouden, alleen voor jou: {text}",
    Say.WHO_ARE_YOU: (
        "Ik weet niet wie er spreekt, dus ik kan het niet alleen voor jou bewaren. Ik heb het niet onthouden."
    ),
    Say.NOT_REMEMBERED: "Dat kon ik niet onthouden: mijn geheugen heeft het niet bevestigd. Zeg het me later nog eens.",
    Say.NOT_REACHED: "Ik kan nu niet in mijn geheugen kijken.",
    Say.NOTHING_FOUND: "Daarover heb ik niets in mijn geheugen gevonden.",
    Say.NOTHING_TO_FORGET: "Zoiets heb ik niet in mijn geheugen gevonden, er is dus niets vergeten.",
    Say.NOTHING_LAST: "Er is niets van jou dat ik kan vergeten.",
    Say.NOTHING_ASKED: "Ik heb je niets gevraagd. Er is niets vergeten.",
    Say.SHALL_I_FORGET: "{quotation} Zal ik dat vergeten?",
    Say.HOW_TO_CONFIRM: "Zeg dan: ja, vergeet het.",
    Say.FORGOTTEN: "Het is vergeten.",
    Say.NOT_FORGOTTEN: "Dat kon ik niet vergeten: mijn geheugen heeft het niet bevestigd. Zeg het me later nog eens.",
    Say.GONE_ALREADY: "Dat was al weg.",
    Say.KEPT: "Goed, ik bewaar het.",
    Say.CORRECTED: "Verbeterd: {text}",
    Say.CORRECTED_ALREADY: "Dat was al verbeterd. Er is niets veranderd.",
    Say.CORRECTION: "{said} (in plaats van: {old})",
    Say.BECAUSE: "Hierom: {quotation}",
    Say.NO_REASON: "Mijn laatste antwoord kwam zonder mijn geheugen.",
    Say.SAID: "{when} zei {speaker}: {text}",
    Say.SAID_IN: "{when} zei {speaker} ({area}): {text}",
    Say.ANSWERED: "{when} heb ik geantwoord: {text}",
    Say.NOTED: "{when} heb ik genoteerd: {text}",
}


def when(moment: datetime, now: datetime) -> str:
    """Return for instance `op 3 maart` or `vandaag om 18:30 uur`."""
    match nearness(moment, now):
        case Nearness.TODAY:
            return f"vandaag om {_time(moment)}"
        case Nearness.YESTERDAY:
            return f"gisteren om {_time(moment)}"
        case Nearness.THIS_WEEK:
            return f"op {DAYS[moment.weekday()]}"
        case Nearness.THIS_YEAR:
            return f"op {moment.day} {MONTHS[moment.month - 1]}"
    return f"op {moment.day} {MONTHS[moment.month - 1]} {moment.year}"


def _time(moment: datetime) -> str:
    return f"{moment.hour}:{moment.minute:02} uur" if moment.minute else f"{moment.hour} uur"


DUTCH = Language(code="nl", sentences=SENTENCES, answers=ANSWERS, when=when)
