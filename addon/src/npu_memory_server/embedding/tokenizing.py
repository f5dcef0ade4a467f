"""From text to token ids, never padded, and long texts cut into windows."""

from __future__ import annotations

from pathlib import Path
import re
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from ..errors import ModelError

SPECIAL_TOKENS = 2
"""[CLS] in front and [SEP] behind: BERT (Devlin et al., 2018), section 3."""
WINDOW_OVERLAP = 64
"""Tokens shared by neighboring windows, so that a sentence across a cut is whole in one of them."""

MAX_KEPT_WORDS = 16_384
"""About 3 MB; a household says a few thousand, and new ones begin to take the place of all when these are full."""
_SPOKEN = re.compile(r"[A-Za-z0-9 ,.?!'-]*")
"""A text that is nothing but words and marks between which BERT's tokenizer always cuts, and leaves nothing out."""
_WORD = re.compile(r"[A-Za-z0-9]+|[,.?!'-]")

Word: TypeAlias = tuple[list[int], list[int]]
"""The ids of a word's tokens, and the character of the word at which each begins."""


class TextTokenizer:
    """The tokenizer of a BERT-like model."""

    def __init__(self, path: Path, max_length: int) -> None:
        """Read a `tokenizer.json`; max_length is the model's, in tokens, special tokens included.

        Raises ModelError if the file is no tokenizer or lacks [CLS] or [SEP].
        """
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises bare Exception, whatever is wrong
            raise ModelError(f"{path.name} is not a tokenizer that can be read; convert the model again") from error
        # The file may carry settings from its training, which would pad each question to a fixed length.
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        start, end = self._tokenizer.token_to_id("[CLS]"), self._tokenizer.token_to_id("[SEP]")
        if start is None or end is None:
            raise ModelError(f"{path.name} has no [CLS] or [SEP]: it belongs to another kind of model")
        self._start: int = start
        self._end: int = end
        self._window = max_length - SPECIAL_TOKENS
        self._reads_word_by_word = _reads_word_by_word(self._tokenizer)
        self._words: dict[str, Word] = {}

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a whole text, without special tokens; empty if there is nothing to read in it.

        Raises ValueError if the text cannot be encoded, as with half of a surrogate pair.
        """
        if self._is_spoken(text):
            try:
                return [one for word in _WORD.findall(text) for one in self._words[word][0]]
            except KeyError:
                pass
        ids: list[int] = self._encoded(text).ids
        return ids

    def encode_with_starts(self, text: str) -> tuple[list[int], list[int]]:
        """Return the token ids of a whole text and the character at which each begins. Raises ValueError as above."""
        if self._is_spoken(text):
            try:
                found = [(match.start(), self._words[match.group()]) for match in _WORD.finditer(text)]
            except KeyError:
                pass
            else:
                ids = [one for _, (its, _) in found for one in its]
                return ids, [first + start for first, (_, starts) in found for start in starts]
        encoding = self._encoded(text)
        return encoding.ids, [start for start, _ in encoding.offsets]

    def _is_spoken(self, text: str) -> bool:
        """Return whether a text has the tokens of its words, one after the other."""
        return self._reads_word_by_word and _SPOKEN.fullmatch(text) is not None

    def _encoded(self, text: str) -> Encoding:
        """Have the tokenizer read a text, and keep the tokens of its words for the next one that has them."""
        try:
            encoding = self._tokenizer.encode(text, add_special_tokens=False)
        except TypeError as error:
            raise ValueError("the text is not valid Unicode") from error
        if self._is_spoken(text):
            begins = [match.start() for match in _WORD.finditer(text)]
            words: list[Word] = [([], []) for _ in begins]
            for place, one, (start, _) in zip(encoding.word_ids, encoding.ids, encoding.offsets, strict=True):
                if place is not None:
                    words[place][0].append(one)
                    words[place][1].append(start - begins[place])
            if len(self._words) + len(words) > MAX_KEPT_WORDS:
                self._words.clear()
            self._words.update(zip(_WORD.findall(text), words, strict=True))
        return encoding

    def windows(self, ids: list[int]) -> list[npt.NDArray[np.int64]]:
        """Cut token ids into what the model can read at once: int64 [n], n <= max_length, special tokens added."""
        return [
            np.array([self._start, *ids[start:end], self._end], dtype=np.int64)
            for start, end in window_bounds(len(ids), self._window, min(WINDOW_OVERLAP, self._window // 4))
        ]


def _reads_word_by_word(tokenizer: Tokenizer) -> bool:
    """Return whether a tokenizer makes of each word the same tokens wherever it stands, as BERT's does."""
    parts = (tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.model)
    kinds = (BertNormalizer, BertPreTokenizer, WordPiece)
    added = tokenizer.get_added_tokens_decoder().values()
    return all(map(isinstance, parts, kinds)) and not any(_SPOKEN.fullmatch(one.content) for one in added)


def window_bounds(length: int, window: int, overlap: int) -> list[tuple[int, int]]:
    """Cover `length` tokens with as few windows as possible, evenly spread.

    Returns (start, end) of each; each shares `overlap` tokens or more with the next, and those of a long text are all
    full. `overlap` is smaller than `window`.
    """
    if length <= window:
        return [(0, length)]
    steps = -(-(length - window) // (window - overlap))
    starts = [round(step * (length - window) / steps) for step in range(steps + 1)]
    return [(start, start + window) for start in starts]
