"""What an embedder is, whichever hardware it runs on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..backend import Backend
from ..wire import NpuReport
from .pooling import Vector
from .projection import TokenVectors


@dataclass(frozen=True, slots=True)
class EmbeddingTimings:
    """How long each stage of one embedding took, in ms; `backend` is `npu` if all of the text was read there."""

    tokenize: float
    inference: float
    pooling: float
    backend: Backend = Backend.CPU


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """One embedded text.

    vector: float32 [dimensions], L2-normalized.
    tokens: how many tokens the text has; the model's own special tokens are not counted.
    token_starts: int32 [n], where each token of the text (without its prefix) begins in it; up to 256 of them.
    token_vectors: float32 [n, reduced], one of length 1 for each of them; [0, 0] if they are not wanted, or the model
        has no projection.
    timings: ms by stage, summed over the windows of a long text.
    windows: in how many overlapping parts a long text was read.
    """

    vector: Vector
    tokens: int
    timings: EmbeddingTimings
    token_starts: npt.NDArray[np.int32]
    token_vectors: TokenVectors
    windows: int = 1

    @property
    def backend(self) -> Backend:
        """`npu` if all of the text was read there."""
        return self.timings.backend


class Embedder(Protocol):
    """Turns text into vectors. Its methods block, and one caller at a time may use it, bulk work of `lanes` aside."""

    @property
    def fingerprint(self) -> str:
        """Names everything that shapes a vector; `space_of` it says which others may be compared."""

    @property
    def dimensions(self) -> int:
        """The length of a vector."""

    @property
    def backend(self) -> str:
        """The hardware that a question is embedded on at the moment: `cpu` or `npu`."""

    @property
    def lanes(self) -> int:
        """How many threads may embed in bulk at a time, beside the one that embeds questions; 0 if none may."""

    @property
    def npu(self) -> NpuReport:
        """The state of the NPU."""

    def embed(self, text: str, prefix: str = "", *, bulk: bool = False, tokens: bool = True) -> Embedding:
        """Embed one text of any length, read after `prefix`, which ends with a space and is no part of the tokens.

        `bulk` work is done beside the questions where there is hardware for it. Without `tokens` the token vectors are
        left out, as if the model had no projection. Raises ValueError for a text without a
        single token or that is not valid Unicode, ModelError if the model's output is unusable, and MadeWayError if
        `make_way` was called during a bulk one.
        """

    def make_way(self) -> None:
        """End what is being embedded in bulk, if it is in the way of a question; on any thread."""

    def confirm(self) -> bool:
        """Return whether what was embedded in bulk since the last call can be believed; if not, embed it again."""

    def count_tokens(self, text: str) -> int:
        """Count the tokens of a text, the model's own special tokens not counted.

        Raises ValueError for a text that is not valid Unicode.
        """
