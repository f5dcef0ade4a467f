"""What an embedder is, whichever hardware it runs on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .pooling import Vector


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
    timings: ms by stage, summed over the windows of a long text.
    """

    vector: Vector
    tokens: int
    timings: EmbeddingTimings


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

    def embed(self, text: str) -> Embedding:
        """Embed one text of any length.

        Raises ValueError for a text without a single token or that is not valid Unicode, ModelError if the model's
        output is unusable.
        """

    def count_tokens(self, text: str) -> int:
        """Count the tokens of a text, the model's own special tokens not counted.

        Raises ValueError for a text that is not valid Unicode.
        """
