"""What the tests on the emulated board share."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
import json
import os
from pathlib import Path
import shutil
import tempfile

import pytest

from benchmarks.made_cross_encoder import Shape, write_model
from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.embedding.manifest import MANIFEST_NAME, Precision, dump_manifest, load_manifest
from npu_memory_server.reranking.registry import MODEL_FILES
from npu_memory_server.settings import EMBEDDER
from npu_memory_server.transport.client import RemoteMemory, connected
from npu_memory_server.wire import Reranker
from tests.arm64.board import EmulatedServer, NpuService, board_root
from tests.server.npu.model_files import make_encoder, make_package, make_pair_encoder, make_pair_package
from tests.server.npu.stand_in import StandInNpu
from tests.server.reranking.made import put_trained, train, training_pairs

HIDDEN = 384
RERANKER = Reranker.MINILM_L12
PAIRS = Shape(layers=12, hidden=64, heads=1)
"""Of the layers all but two do nothing: the emulated CPU is to take longer than the stand-in."""
DEEP = {6: Shape(6, hidden=128, heads=4), 12: PAIRS}
"""As deep as the cross-encoders that people use, and narrower, for the emulated CPU's sake."""
RUN_SECONDS = 0.02
"""So long that what a busy machine adds is not taken for a hang."""
SHORT = ("32", "64")
"""The lengths of most tests here: the emulated CPU takes seconds to compare itself at the others."""


@pytest.fixture(scope="session")
def environment() -> Path:
    """Return the folder with the emulator, the board's root and its Python packages."""
    named = os.environ.get("NPU_MEMORY_ARM64")
    if not named:
        pytest.skip("NPU_MEMORY_ARM64 is not set; script/test sets it where arm64 can be emulated")
    return Path(named)


@pytest.fixture(scope="session")
def embedder(model_directory: Path) -> OnnxEmbedder:
    """Return the CPU's embedder of this machine."""
    return OnnxEmbedder.load(model_directory / EMBEDDER)


@pytest.fixture(scope="session")
def packages(model_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `all` and `short`, folders of model packages whose NPU has all lengths and two.

    Beside the NPU there is the model in 8 bits alone: in FP32 an emulated CPU takes four times as long for each canary.
    """
    folder = tmp_path_factory.mktemp("packages")
    for name in ("all", "short"):
        (folder / name).mkdir()
        without_original(model_directory / EMBEDDER, folder / name / EMBEDDER)
    npu = folder / "all" / f"{EMBEDDER}-rk3588"
    make_package(model_directory / EMBEDDER, npu)
    shutil.copytree(npu, folder / "short" / npu.name)
    _shorten(folder / "short" / npu.name, SHORT)
    return folder


def _shorten(package: Path, lengths: Sequence[str]) -> None:
    manifest = package / MANIFEST_NAME
    raw = json.loads(manifest.read_text(encoding="utf-8"))
    raw["npu"]["lengths"] = {length: raw["npu"]["lengths"][length] for length in lengths}
    manifest.write_text(json.dumps(raw), encoding="utf-8")


@pytest.fixture(scope="session")
def pair_models(model_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of models with a trained cross-encoder, its package for the NPU, and what that computes."""
    folder = tmp_path_factory.mktemp("pairs")
    tokenizer = model_directory / EMBEDDER / "tokenizer.json"
    model = put_trained(folder, RERANKER, tokenizer, PAIRS) / MODEL_FILES[RERANKER]
    package = folder / f"{RERANKER}-rk3588"
    make_pair_package(model, tokenizer, RERANKER, package)
    _shorten(package, SHORT[-1:])
    make_pair_encoder(model, folder / "pairs.onnx")
    return folder


@pytest.fixture(params=DEEP, ids="{} layers".format)
def deep(
    request: pytest.FixtureRequest, npu: StandInNpu, model_directory: Path, packages: Path, tmp_path: Path
) -> Path:
    """Let the NPU compute a cross-encoder of 6 or 12 layers at all its lengths; returns its folder, beside others."""
    folder = tmp_path / "models"
    folder.mkdir()
    for path in (packages / "short").iterdir():
        (folder / path.name).symlink_to(path)
    tokenizer, shape = model_directory / EMBEDDER / "tokenizer.json", DEEP[request.param]
    own = folder / f"ms-marco-MiniLM-L-{shape.layers}-v2"
    write_model(own, "model.onnx", train(tokenizer, *training_pairs(), shape), tokenizer, shape)
    make_pair_package(own / "model.onnx", tokenizer, own.name, folder / f"{own.name}-rk3588")
    make_pair_encoder(own / "model.onnx", tmp_path / "pairs.onnx")
    npu.add_cross_encoder(tmp_path / "pairs.onnx")
    npu.run_seconds = RUN_SECONDS
    return own


@pytest.fixture
def reranking(npu: StandInNpu, pair_models: Path, packages: Path, tmp_path: Path) -> Path:
    """Let the NPU compute the cross-encoder too; returns a folder of models that has it beside the embedder's."""
    npu.add_cross_encoder(pair_models / "pairs.onnx")
    npu.run_seconds = RUN_SECONDS
    folder = tmp_path / "models"
    folder.mkdir()
    for path in (*(packages / "short").iterdir(), *(path for path in pair_models.iterdir() if path.is_dir())):
        (folder / path.name).symlink_to(path)
    return folder


def without_original(package: Path, copy: Path) -> None:
    """Copy a package without its model in FP32."""
    manifest = load_manifest(package)
    files = tuple(file for file in manifest.files if file.precision is not Precision.FP32)
    copy.mkdir()
    for file in files:
        (copy / file.name).symlink_to(package / file.name)
    (copy / MANIFEST_NAME).write_text(dump_manifest(replace(manifest, files=files)), encoding="utf-8")


@pytest.fixture(scope="session")
def npu_encoder(model_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("encoder") / "encoder.onnx"
    make_encoder(model_directory / EMBEDDER, path)
    return path


@pytest.fixture
def npu(npu_encoder: Path) -> StandInNpu:
    return StandInNpu(npu_encoder, HIDDEN)


@pytest.fixture
def root(environment: Path, tmp_path: Path) -> Path:
    """Return the root of the board, to take things away from."""
    return board_root(environment, tmp_path / "root")


@pytest.fixture
def service(npu: StandInNpu) -> Iterator[NpuService]:
    """Return what answers the stand-in library."""
    with tempfile.TemporaryDirectory() as folder, NpuService(npu, Path(folder) / "npu") as service:
        yield service


Board = Callable[..., AbstractAsyncContextManager[RemoteMemory]]


@pytest.fixture
def board(environment: Path, root: Path, packages: Path, service: NpuService, tmp_path: Path) -> Board:
    """Return what runs the server on the board and connects to it; `lengths` is `all` or `short`."""

    @asynccontextmanager
    async def start(lengths: str = "short", **variables: str) -> AsyncIterator[RemoteMemory]:
        variables = {"NPU_MEMORY_MODEL_DIR": str(packages / lengths), **variables}
        server = EmulatedServer(environment, root, tmp_path / "data", service.path, variables)
        try:
            port = server.start()
            async with connected("127.0.0.1", port, server.token) as client:
                yield client
        finally:
            server.stop()

    return start
