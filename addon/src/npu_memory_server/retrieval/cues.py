"""How people say that something has changed, and what else tells statements apart, in five languages.

All patterns are for folded text: lower case, without diacritics, its tokens parted by single spaces.
"""

from __future__ import annotations

from enum import Enum
from functools import cache
import re


class Cue(Enum):
    """A way of saying that something is no longer as it was."""

    CORRECTED = "corrected"
    """It was wrong: "no, actually", "correction"."""
    CHANGED = "changed"
    """It was altered: "moved", "changed", "switched from"."""
    ONSET = "onset"
    """It begins to hold: "now", "from now on", "starting October"."""
    PLACED = "placed"
    """It was brought somewhere: "I put the folder in the safe"."""
    ENDED = "ended"
    """The former no longer holds: "not anymore", "no longer", "instead of"."""
    HINT = "hint"
    """It may be another than before, or may not: "new", "this year"."""
    SIGN = "sign"
    """It may have become so, or just have happened: "turned out", "left", "down to"; enough to suspect a change."""


WEAK = frozenset({Cue.HINT, Cue.SIGN})
"""These close nothing by themselves."""


def _words(line: str) -> frozenset[str]:
    return frozenset(line.split())


CUES: dict[str, dict[Cue, str]] = {
    "en": {
        Cue.CORRECTED: (
            r"actually|correction|scratch that|i meant|(?:typed|wrote|said|noted) (?:\w+ ){0,3}wrong|my mistake"
            r"|i was wrong|(?:had|got) (?:it|that) wrong"
            r"|(?:was|were) a mistake|^(?:oh |um |uh |okay )*no (?:it|it's|its|he|she|they|wait)"
            r"|make that|forget what i said"
        ),
        Cue.CHANGED: (
            r"moved|moves?|changed|changes|switched|switches|renamed|rescheduled|postponed|pushed (?:back|to)"
            r"|brought forward|(?:\w+) (?:more|extra) (?:days?|weeks?|months?)|raised|lowered|increased|reduced"
            r"|replaces|cancelled|canceled"
            r"|(?:went|gone) (?:up|down)|goes up|rises|rose|lowers|is (?:later|earlier)|updated?|the new one"
            r"|from (?:now|today) on|retir(?:es|ed|ing)|stepped down|goes by|until further notice|doubled|halved"
        ),
        Cue.ONSET: (
            r"now|nowadays"
            r"|from (?:now|today|this week|monday|tuesday|wednesday|thursday|friday|saturday|sunday|january"
            r"|february|march|april|may|june|july|august|september|october|november|december) on(?:wards?)?"
            r"|from (?:january|february|march|april|may|june|july|august|september|october|november"
            r"|december)(?! (?:\w+ )?(?:to|till|until))"
            r"|(?:starting|as of|effective)(?: (?:january|february|march|april|may|june|july|august|september"
            r"|october|november|december)(?: \d+)?)?"
            r"|since (?:last |this )?(?:january|february|march|april|may|june|july|august|september|october"
            r"|november|december|monday|tuesday|wednesday|thursday|friday|saturday|sunday|week|month|spring|summer"
            r"|fall|autumn|winter|yesterday)|since (?:his|her|my|our|their) birthday"
            r"|from (?:today|tomorrow|next week|next month)|these days|for the time being|for now|by now|at the moment"
        ),
        Cue.ENDED: (r"any ?more|any longer|no longer|instead of|rather than|no more|used to(?= \w+ )"),
        Cue.PLACED: (
            r"put|puts|took|brought|gave|lent|hung|carried|returned|transferred"
            r"|(?:is|are|got)(?= (?:\w+ ){0,3}back)"
        ),
        Cue.HINT: (
            r"new|this (?:season|term|semester|year|fall|spring|summer|winter)|in the end|after all|not|isn't"
            r"|isnt|aren't|not the|doesn't"
        ),
        Cue.SIGN: (
            r"turn(?:s|ed) out|found out|took over|takes over|(?:has|have|we've) (?:left|gone)|left|closed down"
            r"|broke up|(?:up|down) to|went to|have to|it was voted|voted|decided|swapped|renewed|too \w+|wants|wrong"
            r"|since|for the (?:summer|winter|season|week|month)|these days|says"
        ),
    },
    "de": {
        Cue.CORRECTED: (r"^(?:ach |oh )?nein|doch nicht|doch erst|eigentlich|korrektur|stimmt nicht|falsch|ich meinte"),
        Cue.CHANGED: (
            r"ab (?:jetzt|sofort)|von (?:nun|jetzt) an|verlegt|verschoben|geandert|gewechselt|umgezogen"
            r"|umbenannt|erhoht|angehoben|gestiegen|gesenkt|ersetzt|umgestellt|abgesagt|gekundigt|vorverlegt"
            r"|heisst jetzt"
        ),
        Cue.ONSET: (
            r"jetzt|nun|erst (?:am|um|im)|ab jetzt|ab sofort|von nun an|inzwischen|mittlerweile|kunftig|neuerdings"
            r"|ab (?:januar|februar|marz|april|mai|juni|juli|august|september|oktober|november|dezember"
            r"|montag|morgen|nachste\w*|heute)"
            r"|seit (?:januar|februar|marz|april|mai|juni|juli|august|september|oktober|november|dezember|montag"
            r"|dienstag|mittwoch|donnerstag|freitag|samstag|sonntag|gestern|kurzem|neuestem|letzte\w+)"
        ),
        Cue.PLACED: (
            r"gestellt|gelegt|gehangt|gebracht|gegeben|geliehen|verliehen|zuruckgebracht|zuruckgestellt|geraumt"
        ),
        Cue.ENDED: (r"nicht mehr|kein\w* mehr|statt|anstatt|anstelle|sondern"),
        Cue.HINT: (r"neu(?:e[mnrs]?)?|dieses jahr|nicht|diesmal"),
    },
    "fr": {
        Cue.CORRECTED: (r"en fait|correction|je me suis trompee?|c'est faux|non c'est"),
        Cue.CHANGED: (
            r"desormais|a change|change d\w*|changee?s?|deplacee?s?|reportee?s?|avancee?s?|remplace"
            r"|renommee?s?|passe a|passe au|annulee?s?"
        ),
        Cue.ONSET: (
            r"maintenant|desormais|dorenavant|a partir d\w*"
            r"|depuis (?:janvier|fevrier|mars|avril|mai|juin|juillet|aout|septembre|octobre|novembre|decembre|lundi"
            r"|mardi|mercredi|jeudi|vendredi|samedi|dimanche|hier|peu|la rentree)"
        ),
        Cue.PLACED: (r"(?:ai|a|as|avons|ont) (?:mise?s?|pretee?s?|donnee?s?|rangee?s?|rapportee?s?|rendue?s?)"),
        Cue.ENDED: (r"(?:ne|n'\w+|suis|est|sont|a|ai) (?:\w+ )?plus|au lieu d\w*|a la place d\w*"),
        Cue.HINT: (r"nouve\w+|cette annee|pas|depuis"),
    },
    "es": {
        Cue.CORRECTED: (r"en realidad|correccion|me equivoque|perdon|mejor dicho|quise decir"),
        Cue.CHANGED: (
            r"de ahora en adelante|cambio|cambia|cambiamos|cambiaron|cambiado|movi|movio|movimos|movieron|movido"
            r"|subio|subieron|bajo a|paso a"
            r"|pasa a|paso al|pasa al|aplazado|aplazaron|reemplaza|cancelado|cancelaron"
        ),
        Cue.ONSET: (
            r"ahora|a partir de|de ahora en adelante"
            r"|desde (?:hoy|ayer|enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre"
            r"|diciembre|hace poco|el (?:lunes|martes|miercoles|jueves|viernes|sabado|domingo))"
        ),
        Cue.PLACED: (r"puse|pusimos|puso|lleve|llevamos|preste|prestamos|deje|dejamos|guarde|guardamos|devolvio"),
        Cue.ENDED: (r"ya no|en vez de|en lugar de|sino"),
        Cue.HINT: (r"nuev[oa]s?|este ano|desde|no"),
    },
    "nl": {
        Cue.CORRECTED: (r"eigenlijk|toch niet|correctie|klopt niet|ik bedoelde|^(?:oh )?nee|nee wacht"),
        Cue.CHANGED: (
            r"voortaan|verplaatst|veranderd|gewijzigd|verzet|verschoven|verhuisd|vervangt|hernoemd|verhoogd"
            r"|verlaagd|afgezegd|heet nu"
        ),
        Cue.ONSET: (
            r"nu|voortaan|vanaf|tegenwoordig|inmiddels"
            r"|sinds (?:januari|februari|maart|april|mei|juni|juli|augustus|september|oktober|november|december|maandag"
            r"|dinsdag|woensdag|donderdag|vrijdag|zaterdag|zondag|gisteren|kort)"
        ),
        Cue.PLACED: (r"gezet|gelegd|gebracht|gegeven|uitgeleend|teruggebracht|gehangen|opgeborgen"),
        Cue.ENDED: (r"niet meer|geen (?:\w+ )?meer|in plaats van"),
        Cue.HINT: (r"nieuwe?|dit jaar|niet|sinds"),
    },
}

DENIALS = {
    "en": (
        r"instead of|rather than|no longer|not|isn'?t|aren'?t"
        r"|(?:doesn|don)'?t(?=.{1,60} any ?(?:more|longer))|replaces|no more"
    ),
    "de": (r"statt|anstatt|anstelle|nicht|kein\w*"),
    "fr": (r"au lieu d\w*|plus|pas|remplace"),
    "es": (r"en vez de|en lugar de|ya no|no|reemplaza"),
    "nl": (r"in plaats van|niet|geen|vervangt"),
}
"""After these comes what is not so; it goes on for `DENIED_TOKENS` or to the end of the clause."""

NOT_SO = re.compile(
    r"(?: \w+)? (?:isn'?t (?:enough|right|true|possible)|is (?:wrong|too (?:little|much|early|late)|not (?:enough"
    r"|right|true))"
    r"|was wrong|doesn'?t work|won'?t work|reicht nicht|ist falsch|ist zu \w+|geht nicht|passt nicht|ne suffit|ne va p"
    r"|n'est pas possible|no basta|no alcanza|no puede|is niet genoeg|klopt niet|lukt niet|kan niet)(?!\w)"
)
"""After a value these say that it is not so any more."""

CHANGED_FROM = re.compile(
    r"(?<!\w)(?:from(?= .{1,40} to )|von(?= .{1,40} (?:auf|zu) )|d[eu](?= .{1,40} a )"
    r"|van(?= .{1,40} naar ))(?!\w)"
)
"""In a statement that says a change: what it was changed from."""

DENIED_TOKENS = 6
DENIAL_ENDS = _words(
    ". , ; ! ? and but now anymore it its they to because und sondern jetzt auf mais et sino maar en y ahora nu"
)

ARTICLES = _words("the our my his her their der die das le la les el los las de het")

ACKNOWLEDGMENT = re.compile(
    r"(?:okay|ok|all right|right|sure|understood|yes)?[,.: ]*(?:noted|got it|saved|changed in my notes"
    r"|i have noted|i've noted|i will remember|i'll remember|understood|all right|okay|so |i have |i know "
    r"|ist notiert|notiert|gut|das merke ich mir|verstanden|c'est note|note|d'accord|anotado|entendido"
    r"|de acuerdo|genoteerd|begrepen)"
)
"""How the assistant says that it has noted something."""

NEW = re.compile(r"(?:new|neu(?:e[mnrs]?)?|nouve\w+|nuev[oa]s?|nieuwe?)$")

THIS_YEAR = re.compile(
    r"(?<!\w)(?:this (?:year|season|term|semester|fall|spring|summer|winter|time)|dieses jahr|diesmal|cette annee"
    r"|cette fois"
    r"|este ano|esta vez|dit jaar|deze keer)(?!\w)"
)
"""It is about this occasion: the one before is over, and what was said of it was right."""

NEW_YEAR = re.compile(r"new (?:year|york|zealand|hampshire|mexico|jersey)")

DIARY = re.compile(
    r"^(?:so |and |um )?(?:i|we|he|she|they) (?!(?:moved|changed|switched|raised|lowered|called) )(?:\w{3,}ed|ran"
    r"|ate|saw|drove|slept|swam"
    r"|drank|bought|sold|rode|read|wrote|met)\b|\b(?:reading|meter|(?<!from )today|tonight|yesterday"
    r"|this (?:morning|evening)|last (?:night|week)|was|were|took"
    r"|went|paid|came|(?<!gets )(?<!get )(?<!be )done|fixed|repaired|replaced|leaked|swept|swapped|installed"
    r"|zahlerstand|heute|gestern"
    r"|war|waren|repariert|ersetzt|releve|compteur|aujourd'hui|hier|etait|repare|lectura|contador|hoy|ayer"
    r"|fue|meterstand|vandaag|gisteren|waren|gerepareerd)\b"
)
"""Words of a diary: such a statement says what happened on a day, and another day does not make it wrong."""

ELLIPTIC = re.compile(
    r"(?:yes|no|yeah|okay|so|and|ja|nein|oui|non|si|no|nee|[a-z]+ \w+(?= it))? ?(?:it's|its|it is|it was"
    r"|they're|they are|it|es ist|er ist|sie ist|das ist|c'est|il est|elle est|ahora es|es el|es los|het is"
    r"|hij is|dat is)(?!\w)"
)
"""A turn that begins with a pronoun leaves its subject to the turn before it."""

FIRST_PERSON = _words("i i'm im my me mine ich mein meine meinen mir je j'ai mon ma mes yo mi mis ik mijn")

TITLES = _words(
    "mr mrs ms miss missus mister dr doctor prof professor sir uncle aunt herr frau doktor onkel tante monsieur madame "
    "docteur oncle dona don senhor senhora senor senora doctora tia tio signor signora dottore meneer mevrouw "
    "dokter oom"
)
"""What goes before a name."""

FRACTIONS = _words("half quarter past halb viertel demi demie quart media cuarto kwart voor")

OPENS_A_FRAGMENT = _words(
    "from after before until because that's then von nach bevor weil depuis apres avant parce desde despues porque "
    "van na "
    "omdat"
)
"""Such a turn answers what was asked, and says nothing of itself."""

ALTERED = _words(
    "moved moves changed changes switched switches raised raises lowered lowers increased reduced renamed rescheduled "
    "postponed replaced replaces cancelled canceled got swapped"
)
"""Verbs before the thing that has changed, unless they end what is said of it ("yoga changed")."""

DONE = _words("made told heard wrote think know")
"""Who does these is not whom it is about, and neither is who has changed something or brought it somewhere."""

TO = _words("to from with for of off zu auf von pour de a naar van voor")

PLAN = re.compile(
    r"(?<!\w)(?:maybe|perhaps|might|could we|we could|should we|we should|i should|would (?:like|love|rather"
    r"|be nice)|wish|if we|let's|lets|want to|wants to"
    r"|thinking (?:of|about)|vielleicht|konnten|sollten wir|wir sollten|wurde gern\w*|wollen wir|peut-etre|peut etre"
    r"|on devrait|on pourrait|quizas|quiza|tal vez|deberiamos|podriamos|misschien|zouden we|we zouden)(?!\w)"
)
"""What is only considered has changed nothing yet."""

RELATIVE = re.compile(r"(?:\S+ ){2,}(?:who|which|when|where|what|how)(?: \S+){2,}")
"""In the middle of a statement that says a change these ask nothing: "it's not Ben any more who does the windows"."""

_CONTRASTS = {
    "en": (
        "left right",
        "front back rear",
        "upper lower top bottom",
        "upstairs downstairs",
        "inside outside indoor outdoor",
        "big small large little",
        "men women boys girls ladies",
        "morning afternoon evening night",
        "winter summer spring autumn",
        "hall hallway kitchen bathroom bedroom attic basement cellar garage porch office laundry shed garden",
        "red blue green yellow black white gray brown orange pink",
        "mom dad mother father grandma grandpa brother sister son daughter wife husband uncle aunt",
    ),
    "de": (
        "links rechts linke rechte linker rechter",
        "vordere hintere",
        "obere untere oben unten",
        "grosse kleine grosser kleiner",
        "herren damen jungen madchen",
        "flur kuche bad schlafzimmer dachboden keller garage",
        "mama papa mutter vater oma opa bruder schwester",
    ),
    "fr": (
        "gauche droite",
        "haut bas",
        "grand petit grande petite",
        "couloir cuisine chambre cave grenier garage",
        "maman papa mere pere frere soeur",
    ),
    "es": (
        "izquierda derecha izquierdo derecho",
        "arriba abajo",
        "grande pequeno pequena",
        "pasillo cocina bano dormitorio sotano garaje",
        "mama papa madre padre hermano hermana",
    ),
    "nl": (
        "links rechts linker rechter",
        "boven beneden",
        "grote kleine",
        "gang keuken badkamer slaapkamer zolder kelder garage",
        "mama papa moeder vader broer zus",
    ),
}

REPORTS = _words("says said say told tells wrote called had sagt sagte meinte dit dice dijo zegt zei")
"""After a name these make it the one who has told something, not the one whom it is about."""

VERBS = _words(
    "is are was were has have had takes take goes go comes come gets get costs cost needs need starts start ends end "
    "opens open closes close meets meet weighs eats teaches runs pays drives sleeps delivers moves kostet kosten "
    "betragt "
    "beginnt braucht isst coute coutent commence cuesta cuestan empieza kosten begint heeft ist sind war hat "
    "haben kommt geht est sont a ont es son esta estan tiene fue zijn heeft komt gaat wordt"
)
"""The commonest verbs: what goes before the first is what a statement is about."""

OF_A_LABEL = _words(
    "leaves leave arrives arrived holds contains belongs stands works leaks stops smells broke drives serves fits "
    "fahrt enthalt gehort steht passt part contient appartient sale contiene pertenece vertrekt bevat "
    "hoort staat past"
)
"""Verbs that say something of a thing that has a number: "box 12 holds"."""

EMPTY = _words(
    "last next first don doesn isn aren wasn didn won can cant im hes shes theyre ive youre dont doesnt isnt "
    "arent wont mr mrs ms miss missus mister dr doctor herr frau doktor monsieur madame docteur senor senora "
    "meneer mevrouw dokter noted saved understood notes right known notiert anotado genoteerd say tell also "
    "always already same still just more enough there theres except before after than since now new old anymore "
    "longer instead day days time week year month today "
    "tomorrow okay ok um uh so yes no thing get got go goes come comes keep keeps take takes put want wants need "
    "needs remember called told said says because only every each other one two both jetzt nicht mehr immer noch "
    "schon auch mein meine meinen meinem meiner unser unsere und der die das den dem ein eine einen ist sind wir "
    "ich du er sie es mit bei fur von zu in am auf "
    "aber nur wird hat haben heute le la les un une des de et est sont je nous vous il elle ils ne pas plus au "
    "aux dans sur pour avec que qui ce c'est el los las y son yo con para por se lo su mi het een en van ik wij "
    "jullie niet meer nu naar met bij voor is zijn heeft"
)
"""The commonest words that name no subject, beside those of the stop list of the lexical index."""


@cache
def contrasts(language: str) -> tuple[frozenset[str], ...]:
    """Return groups of words by one of which a thing is called: the left bay is not the right one."""
    return tuple(map(_words, _CONTRASTS[language]))


@cache
def cues(language: str) -> tuple[tuple[Cue, re.Pattern[str]], ...]:
    """Return each cue with its pattern."""
    return tuple((cue, _whole_words(pattern)) for cue, pattern in CUES[language].items())


@cache
def denials(language: str) -> re.Pattern[str]:
    """Return the pattern of what goes before that which is not so."""
    return _whole_words(DENIALS[language])


def _whole_words(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{pattern})(?!\w)")
