"""How good answers are: the usual figures of retrieval over judged questions, with their uncertainty. Pure functions.

A share or a score is from 0 to 1. `found` are ids, best first, each once; `answers` are the ids that hold the answer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
import math

import numpy as np

CUTOFF = 10
"""How far down MRR and nDCG look, and the last of the recalls."""
CONFIDENCE = 0.95
RESAMPLES = 2000
"""Of the bootstrap; with so many the bounds are steady to a tenth of a point on 300 questions."""
SEED = 20260515
SEVERAL = "several"
"""The type of question that is answered only by all of its answers together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A question, what was found for it, and what should have been; without `answers` it is unanswerable.

    `found` is the ranking without a relevance threshold, `is_empty` whether nothing was left with the one that applies.
    `outdated` are the ids that used to answer it, before they were corrected.
    """

    id: str
    type: str
    found: tuple[str, ...]
    is_empty: bool
    answers: frozenset[str]
    outdated: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over `count` questions, with the bounds of its 95 % confidence interval."""

    value: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class Ranking:
    """How well the answers of some questions are ranked; `hit_1`: an answer comes first, also where all are needed."""

    hit_1: Estimate
    hit_5: Estimate
    recall_1: Estimate
    recall_5: Estimate
    recall_10: Estimate
    mrr_10: Estimate
    ndcg_10: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """All figures of a set of questions; None where no question asks for one.

    `silent` is the share of unanswerable questions that got nothing, which is right; `silenced` that of answerable
    ones, which is wrong; `corrected` the share of corrected values that stand above all outdated ones.
    """

    overall: Ranking | None
    by_type: Mapping[str, Ranking]
    silent: Estimate | None
    silenced: Estimate | None
    corrected: Estimate | None


def recall_at(found: Sequence[str], answers: Collection[str], k: int) -> float:
    """Return the share of the answers that is among the first k."""
    return len(set(found[:k]) & set(answers)) / len(answers)


def hit_at(found: Sequence[str], answers: Collection[str], k: int, *, all_needed: bool) -> float:
    """Return 1 if one of the answers is among the first k, or all of them where all are needed; otherwise 0."""
    there = set(found[:k]) & set(answers)
    return float(len(there) == len(answers) if all_needed else bool(there))


def reciprocal_rank(found: Sequence[str], answers: Collection[str], k: int) -> float:
    """Return 1 / the rank of the first answer, or 0 if none is among the first k."""
    return next((1 / rank for rank, memory in enumerate(found[:k], 1) if memory in answers), 0.0)


def ndcg(found: Sequence[str], answers: Collection[str], k: int) -> float:
    """Return the normalized discounted cumulative gain at k, with a gain of 1 for each answer.

    Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", 2002, with the logarithm to base 2.
    """
    gained = sum(_discount(rank) for rank, memory in enumerate(found[:k], 1) if memory in answers)
    return gained / sum(_discount(rank) for rank in range(1, min(len(answers), k) + 1))


def is_above(found: Sequence[str], answers: Collection[str], outdated: Collection[str]) -> bool:
    """Return whether an answer comes before everything outdated; not if no answer was found at all."""
    first = next((memory for memory in found if memory in answers or memory in outdated), None)
    return first is not None and first in answers


def estimate(values: Sequence[float]) -> Estimate:
    """Return the mean of values with its percentile bootstrap interval, the same for the same values.

    Efron, "Bootstrap methods: another look at the jackknife", 1979. Raises `ValueError` without values.
    """
    if not values:
        raise ValueError("there is nothing to estimate from")
    given = np.asarray(values, np.float64)
    # How often each question is drawn says as much as which ones are, and takes no memory for their numbers.
    drawn = np.random.default_rng(SEED).multinomial(len(given), np.full(len(given), 1 / len(given)), size=RESAMPLES)
    means = drawn @ given / len(given)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(float(given.mean()), float(low), float(high), len(given))


def ranking(questions: Sequence[Judged]) -> Ranking | None:
    """Return how well the answers are ranked; unanswerable questions do not count. None if there are no others."""
    rows = [
        (
            hit_at(asked.found, asked.answers, 1, all_needed=False),
            hit_at(asked.found, asked.answers, 5, all_needed=asked.type == SEVERAL),
            recall_at(asked.found, asked.answers, 1),
            recall_at(asked.found, asked.answers, 5),
            recall_at(asked.found, asked.answers, CUTOFF),
            reciprocal_rank(asked.found, asked.answers, CUTOFF),
            ndcg(asked.found, asked.answers, CUTOFF),
        )
        for asked in questions
        if asked.answers
    ]
    return Ranking(*(estimate(column) for column in zip(*rows, strict=True))) if rows else None


def evaluate(questions: Sequence[Judged]) -> Evaluation:
    """Return the figures of all questions together and of each type, in the order in which the types appear."""
    types = dict.fromkeys(asked.type for asked in questions)
    by_type = {name: ranking([asked for asked in questions if asked.type == name]) for name in types}
    return Evaluation(
        overall=ranking(questions),
        by_type={name: made for name, made in by_type.items() if made},
        silent=_share([asked.is_empty for asked in questions if not asked.answers]),
        silenced=_share([asked.is_empty for asked in questions if asked.answers]),
        corrected=_share(
            [is_above(asked.found, asked.answers, asked.outdated) for asked in questions if asked.outdated]
        ),
    )


def _share(values: Sequence[bool]) -> Estimate | None:
    return estimate([float(value) for value in values]) if values else None


def _discount(rank: int) -> float:
    return 1 / math.log2(rank + 1)
