"""Numbers as words, in English, German, French, Spanish and Dutch."""

from __future__ import annotations

import re
import unicodedata

_WORDS = (
    # English
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion trillion "
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth twentieth thirtieth fortieth "
    "fiftieth sixtieth seventieth eightieth ninetieth hundredth thousandth once twice thrice half halves quarter dozen "
    "couple double triple twenties thirties forties fifties sixties seventies eighties nineties "
    # German
    "null eins zwei zwo drei vier funf sechs sieben acht neun zehn elf zwolf sechzehn siebzehn zwanzig dreissig "
    "vierzig funfzig sechzig siebzig achtzig neunzig hundert tausend million millionen milliarde milliarden erste "
    "zweite dritte halb halbe halber halbes halben viertel drittel dutzend paar einmal zweimal anderthalb doppelt "
    # French
    "zero deux trois quatre cinq sept huit neuf dix onze douze treize quatorze quinze seize vingt vingts trente "
    "quarante cinquante soixante septante huitante octante nonante cent cents mille millier milliers million millions "
    "milliard milliards premier premiere deuxieme troisieme quatrieme cinquieme sixieme septieme huitieme neuvieme "
    "dixieme second seconde demi demie quart quarts tiers douzaine dizaine "
    # Spanish
    "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciseis diecisiete "
    "dieciocho diecinueve veinte veintiun veintiuno veintiuna veintidos veintitres veinticuatro veinticinco "
    "veintiseis veintisiete veintiocho veintinueve treinta cuarenta cincuenta sesenta setenta ochenta noventa ciento "
    "cien doscientos doscientas trescientos cuatrocientos quinientos quinientas seiscientos setecientos ochocientos "
    "novecientos mil millon millones primero primera primer segundo segunda tercero tercera tercer cuarto cuarta "
    "quinto quinta sexto septimo octavo noveno decimo medio media mitad docena doble "
    # Dutch
    "nul twee drie vier vijf zes zeven acht negen tien elf twaalf dertien veertien vijftien zestien zeventien "
    "achttien negentien twintig dertig veertig vijftig zestig zeventig tachtig negentig honderd duizend miljoen "
    "miljard eerste tweede derde vierde vijfde zesde zevende achtste negende tiende half halve kwart dozijn "
    "eenmaal tweemaal dubbel"
)
_ENDINGS = "th ths s e en er es em te ten ter tes tem ste sten ster stes stem de den ieme iemes mal fach maal voudig"
_WORD = re.compile(
    rf"(?:ein(?=und|hundert|tausend)|een(?=en|honderd|duizend)|und|en|"
    rf"{'|'.join(sorted(set(_WORDS.split()), key=len, reverse=True))})+(?:{'|'.join(_ENDINGS.split())})?"
)
MAX_LETTERS = 40
"""A longer word is taken for a number unseen: there is none, and it could be made to be taken apart for ever."""
_JOINTS = frozenset({"und", "en", "unden", "enen", "ende", "enden"})
"""What could be made of the little words between numbers alone."""


def is_number_word(word: str) -> bool:
    """Return whether a folded word is a number, one made of numbers (`dreiundzwanzig`), or an ordinal."""
    plain = "".join(sign for sign in unicodedata.normalize("NFKD", word) if not unicodedata.combining(sign))
    return len(plain) > MAX_LETTERS or (_WORD.fullmatch(plain) is not None and plain not in _JOINTS)
