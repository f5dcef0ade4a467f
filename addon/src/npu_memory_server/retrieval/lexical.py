"""The lexical leg: BM25 over an index that grows, and shrinks, one memory at a time."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set as AbstractSet
from dataclasses import dataclass, field
import math

import numpy as np
from numpy.typing import NDArray

from .growing import GrowingArray
from .hits import Hits, Late
from .postings import STEPS, Arrays, Postings

K1 = 0.9
B = 0.4
"""For short texts; 1.2 and 0.75 lose 1.9 points of recall@5 on LoCoMo (and 2.0 or 1.0 one to three more)."""
LATE_ROWS = 32_768
"""A word that more rows hold is only counted for what rarer words have found, if that is enough."""
ENOUGH = 2_048


@dataclass(slots=True)
class _Recent:
    rows: array[int] = field(default_factory=lambda: array("I"))
    counts: array[int] = field(default_factory=lambda: array("H"))

    def arrays(self) -> tuple[NDArray[np.uint32], NDArray[np.uint16]]:
        return np.frombuffer(self.rows, np.uint32), np.frombuffer(self.counts, np.uint16)


class LexicalIndex:
    """Terms to the rows that hold them. Not thread-safe: one thread searches and writes.

    Rows are the whole numbers 0, 1, 2, ... in the order in which they were added. In a large memory all but the newest
    are in `Postings`, which never change: what is removed there stays until the next ones are made.
    """

    def __init__(self) -> None:
        """Make an empty index."""
        self._postings: dict[str, _Recent] = {}
        self._frozen: dict[str, _Recent] = {}
        self._old: Postings | None = None
        self._rows_in_old = self._old_rows = 0
        """From `_old_rows` on the rows are in `_postings`; those before are in `_old` or `_frozen`."""
        self._gone: Counter[str] = Counter()
        self._lengths: GrowingArray[np.float32] = GrowingArray(np.float32)
        self._alive = 0
        self._total_length = 0
        self._norms: NDArray[np.float32] | None = None
        """What BM25 adds to a count in the divisor, for each row; made anew after a change."""

    @classmethod
    def restored(cls, arrays: Arrays, lengths: NDArray[np.float32], alive: NDArray[np.bool_]) -> LexicalIndex:
        """Return an index as it was saved: its postings, the length of each row, and which rows are there."""
        index = cls()
        index._old = Postings(arrays)
        index._old_rows = len(lengths)
        index._lengths = GrowingArray.of(lengths)
        index._alive = int(alive.sum())
        index._total_length = int(lengths[alive].sum())
        return index

    def __len__(self) -> int:
        """Return the number of rows, those that were removed included."""
        return len(self._lengths)

    @property
    def lengths_column(self) -> GrowingArray[np.float32]:
        """How many terms each row has."""
        return self._lengths

    @property
    def old_rows(self) -> int:
        """How many rows are in the postings, or on their way into them."""
        return self._old_rows

    def add(self, terms: Sequence[str]) -> int:
        """Index the terms of one memory and return its row."""
        row = len(self._lengths)
        for term, count in Counter(terms).items():
            postings = self._postings.setdefault(term, _Recent())
            postings.rows.append(row)
            postings.counts.append(min(count, 65535))
        self._lengths.append(len(terms))
        self._alive += 1
        self._total_length += len(terms)
        self._norms = None
        return row

    def remove(self, row: int, terms: Sequence[str]) -> None:
        """Take a row out again; `terms` are those that it was added with.

        One of the older rows of a large memory keeps a score until the next `Postings` are made.
        """
        if row < self._old_rows:
            self._gone.update(set(terms))
        else:
            for term in set(terms):
                postings = self._postings[term]
                place = postings.rows.index(row)
                del postings.rows[place]
                del postings.counts[place]
                if not postings.rows:
                    del self._postings[term]
        self._alive -= 1
        self._total_length -= len(terms)
        self._norms = None

    def freeze(self) -> tuple[Postings | None, Mapping[str, tuple[NDArray[np.uint32], NDArray[np.uint16]]]]:
        """Return what there is, to be made into new postings elsewhere, and leave it alone from here on."""
        self._frozen, self._postings = self._postings, {}
        self._rows_in_old, self._old_rows = self._old_rows, len(self._lengths)
        return self._old, {term: recent.arrays() for term, recent in self._frozen.items()}

    def replace(self, postings: Postings, gone: Mapping[str, int]) -> None:
        """Take in the postings made of what was frozen; `gone` is what `removed` was when it was frozen."""
        self._old = postings
        self._frozen = {}
        self._gone -= Counter(gone)

    @property
    def removed(self) -> dict[str, int]:
        """How many rows that hold a term were removed and are still in the postings."""
        return dict(self._gone)

    def thaw(self) -> None:
        """Take back what was frozen: it could not be saved."""
        # Copied, since whoever was to save it may still look at the arrays, which then cannot grow.
        thawed = {term: _Recent(older.rows[:], older.counts[:]) for term, older in self._frozen.items()}
        for term, recent in self._postings.items():
            if term in thawed:
                thawed[term].rows.extend(recent.rows)
                thawed[term].counts.extend(recent.counts)
            else:
                thawed[term] = recent
        self._postings, self._frozen = thawed, {}
        self._old_rows = self._rows_in_old

    def terms(self) -> Iterator[str]:
        """Yield the terms of the older rows of a large memory."""
        return (term.decode() for term in self._old.terms()) if self._old is not None else iter(())

    def beginning(self, prefixes: AbstractSet[str]) -> list[str]:
        """Return the terms that begin with one of the prefixes, which are all of one length."""
        length = len(next(iter(prefixes), ""))
        recent = {term for part in (self._postings, self._frozen) for term in part if term[:length] in prefixes}
        return list(recent.union(self._old.beginning(prefixes)) if self._old is not None else recent)

    def holding(self, term: str, count: int) -> list[int]:
        """Return the rows that hold a term, unless they are more than `count`; some may be gone."""
        if self.frequency(term) > count:
            return []
        rows = [row for part in (self._frozen, self._postings) if term in part for row in part[term].rows]
        place = self._old.place(term) if self._old is not None else None
        return rows if self._old is None or place is None else [*self._old.rows[place].tolist(), *rows]

    def frequency(self, term: str) -> int:
        """Return how many rows hold a term."""
        recent = self._postings.get(term)
        held = 0 if recent is None else len(recent.rows)
        if self._old is None and not self._frozen and not self._gone:
            return held
        frozen = self._frozen.get(term)
        held += 0 if frozen is None else len(frozen.rows)
        return held + (self._old.frequency(term) if self._old is not None else 0) - self._gone.get(term, 0)

    def idf(self, term: str) -> float:
        """Return how rare a term is; the rarest is one that nobody has said."""
        frequency = self.frequency(term)
        return math.log1p((self._alive - frequency + 0.5) / (frequency + 0.5))

    def scores(self, terms: Sequence[str]) -> NDArray[np.float32]:
        """Return the BM25 score of every row, float32 [n], divided by the largest that this question could get.

        Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), with the
        always positive idf of Lucene. The divisor counts each distinct term of the question, unknown ones too, at its
        full weight: a question whose words occur nowhere has small scores everywhere and leaves the choice to the
        vectors. Stretching
        the scores to 0..1 over the memories instead found 12 of 100 paraphrased questions where this found 65.
        """
        if self._frozen or self._old is not None:
            return self.search(terms).all()
        found: list[_Recent] = []
        idfs: list[float] = []
        largest = 0.0
        for term in dict.fromkeys(terms):
            idf = self.idf(term)
            largest += idf * (K1 + 1)
            if postings := self._postings.get(term):
                found.append(postings)
                idfs.append(idf)
        if not found:
            return np.zeros(len(self._lengths), np.float32)
        rows = np.frombuffer(b"".join([postings.rows for postings in found]), np.uint32)
        counts = np.frombuffer(b"".join([postings.counts for postings in found]), np.uint16)
        idf_of_row = np.repeat(idfs, [len(postings.rows) for postings in found])
        if self._norms is None:
            self._norms = K1 * (1 - B) + (K1 * B * self._alive / self._total_length) * self._lengths.values
        weights = idf_of_row * (counts * ((K1 + 1) / largest)) / (counts + self._norms[rows])
        return np.bincount(rows, weights, len(self._lengths)).astype(np.float32)

    def search(self, terms: Sequence[str]) -> Hits:
        """Return the same scores for the rows that hold the question's rarer words: for a large memory.

        The weights of older rows were rounded to `STEPS` and have the mean length of when their postings were made.
        """
        idfs = {term: self.idf(term) for term in dict.fromkeys(terms)}
        largest = max(sum(idfs.values()), 1e-9)
        scores = np.zeros(len(self._lengths), np.float32)
        mean = max(self._total_length / max(self._alive, 1), 1e-9)
        found: list[NDArray[np.uint32]] = []
        late: list[Late] = []
        for term, idf in sorted(idfs.items(), key=lambda one: -one[1]):
            worth = idf / largest
            for part in (self._frozen, self._postings):
                if term in part:
                    rows, counts = part[term].arrays()
                    norms = length_norms(self._lengths.values[rows], mean)
                    scores[rows] += counts / (counts + norms) * np.float32(worth)
                    found.append(rows.copy())
            place = self._old.place(term) if self._old is not None else None
            if self._old is None or place is None:
                continue
            values = np.arange(STEPS + 1, dtype=np.float32) * np.float32(worth / STEPS)
            rows, shares = self._old.rows[place], self._old.weights[place]
            if len(rows) > LATE_ROWS and sum(map(len, found)) >= ENOUGH:
                late.append(Late(rows, shares, values))
            else:
                scores[rows] += values[shares]
                found.append(rows)
        return Hits(scores, found, late)


def length_norms(lengths: NDArray[np.float32], mean: float) -> NDArray[np.float32]:
    """Return what BM25 adds to a count in the divisor, for rows of these lengths, float32 [len(lengths)]."""
    norms: NDArray[np.float32] = np.float32(K1 * (1 - B)) + np.float32(K1 * B / mean) * lengths
    return norms
