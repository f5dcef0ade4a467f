"""Token vectors made small enough to be kept beside every memory: fewer dimensions, one byte each.

MaxSim compares the tokens of a question with those of a memory (Khattab and Zaharia, "ColBERT", 2020). The embedder's
own token vectors serve, reduced by a principal component analysis of those of the sample household: 128 of their 384
dimensions hold 82 % of the variance.
"""

from __future__ import annotations

from importlib import resources
import io

import numpy as np
import numpy.typing as npt

TokenVectors = npt.NDArray[np.float32]
KeptTokenVectors = npt.NDArray[np.int8]
Projection = npt.NDArray[np.float32]

SCALE = 127
REDUCED = 128
MAX_TOKENS = 256
"""Of one memory, those of the first window; what a longer one says later is found by its words and its vector."""


def load_projection(model: str, dimensions: int) -> Projection | None:
    """Return the projection of a model, float32 [dimensions, 128], or None if there is none that fits."""
    file = resources.files(__package__).joinpath(f"{model}.projection.npy")
    if not file.is_file():
        return None
    projection: Projection = np.load(io.BytesIO(file.read_bytes()), allow_pickle=False).astype(np.float32)
    return projection if projection.shape == (dimensions, REDUCED) else None


def reduce(token_vectors: npt.NDArray[np.float32], projection: Projection) -> TokenVectors:
    """Return token vectors, float32 [n, dimensions], as float32 [n, reduced], each of length 1."""
    reduced = token_vectors @ projection
    lengths = np.sqrt(np.add.reduce(reduced * reduced, axis=1, keepdims=True))
    reduced /= np.maximum(lengths, 1e-9)
    shortened: TokenVectors = reduced
    return shortened


def kept(tokens: TokenVectors) -> KeptTokenVectors:
    """Return what `reduce` has made as it is kept beside a memory: int8 [n, reduced], each of length 127."""
    quantized: KeptTokenVectors = np.rint(tokens * np.float32(SCALE)).astype(np.int8)
    return quantized
