"""Sentence templates as patterns, so that what is to be remembered stays as it was said.

Home Assistant's own recognizer (hassil) takes punctuation out of a text before it looks at it; these patterns do not.
The templates are a part of hassil's: [optional], (one|other) and a {text} at the end.
"""

from collections.abc import Iterable
import re

TEXT = "{text}"

_TOKEN = re.compile(r"(\s*)(\[)|(\])|(\()|(\))|(\|)|(\{text\})|(\s+)|([^\s\[\](){}|]+)")
_BETWEEN_WORDS = r"[\s,;:.!?…¿¡\u2013\u2014-]+"
_AT_THE_END = r"[\s,;:.!?…\"'”»\u2013\u2014-]*"
_AT_THE_BEGINNING = " \t\n,;:.!?…¿¡\"'„“”«»\u2013\u2014-"


def compiled(templates: Iterable[str]) -> tuple[re.Pattern[str], ...]:
    """Return the patterns of templates, for `matched`."""
    return tuple(re.compile(_pattern(template) + _AT_THE_END, re.IGNORECASE | re.DOTALL) for template in templates)


def matched(patterns: Iterable[re.Pattern[str]], said: str) -> str | None:
    """Return what stands for {text} in a sentence that one of the patterns takes whole, or None if none does."""
    sentence = f" {said.lstrip(_AT_THE_BEGINNING)}"
    for pattern in patterns:
        if match := pattern.fullmatch(sentence):
            return (match.groupdict().get("text") or "").strip()
    return None


def _pattern(template: str) -> str:
    """Return a pattern; every word in it, the first too, has what stands before it."""
    parts = []
    for before, opens, closes, begins, ends, other, text, space, word in _TOKEN.findall(f" {template}"):
        if opens:
            parts.append(f"(?:{_BETWEEN_WORDS if before else ''}(?:")
        elif closes:
            parts.append("))?")
        elif begins:
            parts.append("(?:")
        elif ends or other:
            parts.append(ends or other)
        elif text:
            parts.append(r"(?P<text>\S.*)")
        elif space:
            parts.append(_BETWEEN_WORDS)
        else:
            parts.append(re.escape(word).replace("'", r"['\u2019]"))
    return "".join(parts)
