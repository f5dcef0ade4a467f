"""One order out of two legs: pure functions on scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]

RRF_K = 60


def fuse(
    lexical: Scores | None,
    cosine: Scores | None,
    priors: Scores,
    embedded: NDArray[np.bool_],
    lexical_weight: float,
) -> Scores:
    """Return one score for every row out of normalized lexical scores, cosines and priors, each float32 [n].

    What is not `embedded` yet (bool [n]) has its words speak for its vector as well: in the middle of a large import it
    would stand behind everything else. With one leg alone its own scores are the score, and the priors do not count.
    """
    if cosine is not None and lexical is not None:
        fused: Scores = np.where(embedded, cosine, lexical) + np.float32(lexical_weight) * lexical + priors
        return fused
    if cosine is not None:
        return cosine
    if lexical is not None:
        return lexical
    raise ValueError("at least one leg is needed")


def reciprocal_ranks(lexical: Scores | None, cosine: Scores | None, allowed: Scores) -> Scores:
    """Return the reciprocal rank fusion of the legs, float32 [n] from 0 to 1: 1 is what is first in each leg.

    What is not `allowed` (0) takes no place, so that what somebody may not see moves nothing that they may.
    Cormack, Clarke and Büttcher, "Reciprocal rank fusion outperforms Condorcet", 2009, with their k of 60.
    """
    legs = [leg for leg in (lexical, cosine) if leg is not None]
    if not legs:
        raise ValueError("at least one leg is needed")
    fused = np.zeros(len(legs[0]), np.float32)
    for leg in legs:
        order = np.argsort(-leg, kind="stable")
        order = order[(leg[order] > 0) & (allowed[order] > 0)]
        fused[order] += (RRF_K + 1) / np.arange(RRF_K + 1, RRF_K + 1 + len(order), dtype=np.float32)
    return fused / np.float32(len(legs))


def best(scores: Scores, count: int) -> NDArray[np.intp]:
    """Return the rows of the `count` largest positive scores, best first; equal ones newest (last added) first."""
    enough = scores > 0
    if count < len(scores):
        ordered = scores.copy()
        ordered.partition(len(scores) - count)
        if (least := ordered[len(scores) - count]) > 0:
            enough = scores >= least
    newest_first = enough.nonzero()[0][::-1]
    order = (-scores[newest_first]).argsort(kind="stable")
    found: NDArray[np.intp] = newest_first[order[:count]]
    return found
