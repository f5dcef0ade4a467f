"""An embedder and rerankers that are the CPU's or the NPU's as one likes, so that both ask the same memory in turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..backend import Backend
from ..embedding.base import Embedder, Embedding
from ..reranking.base import Judged, Reader
from ..wire import NpuReport, NpuState


class SwitchedEmbedder:
    """One of several embedders whose vectors agree, at first the last. Switch it only while nobody embeds."""

    def __init__(self, embedders: Mapping[Backend, Embedder]) -> None:
        """Take over embedders of one fingerprint, by the hardware that they use."""
        self._embedders = embedders
        self._current = list(embedders.values())[-1]

    def use(self, backend: Backend) -> None:
        """Embed on this hardware from now on, if there is such an embedder."""
        self._current = self._embedders.get(backend, self._current)

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

    def embed(self, text: str, prefix: str = "", *, bulk: bool = False, tokens: bool = True) -> Embedding:
        """Embed one text. Raises ValueError and ModelError as the embedders do."""
        return self._current.embed(text, prefix, bulk=bulk, tokens=tokens)

    def make_way(self) -> None:
        """End what is being embedded in bulk, if it is in the way of a question."""
        self._current.make_way()

    def confirm(self) -> bool:
        """Return whether what was embedded in bulk since the last call can be believed."""
        return self._current.confirm()

    def count_tokens(self, text: str) -> int:
        """Count the tokens of a text. Raises ValueError for a text that is not valid Unicode."""
        return self._current.count_tokens(text)


class SwitchedReader:
    """A cross-encoder on the CPU and, where it can be had, on the NPU. Switch it only while nobody reads."""

    def __init__(self, cpu: Reader, npu: Reader | None) -> None:
        """Begin with the CPU's; the NPU's counts if the NPU does any of its lengths."""
        self._cpu = cpu
        self._npu = npu if npu is not None and _is_used(npu.npu) else None
        self._current = cpu

    @property
    def has_npu(self) -> bool:
        """Whether the NPU reads when it is asked to."""
        return self._npu is not None

    def use(self, backend: Backend) -> None:
        """Read on this hardware from now on, if it can."""
        self._current = self._npu if backend is Backend.NPU and self._npu is not None else self._cpu

    @property
    def npu(self) -> NpuReport:
        """What the NPU does for it."""
        return self._current.npu

    def judge(self, question: str, texts: Sequence[str], until: float) -> Judged:
        """Read texts in their order until `until` (`perf_counter`). Raises `ModelError`."""
        return self._current.judge(question, texts, until)


def _is_used(npu: NpuReport) -> bool:
    return npu.state is NpuState.ACTIVE and any(route.backend == Backend.NPU for route in npu.routes)
