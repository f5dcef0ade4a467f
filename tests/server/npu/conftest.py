"""A board with an NPU, made of a file tree and the stand-in, and the embedder that uses it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
import sys
from types import ModuleType

from onnxruntime import RunOptions
import pytest

from npu_memory_server.backend import Backend
from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.embedding.encoding import Encoded, Encoder
from npu_memory_server.embedding.npu.package import open_package
from npu_memory_server.embedding.npu.routing import Model, RoutedEncoder
from npu_memory_server.npu.board import Board
from npu_memory_server.npu.settings import CoreMask
from npu_memory_server.npu.tables import Ids
from npu_memory_server.npu.trial import Limits
from npu_memory_server.reranking.base import Pair
from npu_memory_server.reranking.cross_encoder import CrossEncoder
from npu_memory_server.reranking.files import find_files
from npu_memory_server.reranking.npu.package import open_package as open_pair_package
from npu_memory_server.reranking.npu.routing import RoutedCrossEncoder
from npu_memory_server.reranking.registry import MODEL_FILES
from npu_memory_server.settings import EMBEDDER
from npu_memory_server.wire import Reranker
from tests.server.npu.fake_rknnlite import rknnlite_api
from tests.server.npu.model_files import make_encoder, make_package, make_pair_encoder, make_pair_package
from tests.server.npu.stand_in import StandInNpu

PATIENT = Limits(least=20.0, most=20.0, first=20.0)
"""A machine that runs other tests as well is slow at times, and that is no hang."""


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class SlowCpu:
    """The real CPU encoder, on a clock on which it takes 50 ms a window; the NPU takes none."""

    backend = Backend.CPU
    lanes = 0

    def __init__(self, real: Encoder, clock: Clock) -> None:
        self._real = real
        self._clock = clock
        self.seconds = 0.05
        self.calls = 0

    def encode(self, ids: Ids, *, bulk: bool) -> Encoded:
        self.calls += 1
        self._clock.advance(self.seconds)
        return self._real.encode(ids, bulk=bulk)

    def make_way(self) -> None:
        self._real.make_way()

    def confirm(self) -> bool:
        return True


@pytest.fixture(scope="session")
def npu_package(model_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a package for the NPU, not to be written to."""
    folder = tmp_path_factory.mktemp("npu") / f"{EMBEDDER}-rk3588"
    make_package(model_directory / EMBEDDER, folder)
    return folder


@pytest.fixture(scope="session")
def npu_encoder(model_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the part of the FP32 model that an NPU runs."""
    path = tmp_path_factory.mktemp("encoder") / "encoder.onnx"
    make_encoder(model_directory / EMBEDDER, path)
    return path


@pytest.fixture
def npu(npu_encoder: Path) -> Iterator[StandInNpu]:
    """Return the NPU of the board."""
    npu = StandInNpu(npu_encoder, hidden=384)
    yield npu
    npu.released.set()


@pytest.fixture
def board(tmp_path: Path) -> Board:
    """Return an RK3588 board with everything in its place."""
    root = tmp_path / "board"
    for folder in ("dev/dri", "proc/device-tree", "usr/lib"):
        (root / folder).mkdir(parents=True)
    (root / "dev/dri/renderD129").touch()
    (root / "proc/device-tree/compatible").write_bytes(b"rockchip,rk3588-orangepi-5-max\0rockchip,rk3588\0")
    (root / "usr/lib/librknnrt.so").write_bytes(b"\x7fELF\0librknnrt version: 2.5.0 (stand-in)\0")
    return Board(root)


@pytest.fixture
def rknnlite(npu: StandInNpu, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the stand-in for rknn-toolkit-lite2, which exists for arm64 alone."""
    monkeypatch.setitem(sys.modules, "rknnlite", ModuleType("rknnlite"))
    monkeypatch.setitem(sys.modules, "rknnlite.api", rknnlite_api(npu))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cpu(embedder: OnnxEmbedder, clock: Clock) -> SlowCpu:
    return SlowCpu(embedder.encoder, clock)


@pytest.fixture
def model(embedder: OnnxEmbedder, npu_package: Path, board: Board) -> Model:
    """Return the verified package, with the two shortest lengths: the others only take longer."""
    whole = open_package(npu_package, embedder.manifest, embedder.tokenizer, board, CoreMask.AUTO)
    return Model(whole.tables, whole.open_context, whole.lengths[:2], whole.tokenizer)


OpenNpu = Callable[..., RoutedEncoder]


@pytest.fixture
def open_npu(model: Model, cpu: SlowCpu, clock: Clock, npu: StandInNpu) -> Iterator[OpenNpu]:
    """Return what starts the NPU's encoder; those that were started are closed at the end."""
    with ExitStack() as stack:

        def start(limits: Limits = PATIENT, *, npu_only: bool = False, with_model: Model = model) -> RoutedEncoder:
            encoder = RoutedEncoder(cpu, with_model, npu_only=npu_only, limits=limits, clock=clock)
            stack.callback(encoder.close)
            return encoder

        yield start
        npu.released.set()


RERANKER = Reranker.TINYBERT_L2


class SlowCrossEncoder(CrossEncoder):
    """The real cross-encoder of the CPU, on a clock on which it takes 50 ms a pair; the NPU takes none."""

    clock: Clock | None = None
    seconds = 0.05

    def logit(self, pair: Pair, options: RunOptions | None = None) -> float:
        if self.clock is not None:
            self.clock.advance(self.seconds)
        return super().logit(pair, options)


@pytest.fixture(scope="session")
def pair_package(trained: Path, tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cross-encoder's package for the NPU, not to be written to."""
    folder = tmp_path_factory.mktemp("npu") / f"{RERANKER}-rk3588"
    make_pair_package(trained / RERANKER / MODEL_FILES[RERANKER], tokenizer, RERANKER, folder)
    return folder


@pytest.fixture(scope="session")
def pair_encoder(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the part of the cross-encoder that an NPU runs."""
    path = tmp_path_factory.mktemp("encoder") / "pairs.onnx"
    make_pair_encoder(trained / RERANKER / MODEL_FILES[RERANKER], path)
    return path


@pytest.fixture
def rerank_npu(npu: StandInNpu, pair_encoder: Path, rknnlite: None) -> StandInNpu:
    """Return the NPU of the board, which computes the cross-encoder as well."""
    npu.add_cross_encoder(pair_encoder)
    return npu


@pytest.fixture
def slow_cross_encoder(trained: Path, clock: Clock) -> SlowCrossEncoder:
    encoder = SlowCrossEncoder(find_files(trained / RERANKER))
    encoder.clock = clock
    return encoder


OpenReranker = Callable[..., RoutedCrossEncoder]


@pytest.fixture
def open_reranker(
    trained: Path,
    pair_package: Path,
    slow_cross_encoder: SlowCrossEncoder,
    board: Board,
    clock: Clock,
    rerank_npu: StandInNpu,
) -> Iterator[OpenReranker]:
    """Return what starts a cross-encoder on the NPU; those that were started are closed at the end."""
    with ExitStack() as stack:

        def start(
            limits: Limits = PATIENT, *, npu_only: bool = False, core_mask: CoreMask = CoreMask.AUTO
        ) -> RoutedCrossEncoder:
            model = open_pair_package(pair_package, find_files(trained / RERANKER), board, core_mask)
            routed = RoutedCrossEncoder(
                RERANKER, slow_cross_encoder, model, npu_only=npu_only, limits=limits, clock=clock
            )
            stack.callback(routed.close)
            return routed

        yield start
        rerank_npu.released.set()
