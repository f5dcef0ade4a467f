"""The cross-encoders of a server: each is loaded when it is first asked for, without anybody waiting for it."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
import logging
from pathlib import Path
from time import monotonic

from ..errors import ModelError
from ..wire import Reranker
from .cross_encoder import CrossEncoder, Judged
from .files import find_files
from .registry import MODEL_FILES

LOGGER = logging.getLogger(__name__)

TRY_AGAIN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Places:
    """Where cross-encoders are: a folder for each name in `models`, and one of the user's own, if any, in `local`."""

    models: Path
    local: Path | None = None

    def folder(self, reranker: Reranker) -> Path:
        """Return the folder of a cross-encoder. Raises `ModelError` with what to do if there is none."""
        if reranker is not Reranker.LOCAL:
            folder = self.models / reranker
            advice = f"run `npu-memory models fetch {reranker}`, or put flashrank's files into {folder}."
        elif self.local is not None:
            folder = self.local
            advice = f"there is no folder {folder}."
        else:
            raise ModelError("No folder with a reranker was named: set RERANK_MODEL or --reranker to one.")
        if not folder.is_dir():
            raise ModelError(f"The reranker {reranker} is not there: {advice}")
        return folder

    def load(self, reranker: Reranker, *, threads: int = 1) -> CrossEncoder:
        """Load a cross-encoder, which blocks for some 100 ms. Raises `ModelError` with what to do about it."""
        folder = self.folder(reranker)
        try:
            return CrossEncoder(find_files(folder, MODEL_FILES.get(reranker)), threads=threads)
        except ModelError as error:
            advice = "" if reranker is Reranker.LOCAL else f" To get it anew: npu-memory models fetch {reranker}"
            raise ModelError(f"The reranker {reranker} cannot be used: {error}{advice}") from error


class Shelf:
    """Cross-encoders by name. Its methods belong to one thread or loop; the models are used on a thread of its own.

    There they keep no question from being embedded, and are stopped when the time is up.
    """

    def __init__(self, places: Places, *, threads: int = 1) -> None:
        """Begin with none loaded."""
        self._places = places
        self._threads = threads
        self._working = ThreadPoolExecutor(1, "npu-memory-rerank")
        self._loaded: dict[Reranker, CrossEncoder] = {}
        self._loading: dict[Reranker, Future[CrossEncoder]] = {}
        self._failed: dict[Reranker, tuple[float, str]] = {}

    def load(self, reranker: Reranker) -> None:
        """Load a cross-encoder now. Raises `ModelError`."""
        self._loaded[reranker] = self._places.load(reranker, threads=self._threads)

    def get(self, reranker: Reranker) -> CrossEncoder:
        """Return a cross-encoder that is loaded; one that is not begins to be. Raises `ModelError` with the reason."""
        if reranker in self._loaded:
            return self._loaded[reranker]
        loading = self._loading.get(reranker)
        if loading is not None and loading.done():
            del self._loading[reranker]
            error = loading.exception()
            if error is None:
                self._loaded[reranker] = loading.result()
                return self._loaded[reranker]
            is_known = isinstance(error, ModelError)
            reason = str(error) if is_known else f"The reranker {reranker} failed: {type(error).__name__}."
            LOGGER.warning("%s", reason)
            self._failed[reranker] = monotonic(), reason
        if reranker in self._failed:
            failed, reason = self._failed[reranker]
            if monotonic() < failed + TRY_AGAIN_SECONDS:
                raise ModelError(reason)
            del self._failed[reranker]
        if reranker not in self._loading:
            self._places.folder(reranker)
            self._loading[reranker] = self._working.submit(self._places.load, reranker, threads=self._threads)
        raise ModelError(f"The reranker {reranker} is still being loaded.")

    def judge(self, reranker: CrossEncoder, question: str, texts: list[str], until: float) -> Future[Judged]:
        """Have a cross-encoder read texts on the thread for it, until `until` (`perf_counter`)."""
        return self._working.submit(reranker.judge, question, texts, until)

    def close(self) -> None:
        """Let what is under way come to its end, which is near."""
        self._working.shutdown(cancel_futures=True)
