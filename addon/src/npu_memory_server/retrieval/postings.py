"""The words of a large memory as arrays that can lie in a file: for each term the rows that hold it, and how much."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Set as AbstractSet
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]
Rows = NDArray[np.uint32]
Counts = NDArray[np.uint8]

STEPS = 255
"""Weights are kept as shares of the largest one in so many steps: an error of at most 0.2 % of it."""
MAX_COUNT = 255
MAX_KEPT_TERMS = 4096


class Postings:
    """Terms in order, their rows (uint32, ascending), counts and weights (uint8); it never changes."""

    def __init__(self, arrays: Arrays) -> None:
        """Take over arrays as `merged` makes them."""
        self._letters: NDArray[np.uint8] = arrays["letters"]
        self._ends: NDArray[np.int64] = arrays["term_ends"]
        self._starts: NDArray[np.int64] = arrays["starts"]
        self.rows: Rows = arrays["rows"]
        self.counts: Counts = arrays["counts"]
        self.weights: NDArray[np.uint8] = arrays["weights"]
        self._kept: dict[str, int | None] = {}

    def __len__(self) -> int:
        """Return the number of terms."""
        return len(self._ends)

    def __getitem__(self, number: int) -> bytes:
        """Return a term in UTF-8."""
        start = int(self._ends[number - 1]) if number else 0
        return self._letters[start : int(self._ends[number])].tobytes()

    def terms(self) -> list[bytes]:
        """Return all terms in UTF-8, in order."""
        letters = self._letters.tobytes()
        ends = self._ends.tolist()
        return [letters[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)] if ends else []

    def lengths(self) -> NDArray[np.int64]:
        """Return how many rows hold each term."""
        return np.diff(self._starts)

    def place(self, term: str) -> slice | None:
        """Return where the rows of a term are, or None if nobody has said it."""
        if term not in self._kept:
            if len(self._kept) >= MAX_KEPT_TERMS:
                self._kept.clear()
            word = term.encode()
            number = bisect_left(self, word)
            self._kept[term] = number if number < len(self) and self[number] == word else None
        kept = self._kept[term]
        return None if kept is None else slice(int(self._starts[kept]), int(self._starts[kept + 1]))

    def frequency(self, term: str) -> int:
        """Return how many rows hold a term."""
        place = self.place(term)
        return 0 if place is None else place.stop - place.start

    def beginning(self, prefixes: AbstractSet[str]) -> Iterable[str]:
        """Yield the terms that begin with one of the prefixes."""
        for prefix in prefixes:
            start = prefix.encode()
            number = bisect_left(self, start)
            while number < len(self) and (term := self[number]).startswith(start):
                yield term.decode()
                number += 1


def merged(
    older: Postings | None,
    newer: Mapping[str, tuple[NDArray[np.uint32], NDArray[np.uint16]]],
    alive: NDArray[np.bool_],
    norms: NDArray[np.float32],
) -> Arrays:
    """Return the arrays of both together, without the rows that are not `alive`, bool [n].

    The rows of `newer` come after those of `older`. `norms` (float32 [n]) is what BM25 adds to a count for the length
    of each row. Terms that nobody has said any more are left out.
    """
    old_terms = older.terms() if older is not None else []
    new_terms = sorted(term.encode() for term in newer)
    terms = sorted({*old_terms, *new_terms})
    number = {term: place for place, term in enumerate(terms)}
    parts = [newer[term.decode()] for term in new_terms]
    new_lengths = [len(rows) for rows, _ in parts]
    term_of = np.concatenate(
        [
            np.repeat(
                np.array([number[term] for term in old_terms], np.int32), older.lengths() if older is not None else []
            ),
            np.repeat(np.array([number[term] for term in new_terms], np.int32), new_lengths),
        ]
    ).astype(np.int32)
    rows = np.concatenate([older.rows if older is not None else [], *(rows for rows, _ in parts)]).astype(np.uint32)
    counts = np.concatenate([older.counts if older is not None else [], *(counts for _, counts in parts)])
    counts = np.minimum(counts, MAX_COUNT).astype(np.uint8)
    there = alive[rows]
    if not there.all():
        term_of, rows, counts = term_of[there], rows[there], counts[there]
    order = np.argsort(term_of, kind="stable")
    rows, counts = rows[order], counts[order]
    held = np.bincount(term_of, minlength=len(terms))
    kept = np.flatnonzero(held)
    spoken = [terms[place] for place in kept.tolist()]
    weights = np.rint(counts / (counts + norms[rows]) * STEPS).astype(np.uint8)
    return {
        "letters": np.frombuffer(b"".join(spoken), np.uint8),
        "term_ends": np.fromiter(accumulate(map(len, spoken)), np.int64, len(spoken)),
        "starts": np.concatenate([[0], np.cumsum(held[kept])]).astype(np.int64),
        "rows": rows,
        "counts": counts,
        "weights": weights,
    }
