"""The languages, each in a module of its own: whoever speaks it can read and mend it."""

from ..language import Language
from .de import GERMAN
from .en import ENGLISH
from .es import SPANISH
from .fr import FRENCH
from .nl import DUTCH

LANGUAGES: dict[str, Language] = {language.code: language for language in (ENGLISH, GERMAN, FRENCH, SPANISH, DUTCH)}
