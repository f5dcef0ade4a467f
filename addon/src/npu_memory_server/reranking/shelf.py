"""The cross-encoders of a server: each is loaded when it is first asked for, without anybody waiting for it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
import logging
from pathlib import Path
from time import monotonic

from ..errors import ModelError
from ..npu.board import Board
from ..npu.faults import NpuRequiredError
from ..npu.settings import NpuSettings
from ..wire import Reranker, RerankerReport
from .base import Judged, Reader
from .choosing import cross_encoder, package_name
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

    @contextmanager
    def open(
        self, reranker: Reranker, *, threads: int = 1, npu: NpuSettings | None = None, board: Board | None = None
    ) -> Iterator[Reader]:
        """Load a cross-encoder, which blocks for some 100 ms, with an NPU for some seconds; it is released at the end.

        Raises `ModelError` with what to do about it, `NpuRequiredError` if the settings demand an NPU that cannot be
        used.
        """
        folder = self.folder(reranker)
        with ExitStack() as stack:
            try:
                files = find_files(folder, MODEL_FILES.get(reranker))
                name = package_name(folder) if reranker is Reranker.LOCAL else reranker
                chosen = cross_encoder(
                    files, name, self.models, threads=threads, npu=npu or NpuSettings(), board=board or Board()
                )
                reader = stack.enter_context(chosen)
            except NpuRequiredError:
                raise
            except ModelError as error:
                advice = "" if reranker is Reranker.LOCAL else f" To get it anew: npu-memory models fetch {reranker}"
                raise ModelError(f"The reranker {reranker} cannot be used: {error}{advice}") from error
            yield reader


class Shelf:
    """Cross-encoders by name. Its methods belong to one thread or loop; the models are used on a thread of its own.

    There they keep no question from being embedded, and are stopped when the time is up.
    """

    def __init__(
        self, places: Places, *, threads: int = 1, npu: NpuSettings | None = None, board: Board | None = None
    ) -> None:
        """Begin with none loaded."""
        self._open = partial(places.open, threads=threads, npu=npu, board=board)
        self._places = places
        self._opened = ExitStack()
        self._working = ThreadPoolExecutor(1, "npu-memory-rerank")
        self._preparing = ThreadPoolExecutor(1, "npu-memory-reranker-loading")
        self._loaded: dict[Reranker, Reader] = {}
        self._loading: dict[Reranker, Future[Reader]] = {}
        self._failed: dict[Reranker, tuple[float, ModelError]] = {}

    def load(self, reranker: Reranker) -> None:
        """Load a cross-encoder now. Raises `ModelError`."""
        self._loaded[reranker] = self._load(reranker)

    def put(self, reranker: Reranker, reader: Reader) -> None:
        """Use a cross-encoder that somebody else has loaded, and releases."""
        self._loaded[reranker] = reader

    @property
    def reports(self) -> tuple[RerankerReport, ...]:
        """The cross-encoders that are loaded, and what the NPU does for each."""
        return tuple(RerankerReport(reranker, reader.npu) for reranker, reader in self._loaded.items())

    def get(self, reranker: Reranker) -> Reader:
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
            if not isinstance(error, ModelError):
                error = ModelError(f"The reranker {reranker} failed: {type(error).__name__}.")
            LOGGER.warning("%s", error)
            self._failed[reranker] = monotonic(), error
        if reranker in self._failed:
            failed, error = self._failed[reranker]
            if monotonic() < failed + TRY_AGAIN_SECONDS:
                raise error
            del self._failed[reranker]
        if reranker not in self._loading:
            self._places.folder(reranker)
            self._loading[reranker] = self._preparing.submit(self._load, reranker)
        raise ModelError(f"The reranker {reranker} is still being loaded.")

    def judge(self, reader: Reader, question: str, texts: list[str], until: float) -> Future[Judged]:
        """Have a cross-encoder read texts on the thread for it, until `until` (`perf_counter`)."""
        return self._working.submit(reader.judge, question, texts, until)

    def close(self) -> None:
        """Let what is under way come to its end, which is near, and let go of the hardware."""
        for thread in (self._preparing, self._working):
            thread.shutdown(cancel_futures=True)
        self._opened.close()

    def _load(self, reranker: Reranker) -> Reader:
        return self._opened.enter_context(self._open(reranker))
