"""What a cross-encoder is, whichever hardware it runs on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ..wire import NpuReport

MOST_LOGIT = 50.0


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """The tokens of a question and a text, int64 [n], special tokens included, and their types, 0 and 1, int64 [n]."""

    ids: NDArray[np.int64]
    types: NDArray[np.int64]

    def __len__(self) -> int:
        """How many tokens."""
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Judged:
    """What a cross-encoder says of each text: how likely it answers, from 0 to 1; None if it was not read in time.

    `on_npu` is how many of them the NPU has read.
    """

    scores: tuple[float | None, ...]
    on_npu: int = 0

    @classmethod
    def of(cls, logits: Sequence[float | None], on_npu: int = 0) -> Self:
        """Return what logits mean: the logistic function of each."""
        return cls(tuple(None if one is None else _probability(one) for one in logits), on_npu)

    @property
    def reached(self) -> int:
        """How many were read."""
        return sum(score is not None for score in self.scores)


class Reader(Protocol):
    """Reads a question together with texts. Blocks; one caller at a time."""

    @property
    def npu(self) -> NpuReport:
        """What the NPU does for it."""

    def judge(self, question: str, texts: Sequence[str], until: float) -> Judged:
        """Read texts in their order, each with the question, until `until` (`perf_counter`).

        One that would take too long is passed over, in favor of shorter ones behind it. Raises `ModelError`.
        """


def _probability(logit: float) -> float:
    return float(1 / (1 + np.exp(-np.clip(logit, -MOST_LOGIT, MOST_LOGIT))))
