"""Sentences whose vectors are known from the CPU: what the NPU makes of them tells whether it can be believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from ...npu.faults import NpuFault
from ...npu.tables import EmbeddingTables, Ids
from ...npu.trial import Examination
from ..encoding import Encoder
from ..pooling import Vector
from ..tokenizing import TextTokenizer
from .context import NpuOutput

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


def examination(length: int, windows: Sequence[Ids], tables: EmbeddingTables, cpu: Encoder) -> Examination[NpuOutput]:
    """Return what compares the NPU with what the CPU makes of windows, int64 [n], of a length. Raises ModelError."""
    expected = [cpu.encode(ids, bulk=False).vector for ids in windows]
    return Examination(
        length=length,
        windows=tuple(tables.look_up(ids, length) for ids in windows),
        on_cpu=partial(cpu.encode, windows[-1], bulk=False),
        agreement=partial(least_cosine, expected),
    )


def least_cosine(expected: Sequence[Vector], outputs: Sequence[NpuOutput]) -> float:
    """Return the least cosine of the NPU's vectors to the CPU's, each float32 [d]. Raises NpuFault if it is too low."""
    cosine = min(float(output.vector @ vector) for output, vector in zip(outputs, expected, strict=True))
    if cosine < LEAST_COSINE:
        raise NpuFault(f"its vectors are not the CPU's (cosine {cosine:.4f}, at least {LEAST_COSINE} is needed)")
    return cosine


def canaries(tokenizer: TextTokenizer, lengths: Sequence[int]) -> Mapping[int, Sequence[Ids]]:
    """Return two windows, int64 [n], for each length: one that fills it, and one half way down to the next shorter."""
    whole = tokenizer.encode(TEXT)
    found: dict[int, list[Ids]] = {}
    shorter = 0
    for number, length in enumerate(sorted(lengths)):
        for tokens in (length, (shorter + length + 1) // 2):
            start = 7 * number
            some = (whole * (2 + (start + tokens) // len(whole)))[start : start + max(tokens - 2, 1)]
            (ids,) = tokenizer.windows(some)
            found.setdefault(length, []).append(ids)
        shorter = length
    return found
