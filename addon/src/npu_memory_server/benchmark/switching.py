"""An embedder that is the CPU's or the NPU's as one likes, so that both ask the same memory in turns."""

from __future__ import annotations

from collections.abc import Mapping

from ..backend import Backend
from ..embedding.base import Embedder, Embedding
from ..wire import NpuReport


class SwitchedEmbedder:
    """One of several embedders whose vectors agree, at first the last. Switch it only while nobody embeds."""

    def __init__(self, embedders: Mapping[Backend, Embedder]) -> None:
        """Take over embedders of one fingerprint, by the hardware that they use."""
        self._embedders = embedders
        self._current = list(embedders.values())[-1]

    def use(self, backend: Backend) -> None:
        """Embed on this hardware from now on."""
        self._current = self._embedders[backend]

    @property
    def fingerprint(self) -> str:
        """The one that all of them have."""
        return self._current.fingerprint

    @property
    def dimensions(self) -> int:
        """The length of a vector."""
        return self._current.dimensions

    @property
    def backend(self) -> str:
        """The hardware that a question is embedded on at the moment."""
        return self._current.backend

    @property
    def lanes(self) -> int:
        """How many threads may embed in bulk at a time, beside the one that embeds questions."""
        return self._current.lanes

    @property
    def npu(self) -> NpuReport:
        """The state of the NPU."""
        return self._current.npu

    def embed(self, text: str, prefix: str = "", *, bulk: bool = False) -> Embedding:
        """Embed one text. Raises ValueError and ModelError as the embedders do."""
        return self._current.embed(text, prefix, bulk=bulk)

    def confirm(self) -> bool:
        """Return whether what was embedded in bulk since the last call can be believed."""
        return self._current.confirm()

    def count_tokens(self, text: str) -> int:
        """Count the tokens of a text. Raises ValueError for a text that is not valid Unicode."""
        return self._current.count_tokens(text)
