"""From the token ids of one window to vectors: what each backend does in its own way."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Final, Protocol

import onnxruntime as ort

from ..backend import Backend
from ..errors import ModelError
from ..npu.tables import Ids
from .onnx_session import OnnxSession
from .pooling import Vector, mean_pool


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """One window of a text.

    vector: float32 [d], L2-normalized. token_vectors: float32 [n, d], special tokens included. The rest: ms.
    """

    vector: Vector
    token_vectors: Vector
    backend: Backend
    inference: float
    pooling: float


class MadeWayError(ModelError):
    """A window was left half-read for somebody who asks; it has to be encoded again."""


class Encoder(Protocol):
    """Turns windows into vectors. Blocks."""

    @property
    def backend(self) -> Backend:
        """The hardware that does most of the work at the moment."""

    @property
    def lanes(self) -> int:
        """How many threads may encode in bulk at a time, beside the one that has the question; 0 if none may."""

    def encode(self, ids: Ids, *, bulk: bool) -> Encoded:
        """Encode one window, int64 [n], special tokens included. Raises ModelError if the output is unusable.

        Of a `bulk` one MadeWayError, if somebody made it end before.
        """

    def make_way(self) -> None:
        """End the bulk encoding under way, if it is in the way of a question; on any thread."""

    def confirm(self) -> bool:
        """Return whether what was encoded in bulk since the last call can be believed."""


class OnnxEncoder:
    """onnxruntime on the CPU, never padded."""

    backend = Backend.CPU
    lanes = 0

    def __init__(self, session: OnnxSession) -> None:
        """Use a loaded model."""
        self.session: Final = session
        self._in_bulk: ort.RunOptions | None = None

    def encode(self, ids: Ids, *, bulk: bool) -> Encoded:
        """Encode one window, int64 [n], special tokens included. Raises ModelError if the output is unusable.

        Of a `bulk` one MadeWayError, if somebody made it end before.
        """
        began = perf_counter()
        token_vectors = self._read_in_bulk(ids) if bulk else self.session.run(ids)
        inferred = perf_counter()
        try:
            vector = mean_pool(token_vectors)
        except ValueError as error:
            raise ModelError(f"the model's answer to {len(ids)} tokens is not finite") from error
        return Encoded(
            vector=vector,
            token_vectors=token_vectors,
            backend=Backend.CPU,
            inference=(inferred - began) * 1000,
            pooling=(perf_counter() - inferred) * 1000,
        )

    def _read_in_bulk(self, ids: Ids) -> Vector:
        options = self._in_bulk = ort.RunOptions()
        # Otherwise onnxruntime writes an error for each that is ended.
        options.log_severity_level = 4
        try:
            return self.session.run(ids, options)
        except ModelError as error:
            if options.terminate:
                raise MadeWayError("the model was needed for a question") from error
            raise
        finally:
            self._in_bulk = None

    def make_way(self) -> None:
        """End the bulk encoding under way, between two operators of the model; on any thread."""
        if (options := self._in_bulk) is not None:
            options.terminate = True

    def confirm(self) -> bool:
        """Return True: what onnxruntime computed is what it returned."""
        return True
