"""From token vectors to the vector of a text."""

from __future__ import annotations

from collections.abc import Sequence
import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Vector: TypeAlias = npt.NDArray[np.float32]


def normalize(vector: Vector) -> Vector:
    """Scale a vector, float32 [d], to length 1 (L2). Raises ValueError if it is zero or not finite."""
    length = math.sqrt(float(vector.dot(vector)))
    if not (math.isfinite(length) and length > 0):
        raise ValueError("a vector without a direction cannot be normalized")
    return (vector * np.float32(1 / length)).astype(np.float32, copy=False)


def average(token_vectors: Vector) -> Vector:
    """Return the mean of token vectors, float32 [n, d], as float32 [d]; it has any length."""
    mean: Vector = token_vectors.mean(axis=0, dtype=np.float32)
    return mean


def mean_pool(token_vectors: Vector) -> Vector:
    """Average token vectors, float32 [n, d], into an L2-normalized float32 [d].

    Special tokens count like any other: the mean over all positions of the attention mask, Sentence-BERT (Reimers and
    Gurevych, 2019), section 3. Raises ValueError if the mean has no direction.
    """
    # The sum has the direction of the mean. A voice waits: each function of numpy costs more than it computes here.
    return normalize(np.add.reduce(token_vectors, axis=0))


def merge_windows(vectors: Sequence[Vector], tokens: Sequence[int]) -> Vector:
    """Average the vectors of a text's windows, each float32 [d], weighed by their tokens.

    Returns an L2-normalized float32 [d]; a single vector comes back as it is. Raises ValueError if there is no
    direction.
    """
    if len(vectors) == 1:
        return vectors[0]
    return normalize(np.average(np.stack(vectors), axis=0, weights=tokens).astype(np.float32))
