"""The rows among which the answer to a question is chosen, and what the legs say of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .catalog import Catalog
from .cells import CellIndex
from .dense import VectorIndex
from .fusion import Scores, best, fuse
from .hits import Hits
from .weights import Weights

Rows = NDArray[np.intp]

EACH_LEG = 160
"""Rows that each leg puts up in a large memory; the signals look at 128 of both."""
HITS = 512
"""Best hits of the words among which those are looked for that the asker may see."""


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """`rows` are ascending, None for all there are; the rest is of these rows, float32 [n], None for a leg not asked.

    `embedded` says which have a vector. `scores` are both legs fused. `allowed` is what a relevance is to be multiplied
    by: 0 if the asker may not see a memory. `scores_of` and `allowed_of` return the same of any rows; what the asker
    may not see has the score 0, so that it lends nothing to its neighbors.
    """

    rows: Rows | None
    lexical: Scores | None
    cosine: Scores | None
    priors: Scores
    embedded: NDArray[np.bool_]
    scores: Scores
    allowed: Scores
    scores_of: Callable[[Rows], Scores]
    allowed_of: Callable[[Rows], Scores]

    def at(self, places: Rows) -> Rows:
        """Return the rows at some places of the pool."""
        return places if self.rows is None else self.rows[places]


def everything(
    catalog: Catalog,
    index: VectorIndex,
    lexical: Scores | None,
    query: Scores | None,
    allowed: Scores,
    weights: Weights,
) -> Pool:
    """Return the pool of all rows; `query` is the vector of the question, float32 [d]."""
    cosine = index.scores(query) if query is not None else None
    if lexical is not None and len(lexical) < len(catalog):
        # Rows that were added since the lexical search have no score in it.
        lexical = np.pad(lexical, (0, len(catalog) - len(lexical)))
    embedded = index.embedded
    scores = fuse(lexical, cosine, catalog.priors, embedded, weights.lexical)
    visible = np.where(allowed > 0, scores, np.float32(0))
    return Pool(
        None,
        lexical,
        cosine,
        catalog.priors,
        embedded,
        scores,
        allowed,
        lambda rows: visible[rows],
        lambda rows: allowed[rows],
    )


def candidates(
    catalog: Catalog,
    index: CellIndex,
    hits: Hits | None,
    query: Scores | None,
    allowed_of: Callable[[Rows], Scores],
    weights: Weights,
) -> Pool:
    """Return the pool of what the legs put up; `allowed_of` returns `Pool.allowed` of any rows."""

    def visible(some: Rows) -> NDArray[np.bool_]:
        return allowed_of(some) > 0

    near = np.empty(0, np.intp) if query is None else index.search(query, EACH_LEG, visible)[0]
    worded = np.empty(0, np.intp) if hits is None else visible_hits(hits, EACH_LEG, visible)
    rows = _once(near, worded)

    def lexical_of(some: Rows) -> Scores | None:
        return hits.at(some) if hits is not None else None

    def cosine_of(some: Rows) -> Scores | None:
        return index.at(some, query) if query is not None else None

    def scores_of(some: Rows) -> Scores:
        fused = fuse(lexical_of(some), cosine_of(some), catalog.priors[some], index.present(some), weights.lexical)
        visible: Scores = np.where(allowed_of(some) > 0, fused, np.float32(0))
        return visible

    lexical, cosine, priors = lexical_of(rows), cosine_of(rows), catalog.priors[rows]
    embedded = index.present(rows)
    scores = fuse(lexical, cosine, priors, embedded, weights.lexical)
    return Pool(rows, lexical, cosine, priors, embedded, scores, allowed_of(rows), scores_of, allowed_of)


def _once(some: Rows, others: Rows) -> Rows:
    """Return the rows of both, ascending: `np.union1d` without what it takes to prepare for more than these."""
    rows = np.concatenate([some, others])
    rows.sort()
    first = np.ones(len(rows), np.bool_)
    np.not_equal(rows[1:], rows[:-1], out=first[1:])
    return rows[first]


def visible_hits(hits: Hits, count: int, visible: Callable[[Rows], NDArray[np.bool_]]) -> Rows:
    """Return the `count` best hits that are visible; more are looked at where few of the best are."""
    looked_at = HITS
    while True:
        rows = hits.best(looked_at)
        seen = rows[visible(rows)]
        if len(seen) >= count or looked_at >= hits.most:
            return seen[best(hits.at(seen), count)]
        looked_at *= 16
