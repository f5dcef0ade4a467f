"""The embedder that runs everywhere: onnxruntime on the CPU."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Final, Self

from ..errors import ModelError
from .base import Embedding, EmbeddingTimings
from .manifest import FileRole, ModelManifest, Precision, load_manifest, verify_file
from .onnx_session import OnnxSession
from .pooling import mean_pool, merge_windows
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

    def embed(self, text: str) -> Embedding:
        """Embed one text; one beyond the model's length as the mean of overlapping windows, weighed by their tokens.

        Raises ValueError for a text without a single token or that is not valid Unicode, ModelError if the model's
        output is unusable.
        """
        began = perf_counter()
        ids = self._tokenizer.encode(text)
        if not ids:
            raise ValueError("there is nothing to embed: the text has no tokens")
        windows = self._tokenizer.windows(ids)
        tokenized = perf_counter()
        inference = pooling = 0.0
        vectors = []
        for window in windows:
            start = perf_counter()
            token_vectors = self._session.run(window)
            inferred = perf_counter()
            try:
                vectors.append(mean_pool(token_vectors))
            except ValueError as error:
                raise ModelError(f"the model's answer to {len(window)} tokens is not finite") from error
            inference += inferred - start
            pooling += perf_counter() - inferred
        merging = perf_counter()
        vector = merge_windows(vectors, [len(window) for window in windows])
        pooling += perf_counter() - merging
        timings = EmbeddingTimings(
            tokenize=(tokenized - began) * 1000, inference=inference * 1000, pooling=pooling * 1000
        )
        return Embedding(vector=vector, tokens=len(ids), timings=timings)

    def count_tokens(self, text: str) -> int:
        """Count the tokens of a text, the model's own special tokens not counted.

        Raises ValueError for a text that is not valid Unicode.
        """
        return len(self._tokenizer.encode(text))
