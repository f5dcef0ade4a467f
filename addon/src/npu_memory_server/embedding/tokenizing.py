"""From text to token ids, never padded, and long texts cut into windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from ..errors import ModelError

SPECIAL_TOKENS = 2
"""[CLS] in front and [SEP] behind: BERT (Devlin et al., 2018), section 3."""
WINDOW_OVERLAP = 64
"""Tokens shared by neighboring windows, so that a sentence across a cut is whole in one of them."""


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

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a whole text, without special tokens; empty if there is nothing to read in it.

        Raises ValueError if the text cannot be encoded, as with half of a surrogate pair.
        """
        return self.encode_with_starts(text)[0]

    def encode_with_starts(self, text: str) -> tuple[list[int], list[int]]:
        """Return the token ids of a whole text and the character at which each begins. Raises ValueError as above."""
        try:
            encoding = self._tokenizer.encode(text, add_special_tokens=False)
        except TypeError as error:
            raise ValueError("the text is not valid Unicode") from error
        return encoding.ids, [start for start, _ in encoding.offsets]

    def windows(self, ids: list[int]) -> list[npt.NDArray[np.int64]]:
        """Cut token ids into what the model can read at once: int64 [n], n <= max_length, special tokens added."""
        return [
            np.array([self._start, *ids[start:end], self._end], dtype=np.int64)
            for start, end in window_bounds(len(ids), self._window, min(WINDOW_OVERLAP, self._window // 4))
        ]


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
