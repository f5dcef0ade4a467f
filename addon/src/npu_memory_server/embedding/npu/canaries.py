"""Sentences whose vectors are known from the CPU: what the NPU makes of them tells whether it can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..encoding import Ids
from ..tokenizing import TextTokenizer

LEAST_COSINE = 0.995
"""The int8 model of the CPU stays above 0.997 of the original, FP16 on the NPU above 0.99999."""

TEXT = (
    "The plumber comes on Tuesday at half past nine and needs the key to the cellar. "
    "Grandmother takes two of the white tablets in the morning and one at night. "
    "Who borrowed the long ladder, and when will we get it back? "
    "Das Passwort für das Gäste-WLAN hängt innen an der Tür zum Vorratsschrank. "
    "Our dog must not have grapes or chocolate, whatever the children say. "
    "The heating was last serviced in October 2024, and the filter costs 18.50 euros. "
    "Jeden zweiten Mittwoch wird das Altpapier abgeholt, die blaue Tonne muss vor sieben Uhr draußen stehen. "
    "Mara's piano lesson has moved from Thursday to Friday, beginning next week. "
    "What was the name of the restaurant by the lake where the fish was so good? "
)


@dataclass(frozen=True, slots=True, eq=False)
class Canary:
    """A window, int64 [n], that belongs to a length."""

    length: int
    ids: Ids


def canaries(tokenizer: TextTokenizer, lengths: Sequence[int]) -> list[Canary]:
    """Return two windows for each length: one that fills it, and one half way down to the next shorter length."""
    whole = tokenizer.encode(TEXT)
    found = []
    shorter = 0
    for number, length in enumerate(sorted(lengths)):
        for tokens in (length, (shorter + length + 1) // 2):
            start = 7 * number
            some = (whole * (2 + (start + tokens) // len(whole)))[start : start + max(tokens - 2, 1)]
            (ids,) = tokenizer.windows(some)
            found.append(Canary(length, ids))
        shorter = length
    return found
