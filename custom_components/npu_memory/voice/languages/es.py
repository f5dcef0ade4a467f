"""Spanish."""

from datetime import datetime

from ..dates import Nearness, nearness
from ..language import Command, Language, Say

DAYS = ("lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo")
MONTHS = (
    "enero", "febrero", "marzo", "abril", "mayo", "junio",
    "julio", "agosto", "septiembre", "octubre", "noviembre", "diciembre",
)  # fmt: skip

SENTENCES = {
    Command.REMEMBER_PRIVATELY: ("[por favor] (recuerda|acuérdate) (solo|sólo) para mí [de] que {text}",),
    Command.REMEMBER: (
        "[por favor] (recuerda|apunta|anota|memoriza|ten en cuenta) que {text}",
        "[por favor] acuérdate [de] que {text}",
        "(puedes|podrías) (recordar|apuntar|anotar) que {text}",
        "[por favor] no (olvides|te olvides de) que {text}",
    ),
    Command.ABOUT: (
        "qué (sabes|recuerdas) (sobre|de|del|acerca de) {text}",
        "sabes algo (sobre|de|del|acerca de) {text}",
        "qué te (he dicho|dije) (sobre|de|del|acerca de) {text}",
    ),
    Command.WHEN: (
        "cuándo fue la última vez que {text}",
        "cuándo (he|hemos) {text}",
    ),
    Command.FORGET_LAST: (
        "[por favor] olvida (lo último|eso|esto) [que he dicho|que dije]",
        "[por favor] olvida lo que (acabo de decir|he dicho)",
    ),
    Command.FORGET: (
        "[por favor] (olvida|olvídate de) que {text}",
        "[por favor] olvida lo que (te dije|te he dicho|sabes) (sobre|de|del) {text}",
        "[por favor] borra el recuerdo (de|del|de que|sobre) {text}",
    ),
    Command.CORRECT: (
        "no (es|era|está|son|eran) {text}",
        "(eso no es cierto|eso no es correcto|está mal) (es|era|está) {text}",
    ),
    Command.WHY: (
        "por qué (piensas|crees|dices) eso",
        "cómo (lo sabes|sabes eso)",
        "de dónde (lo sabes|sacas eso)",
        "quién (te lo dijo|ha dicho eso|te ha dicho eso)",
    ),
    Command.CONFIRM: ("sí [por favor] (olvídalo|olvida eso)",),
    Command.YES: ("(sí|si|claro|vale|de acuerdo|ok|okay|exacto|correcto|adelante) [por favor]", "[sí] hazlo"),
    Command.NO: ("(no|nunca) [gracias]", "[no] (no lo olvides|déjalo|guárdalo|no lo hagas)", "cancela"),
}

ANSWERS = {
    Say.REMEMBERED: "Recordado: {text}",
    Say.REMEMBERED_PRIVATELY: "Recordado, solo para ti: {text}",
    Say.WHO_ARE_YOU: "No sé quién habla, así que no puedo guardarlo solo para ti. No lo he recordado.",
    Say.NOT_REMEMBERED: (
        "No he podido recordarlo: mi memoria no lo ha confirmado. Dímelo otra vez más tarde, por favor."
    ),
    Say.NOT_REACHED: "Ahora mismo no puedo consultar mi memoria.",
    Say.NOTHING_FOUND: "No he encontrado nada sobre eso en mi memoria.",
    Say.NOTHING_TO_FORGET: "No he encontrado nada así en mi memoria, así que no se ha olvidado nada.",
    Say.NOTHING_LAST: "No hay nada tuyo que pueda olvidar.",
    Say.NOTHING_ASKED: "No te he preguntado nada. No se ha olvidado nada.",
    Say.SHALL_I_FORGET: "{quotation} ¿Debo olvidarlo?",
    Say.HOW_TO_CONFIRM: "Entonces di: sí, olvídalo.",
    Say.FORGOTTEN: "Está olvidado.",
    Say.NOT_FORGOTTEN: "No he podido olvidarlo: mi memoria no lo ha confirmado. Dímelo otra vez más tarde, por favor.",
    Say.GONE_ALREADY: "Ya no estaba.",
    Say.KEPT: "De acuerdo, lo guardo.",
    Say.CORRECTED: "Corregido: {text}",
    Say.CORRECTED_ALREADY: "Eso ya estaba corregido. No se ha cambiado nada.",
    Say.CORRECTION: "{said} (en lugar de: {old})",
    Say.BECAUSE: "Por esto: {quotation}",
    Say.NO_REASON: "Mi última respuesta no ha usado mi memoria.",
    Say.SAID: "{when}, {speaker} dijo: {text}",
    Say.SAID_IN: "{when}, {speaker} dijo ({area}): {text}",
    Say.ANSWERED: "{when}, respondí: {text}",
    Say.NOTED: "{when}, anoté: {text}",
}


def when(moment: datetime, now: datetime) -> str:
    """Return for instance `el 3 de marzo` or `hoy a las 18:30`."""
    match nearness(moment, now):
        case Nearness.TODAY:
            return f"hoy {_time(moment)}"
        case Nearness.YESTERDAY:
            return f"ayer {_time(moment)}"
        case Nearness.THIS_WEEK:
            return f"el {DAYS[moment.weekday()]}"
        case Nearness.THIS_YEAR:
            return f"el {moment.day} de {MONTHS[moment.month - 1]}"
    return f"el {moment.day} de {MONTHS[moment.month - 1]} de {moment.year}"


def _time(moment: datetime) -> str:
    article = "a la" if moment.hour == 1 else "a las"
    return f"{article} {moment.hour}:{moment.minute:02}" if moment.minute else f"{article} {moment.hour}"


SPANISH = Language(code="es", sentences=SENTENCES, answers=ANSWERS, when=when)
