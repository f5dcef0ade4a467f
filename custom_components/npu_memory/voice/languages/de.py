"""German."""

from datetime import datetime

from ..dates import Nearness, nearness
from ..language import Command, Language, Say

DAYS = ("Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag")
MONTHS = (
    "Januar", "Februar", "März", "April", "Mai", "Juni",
    "Juli", "August", "September", "Oktober", "November", "Dezember",
)  # fmt: skip

SENTENCES = {
    Command.REMEMBER_PRIVATELY: ("[bitte] merk dir [bitte] nur für mich dass {text}",),
    Command.REMEMBER: (
        "[bitte] (merk|merke) dir [bitte] (dass|das) {text}",
        "(kannst|könntest) du dir [bitte] merken (dass|das) {text}",
        "[bitte] (notier|notiere) [dir] [bitte] dass {text}",
        "[bitte] vergiss [bitte] nicht dass {text}",
        "[bitte] denk daran dass {text}",
        "[bitte] (merk|merke) dir [bitte] {text}",
    ),
    Command.ABOUT: (
        "was weißt du [alles] (über|von|zu) {text}",
        "weißt du etwas (über|von|zu) {text}",
        "was habe ich dir (über|von|zu) {text}",
        "was hast du dir (über|zu) {text}",
    ),
    Command.WHEN: (
        "wann (habe|hab|hatte|bin|war) ich [zuletzt|das letzte mal] {text}",
        "wann (haben|hatten|sind|waren) wir [zuletzt|das letzte mal] {text}",
    ),
    Command.FORGET_LAST: (
        "[bitte] vergiss [bitte] das letzte [wieder]",
        "[bitte] vergiss [bitte] das [wieder]",
        "[bitte] vergiss [bitte] was ich [gerade|eben|zuletzt] gesagt habe",
    ),
    Command.FORGET: (
        "[bitte] vergiss [bitte] (dass|die sache mit|alles über) {text}",
        "[bitte] vergiss [bitte] was (ich|wir) [dir] (über|von|zu) {text}",
        "[bitte] vergiss [bitte] was du (über|von) {text}",
        "[bitte] lösch [bitte] die erinnerung (an|dass) {text}",
    ),
    Command.CORRECT: (
        "nein (es|er|sie|das) (ist|war) {text}",
        "nein (sie|die) (sind|waren) {text}",
        "das (stimmt nicht|ist falsch|war falsch) (es|er|sie) (ist|war) {text}",
    ),
    Command.WHY: (
        "(warum|wieso|weshalb) (glaubst|denkst|meinst|sagst) du das",
        "woher weißt du das",
        "wie kommst du (darauf|da drauf)",
        "wer hat (das|dir das) gesagt",
    ),
    Command.CONFIRM: ("ja [bitte] vergiss (es|das)",),
    Command.YES: (
        "(ja|jawohl|jo|genau|okay|ok|klar|sicher|gerne|richtig) [bitte|gerne]",
        "[ja] [bitte] (mach|tu) das",
        "[ja] mach [ruhig|es]",
    ),
    Command.NO: (
        "(nein|nee|nö) [danke]",
        "[nein] [bitte] (lass es|nicht|behalte es|behalt es)",
        "[nein] vergiss es nicht",
        "abbrechen",
    ),
}

ANSWERS = {
    Say.REMEMBERED: "Gemerkt: {text}",
    Say.REMEMBERED_PRIVATELY: "Gemerkt, nur für dich: {text}",
    Say.WHO_ARE_YOU: (
        "Ich weiß nicht, wer spricht, und kann es daher nicht nur für dich behalten. Ich habe es mir nicht gemerkt."
    ),
    Say.NOT_REMEMBERED: (
        "Das konnte ich mir nicht merken: Mein Gedächtnis hat es nicht bestätigt. Bitte sag es mir später noch einmal."
    ),
    Say.NOT_REACHED: "Ich kann gerade nicht in meinem Gedächtnis nachsehen.",
    Say.NOTHING_FOUND: "Dazu habe ich nichts in meinem Gedächtnis gefunden.",
    Say.NOTHING_TO_FORGET: "So etwas habe ich in meinem Gedächtnis nicht gefunden, es wurde also nichts vergessen.",
    Say.NOTHING_LAST: "Von dir gibt es nichts, das ich vergessen könnte.",
    Say.NOTHING_ASKED: "Ich habe dich nichts gefragt. Es wurde nichts vergessen.",
    Say.SHALL_I_FORGET: "{quotation} Soll ich das vergessen?",
    Say.HOW_TO_CONFIRM: "Dann sag: Ja, vergiss es.",
    Say.FORGOTTEN: "Es ist vergessen.",
    Say.NOT_FORGOTTEN: (
        "Das konnte ich nicht vergessen: Mein Gedächtnis hat es nicht bestätigt. Bitte sag es mir später noch einmal."
    ),
    Say.GONE_ALREADY: "Das war schon weg.",
    Say.KEPT: "Gut, ich behalte es.",
    Say.CORRECTED: "Berichtigt: {text}",
    Say.CORRECTED_ALREADY: "Das wurde schon berichtigt. Es wurde nichts geändert.",
    Say.CORRECTION: "{said} (statt: {old})",
    Say.BECAUSE: "Deswegen: {quotation}",
    Say.NO_REASON: "Meine letzte Antwort kam ohne mein Gedächtnis.",
    Say.SAID: "{when} sagte {speaker}: {text}",
    Say.SAID_IN: "{when} sagte {speaker} ({area}): {text}",
    Say.ANSWERED: "{when} habe ich geantwortet: {text}",
    Say.NOTED: "{when} habe ich notiert: {text}",
}


def when(moment: datetime, now: datetime) -> str:
    """Return for instance `am 3. März` or `heute um 18:30 Uhr`."""
    match nearness(moment, now):
        case Nearness.TODAY:
            return f"heute um {_time(moment)}"
        case Nearness.YESTERDAY:
            return f"gestern um {_time(moment)}"
        case Nearness.THIS_WEEK:
            return f"am {DAYS[moment.weekday()]}"
        case Nearness.THIS_YEAR:
            return f"am {moment.day}. {MONTHS[moment.month - 1]}"
    return f"am {moment.day}. {MONTHS[moment.month - 1]} {moment.year}"


def _time(moment: datetime) -> str:
    return f"{moment.hour}:{moment.minute:02} Uhr" if moment.minute else f"{moment.hour} Uhr"


GERMAN = Language(code="de", sentences=SENTENCES, answers=ANSWERS, when=when)
