"""Sentence templates as patterns, so that what is to be remembered stays as it was said.

Home Assistant's own recognizer (hassil) takes punctuation out of a text before it looks at it; these patterns do not.
The templates are a part of hassil's: [optional], (one|other) and a {text} at the end.
"""

from collections.abc import Iterable, Iterator
import re

TEXT = "{text}"

_GROUP = re.compile(r"\[([^\[\]()]*)\]|\(([^\[\]()]*)\)")
_BETWEEN_WORDS = r"[\s,;:.!?…\u2013\u2014-]+"
_AROUND = r"[\s,;:.!?…¿¡\"'„“”«»\u2013\u2014-]*"


def variants(template: str) -> Iterator[str]:
    """Yield the sentences of a template, each with single spaces."""
    group = _GROUP.search(template)
    if group is None:
        yield " ".join(template.split())
        return
    choices = [*group[1].split("|"), ""] if group[1] is not None else group[2].split("|")
    for choice in choices:
        yield from variants(f"{template[: group.start()]}{choice}{template[group.end() :]}")


def pattern(templates: Iterable[str]) -> re.Pattern[str]:
    """Return the pattern of all sentences; `fullmatch` takes a whole utterance, and the group `text` is the rest."""
    sentences = sorted({variant for template in templates for variant in variants(template)}, key=len, reverse=True)
    with_text = [_opening(one.removesuffix(TEXT)) for one in sentences if one.endswith(TEXT)]
    without = [_words(one) for one in sentences if not one.endswith(TEXT)]
    alternatives = [rf"(?:{'|'.join(without)}){_AROUND}"] if without else []
    if with_text:
        alternatives.append(rf"(?:{'|'.join(with_text)})(?P<text>\S.*)")
    return re.compile(_AROUND + f"(?:{'|'.join(alternatives)})", re.IGNORECASE | re.DOTALL)


def _opening(sentence: str) -> str:
    """Return the pattern of what stands before the text: `that `, or `qu'` without anything between."""
    return _words(sentence) + (_BETWEEN_WORDS if sentence.endswith(" ") else r"\s*")


def _words(sentence: str) -> str:
    return _BETWEEN_WORDS.join(re.escape(word).replace("'", r"['\u2019]") for word in sentence.split())
