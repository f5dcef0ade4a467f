"""Text that speaks to the model instead of telling something: recognized when it is written, in five languages.

A memory may come from anybody whom the microphone hears, from a film or a web page read aloud. It is kept as it was
said; a reader is told that it is suspicious. The kinds are those of OWASP's LLM01 (prompt injection).
"""

from __future__ import annotations

import re
import unicodedata

from ..wire import Kind

_EARLIER = (
    r"(?:previous|prior|above|earlier|preceding|former|initial|original|system|all|any|every|your|my"
    r"|vorherige\w*|vorige\w*|bisherige\w*|obige\w*|vorangegangene\w*|frühere\w*|alle\w*|jegliche\w*|deine\w*|ihre"
    r"|von oben|précédente?s?|antérieure?s?|ci-dessus|toutes?|tous|tes|vos"
    r"|anteriores|previ[ao]s|todas|todos|tus|sus|de arriba"
    r"|eerdere|vorige|voorgaande|bovenstaande|alle|je|jouw|uw)"
)
_ORDERS = (
    r"(?:instructions?|prompts?|rules|guidelines|directives|commands|orders|programming|restrictions"
    r"|anweisung(?:en)?|instruktion(?:en)?|regeln|vorgaben|befehle|richtlinien|beschränkungen"
    r"|consignes?|règles|ordres|instrucciones|reglas|indicaciones|órdenes|directrices"
    r"|instructies|opdrachten|regels|aanwijzingen|richtlijnen)"
)
_IGNORE = (
    r"(?:ignore|disregard|forget|override|bypass|discard|skip|ignorier\w*|vergiss|vergesst|vergessen sie|missachte\w*"
    r"|überschreibe|umgehe|ignore[zr]|oublie[zr]?|contourne[zr]?|ne tiens pas compte|ne tenez pas compte"
    r"|ignora\w*|olvida\w*|descarta\w*|haz caso omiso|no hagas caso|negeer|vergeet|omzeil|sla)"
)
_HABITS = (
    r"(?:always|never|only|from now on,?|immer|nie(?:mals)?|nur(?: noch)?|ab jetzt|ab sofort|toujours|jamais|désormais"
    r"|siempre|nunca|solo|a partir de ahora|altijd|nooit|alleen|voortaan|vanaf nu)"
)
_SAY = (
    r"(?:answer|respond|reply|say|tell|start your|end your|begin your|mention|reveal|antworte\w*|sag(?:e|t)?|erwähne"
    r"|verrate"
    r"|beantworte|réponds|répondez|dis|dites|mentionne|révèle|responde|contesta|di|menciona|revela"
    r"|antwoord|zeg|noem|verraad)"
)
_ADDRESSED = (
    r"(?:with|in|as|that|the user|users|questions?|every(?:thing| question)|to everything|yes|no|me|us|him|her|anyone"
    r"|anybody|nobody|him|about|like|your|only|mit|auf|in|als|dass|dem (?:benutzer|nutzer)|jede|alle|ja|nein|mir|uns"
    r"|niemand\w*|avec|en|comme|que|à l['\u2019]utilisateur|oui|non|moi|nous|aux? questions?|con|como|al usuario|sí|que"
    r"|met|op|dat|de gebruiker|nee|mij|ons|tegen|[\"'“„«:])"
)

_PATTERNS = (
    # Take back what you were told.
    rf"\b{_IGNORE}\b(?:\W+\w+){{0,4}}?\W+{_EARLIER}\b(?:\W+\w+){{0,3}}?\W+{_ORDERS}\b",
    rf"\b{_IGNORE}\b(?:\W+\w+){{0,3}}?\W+{_ORDERS}\W+(?:\w+\W+){{0,2}}?{_EARLIER}(?!\w)",
    (
        r"\b(?:ignore|disregard|forget) (?:everything|all)(?: that)?(?: you (?:were|have been|know)| (?:above|before"
        r"|said so far))"
    ),
    (
        r"\b(?:ignorier\w*|vergiss) alles,? (?:was|davor|bisher|obige)|\boublie[zr]? tout ce (?:qui|que)"
        r"|\bolvida todo lo"
        r"|\bvergeet alles wat"
    ),
    # Be somebody else.
    (
        r"\byou are (?:now|no longer|from now on)\b(?!\W+\d)(?:\W+(?:an?|the|in|free|not|my|going|called|allowed"
        r"|bound|able|"
        r"dan|unrestricted|unlocked|jailbroken)\b)"
    ),
    r"\byou(?:'re| are) (?:an? )?(?:ai|llm|language model|chatbot|evil|unrestricted)\b",
    r"\bfrom now on,? you (?:are|will|must|shall|should|act|answer|only)\b",
    (
        r"\b(?:ab (?:sofort|jetzt) bist du|à partir de maintenant,? (?:tu es|vous êtes)|(?:vanaf nu|voortaan) ben je) "
        r"(?:mein|ein|eine|une?|mon|een|mijn)\b"
    ),
    r"\bstop being an? (?:ai|assistant|chatbot)\b|\b(?:become|act as) dan\b",
    (
        r"\b(?:act|behave|respond) as (?:if you|an? (?:ai|assistant|admin\w*|hacker|system|developer|different|evil)"
        r"|though you)"
    ),
    (
        r"\bpretend (?:to be|that you are|you are|you're) (?:an? )?(?:ai|assistant|admin\w*|hacker|system|unrestricted"
        r"|evil|not)"
    ),
    r"\b(?:developer|god|dan|admin|debug|jailbreak) mode (?:enabled|on|activated|is)\b",
    (
        r"\bdu bist (?:jetzt|nun|ab jetzt|ab sofort|nicht (?:mehr|länger)) (?:ein|eine|kein|keine|der|die|das|im|frei"
        r"|mein|an)\b"
    ),
    r"\bsie sind (?:jetzt|nun|ab sofort) (?:ein|eine|kein|keine)\b",
    (
        r"\b(?:tu es|vous êtes) (?:maintenant|désormais) (?:une?|le|la|en|libre)\b|\b(?:tu n['\u2019]es"
        r"|vous n['\u2019]êtes) plus une?\b"
    ),
    r"\b(?:ahora eres|eres ahora|a partir de ahora eres|ya no eres) (?:un|una|el|la|libre)\b",
    r"\b(?:je bent|u bent) (?:nu|voortaan|vanaf nu|niet langer) (?:een|de|het|in|vrij|geen)\b",
    # Always answer, never tell.
    rf"\b{_HABITS}\W+{_SAY}\b\W*{_ADDRESSED}(?!\w)",
    rf"\b{_SAY}\W+(?:\w+\W+)?(?:{_HABITS}\W+){{1,2}}{_ADDRESSED}(?!\w)",
    r"\b(?:do not|don't|never) (?:tell|inform|warn|ask) the user\b|\bwithout (?:asking|telling|informing) the user\b",
    rf"\byou (?:must|will|shall|have to) (?:always|never|only) {_SAY}\b",
    r"\b(?:tell|inform|ask|show|to) the user\b|\bdem (?:be)?nutzer\b|\bà l['\u2019]utilisateur\b|\bal usuario\b",
    r"\b(?:tegen|aan) de gebruiker\b",
    # Give away what you were told.
    (
        r"\b(?:system|hidden|initial|secret) ?-?prompts?\b|\bsystemprompt\w*|\bprompt (?:système|del sistema)"
        r"|\bsystemanweisung\w*"
    ),
    (
        r"\b(?:reveal|show|print|repeat|output|display|leak)\b(?:\W+\w+){0,3}?\W+your (?:instructions|prompt|rules"
        r"|guidelines)"
    ),
    # To whom it may concern, if it is a model.
    (
        r"\b(?:if you are|as|attention|note to|message to|dear|hey),? (?:an? |the |any |all )?"
        r"(?:ai|llm|large language model|language model|chatbot)(?: assistant| model| agent)?s?\b(?!\w)"
    ),
    (
        r"\b(?:wenn du|falls du|an) (?:eine? |die |das )?(?:ki|sprachmodell|llm)(?: bist|[ ,:-])"
        r"|\bsi (?:tu es|vous êtes) une? (?:ia|modèle|llm)|\bsi eres una? (?:ia|modelo|llm)|\bals je een (?:ai"
        r"|taalmodel|llm) bent"
    ),
    # The marks of a prompt or of a tool call.
    r"\[(?:system|assistant|developer|tool)\]|(?:^|\n)```(?:tool_\w+|json|python|bash|sh|yaml|system)\b",
    (
        r"(?:^|[\n.!?>\]\"'”»)] ?|\W{2})(?:system|assistant|developer|user|human|tool|function)"
        r"(?: (?:prompt|message|note|override|update|instruction))? ?:(?! ?\d)"
    ),
    (
        r"<\|[a-z_ ]{2,30}\|>|\[/?inst\]|<</?sys>>|</?(?:system|assistant|user|tool_call|tool_response"
        r"|function_calls?|invoke|instructions?|memor(?:y|ies)|context|prompt)\b[^>\n]{0,80}>|<function="
    ),
    (
        r"[{,]\s*[\"'](?:name|tool|tool_name|tool_calls?|function|function_call|action"
        r"|service)[\"']\s*:\s*[\"'{\[][^\n]{0,200}?"
        r"[\"'](?:arguments|parameters|args|input|data|target|service_data|entity_id)[\"']\s*:"
    ),
    (
        r"\b(?:service|action)\s*:\s*(?:lock|cover|light|switch|script|automation|alarm_control_panel|homeassistant"
        r"|shell_command"
        r"|notify)\.\w+|\bcall_service\(|\bhass(?:turnon|turnoff|setposition|lightset|broadcast)\b"
    ),
    (
        r"(?:^|\n)\s{0,3}(?:#{1,6}|={2,}|-{2,}|\*{2,})\s*(?:new |neue |nouvelles? |nuevas? |nieuwe )?"
        r"(?:system|instructions?|rules?|override|important|task|prompt|anweisung\w*|regeln|aufgabe|wichtig"
        r"|consignes?|tâche"
        r"|instrucciones|tarea|instructies|opdracht)\b"
    ),
)
_TO_THE_MODEL = re.compile("|".join(f"(?:{pattern})" for pattern in _PATTERNS), re.IGNORECASE)
_HEADING = re.compile(r"(?:^|\n) {0,3}#{1,6} (?!of\b)[^\W\d]")
_TAG_CHARACTERS = 0xE0000
"""Unicode's invisible copies of ASCII (U+E0020 to U+E007E), which models read and people do not see."""


def is_instruction(text: str, kind: Kind = Kind.NOTE) -> bool:
    """Return whether a text reads as if it were meant to steer a language model.

    A Markdown heading alone is one too, since nobody speaks it, except in a document.
    """
    visible = _visible(text)
    return bool(_TO_THE_MODEL.search(visible)) or (kind is not Kind.DOCUMENT and bool(_HEADING.search(visible)))


def _visible(text: str) -> str:
    """Return a text without what only hides it: invisible characters, look-alikes of other widths, runs of spaces."""
    if text.isascii():
        shown = text
    else:
        shown = "".join(character for character in text if unicodedata.category(character) != "Cf")
        tags = (ord(character) - _TAG_CHARACTERS for character in text)
        hidden = "".join(chr(tag) for tag in tags if 0x20 <= tag <= 0x7E)
        shown = f"{unicodedata.normalize('NFKC', shown)}\n{hidden}"
    lines = shown.splitlines()
    return "\n".join(filter(None, (" ".join(line.split()) for line in lines)))
