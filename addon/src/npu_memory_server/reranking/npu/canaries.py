"""Pairs whose scores are known from the CPU: what the NPU makes of them tells whether it can be believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from ...npu.faults import NpuFault
from ...npu.tables import EmbeddingTables
from ...npu.trial import Examination
from ..base import Pair
from ..cross_encoder import CrossEncoder

LEAST_CONCORDANCE = 0.9
"""With 6 layers the CPU's int8 model came to 0.982 of the original in FP32 over these pairs, and rounds more with 12;
scores rounded to FP16 came to 0.99999. Another model's, or those of other inputs, are far below."""

SAID = (
    ("When does the plumber come?", "The plumber comes on Tuesday at half past nine and needs the key to the cellar."),
    (
        "Which day is the paper collected?",
        "Every second Wednesday the paper is collected, before seven o'clock.",
    ),
    ("What must the dog not eat?", "Our dog must not have grapes or chocolate, whatever the children say."),
)
MORE = (
    "The heating was last serviced in October 2024, and the filter costs 18.50 euros. "
    "Das Passwort für das Gäste-WLAN hängt innen an der Tür zum Vorratsschrank. "
    "Mara's piano lesson has moved from Thursday to Friday, beginning next week. "
    "Grandmother takes two of the white tablets in the morning and one at night. "
)
LEAST_TOKENS = 8


def canaries(cpu: CrossEncoder, lengths: Sequence[int]) -> Mapping[int, Sequence[Pair]]:
    """Return six pairs for each length: questions with a text that answers and one that does not.

    Those that answer fill the length, and the others half the way down to the next shorter one.
    """
    found: dict[int, list[Pair]] = {}
    shorter = 0
    for length in sorted(lengths):
        half = (shorter + length + 1) // 2
        found[length] = [
            _cut(cpu.pair(question, f"{text} {MORE * 4}"), tokens)
            for tokens, turn in ((length, 0), (half, 1))
            for number, (question, _) in enumerate(SAID)
            for _, text in (SAID[(number + turn) % len(SAID)],)
        ]
        shorter = length
    return found


def _cut(pair: Pair, tokens: int) -> Pair:
    """Cut a pair behind so many tokens, of which the last is `[SEP]` as before."""
    count = min(len(pair), max(tokens, LEAST_TOKENS))
    return Pair(np.append(pair.ids[: count - 1], pair.ids[-1]), np.append(pair.types[: count - 1], pair.types[-1]))


def examination(length: int, pairs: Sequence[Pair], tables: EmbeddingTables, cpu: CrossEncoder) -> Examination[float]:
    """Return what compares the NPU with what the CPU says of pairs of a length. Raises ModelError."""
    return Examination(
        length=length,
        windows=tuple(tables.look_up(pair.ids, length, pair.types) for pair in pairs),
        on_cpu=partial(cpu.logit, pairs[-1]),
        agreement=partial(agreement, [cpu.logit(pair) for pair in pairs]),
    )


def agreement(expected: Sequence[float], found: Sequence[float]) -> float:
    """Return the concordance of the NPU's logits with the CPU's. Raises NpuFault if it is too low."""
    value = concordance(expected, found)
    if value < LEAST_CONCORDANCE:
        raise NpuFault(
            f"its scores are not the CPU's (concordance {value:.3f}, at least {LEAST_CONCORDANCE} is needed)"
        )
    return value


def concordance(expected: Sequence[float], found: Sequence[float]) -> float:
    """Return how far numbers are the same, -1 to 1: correlation, less for another scale and another level.

    The concordance correlation coefficient (Lin, Biometrics 45, 1989); 0 if nothing varies.
    """
    one, other = np.asarray(expected, np.float64), np.asarray(found, np.float64)
    spread = one.var() + other.var() + (one.mean() - other.mean()) ** 2
    if spread == 0:
        return 0.0
    return float(2 * np.mean((one - one.mean()) * (other - other.mean())) / spread)
