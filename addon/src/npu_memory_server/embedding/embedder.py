"""From text to vectors on any hardware, and the embedder that runs everywhere: onnxruntime on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from ..backend import Backend
from ..errors import ModelError
from ..wire import NpuReport, NpuState
from .base import Embedding, EmbeddingTimings
from .encoding import Encoder, OnnxEncoder
from .fingerprints import fingerprint_of
from .manifest import FileRole, ModelFile, ModelManifest, Precision, load_manifest, verify_file
from .onnx_session import OnnxSession
from .pooling import Vector, mean_pool, merge_windows
from .projection import MAX_TOKENS, TokenVectors, load_projection, reduce
from .tokenizing import TextTokenizer

NO_TOKENS: tuple[npt.NDArray[np.int32], TokenVectors] = np.zeros(0, np.int32), np.zeros((0, 0), np.float32)


def _no_npu() -> NpuReport:
    return NpuReport(NpuState.ABSENT, "nothing was said of one")


class TextEmbedder:
    """Cuts texts into windows, has an encoder read them, and makes one vector of what it says."""

    def __init__(
        self,
        manifest: ModelManifest,
        tokenizer: TextTokenizer,
        encoder: Encoder,
        fingerprint: str,
        npu: Callable[[], NpuReport] = _no_npu,
    ) -> None:
        """Use a tokenizer and an encoder of the model that the manifest describes; `npu` tells the NPU's state."""
        self._npu = npu
        self._tokenizer = tokenizer
        self._encoder = encoder
        self._projection = load_projection(manifest.name, manifest.dimensions)
        self.dimensions: Final = manifest.dimensions
        self.fingerprint: Final = fingerprint

    @property
    def backend(self) -> str:
        """The hardware that a question is embedded on at the moment."""
        return self._encoder.backend

    @property
    def lanes(self) -> int:
        """How many threads may embed in bulk at a time, beside the one that embeds questions."""
        return self._encoder.lanes

    @property
    def npu(self) -> NpuReport:
        """The state of the NPU."""
        return self._npu()

    def embed(self, text: str, prefix: str = "", *, bulk: bool = False, tokens: bool = True) -> Embedding:
        """Embed one text; one beyond the model's length as the mean of overlapping windows, weighed by their tokens.

        The text is read after `prefix`, which ends with a space: its tokens shape those of the text, but are neither
        returned nor pooled. Without `tokens` the token vectors are left out.

        Raises ValueError for a text without a single token or that is not valid Unicode, ModelError if the model's
        output is unusable, and MadeWayError if `make_way` was called during a `bulk` one.
        """
        began = perf_counter()
        starts: list[int] = []
        if tokens:
            ids, starts = self._tokenizer.encode_with_starts(prefix + text)
        else:
            ids = self._tokenizer.encode(prefix + text)
        skipped = len(self._tokenizer.encode(prefix)) if prefix else 0
        if len(ids) <= skipped:
            raise ValueError("there is nothing to embed: the text has no tokens")
        windows = self._tokenizer.windows(ids)
        tokenized = perf_counter()
        encoded = [self._encoder.encode(window, bulk=bulk) for window in windows]
        merging = perf_counter()
        kept_starts, kept_vectors = NO_TOKENS
        if tokens and self._projection is not None:
            kept_vectors = reduce(encoded[0].token_vectors[1 + skipped : -1][:MAX_TOKENS], self._projection)
            own_starts = [start - len(prefix) for start in starts[skipped:]]
            kept_starts = np.array(own_starts[: len(kept_vectors)], np.int32)
        vectors = [one.vector for one in encoded]
        own = encoded[0].token_vectors[1 + skipped : -1]
        if skipped and len(own):
            vectors[0] = _pooled(own)
        vector = merge_windows(vectors, [len(window) for window in windows])
        pooling = sum(one.pooling for one in encoded) + (perf_counter() - merging) * 1000
        timings = EmbeddingTimings(
            tokenize=(tokenized - began) * 1000,
            inference=sum(one.inference for one in encoded),
            pooling=pooling,
            backend=Backend.NPU if all(one.backend is Backend.NPU for one in encoded) else Backend.CPU,
        )
        return Embedding(
            vector=vector,
            tokens=len(ids) - skipped,
            timings=timings,
            token_starts=kept_starts,
            token_vectors=kept_vectors,
            windows=len(windows),
        )

    def make_way(self) -> None:
        """End what is being embedded in bulk, if it is in the way of a question; on any thread."""
        self._encoder.make_way()

    def confirm(self) -> bool:
        """Return whether what was embedded in bulk since the last call can be believed; if not, embed it again."""
        return self._encoder.confirm()

    def count_tokens(self, text: str) -> int:
        """Count the tokens of a text, the model's own special tokens not counted.

        Raises ValueError for a text that is not valid Unicode.
        """
        return len(self._tokenizer.encode(text))


def _pooled(token_vectors: Vector) -> Vector:
    try:
        return mean_pool(token_vectors)
    except ValueError as error:
        raise ModelError("the model's answer is not finite") from error


class OnnxEmbedder(TextEmbedder):
    """Embeds on the CPU, never padded. Blocks; one caller at a time."""

    def __init__(
        self,
        directory: Path,
        manifest: ModelManifest,
        *,
        precision: Precision,
        threads: int,
        model: tuple[Path, ModelFile] | None = None,
    ) -> None:
        """Check the files of a model package whose manifest was read, and load them. Raises ModelError.

        `model` is the ONNX file of that precision in the folder of another package of the same model.
        """
        folder, file = model or (directory, manifest.file(FileRole.ONNX, precision))
        tokenizer = manifest.file(FileRole.TOKENIZER)
        verify_file(folder, file)
        verify_file(directory, tokenizer)
        self.manifest: Final = manifest
        self.precision: Final = precision
        self.tokenizer: Final = TextTokenizer(directory / tokenizer.name, manifest.max_length)
        self.encoder: Final = OnnxEncoder(
            OnnxSession(folder / file.name, threads=threads, dimensions=manifest.dimensions)
        )
        super().__init__(manifest, self.tokenizer, self.encoder, fingerprint_of(manifest, file, tokenizer))

    @classmethod
    def load(cls, directory: Path, *, precision: Precision = Precision.INT8, threads: int = 1) -> Self:
        """Load a model package with so many threads an inference.

        One thread suits a question: it is short, and the other cores are the household's.
        Raises ModelError if the package is missing, damaged, or has no model of that precision.
        """
        return cls(directory, load_manifest(directory), precision=precision, threads=threads)
