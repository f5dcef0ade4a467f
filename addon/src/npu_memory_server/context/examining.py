"""What is noticed about a memory when it is written, so that nothing has to be looked for when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..records import Record
from ..retrieval.signals import is_question
from .instructions import is_instruction
from .secrets import Span, find_secrets, merged, occurrences, secrets_of

MAX_ANSWER_WORDS = 6
"""Of an answer that only its question makes a secret of: "4711", "it is four seven one one"."""


def examined(record: Record, before: Sequence[Record] = ()) -> Record:
    """Return a record with its secrets and whether it reads like an instruction; its text stays as it was said.

    `before` are the turns before it in its session, the last one first: what was a secret there is one here, and "4711"
    is one after "what is the PIN of the alarm".
    """
    repeated = occurrences(record.text, {secret for one in before for secret in secrets_of(one.text, one.secrets)})
    return replace(
        record,
        secrets=merged([*find_secrets(record.text), *repeated, *_answer(record.text, before)]),
        is_instruction=is_instruction(record.text, record.kind),
    )


def _answer(text: str, before: Sequence[Record]) -> Iterator[Span]:
    if not before or not is_question(before[0].text) or len(text.split()) > MAX_ANSWER_WORDS:
        return
    question = before[0].text.rstrip(" ?.!") + ": "
    for start, end in find_secrets(question + text):
        if start >= len(question):
            yield start - len(question), end - len(question)
