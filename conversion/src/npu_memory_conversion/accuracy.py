"""How near what was converted is to the original."""

from __future__ import annotations

from dataclasses import dataclass
import math

import numpy as np
import numpy.typing as npt

from npu_memory_server.embedding.pooling import Vector

from .errors import ConversionError

COSINE = "least cosine"
AGREEMENT = "agreement of neighbors"
CORRELATION = "rank correlation"
NEIGHBORS = 10
TIE = 0.001
"""Texts whose similarities differ by less have the same rank for all that FP16 can tell: 11 bits, 0.0005 for one."""


@dataclass(frozen=True, slots=True)
class Cosines:
    """Cosines between converted and original vectors over so many texts."""

    texts: int
    mean: float
    least: float


@dataclass(frozen=True, slots=True)
class Neighbors:
    """How the ten nearest neighbors of each text agree with the original's.

    agreement: share of neighbors that are among the original's ten, or no farther than its tenth but for a tie.
    identical: share of texts whose ten are exactly the original's, whatever the order.
    """

    agreement: float
    identical: float


def cosines(converted: Vector, original: Vector) -> Cosines:
    """Compare float32 [n, d] row by row; nothing is assumed to be normalized. What is not finite counts as -1."""
    lengths = np.linalg.norm(converted, axis=1) * np.linalg.norm(original, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.nan_to_num((converted * original).sum(axis=1) / lengths, nan=-1.0, posinf=-1.0, neginf=-1.0)
    return Cosines(texts=len(found), mean=float(found.mean()), least=float(found.min()))


def neighbors(converted: Vector, original: Vector, *, count: int = NEIGHBORS) -> Neighbors:
    """Compare the nearest neighbors among float32 [n, d], L2-normalized."""
    theirs, ours = _similarities(original), _similarities(converted)
    near, identical = 0, 0
    for before, after in zip(theirs, ours, strict=True):
        wanted = np.argsort(-before, kind="stable")[:count]
        found = np.argsort(-after, kind="stable")[:count]
        near += int((before[found] >= before[wanted[-1]] - TIE).sum())
        identical += set(wanted.tolist()) == set(found.tolist())
    return Neighbors(agreement=near / (len(theirs) * count), identical=identical / len(theirs))


def spearman(converted: npt.NDArray[np.float32], original: npt.NDArray[np.float32]) -> float:
    """Spearman's rank correlation of two float32 [n]; 0 if one of them is constant or not finite."""
    if not np.isfinite(converted).all() or min(np.ptp(converted), np.ptp(original)) == 0:
        return 0.0
    first, second = (_ranks(values) for values in (converted, original))
    return float(np.corrcoef(first, second)[0, 1])


def demand(what: str, measure: str, reached: float, least: float) -> None:
    """Raise ConversionError if a measure is below its bar, or not a number."""
    if not reached >= least:
        raise ConversionError(
            f"{what} is too far from the original: {measure} {reached:.7f}, and {least:g} is the least that is"
            " accepted; nothing was kept"
        )


def _ranks(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Ranks from 0; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: npt.NDArray[np.float64] = (ends - (counts + 1) / 2)[inverse]
    return ranks


def _similarities(vectors: Vector) -> Vector:
    similarities: Vector = np.nan_to_num(vectors @ vectors.T, nan=-2.0)
    np.fill_diagonal(similarities, -math.inf)
    return similarities
