"""French."""

from datetime import datetime

from ..dates import Nearness, nearness
from ..language import Command, Language, Say

DAYS = ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche")
MONTHS = (
    "janvier", "février", "mars", "avril", "mai", "juin",
    "juillet", "août", "septembre", "octobre", "novembre", "décembre",
)  # fmt: skip

SENTENCES = {
    Command.REMEMBER_PRIVATELY: ("(souviens-toi|retiens) [seulement|juste] pour moi (que |qu'){text}",),
    Command.REMEMBER: (
        "[s'il te plaît] (souviens-toi|rappelle-toi|retiens|note|mémorise) [bien] (que |qu'){text}",
        "[s'il te plaît] (souviens toi|rappelle toi) [bien] (que |qu'){text}",
        "[est-ce que] [tu] (peux-tu|peux|pourrais-tu|pourrais) (te souvenir|retenir|noter|mémoriser) (que |qu'){text}",
        "[s'il te plaît] n'oublie pas (que |qu'){text}",
    ),
    Command.ABOUT: (
        "(que sais-tu|que sais tu|qu'est-ce que tu sais|que te rappelles-tu) (sur |de |du |des |d'){text}",
        "(que sais-tu|que sais tu|qu'est-ce que tu sais|que te rappelles-tu) à propos (de |du |des |d'){text}",
        "(que|qu'est-ce que) (t'ai-je|je t'ai) dit (sur |de |d'|à propos de ){text}",
        "sais-tu quelque chose (sur |de |d'|à propos de ){text}",
    ),
    Command.WHEN: (
        "quand (ai-je|est-ce que j'ai|suis-je|est-ce que je suis) {text}",
        "quand (avons-nous|est-ce que nous avons|sommes-nous|est-ce qu'on a) {text}",
    ),
    Command.FORGET_LAST: (
        "[s'il te plaît] oublie (la dernière chose|ça|cela) [que je t'ai dite|que j'ai dite]",
        "[s'il te plaît] oublie ce que je viens de dire",
    ),
    Command.FORGET: (
        "[s'il te plaît] oublie (que |qu'){text}",
        "[s'il te plaît] oublie ce que (je t'ai dit|tu sais) (sur |de |d'|à propos de ){text}",
        "[s'il te plaît] (efface|supprime) le souvenir (que |qu'|de |d'|du |sur ){text}",
    ),
    Command.CORRECT: (
        "non (c'est|c'était|il est|elle est|il était|elle était) {text}",
        "(c'est faux|ce n'est pas vrai|ce n'est pas ça) (c'est|c'était) {text}",
    ),
    Command.WHY: (
        "pourquoi (penses-tu|crois-tu|dis-tu) (ça|cela)",
        "pourquoi tu (penses|crois|dis) (ça|cela)",
        "pourquoi est-ce que tu (penses|crois|dis) (ça|cela)",
        "(d'où|comment) (le sais-tu|sais-tu ça|tu sais ça|tu le sais)",
        "qui (te l'a dit|a dit ça|t'a dit ça)",
    ),
    Command.CONFIRM: ("oui [s'il te plaît] oublie (le|ça|cela)", "oui oublie-le"),
    Command.YES: ("(oui|ouais|d'accord|ok|okay|bien sûr|exactement|vas-y) [s'il te plaît|merci]", "[oui] fais-le"),
    Command.NO: ("(non|jamais) [merci]", "[non] (garde-le|ne l'oublie pas|ne fais pas ça|laisse)", "annule"),
}

ANSWERS = {
    Say.REMEMBERED: "C'est retenu : {text}",
    Say.REMEMBERED_PRIVATELY: "C'est retenu, pour toi seulement : {text}",
    Say.WHO_ARE_YOU: (
        "Je ne sais pas qui parle, je ne peux donc pas le garder pour toi seulement. Je ne l'ai pas retenu."
    ),
    Say.NOT_REMEMBERED: (
        "Je n'ai pas pu le retenir : ma mémoire ne l'a pas confirmé. Redis-le-moi plus tard, s'il te plaît."
    ),
    Say.NOT_REACHED: "Je ne peux pas consulter ma mémoire en ce moment.",
    Say.NOTHING_FOUND: "Je n'ai rien trouvé à ce sujet dans ma mémoire.",
    Say.NOTHING_TO_FORGET: "Je n'ai rien trouvé de tel dans ma mémoire, rien n'a donc été oublié.",
    Say.NOTHING_LAST: "Il n'y a rien de toi que je puisse oublier.",
    Say.NOTHING_ASKED: "Je ne t'ai rien demandé. Rien n'a été oublié.",
    Say.SHALL_I_FORGET: "{quotation} Dois-je l'oublier ?",
    Say.HOW_TO_CONFIRM: "Dis alors : oui, oublie-le.",
    Say.FORGOTTEN: "C'est oublié.",
    Say.NOT_FORGOTTEN: (
        "Je n'ai pas pu l'oublier : ma mémoire ne l'a pas confirmé. Redis-le-moi plus tard, s'il te plaît."
    ),
    Say.GONE_ALREADY: "C'était déjà oublié.",
    Say.KEPT: "D'accord, je le garde.",
    Say.CORRECTED: "C'est corrigé : {text}",
    Say.CORRECTED_ALREADY: "C'était déjà corrigé. Rien n'a été changé.",
    Say.CORRECTION: "{said} (au lieu de : {old})",
    Say.BECAUSE: "Voici pourquoi : {quotation}",
    Say.NO_REASON: "Ma dernière réponse est venue sans ma mémoire.",
    Say.SAID: "{when}, {speaker} a dit : {text}",
    Say.SAID_IN: "{when}, {speaker} a dit ({area}) : {text}",
    Say.ANSWERED: "{when}, j'ai répondu : {text}",
    Say.NOTED: "{when}, j'ai noté : {text}",
}


def when(moment: datetime, now: datetime) -> str:
    """Return for instance `le 3 mars` or `aujourd'hui à 18 h 30`."""
    match nearness(moment, now):
        case Nearness.TODAY:
            return f"aujourd'hui à {_time(moment)}"
        case Nearness.YESTERDAY:
            return f"hier à {_time(moment)}"
        case Nearness.THIS_WEEK:
            return DAYS[moment.weekday()]
        case Nearness.THIS_YEAR:
            return _date(moment)
    return f"{_date(moment)} {moment.year}"


def _date(moment: datetime) -> str:
    return f"le {'1er' if moment.day == 1 else moment.day} {MONTHS[moment.month - 1]}"


def _time(moment: datetime) -> str:
    return f"{moment.hour} h {moment.minute:02}" if moment.minute else f"{moment.hour} h"


FRENCH = Language(code="fr", sentences=SENTENCES, answers=ANSWERS, when=when)
