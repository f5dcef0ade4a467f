"""Why memories were chosen: what is noted on the way from the legs to the answer, for a question that wants to know."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..wire import Contribution, Why
from .fusion import Scores

Rows = NDArray[np.intp]

DIGITS = 4


class Trail:
    """Keeps references to what the search computes anyway; only `whys` costs anything, for the few that are shown."""

    def __init__(self) -> None:
        """Begin without anything noted."""
        self._lexical: Scores | None = None
        self._cosine: Scores | None = None
        self._noted: list[tuple[str, Rows | None, Scores]] = []
        self._place: dict[int, int] = {}
        self._rerank: dict[int, float] = {}

    def legs(self, lexical: Scores | None, cosine: Scores | None, priors: Scores, lexical_weight: float) -> None:
        """Note what the legs and the priors say of all rows, each float32 [n]; see `fuse`."""
        self._lexical, self._cosine = lexical, cosine
        if cosine is not None:
            self._noted.append(("vector", None, cosine))
        if lexical is not None:
            weight = 1.0 if cosine is None else lexical_weight
            self._noted.append(("words", None, lexical * np.float32(weight)))
        if lexical is not None and cosine is not None:
            self._noted.append(("statement", None, priors))

    def candidates(self, rows: Rows, scored: Scores, signals: Mapping[str, Scores | np.float32]) -> None:
        """Note what each signal adds to the candidates, float32 [len(rows)], and so their places before a reranker."""
        self._noted += [(name, rows, np.broadcast_to(values, rows.shape)) for name, values in signals.items()]
        order = np.argsort(-scored, kind="stable")
        self._place = {row: place for place, row in enumerate(rows[order].tolist(), 1)}

    def reranked(self, name: str, rows: Rows, added: Scores, weight: float) -> None:
        """Note what a reranker has added to the scores of `rows`, float32 [len(rows)]; `weight` times what it gave."""
        self._noted.append((name, rows, added))
        self._rerank = dict(zip(rows.tolist(), (added / weight).tolist(), strict=True))

    def whys(self, rows: Rows) -> tuple[Why, ...]:
        """Return why each of `rows` was chosen."""
        added = [
            (name, _by_row(rows, values[rows].tolist() if noted is None else values.tolist(), noted))
            for name, noted, values in self._noted
        ]
        return tuple(
            Why(
                lexical=_at(self._lexical, row),
                vector=_at(self._cosine, row),
                contributions=tuple(
                    Contribution(signal=name, value=round(by_row[row], DIGITS))
                    for name, by_row in added
                    if row in by_row
                ),
                place=self._place.get(row),
                rerank=round(self._rerank[row], DIGITS) if row in self._rerank else None,
            )
            for row in rows.tolist()
        )


def _by_row(rows: Rows, values: list[float], noted: Rows | None) -> dict[int, float]:
    return dict(zip((rows if noted is None else noted).tolist(), values, strict=True))


def _at(scores: Scores | None, row: int) -> float | None:
    return None if scores is None else round(float(scores[row]), DIGITS)
