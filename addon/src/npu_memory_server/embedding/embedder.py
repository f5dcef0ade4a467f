"""The embedder that runs everywhere: onnxruntime on the CPU."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from ..errors import ModelError
from .base import Embedding, EmbeddingTimings
from .manifest import FileRole, ModelManifest, Precision, load_manifest, verify_file
from .onnx_session import OnnxSession
from .pooling import Vector, mean_pool, merge_windows
from .projection import MAX_TOKENS, TokenVectors, load_projection, reduce
from .tokenizing import TextTokenizer


class OnnxEmbedder:
    """Embeds on the CPU, never padded. Blocks; one caller at a time."""

    backend: Final = "cpu"

    def __init__(self, directory: Path, manifest: ModelManifest, *, precision: Precision, threads: int) -> None:
        """Check the files of a model package whose manifest was read, and load them. Raises ModelError."""
        model = manifest.file(FileRole.ONNX, precision)
        tokenizer = manifest.file(FileRole.TOKENIZER)
        for file in (model, tokenizer):
            verify_file(directory, file)
        self._tokenizer = TextTokenizer(directory / tokenizer.name, manifest.max_length)
        self._session = OnnxSession(directory / model.name, threads=threads, dimensions=manifest.dimensions)
        self.dimensions: Final = manifest.dimensions
        self._projection = load_projection(manifest.name, manifest.dimensions)
        self.fingerprint: Final = (
            f"{manifest.name}@{manifest.revision}/{precision}-{model.sha256[:12]}"
            f"/{tokenizer.sha256[:12]}/{manifest.pooling}-{manifest.max_length}"
        )

    @classmethod
    def load(cls, directory: Path, *, precision: Precision = Precision.INT8, threads: int = 1) -> Self:
        """Load a model package with so many threads an inference.

        One thread suits a question: it is short, and the other cores are the household's.
        Raises ModelError if the package is missing, damaged, or has no model of that precision.
        """
        return cls(directory, load_manifest(directory), precision=precision, threads=threads)

    def embed(self, text: str, prefix: str = "") -> Embedding:
        """Embed one text; one beyond the model's length as the mean of overlapping windows, weighed by their tokens.

        The text is read after `prefix`, which ends with a space and whose tokens are not returned.

        Raises ValueError for a text without a single token or that is not valid Unicode, ModelError if the model's
        output is unusable.
        """
        began = perf_counter()
        ids, starts = self._tokenizer.encode_with_starts(prefix + text)
        skipped = len(self._tokenizer.encode(prefix)) if prefix else 0
        if len(ids) <= skipped:
            raise ValueError("there is nothing to embed: the text has no tokens")
        windows = self._tokenizer.windows(ids)
        tokenized = perf_counter()
        inference = pooling = 0.0
        vectors = []
        first_window: Vector | None = None
        for window in windows:
            start = perf_counter()
            token_vectors = self._session.run(window)
            inferred = perf_counter()
            if first_window is None:
                first_window = token_vectors
            try:
                vectors.append(mean_pool(token_vectors))
            except ValueError as error:
                raise ModelError(f"the model's answer to {len(window)} tokens is not finite") from error
            inference += inferred - start
            pooling += perf_counter() - inferred
        merging = perf_counter()
        kept_starts, kept_vectors = self._kept_tokens(
            [start - len(prefix) for start in starts[skipped:]], skipped, first_window
        )
        vector = merge_windows(vectors, [len(window) for window in windows])
        pooling += perf_counter() - merging
        timings = EmbeddingTimings(
            tokenize=(tokenized - began) * 1000, inference=inference * 1000, pooling=pooling * 1000
        )
        return Embedding(
            vector=vector,
            tokens=len(ids) - skipped,
            timings=timings,
            token_starts=kept_starts,
            token_vectors=kept_vectors,
        )

    def _kept_tokens(
        self, starts: list[int], skipped: int, first_window: Vector | None
    ) -> tuple[npt.NDArray[np.int32], TokenVectors]:
        """Return where the text's own tokens of the first window begin, int32 [n], and int8 [n, reduced]."""
        if self._projection is None or first_window is None:
            return np.zeros(0, np.int32), np.zeros((0, 0), np.int8)
        own = first_window[1 + skipped : -1][:MAX_TOKENS]
        return np.array(starts[: len(own)], np.int32), reduce(own, self._projection)

    def count_tokens(self, text: str) -> int:
        """Count the tokens of a text, the model's own special tokens not counted.

        Raises ValueError for a text that is not valid Unicode.
        """
        return len(self._tokenizer.encode(text))
