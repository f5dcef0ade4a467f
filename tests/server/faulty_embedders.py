"""The real embedder with a fault: slow, failing, hanging, or of another make."""

from collections.abc import Callable
from dataclasses import replace
import threading
import time

from npu_memory_server.embedding.base import Embedding
from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.errors import ModelError


class CountingEmbedder:
    """The real embedder, and how often it was used."""

    def __init__(self, real: OnnxEmbedder) -> None:
        self._real = real
        self.calls = 0
        self.texts: list[str] = []

    def __getattr__(self, name: str) -> object:
        """Whatever else an embedder can do, the real one does."""
        return getattr(self._real, name)

    @property
    def fingerprint(self) -> str:
        return self._real.fingerprint

    @property
    def dimensions(self) -> int:
        return self._real.dimensions

    @property
    def backend(self) -> str:
        return self._real.backend

    def embed(self, text: str, prefix: str = "", **how: bool) -> Embedding:
        self.calls += 1
        self.texts.append(text)
        return self._real.embed(text, prefix, **how)

    def count_tokens(self, text: str) -> int:
        return self._real.count_tokens(text)


class SlowEmbedder(CountingEmbedder):
    """Takes its time over each text."""

    def __init__(self, real: OnnxEmbedder, seconds: float) -> None:
        super().__init__(real)
        self.seconds = seconds

    def embed(self, text: str, prefix: str = "", **how: bool) -> Embedding:
        time.sleep(self.seconds)
        return super().embed(text, prefix, **how)


class FailingEmbedder(CountingEmbedder):
    """Raises while `error` is set."""

    def __init__(self, real: OnnxEmbedder, error: Exception | None = None) -> None:
        super().__init__(real)
        self.error = error or ModelError("the model failed on 5 tokens")
        self.broken = True

    def embed(self, text: str, prefix: str = "", **how: bool) -> Embedding:
        if self.broken:
            raise self.error
        return super().embed(text, prefix, **how)


class HangingEmbedder(CountingEmbedder):
    """Does not come back, as a driver that has lost its hardware, until it is released."""

    def __init__(self, real: OnnxEmbedder, hangs: Callable[[str], bool]) -> None:
        super().__init__(real)
        self._hangs = hangs
        self.released = threading.Event()
        self.hanging = threading.Event()

    def embed(self, text: str, prefix: str = "", **how: bool) -> Embedding:
        if self._hangs(text):
            self.hanging.set()
            self.released.wait(60)
        return super().embed(text, prefix, **how)


class OtherEmbedder(CountingEmbedder):
    """Another make: the same dimensions, vectors that must not be compared with the real one's."""

    @property
    def fingerprint(self) -> str:
        return f"other-{self._real.fingerprint}"

    def embed(self, text: str, prefix: str = "", **how: bool) -> Embedding:
        real = super().embed(text, prefix, **how)
        return replace(real, vector=-real.vector)
