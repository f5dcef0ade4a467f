"""Where a statement says that a thing is, and what it says that a thing is: phrases as values, in five languages.

All words are folded tokens, as `values.tokens` returns them.
"""

from __future__ import annotations

from collections.abc import Mapping, Set as AbstractSet
from dataclasses import dataclass
from enum import Enum


class PhraseType(Enum):
    """What a phrase answers: only phrases of one kind can replace one another."""

    PLACE = "place"
    """Where it is, or who has it: "under the sink", "with the neighbors"."""
    COMPLEMENT = "complement"
    """What or who it is, or what it is called: "doctor Lindqvist", "broken"."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase, the terms of the thing that it is said of, and whether it is said not to be so any more."""

    type: PhraseType
    terms: frozenset[str]
    heads: frozenset[str]
    denied: bool


def _words(line: str) -> frozenset[str]:
    return frozenset(line.split())


IS = {
    "en": _words("is are was isn't isnt aren't arent it's its that's they're"),
    "de": _words("ist sind war"),
    "fr": _words("est sont c'est n'est etait"),
    "es": _words("es son esta estan"),
    "nl": _words("is zijn was"),
}
"""The forms of "to be" that say where or what a thing is."""

STAYS = {
    "en": _words("lives live stays stay sits sit hangs hang stands lies kept stored parked hidden belongs"),
    "de": _words("liegt liegen steht stehen hangt hangen befindet wohnt bleibt"),
    "fr": _words("trouve trouvent reste restent"),
    "es": _words("queda quedan vive viven"),
    "nl": _words("ligt liggen staat staan hangt hangen zit zitten woont"),
}
PLACED = {
    "en": _words("moved move moves put puts took brought gave lent hung carried returned transferred hid"),
    "de": _words("gestellt gelegt gehangt gebracht gegeben geliehen verliehen zuruckgebracht zuruckgestellt geraumt"),
    "fr": _words("mis mise mises prete pretee pretees donne donnee donnees range rangee deplace deplacee rapporte"),
    "es": _words("puse pusimos puso movi movimos lleve llevamos preste prestamos deje dejamos guarde guardamos"),
    "nl": _words("gezet gelegd gebracht gegeven uitgeleend geleend teruggebracht verplaatst gehangen opgeborgen"),
}
"""What somebody does with a thing that is somewhere else afterwards."""

HAS = {
    "en": _words("has have"),
    "de": _words("hat haben"),
    "fr": _words("a ont"),
    "es": _words("tiene tienen"),
    "nl": _words("heeft hebben"),
}
"""Behind a name: that person has the thing."""

AUXILIARIES = _words("hab habe haben hat ai as avons ont he hemos han heb heeft hebben")

CALLED = {
    "en": _words("called named"),
    "de": _words("heisst heissen"),
    "fr": _words("s'appelle appelle"),
    "es": _words("llama llaman"),
    "nl": _words("heet heten"),
}
AT = {
    "en": _words("in on at under behind beside inside above over below beneath between near next into onto with by"),
    "de": _words("in im ins an am ans auf unter hinter neben uber vor zwischen bei beim"),
    "fr": _words("dans sur sous derriere chez a au aux devant entre pres"),
    "es": _words("en sobre bajo debajo detras dentro junto con tras"),
    "nl": _words("in op onder achter naast bij boven voor tussen aan"),
}
TOWARD = {"en": _words("to"), "de": _words("zu zum zur"), "fr": _words("a"), "es": _words("a al"), "nl": _words("naar")}
"""Where a thing was brought; after another verb these say something else."""

SUBJECTS = _words(
    "i i'm i've he he's she she's they they're we we're we've you you're ich er sie wir du ihr je j'ai il elle ils "
    "elles on nous "
    "vous ik hij zij ze wij we jij"
)
"""Pronouns that begin a clause, except behind its verb."""
OF_A_THING = _words(
    "it its it's they they're them that's es er sie ihn das c'est il elle ils elles l'ai la lo le los las het hij "
    "ze hem"
)
"""Pronouns that may mean what was named before."""
JOINS = _words(
    ". ; ! ? , : and but because so since while if und aber weil sondern denn wenn et mais parce car y pero porque "
    "sino en "
    "maar want omdat"
)
GOES_ON = _words("but and sondern und mais et sino y maar en ,")
"""After these the verb of the clause before may still hold: "not under the mat but at the neighbors'"."""

NO_PLACE = _words(
    "morning afternoon evening night noon midnight day days week weeks weekend weekends month months year years season "
    "summer winter spring autumn fall minute minutes hour hours time times moment fact charge order vacation holiday "
    "way own sale morgen abend nacht mittag vormittag nachmittag tag tagen woche wochen wochenende monat monaten jahr "
    "jahre sommer winter urlaub stunden minuten moment ende anfang matin soir nuit midi semaine mois annee ans jours "
    "ete hiver vacances retard moment manana tarde noche dia dias semana mes meses ano anos verano invierno vacaciones "
    "ochtend avond nacht middag week weken maand maanden jaar zomer vakantie"
)
"""Prepositions go before these as well, and no place is meant."""
ENDS = _words(
    "now anymore any more instead since until till from starting again already still not no nor jetzt mehr nun seit "
    "bis wieder nicht maintenant desormais depuis plus pas ahora ya desde nu meer sinds weer niet"
)
BETWEEN = _words(
    "the a an my our your his her their this that der die das den dem ein eine einen einem mein meine meinem meiner "
    "unser unsere unserem le la les l un une des mon ma mes notre nos el los las un una mi mis nuestro nuestra de het "
    "een mijn onze ons now jetzt maintenant ahora nu also still just back top"
)
MAX_PHRASE = 5
"""Tokens of a phrase, articles included."""


def phrases(
    words: list[str],
    content: Mapping[int, str],
    in_value: AbstractSet[int],
    denied: AbstractSet[int],
    names: AbstractSet[str],
    language: str,
) -> tuple[list[Phrase], frozenset[int], frozenset[int]]:
    """Return the phrases of a statement, the tokens of those that say where, and the tokens of all.

    `content` has the term of each token that is one, `in_value` and `denied` the tokens of values and of what is
    denied, `names` the terms that are names.
    """
    found: list[Phrase] = []
    used: set[int] = set()
    used_for_what: set[int] = set()
    earlier: frozenset[str] = frozenset()
    verbs: AbstractSet[str] = frozenset()
    for start, end in _clauses(words, language):
        said = set(words[start:end])
        own_verbs = said & (IS[language] | STAYS[language] | PLACED[language] | CALLED[language])
        verbs = own_verbs or (verbs if words[start] in GOES_ON else frozenset())
        where = _where(words, content, in_value, start, end, verbs, language)
        what = _what(words, content, in_value, start, end, language)
        in_where = {place for places in where for place in places}
        heads = frozenset(
            term
            for place, term in content.items()
            if start <= place < end
            and term
            and place not in in_value | in_where
            and place not in what
            and words[place] not in verbs
        )
        if not heads or not own_verbs or said & OF_A_THING:
            heads |= earlier
        for places in where:
            terms = frozenset(content[place] for place in places if content.get(place))
            found.append(Phrase(PhraseType.PLACE, terms, heads, bool(set(places) & denied)))
        if what:
            terms = frozenset(content[place] for place in what)
            found.append(Phrase(PhraseType.COMPLEMENT, terms, heads, bool(set(what) & denied)))
        holder = _holder(words, content, names, start, end, language)
        if holder is not None:
            found.append(Phrase(PhraseType.PLACE, holder, heads - holder, denied=False))
            used_for_what.update(place for place in range(start, end) if content.get(place) in holder)
        used |= in_where
        used_for_what.update(what)
        earlier |= heads
    return found, frozenset(used), frozenset(used | used_for_what)


def _holder(
    words: list[str], content: Mapping[int, str], names: AbstractSet[str], start: int, end: int, language: str
) -> frozenset[str] | None:
    """Return the name of who has a thing: "Mr. Hill has the key"."""
    verb = next((place for place in range(start, end) if words[place] in HAS[language]), None)
    if verb is None or not any(content.get(place) for place in range(verb + 1, end)):
        return None
    before = frozenset(term for place in range(start, verb) if (term := content.get(place)))
    return before & names or None if before <= names else None


def _clauses(words: list[str], language: str) -> list[tuple[int, int]]:
    verbs = IS[language] | STAYS[language] | PLACED[language] | AUXILIARIES
    starts = [0] if words else []
    for place, word in enumerate(words[1:], 1):
        before, after = words[place - 1], words[place + 1] if place + 1 < len(words) else ""
        begins = word in SUBJECTS and before not in verbs
        thing = word in {"it's", "its", "that's", "c'est"} or (word in {"it", "es", "het", "that"} and after in verbs)
        if word in JOINS or begins or (thing and before not in verbs):
            starts.append(place)
    return list(zip(starts, [*starts[1:], len(words)][: len(starts)], strict=True))


def _where(
    words: list[str],
    content: Mapping[int, str],
    in_value: AbstractSet[int],
    start: int,
    end: int,
    verbs: AbstractSet[str],
    language: str,
) -> list[list[int]]:
    """Return the tokens of each place that a clause names, those side by side ("in the hall by the door") as one."""
    if not verbs & (IS[language] | STAYS[language] | PLACED[language]):
        return []
    leading = AT[language] | (TOWARD[language] if verbs & PLACED[language] else frozenset())
    first_verb = next((place for place in range(start, end) if words[place] in verbs), start)
    if language == "de" or not any(words[place] in verbs for place in range(start, end)):
        first_verb = start
    found: list[list[int]] = []
    last_end = -1
    at = max(start, first_verb)
    while at < end:
        is_particle = words[at] not in TOWARD[language] and words[at - 1] in PLACED[language] and language == "en"
        if words[at] not in leading or is_particle:
            # "He put in a new pump": that is no place.
            at += 1
            continue
        places, after = _phrase(words, content, in_value, at + 1, end, leading)
        if places and not any(words[place] in NO_PLACE for place in places):
            if found and at == last_end:
                found[-1] += places
            else:
                found.append(places)
            last_end = after
        at = max(after, at + 1)
    return found


def _what(
    words: list[str], content: Mapping[int, str], in_value: AbstractSet[int], start: int, end: int, language: str
) -> list[int]:
    """Return the tokens of what a clause says that a thing is, or is called."""
    for place in range(start, end):
        if words[place] in CALLED[language] or words[place] in IS[language]:
            following = words[place + 1] if place + 1 < end else ""
            if following in CALLED[language]:
                continue
            if following in AT[language] | ENDS - BETWEEN or following.endswith("ing"):
                return []
            places, _ = _phrase(words, content, in_value, place + 1, end, AT[language])
            return places
    return []


def _phrase(
    words: list[str],
    content: Mapping[int, str],
    in_value: AbstractSet[int],
    start: int,
    end: int,
    leading: AbstractSet[str],
) -> tuple[list[int], int]:
    """Read one phrase: its content tokens, and the token after it."""
    places: list[int] = []
    at = start
    while at < min(start + MAX_PHRASE, end):
        word = words[at]
        if (
            at in in_value
            or word in JOINS
            or (word in leading and at > start)
            or (word in ENDS and word not in BETWEEN)
        ):
            break
        if content.get(at):
            places.append(at)
        elif word not in BETWEEN and places:
            break
        at += 1
    return places, at
