"""Not five times the same: maximal marginal relevance, a pure function on scores and vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

CANDIDATES = 30
"""Memories to choose from, where variety is asked for."""


def varied(relevance: Sequence[float], vectors: NDArray[np.float32], diversity: float, count: int) -> list[int]:
    """Return the places of `count` memories, the one to be shown first in front.

    Carbonell and Goldstein, "The use of MMR" (1998): each next one has the largest (1 - d) * relevance - d * likeness,
    the latter being its largest cosine with one that was chosen already. `relevance` is from 0 to 1, best first, and
    `vectors` float32 [n, dimensions], L2-normalized, 0 where there is none.
    """
    worth = (1 - diversity) * np.asarray(relevance, np.float32)
    likeness = np.zeros(len(worth), np.float32)
    chosen: list[int] = []
    while len(chosen) < min(count, len(worth)):
        marginal = worth - np.float32(diversity) * likeness
        marginal[chosen] = -np.inf
        best = int(marginal.argmax())
        chosen.append(best)
        likeness = np.maximum(likeness, vectors @ vectors[best])
    return chosen
