"""The lexical leg: BM25 over an index that grows, and shrinks, one memory at a time."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence, Set as AbstractSet
from dataclasses import dataclass, field
import math

import numpy as np
from numpy.typing import NDArray

from .growing import GrowingArray

K1 = 0.9
B = 0.4
"""For short texts; 1.2 and 0.75 lose 1.9 points of recall@5 on LoCoMo (and 2.0 or 1.0 one to three more)."""


@dataclass(slots=True)
class _Postings:
    rows: array[int] = field(default_factory=lambda: array("I"))
    counts: array[int] = field(default_factory=lambda: array("H"))


class LexicalIndex:
    """Terms to the rows that hold them. Not thread-safe: one thread searches and writes.

    Rows are the whole numbers 0, 1, 2, ... in the order in which they were added.
    """

    def __init__(self) -> None:
        """Make an empty index."""
        self._postings: dict[str, _Postings] = {}
        self._lengths: GrowingArray[np.float32] = GrowingArray(np.float32)
        self._alive = 0
        self._total_length = 0

    def __len__(self) -> int:
        """Return the number of rows, those that were removed included."""
        return len(self._lengths)

    def add(self, terms: Sequence[str]) -> int:
        """Index the terms of one memory and return its row."""
        row = len(self._lengths)
        for term, count in Counter(terms).items():
            postings = self._postings.setdefault(term, _Postings())
            postings.rows.append(row)
            postings.counts.append(min(count, 65535))
        self._lengths.append(len(terms))
        self._alive += 1
        self._total_length += len(terms)
        return row

    def remove(self, row: int, terms: Sequence[str]) -> None:
        """Take a row out again; `terms` are those that it was added with."""
        for term in set(terms):
            postings = self._postings[term]
            place = postings.rows.index(row)
            del postings.rows[place]
            del postings.counts[place]
            if not postings.rows:
                del self._postings[term]
        self._alive -= 1
        self._total_length -= len(terms)

    def beginning(self, prefixes: AbstractSet[str]) -> list[str]:
        """Return the terms that begin with one of the prefixes, which are all of one length."""
        length = len(next(iter(prefixes), ""))
        return [term for term in self._postings if term[:length] in prefixes]

    def holding(self, term: str, count: int) -> list[int]:
        """Return the rows that hold a term, unless they are more than `count`."""
        postings = self._postings.get(term)
        return list(postings.rows) if postings and len(postings.rows) <= count else []

    def frequency(self, term: str) -> int:
        """Return how many rows hold a term."""
        postings = self._postings.get(term)
        return len(postings.rows) if postings else 0

    def idf(self, term: str) -> float:
        """Return how rare a term is; the rarest is one that nobody has said."""
        postings = self._postings.get(term)
        frequency = len(postings.rows) if postings else 0
        return math.log1p((self._alive - frequency + 0.5) / (frequency + 0.5))

    def scores(self, terms: Sequence[str]) -> NDArray[np.float32]:
        """Return the BM25 score of every row, float32 [n], divided by the largest that this question could get.

        Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), with the
        always positive idf of Lucene. The divisor counts each distinct term of the question, unknown ones too, at its
        full weight: a question whose words occur nowhere has small scores everywhere and leaves the choice to the
        vectors. Stretching
        the scores to 0..1 over the memories instead found 12 of 100 paraphrased questions where this found 65.
        """
        count = len(self._lengths)
        found: list[_Postings] = []
        idfs: list[float] = []
        largest = 0.0
        for term in dict.fromkeys(terms):
            idf = self.idf(term)
            largest += idf * (K1 + 1)
            if postings := self._postings.get(term):
                found.append(postings)
                idfs.append(idf)
        if not found:
            return np.zeros(count, np.float32)
        rows = np.concatenate([np.frombuffer(postings.rows, np.uint32) for postings in found])
        counts = np.concatenate([np.frombuffer(postings.counts, np.uint16) for postings in found])
        idf_of_row = np.repeat(idfs, [len(postings.rows) for postings in found])
        norm = K1 * (1 - B) + (K1 * B * self._alive / self._total_length) * self._lengths.values[rows]
        weights = idf_of_row * (counts * ((K1 + 1) / largest)) / (counts + norm)
        return np.bincount(rows, weights, count).astype(np.float32)
