"""Rounds weights to 8 bits so that no processor's 8-bit products overflow."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from npu_memory_server.embedding.pooling import Vector

Int8 = npt.NDArray[np.int8]

LARGEST = 127
GROUP = 4
PAIR_LIMIT = 128
"""Largest sum of two weights of one sign that are multiplied together.

AVX2 without VNNI adds two products of an unsigned 8-bit activation and a signed 8-bit weight in 16 signed bits, and
clips what does not fit (instruction VPMADDUBSW): 255 * 128 = 32640 fits below 32767, 255 * 129 does not. The usual
remedy, weights of 7 bits, costs every weight a bit; this costs only the rare pair that is too large.
"""
STEPS = np.linspace(1.0, 2.2, 13, dtype=np.float32)
"""Candidate steps, in parts of the one with which the largest weight of a column is exactly `LARGEST`."""


def quantize_rows(table: Vector) -> tuple[Int8, Vector]:
    """Round each row of float32 [rows, n] with its own step: int8 [rows, n] and the steps, float32 [rows, 1]."""
    steps = np.abs(table).max(axis=1, keepdims=True) / np.float32(LARGEST)
    steps[steps == 0] = 1
    return np.rint(table / steps).astype(np.int8), steps


def quantize_columns(weight: Vector) -> tuple[Int8, Vector]:
    """Round each column of float32 [inputs, outputs] with the step that loses least, within the limit for pairs.

    Returns int8 [inputs, outputs] and the steps, float32 [outputs]. `inputs` is a multiple of four.
    """
    weight = np.ascontiguousarray(weight)
    widest = np.abs(weight).max(axis=0)
    widest[widest == 0] = 1
    best = np.zeros_like(weight)
    best_steps = np.ones_like(widest)
    least = np.full_like(widest, np.inf)
    for step in STEPS:
        steps = widest * (step / LARGEST)
        rounded = _limit_pairs(np.rint(weight / steps))
        loss = ((rounded * steps - weight) ** 2).sum(axis=0)
        better = loss < least
        best[:, better], best_steps[better], least[better] = rounded[:, better], steps[better], loss[better]
    return best.astype(np.int8), best_steps


def _limit_pairs(rounded: Vector) -> Vector:
    """Lower what is too large among four consecutive weights of float32 [inputs, outputs]: kernels pair two of those.

    Of each sign: when both of the two largest exceed half of the limit, both come down to half of it; otherwise the
    largest comes down to what the second leaves.
    """
    groups = rounded.reshape(-1, GROUP, rounded.shape[1])
    for sign in (1, -1):
        sizes = np.maximum(sign * groups, 0)
        first_pair, second_pair = sizes[:, :2], sizes[:, 2:]
        larger = np.minimum(first_pair.max(axis=1), second_pair.max(axis=1))
        smaller = np.maximum(first_pair.min(axis=1), second_pair.min(axis=1))
        second = np.maximum(larger, smaller)[:, np.newaxis]
        cap = PAIR_LIMIT - np.minimum(second, PAIR_LIMIT // 2)
        groups = np.where(sizes > cap, sign * cap, groups)
    return np.clip(groups, -LARGEST, LARGEST).reshape(rounded.shape)
