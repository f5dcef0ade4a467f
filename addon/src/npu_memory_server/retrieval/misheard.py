"""What a speech recognizer may have made of words it did not know: terms of the memory that sound the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import jellyfish

from .analysis import stemmer, stop_words_of

LONGEST_SPLIT = 3
"""Words that one word may have become: "cur tiss", "car bun mon ox side"."""
SHORTEST_WORD = 4
SHORTEST_CODE = 3
"""Letters of a word, and sounds, below which everything is like something."""
MAX_DISTANCE_OF_ONE = 0.5
MAX_DISTANCE_OF_SEVERAL = 0.4
"""Edits over the longer one's letters. Up to here all the household's misheard words are found that sounds can find."""
SPLIT_BONUS = 0.1
"""Of edit distance for each word more that is explained."""


@dataclass(frozen=True, slots=True, order=True)
class _Guess:
    cost: float
    first: int
    count: int
    term: str


class Soundalikes:
    """The terms of an index by how they sound. Not thread-safe: one thread reads and writes."""

    def __init__(self, frequency: Callable[[str], int], terms: Iterable[str] = ()) -> None:
        """`frequency` says how many memories hold a term; `terms` are those that are indexed already."""
        self._frequency = frequency
        self._by_code: dict[str, set[str]] = defaultdict(set)
        for term in terms:
            if code := _code(term):
                self._by_code[code].add(term)

    def add(self, terms: Iterable[str]) -> None:
        """Take in the terms of a memory that was indexed."""
        for term in terms:
            if self._frequency(term) == 1 and (code := _code(term)):
                self._by_code[code].add(term)

    def remove(self, terms: Iterable[str]) -> None:
        """Let go of those terms of a memory that no other holds."""
        for term in terms:
            if self._frequency(term) == 0 and (code := _code(term)):
                self._by_code[code].discard(term)

    def heard(self, said: list[str], found: Iterable[str], language: str | None) -> list[str] | None:
        """Return the terms that may have been said where `said` has words that nobody ever said; None if it has none.

        `said` are the words of a question, folded, in their order; `found` the search terms among them.

        Each guess stands for the words that it explains; the question's other terms stay.
        """
        if all(map(self._frequency, found)):
            return None
        stem, stop_words = stemmer(language), stop_words_of(language)
        known = [word in stop_words or self._frequency(stem(word)) > 0 for word in said]
        explained: dict[int, _Guess] = {}
        for guess in sorted(self._guesses(said, known, stem)):
            words = range(guess.first, guess.first + guess.count)
            if not any(word in explained for word in words):
                explained.update(dict.fromkeys(words, guess))
        if not explained:
            return None
        others = [stem(word) for place, word in enumerate(said) if place not in explained and word not in stop_words]
        return [*dict.fromkeys(guess.term for guess in explained.values()), *others]

    def _guesses(self, said: list[str], known: list[bool], stem: Callable[[str], str]) -> Iterable[_Guess]:
        for count in range(1, LONGEST_SPLIT + 1):
            limit = MAX_DISTANCE_OF_ONE if count == 1 else MAX_DISTANCE_OF_SEVERAL
            for first in range(len(said) - count + 1):
                joined = "".join(said[first : first + count])
                if (count == 1 and known[first]) or len(joined) < SHORTEST_WORD or not joined.isalpha():
                    continue
                term = stem(joined)
                for like in self._by_code.get(_code(term), ()):
                    distance = jellyfish.levenshtein_distance(term, like) / max(len(term), len(like))
                    if distance <= limit and like not in map(stem, said[first : first + count]):
                        yield _Guess(distance - SPLIT_BONUS * count, first, count, like)


def _code(term: str) -> str:
    """Return how a term sounds (Philips, "Metaphone", 1990), or nothing where that says too little.

    Without a final S: a stem has lost it, a misheard word has not.
    """
    code = jellyfish.metaphone(term).replace(" ", "").removesuffix("S") if term.isalpha() else ""
    return code if len(code) >= SHORTEST_CODE else ""
