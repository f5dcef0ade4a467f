"""A memory to the indexes: which others are like it, in words, in meaning or across languages."""

from __future__ import annotations

from collections.abc import Callable, Set as AbstractSet

import numpy as np
from numpy.typing import NDArray

from . import pool
from .analysis import terms
from .cells import CellIndex
from .fusion import best
from .parts import Parts

ALIKE = 64
"""Rows that each leg puts up where memories like a memory are looked for in a large memory."""


def alike(
    parts: Parts, slot: int, said: str, language: str | None, count: int, *, earlier: bool
) -> list[tuple[int, float]]:
    """Return the slots of the memories of its scope nearest to a memory in words and meaning, and the cosines.

    Only those said earlier than it, or only those said later.
    """
    row = parts.catalog.row(slot)
    vector = parts.vectors.of(row) if row is not None else None
    if row is None or vector is None:
        return []
    said_ms = parts.catalog.created_ms[row]

    def other(rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        created_ms = parts.catalog.created_ms[rows]
        others: NDArray[np.bool_] = created_ms <= said_ms if earlier else created_ms >= said_ms
        others &= parts.catalog.same_scope(rows, row) & parts.catalog.alive[rows] & (rows != row)
        return others

    found = terms(said, language)
    if isinstance(parts.vectors, CellIndex):
        hits = parts.lexical.search(found)
        near, _ = parts.vectors.search(vector, ALIKE, other)
        rows = np.unique(np.concatenate([near, pool.visible_hits(hits, ALIKE, other)]))
        cosine, lexical = parts.vectors.at(rows, vector), hits.at(rows)
    else:
        rows = np.arange(len(parts.catalog))
        cosine, lexical = parts.vectors.scores(vector), parts.lexical.scores(found)
        lexical = np.where(other(rows), lexical, -np.inf).astype(np.float32)
    nearest = best(cosine + lexical, count)
    return list(zip(parts.catalog.slots[rows[nearest]].tolist(), cosine[nearest].tolist(), strict=True))


def cognates(
    parts: Parts, slot: int, some: AbstractSet[str], is_one: Callable[[str, str], bool], count: int
) -> list[tuple[int, float]]:
    """Return the slots, and cosines, of earlier memories of its scope that hold a rare term like one of some.

    This is for what was said in another language: its vector is far away, but names and many words are alike.
    """
    row = parts.catalog.row(slot)
    vector = parts.vectors.of(row) if row is not None else None
    if row is None or vector is None:
        return []
    rows = {
        found
        for term in parts.lexical.beginning({one[:4] for one in some})
        if any(is_one(term, one) for one in some)
        for found in parts.lexical.holding(term, count)
    }
    others = np.array(sorted(rows - {row}), np.intp)
    earlier = parts.catalog.created_ms[others] <= parts.catalog.created_ms[row]
    earlier &= parts.catalog.same_scope(others, row) & parts.catalog.alive[others]
    near = others[earlier][:count]
    return list(zip(parts.catalog.slots[near].tolist(), parts.vectors.at(near, vector).tolist(), strict=True))
