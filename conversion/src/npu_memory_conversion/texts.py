"""The texts that a conversion is checked with, and those that ranges are found with; no text is in both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from .errors import ConversionError
from .recipe import ModelRecipe

Ids = npt.NDArray[np.int64]
PASSAGES = 72
CANDIDATES = 12
STRIDE = 37
"""Far enough that neighboring passages share no sentence, and with no divisor in common with the number of lines."""


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """A text, or a pair, as a model reads it: ids and token types, int64 [n], special tokens included, never padded."""

    ids: Ids
    types: Ids


@cache
def lines(name: str) -> tuple[str, ...]:
    """Return the lines of a file of this package's data that are not empty."""
    text = files(__package__).joinpath("data", name).read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if line)


class TextReader:
    """A model's tokenizer, for single texts and for pairs."""

    def __init__(self, path: Path, recipe: ModelRecipe) -> None:
        """Read a `tokenizer.json`. Raises ConversionError."""
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises bare Exception, whatever is wrong
            raise ConversionError(f"{path.name} is not a tokenizer that can be read: {error}") from error
        self._tokenizer.no_padding()
        if max(self._tokenizer.get_vocab().values()) >= recipe.vocabulary:
            raise ConversionError(f"{path.name} knows more tokens than the model: they do not belong together")
        self._max_length = recipe.max_length

    def read(self, text: str, other: str | None = None, *, length: int | None = None) -> Encoded:
        """Encode a text or a pair, cut to `length` tokens or to what the model reads at once."""
        self._tokenizer.enable_truncation(min(length or self._max_length, self._max_length))
        encoding = self._tokenizer.encode(text, other)
        return Encoded(np.array(encoding.ids, np.int64), np.array(encoding.type_ids, np.int64))


def passages(source: Sequence[str], count: int, longest: int, reader: TextReader) -> list[str]:
    """Join neighboring lines to texts of evenly spread lengths, up to `longest` tokens."""
    made = []
    for number in range(count):
        target = round(np.interp(number, [0, count - 1], [longest / 10, longest]))
        start = number * STRIDE
        text, added = source[start % len(source)], 1
        while len(reader.read(text).ids) < target and added < len(source):
            text, added = f"{text} {source[(start + added) % len(source)]}", added + 1
        made.append(text)
    return made


def check_texts(reader: TextReader, longest: int) -> list[Encoded]:
    """Return more than 200 texts in some forty languages, from one token to `longest`."""
    singles = lines("check.txt")
    return [reader.read(text, length=longest) for text in (*singles, *passages(singles, PASSAGES, longest, reader))]


def check_pairs(reader: TextReader, longest: int) -> list[Encoded]:
    """Return more than 200 pairs of a question and a candidate, up to `longest` tokens."""
    singles = lines("check.txt")
    questions = [line for line in singles if line.endswith("?")][:20]
    candidates = [line for line in singles if not line.endswith("?")]
    longer = passages(candidates, len(questions) * CANDIDATES // 2, longest, reader)
    pairs = []
    for number, question in enumerate(questions):
        mine = [candidates[(number * STRIDE + step * 7) % len(candidates)] for step in range(CANDIDATES // 2)]
        mine += longer[number :: len(questions)]
        pairs += [reader.read(question, candidate, length=longest) for candidate in mine]
    return pairs


def calibration(reader: TextReader, longest: int, count: int, *, pairs: bool) -> list[Encoded]:
    """Return texts, or pairs, to find ranges with: short ones and some that fill `longest` tokens."""
    source = lines("calibration.txt")
    texts = [*source[: count // 2], *passages(source, count - count // 2, longest, reader)]
    if not pairs:
        return [reader.read(text, length=longest) for text in texts]
    return [reader.read(source[-1 - number % len(source)], text, length=longest) for number, text in enumerate(texts)]
