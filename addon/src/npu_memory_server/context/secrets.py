"""Secrets in what was said: found when it is written, hidden when it is shown.

The record stays as it was said. What is recognized: PINs and codes of locks, passwords and keys of networks beside the
word for them (five languages), credit cards, IBANs, and keys by which programs sign in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
import re

from . import secret_words as words

Span = tuple[int, int]
"""Where in a text: the first character, and the one behind the last."""

MASK = "••••"
"""Of one length, so that it does not give the secret's away."""

_FLAGS = re.IGNORECASE

MIN_DIGITS, MAX_DIGITS = 3, 12
BARE_DIGITS = 4
"""So many at least where nothing but "code" says what it is: "code 31" is what a boiler shows."""
MAX_WORDS_BETWEEN = 8
CLAUSE_CHARACTERS = 90

_NUMBER = re.compile(
    rf"(?<![\w.,/:$€£+'\u2019-])(?:[*#]?(?:\d{{3,12}}|\d(?:[ -]\d){{2,11}}|\d{{2,4}}(?:[ -]\d{{2,4}}){{1,3}}"
    rf"|\d{{1,2}}(?:-\d{{1,2}}){{2,3}})[*#]?)(?![\w/€$£%°]|[.,:]\d|-\w|\s?(?:{words.UNIT}))"
    rf"|(?<!\w)(?:{words.NUMBER_WORDS})(?:[ ,-]{{1,2}}(?:{words.NUMBER_WORDS})){{1,11}}(?!\w)",
    _FLAGS,
)
_PIN = re.compile(rf"(?<!\w)(?:{words.PIN})(?!\w|\s+(?:the|it|them|this|these|those|up|down)\s)", _FLAGS)
_CODE = re.compile(rf"(?<!\w)(?:{words.CODE})(?!\w)", _FLAGS)
_HARMLESS_BEFORE = re.compile(rf"(?:{words.HARMLESS_CODE})[ -]*$", _FLAGS)
_HARMLESS_INSIDE = re.compile(rf"(?:{words.HARMLESS_CODE})[ -]?code", _FLAGS)
_HARMLESS_AFTER = re.compile(rf"[ -]*{words.HARMLESS_CODE_AFTER}(?!\w)", _FLAGS)
_LOCK = re.compile(rf"(?<!\w)(?:{words.LOCK})(?!\w)", _FLAGS)
_LOCK_IS = re.compile(
    rf"(?<!\w)(?:{words.NUMBERED_LOCK})(?:[=:]|\s{words.IS}|\sopens with|\söffnet mit|\sgeht mit|\ss['\u2019]ouvre avec"
    rf"|\sse abre con|\sgaat open met)\s+{words.NOW}$",
    _FLAGS,
)
_IS = re.compile(rf"(?:[=:]|(?<!\w){words.IS})\s*{words.NOW}[\"'“„«]?\s*$", _FLAGS)
_IS_AFTER = re.compile(
    r"[\"'”“»]?(?:\s*(?:is|ist|est|es|=|was|war|for|für|pour|para|voor|opens|öffnet|ouvre|abre|opent)\b"
    r"|,?\s+(?:that['\u2019]s|that is|das ist|c['\u2019]est|dat is|eso es|ese es)\b)",
    _FLAGS,
)
_NO_CODE_BEFORE = re.compile(rf"(?<!\w){words.NO_CODE_BEFORE}\s*$", _FLAGS)
_ENTERS = re.compile(
    r"(?<!\w)(?:enter|type|punch|dial|tipp\w*|gib|gebt|eingeben|tape[rz]?|compose[rz]?|marca[r]?|teclea[r]?|toets\w*"
    r"|typ|tik)"
    r"(?:\s+\w+){0,2}\s+$",
    _FLAGS,
)
_OPENS_WITH = re.compile(
    r"(?<!\w)(?:open|unlock|disarm|öffn|entsperr|ouvr|déverrouill|abr|desbloque)\w*\s(?:[^.,;]*\s)?"
    r"(?:with|using|mit|avec|con|met)\s+$",
    _FLAGS,
)
_BREAK = re.compile(r"[.!?;\n](?=\s|$)|\s(?:and|but|because|und|aber|weil|et|mais|pero|maar|want)\s", _FLAGS)
_OTHER_NUMBER = re.compile(r"\d{2}")

_QUOTED = r"[\"“„«](?P<quoted>[^\"”“»\n]{3,80})[\"”“»]"
_OF = r"(?:\s+(?:for|of|to|on|at|für|von|vom|zum|am|du|de|del|pour|para|van|voor|op)(?:\s+[\w'\u2019-]+){1,5}?)?"
_PASSWORD = re.compile(
    rf"(?<!\w)(?:{words.PASSWORD}){_OF}(?:\s*[=:]|\s+{words.IS}(?!\w))\s*{words.NOW}(?:{_QUOTED}"
    rf"|[\"'“„«]?(?P<bare>[^\n]{{1,120}}))",
    _FLAGS,
)
_PIN_OF_LETTERS = re.compile(
    rf"(?<!\w)(?:{words.PIN}){_OF}(?:\s*[=:]|\s+{words.IS}(?!\w))\s*{words.NOW}(?P<bare>\S{{4,64}})", _FLAGS
)
_PASSWORD_BESIDE = re.compile(rf"(?<!\w)(?:{words.PASSWORD})\s+(?:{_QUOTED}|(?P<bare>\S{{4,64}}))", _FLAGS)
_IS_PASSWORD = re.compile(
    rf"(?<!\S)[\"'“„«]?(?P<bare>[^\s\"'“”„«»]{{4,64}})[\"'”“»]?\s+(?:is|ist|est"
    rf"|es)\s+(?:[\w'\u2019-]+\s+){{0,3}}(?:{words.PASSWORD})(?!\w)",
    _FLAGS,
)
_WORD = re.compile(r"\S+")
_CLAUSE_END = re.compile(r"[,;)]|[.!?](?=\s|$)")
_CONTINUES = re.compile(
    r"(?:and|but|for|or|because|in|on|und|aber|für|oder|weil|et|mais|pour|ou|y|pero|para|o|en|maar|voor|of)", _FLAGS
)
MAX_PASSWORD_WORDS = 6

_CARD = re.compile(r"(?<![\w.,+-])\d(?:[ -]?\d){13,18}(?![\w]|[.,]\d)")
_CARD_NETWORK = re.compile(r"4\d{15}(?:\d{3})?|5[1-5]\d{14}|2(?:2[2-9]|[3-6]\d|7[01])\d{13}|2720\d{12}|3[47]\d{13}"
                           r"|3(?:0[0-5]|[689]\d)\d{11}|6(?:011|5\d\d|4[4-9]\d)\d{12}|62\d{14,17}|35(?:2[89]"
                           r"|[3-8]\d)\d{12}")  # fmt: skip
"""Prefixes and lengths of ISO/IEC 7812 issuers: Visa, Mastercard, American Express, Diners, Discover, UnionPay, JCB."""
_IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}(?!\w)", _FLAGS)
MIN_IBAN, MAX_IBAN = 15, 34

_KEYS = re.compile(
    r"(?<![\w-])(?:sk-(?:[a-z]+-)*[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}"
    r"|xox[abeoprs]-[\w-]{10,}|AKIA[A-Z0-9]{16}|ASIA[A-Z0-9]{16}|AIza[\w-]{30,}|hf_[A-Za-z0-9]{20,}"
    r"|npm_[A-Za-z0-9]{30,}"
    r"|ya29\.[\w-]{20,}|eyJ[\w-]{8,}\.[\w-]{8,}\.?[\w-]*)"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?"
    r"|(?<=://)[^\s/:@]{1,64}:[^\s/@]{1,64}(?=@)"
    r"|(?<=[;:]P:)[^;\n]{3,64}(?=;)"
    r"|(?<=[?&])(?:token|key|secret|password|api_?key|access_token)=[^\s&#]{6,}"
)
"""Prefixes that services have chosen so that such keys are recognized; sign-ins in addresses; the P: of Wi-Fi codes."""
_RANDOM = re.compile(r"(?<![\w/=.@%-])[A-Za-z0-9_-]{20,128}(?![\w/=.@%-])")
RANDOM_CHANGES = 0.35
"""Neighbors of unlike kind (upper, lower, digit) in a random text of letters and digits: about two thirds; in words of
a name joined together hardly any."""


def find_secrets(text: str) -> tuple[Span, ...]:
    """Return where the secrets of a text stand, in their order, none overlapping; repetitions of each included."""
    spans = [*_numbers(text), *_passwords(text), *_cards(text), *_ibans(text), *_keys(text)]
    return merged([*spans, *occurrences(text, secrets_of(text, spans))])


def mask(text: str, spans: Iterable[Span]) -> str:
    """Return `text` with `MASK` in place of each of `spans`."""
    parts, done = [], 0
    for start, end in merged(spans):
        parts += [text[done:start], MASK]
        done = end
    return "".join((*parts, text[done:]))


def secrets_of(text: str, spans: Iterable[Span]) -> set[str]:
    """Return the secrets themselves, so that they can be hidden where somebody repeats them."""
    return {text[start:end] for start, end in spans}


def occurrences(text: str, secrets: Iterable[str]) -> Iterator[Span]:
    """Yield where these secrets stand in a text, be it the one that they were found in or another one."""
    for secret in secrets:
        if len(secret) >= BARE_DIGITS:
            for match in re.finditer(rf"(?<!\w){re.escape(secret)}(?!\w)", text):
                yield match.span()


def _numbers(text: str) -> Iterator[Span]:
    for match in _NUMBER.finditer(text):
        start, end = match.span()
        before = text[max(0, start - CLAUSE_CHARACTERS) : start]
        after = text[end : end + CLAUSE_CHARACTERS]
        if _is_code(match.group(), _BREAK.split(before)[-1], _BREAK.split(after)[0]):
            yield start, end


def _is_code(number: str, before: str, after: str) -> bool:
    """Say whether a number is a code, by what is said in the same clause before and after it."""
    digits = sum(character.isdigit() for character in number)
    said = bool(_IS.search(before))
    if (digits and not MIN_DIGITS <= digits <= MAX_DIGITS) or (_NO_CODE_BEFORE.search(before) and not said):
        return False
    near = " ".join(before.split()[-MAX_WORDS_BETWEEN - 3 :]) + " "
    if _PIN.search(near) and not _counted_since(_PIN, near):
        return True
    if _LOCK_IS.search(before):
        return True
    is_called = _IS_AFTER.match(after) is not None
    follows = " ".join(after.split()[:MAX_WORDS_BETWEEN])
    if is_called and (_PIN.search(follows) or (_code_of_a_lock(follows) and _LOCK.search(follows))):
        return True
    if (_ENTERS.search(before) and _LOCK.search(follows)) or (_OPENS_WITH.search(before) and _LOCK.search(near)):
        return True
    if not _code_of_a_lock(near) or _counted_since(_CODE, near):
        return False
    return bool(_LOCK.search(near) or _LOCK.search(follows)) or (said and (digits >= BARE_DIGITS or not digits))


def _code_of_a_lock(clause: str) -> bool:
    """Say whether a clause speaks of a code that is not of the harmless kinds, such as an error's."""
    for match in _CODE.finditer(clause):
        harmless = (
            _HARMLESS_BEFORE.search(clause[: match.start()])
            or _HARMLESS_INSIDE.fullmatch(match.group())
            or _HARMLESS_AFTER.match(clause[match.end() :])
        )
        if not harmless:
            return True
    return False


def _counted_since(keyword: re.Pattern[str], clause: str) -> bool:
    """Say whether another number stands between the keyword and the end: the keyword's own."""
    last = max((match.end() for match in keyword.finditer(clause)), default=0)
    return _OTHER_NUMBER.search(clause, last) is not None


def _passwords(text: str) -> Iterator[Span]:
    for match in _PASSWORD.finditer(text):
        if match["quoted"]:
            yield match.span("quoted")
        elif length := _password_length(match["bare"]):
            yield match.start("bare"), match.start("bare") + length
    for pattern in (_PASSWORD_BESIDE, _PIN_OF_LETTERS, _IS_PASSWORD):
        for match in pattern.finditer(text):
            if match.groupdict().get("quoted"):
                yield match.span("quoted")
            elif _is_no_word(bare := match["bare"].rstrip(".,;:!?)\"'”»")):
                yield match.start("bare"), match.start("bare") + len(bare)


def _password_length(rest: str) -> int:
    """Return how many characters of what follows "the password is" are the password; 0 if it says something else."""
    end = 0
    for number, match in enumerate(_WORD.finditer(rest)):
        word = match.group().strip("\"'“”„«».,;:!?()").casefold()
        if number == 0 and (word in words.NO_PASSWORD or len(word) < 3) and not _is_no_word(match.group()):
            return 0
        if number == MAX_PASSWORD_WORDS or (number and _CONTINUES.fullmatch(word)):
            break
        strong = _is_no_word(match.group())
        closing = len(match.group()) - len(match.group().rstrip(".,;:!?)\"'”»" if not strong else ".,;\"'”»"))
        end = match.end() - closing
        if closing or (strong and number == 0 and not _is_capitalized(rest[match.end() :])):
            break
    return end


def _is_capitalized(rest: str) -> bool:
    return bool(re.match(r"\s+(?:[A-ZÄÖÜ]\w*|\d+)(?:\W|$)", rest))


def _is_no_word(token: str) -> bool:
    """Say whether a token looks made up: letters together with digits, signs, or capitals inside."""
    inner = token.strip("\"'“”„«».,;:!?()")
    kinds = {_kind(character) for character in inner}
    return len(inner) >= 4 and (
        bool(
            kinds & {"d", "s"}
            and kinds & {"l", "u"}
            and not re.fullmatch(r"[\w]+['\u2019-]\w+|[^\W\d]+(?:-[^\W\d]+)*", inner)
        )
        or (inner.isdigit() and len(inner) >= 6)
        or bool(re.search(r"[a-z][A-Z]", inner))
    )


def _kind(character: str) -> str:
    if character.isdigit():
        return "d"
    if character.isupper():
        return "u"
    return "l" if character.isalpha() else "s"


def _cards(text: str) -> Iterator[Span]:
    for match in _CARD.finditer(text):
        digits = re.sub(r"[ -]", "", match.group())
        if _CARD_NETWORK.fullmatch(digits) and _luhn(digits):
            yield match.span()


def _luhn(digits: str) -> bool:
    """Check the last digit as ISO/IEC 7812-1, annex B does."""
    doubled = (int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(digits)))
    return sum(number - 9 if number > 9 else number for number in doubled) % 10 == 0


def _ibans(text: str) -> Iterator[Span]:
    for match in _IBAN.finditer(text):
        # What follows may look like more of it: the longest piece that checks out is the account.
        for end in range(match.end(), match.start() + MIN_IBAN - 1, -1):
            account = text[match.start() : end].replace(" ", "")
            if MIN_IBAN <= len(account) <= MAX_IBAN and text[end - 1] != " " and _mod97(account):
                yield match.start(), end
                break


def _mod97(account: str) -> bool:
    """Check the two digits as ISO 13616 (ISO/IEC 7064, MOD 97-10) does."""
    moved = account[4:] + account[:4]
    return account.isascii() and int("".join(str(int(character, 36)) for character in moved)) % 97 == 1


def _keys(text: str) -> Iterator[Span]:
    for match in _KEYS.finditer(text):
        yield match.span()
    for match in _RANDOM.finditer(text):
        if _is_random(match.group()):
            yield match.span()


def _is_random(token: str) -> bool:
    kinds = [_kind(character) for character in token]
    changes = sum(one != other for one, other in pairwise(kinds))
    return {"d", "u", "l"} <= set(kinds) and changes / len(kinds) >= RANDOM_CHANGES


def merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return spans in order, those that overlap as one."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return tuple(joined)
