"""What an embedder is, whichever hardware it runs on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from .pooling import Vector
from .projection import TokenVectors


@dataclass(frozen=True, slots=True)
class EmbeddingTimings:
    """How long each stage of one embedding took, in ms."""

    tokenize: float
    inference: float
    pooling: float


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """One embedded text.

    vector: float32 [dimensions], L2-normalized.
    tokens: how many tokens the text has; the model's own special tokens are not counted.
    token_starts: int32 [n], where each token of the text (without its prefix) begins in it; up to 256 of them.
    token_vectors: int8 [n, reduced], one for each of them; [0, 0] if the model has no projection.
    timings: ms by stage, summed over the windows of a long text.
    """

    vector: Vector
    tokens: int
    timings: EmbeddingTimings
    token_starts: npt.NDArray[np.int32]
    token_vectors: TokenVectors


class Embedder(Protocol):
    """Turns text into vectors. Its methods block, and one caller at a time may use it: the caller owns the thread."""

    @property
    def fingerprint(self) -> str:
        """Names everything that shapes a vector; vectors of different fingerprints must not be compared."""

    @property
    def dimensions(self) -> int:
        """The length of a vector."""

    @property
    def backend(self) -> str:
        """The hardware it runs on: `cpu` or `npu`."""

    def embed(self, text: str, prefix: str = "") -> Embedding:
        """Embed one text of any length, read after `prefix`, which ends with a space and is no part of the tokens.

        Raises ValueError for a text without a single token or that is not valid Unicode, ModelError if the model's
        output is unusable.
        """

    def count_tokens(self, text: str) -> int:
        """Count the tokens of a text, the model's own special tokens not counted.

        Raises ValueError for a text that is not valid Unicode.
        """
