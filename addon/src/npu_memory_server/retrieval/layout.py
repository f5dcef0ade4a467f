"""How the vectors of a large memory are laid out: in cells of their like, and in codes that take less room."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

FULL = 127
REDUCED = 96
"""Directions of the coarse codes."""
VECTORS_A_CELL = 100
"""Questions lie between statements, so that many cells have to be looked at: of a million vectors 20 % in 1 000 cells
hold 98.8 % of the ten nearest, and 8 % in 4 096 cells 99.0 %."""
MAX_CELLS = 4_096
MIN_CELLS = 8
SAMPLED_A_CELL = 24
ROUNDS = 8
AT_ONCE = 8_192
COMPARED_AT_ONCE = 4_000_000
"""Vectors times cells: 16 MB."""


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """Vectors in int8: `codes` [n, d] with `scales` float32 [n], and `coarse` [n, reduced]."""

    codes: NDArray[np.int8]
    scales: NDArray[np.float32]
    coarse: NDArray[np.int8]


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Where the cells are, float32 [cells, d], the directions, float32 [d, reduced], and the scale of the coarse codes.

    `laid_out_for` is how many vectors it was made for.
    """

    centers: NDArray[np.float32]
    basis: NDArray[np.float32]
    coarse_scale: float
    laid_out_for: int

    def nearest(self, vectors: Vectors) -> NDArray[np.intp]:
        """Return the cell of each of some vectors, float32 [n, d]."""
        return _nearest(vectors, self.centers)

    def codes(self, vectors: NDArray[np.float32]) -> Codes:
        """Return float32 [n, d] as codes."""
        codes, scales = quantized(vectors)
        return Codes(codes, scales, self.coarse(vectors))

    def coarse(self, vectors: NDArray[np.float32]) -> NDArray[np.int8]:
        """Return float32 [n, d] in fewer dimensions, int8 [n, reduced]."""
        reduced = np.rint(vectors @ self.basis * np.float32(self.coarse_scale))
        codes: NDArray[np.int8] = np.clip(reduced, -FULL, FULL, out=reduced).astype(np.int8)
        return codes


def quantized(vectors: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return float32 [n, d] as int8 [n, d] and what each is to be multiplied by, float32 [n]."""
    largest = np.maximum(np.abs(vectors).max(axis=1), np.float32(1e-9))
    codes = np.rint(vectors * (FULL / largest)[:, None]).astype(np.int8)
    return codes, (largest / FULL).astype(np.float32)


def sample_size(count: int) -> int:
    """Return how many of `count` vectors `laid_out` wants to see."""
    return min(count, max(_cells(count) * SAMPLED_A_CELL, 8 * REDUCED))


def laid_out(sample: Vectors, count: int) -> Layout:
    """Return a layout for `count` vectors that are like the sample, float32 [n, d]; takes seconds for a million.

    The cells are those of spherical k-means (Dhillon and Modha, 2001), the directions those of the largest singular
    values.
    """
    chance = np.random.default_rng(0)
    if not len(sample):
        # Nothing has a vector yet, after a change of the embedder for instance: any directions will do at first.
        sample = np.eye(sample.shape[1], dtype=np.float32)
    cells = min(_cells(count), len(sample))
    centers = sample[chance.permutation(len(sample))[:cells]].copy()
    for _ in range(ROUNDS):
        nearest = _nearest(sample, centers)
        sums = np.zeros_like(centers)
        np.add.at(sums, nearest, sample)
        empty = np.bincount(nearest, minlength=cells) == 0
        sums[empty] = sample[chance.integers(0, len(sample), int(empty.sum()))]
        centers = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), np.float32(1e-9))
    _, directions = np.linalg.eigh(sample.T @ sample)
    basis = np.ascontiguousarray(directions[:, ::-1][:, :REDUCED], np.float32)
    widest = float(np.quantile(np.abs(sample[: 8 * AT_ONCE] @ basis), 0.9999))
    return Layout(np.ascontiguousarray(_side_by_side(centers)), basis, FULL / max(widest, 1e-9), count)


def _cells(count: int) -> int:
    return min(max(count // VECTORS_A_CELL, MIN_CELLS), MAX_CELLS)


def _nearest(vectors: Vectors, centers: Vectors) -> NDArray[np.intp]:
    step = max(COMPARED_AT_ONCE // len(centers), 1)
    parts = [(vectors[start : start + step] @ centers.T).argmax(axis=1) for start in range(0, len(vectors), step)]
    return np.concatenate(parts) if parts else np.zeros(0, np.intp)


def _side_by_side(centers: Vectors) -> Vectors:
    """Put similar centers next to each other, so that the cells of a question are fewer stretches of the file."""
    left = np.ones(len(centers), np.bool_)
    order = [0]
    left[0] = False
    while left.any():
        likeness = np.where(left, centers @ centers[order[-1]], -np.inf)
        order.append(int(likeness.argmax()))
        left[order[-1]] = False
    return centers[order]
