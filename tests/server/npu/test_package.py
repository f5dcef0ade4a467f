"""A package for the NPU is refused before it is run, with a sentence that says what to do."""

from collections.abc import Callable
import contextlib
import json
from pathlib import Path
import shutil
from typing import Any

from hypothesis import given, strategies as st
import numpy as np
import pytest

from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.embedding.manifest import MANIFEST_NAME, FileRole, ModelKind, sha256_of
from npu_memory_server.embedding.npu.package import find_package, open_package
from npu_memory_server.errors import ModelError
from npu_memory_server.npu.board import Board
from npu_memory_server.npu.faults import NpuLastingFault
from npu_memory_server.npu.rknn_file import RknnFile, read_rknn_file
from npu_memory_server.npu.settings import CoreMask
from npu_memory_server.settings import EMBEDDER
from tests.server.npu.model_files import LENGTHS, rknn_file

Edit = Callable[[dict[str, Any]], object]


@pytest.fixture
def folder(npu_package: Path, tmp_path: Path) -> Path:
    """Return a package of one's own."""
    copy = tmp_path / "models" / npu_package.name
    shutil.copytree(npu_package, copy)
    return copy


@pytest.fixture
def refusal(folder: Path, embedder: OnnxEmbedder, board: Board) -> Callable[[], str]:
    """Return what tells why the package is refused."""

    def why() -> str:
        with pytest.raises(NpuLastingFault) as refused:
            open_package(folder, embedder.manifest, embedder.tokenizer, board, CoreMask.AUTO)
        return refused.value.reason

    return why


def edit(folder: Path, change: Edit) -> None:
    """Change the manifest, and bring its sums up to date, as somebody who converts by hand would."""
    path = folder / MANIFEST_NAME
    raw = json.loads(path.read_text(encoding="utf-8"))
    for file in raw["files"]:
        content = folder / file["name"]
        file.update(sha256=sha256_of(content), bytes=content.stat().st_size)
    change(raw)
    path.write_text(json.dumps(raw), encoding="utf-8")


def unchanged(_: dict[str, Any]) -> None:
    """Change nothing."""


def test_a_whole_package_for_this_board_is_taken(folder: Path, embedder: OnnxEmbedder, board: Board) -> None:
    model = open_package(folder, embedder.manifest, embedder.tokenizer, board, CoreMask.AUTO)
    assert model.lengths == LENGTHS
    assert find_package(folder.parent, ModelKind.EMBEDDER, EMBEDDER) == folder
    window = model.tables.look_up(np.array([101, 2073, 102]), 32)
    assert (window.embeddings.shape, window.embeddings.dtype) == ((1, 32, 384), np.float32)
    assert window.mask.sum() == 3
    assert (window.embeddings[0].var(axis=1) > 0).all()


@pytest.mark.parametrize("name", ["model.32.rknn", "embeddings.npy", "positions.npy"])
def test_a_truncated_file_and_a_flipped_bit_are_refused(folder: Path, refusal: Callable[[], str], name: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-1])
    assert f"{name} has {len(content) - 1} bytes instead of {len(content)}" in refusal()

    middle = len(content) // 2
    (folder / name).write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    assert f"{name} has the SHA-256" in refusal()

    (folder / name).unlink()
    assert f"{name} cannot be read" in refusal()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (rknn_file(32)[:-9], "is not a whole RKNN file (it ends within its description)"),
        (rknn_file(32)[:70], "is not a whole RKNN file (it ends within its graph)"),
        (b"ONNX" + rknn_file(32)[4:], "is not a whole RKNN file (it does not begin with RKNN)"),
        (b"", "is not a whole RKNN file"),
        (rknn_file(32, target="rk3566"), "says it is for rk3566, and its manifest rk3588"),
        (rknn_file(32, toolkit="2.3.2"), "says it was made by version 2.3.2, and its manifest 2.5.0"),
    ],
    ids=["description cut", "graph cut", "other magic", "empty", "other target", "other toolkit"],
)
def test_a_file_that_is_not_what_its_manifest_says_is_refused_though_its_sum_is_right(
    folder: Path, refusal: Callable[[], str], content: bytes, reason: str
) -> None:
    (folder / "model.32.rknn").write_bytes(content or b"\0")
    edit(folder, unchanged)
    assert reason in refusal()


@given(st.integers(0, len(rknn_file(32)) - 1))
def test_no_beginning_of_an_rknn_file_passes_for_a_whole_one(
    tmp_path_factory: pytest.TempPathFactory, length: int
) -> None:
    path = tmp_path_factory.mktemp("rknn") / "model.rknn"
    path.write_bytes(rknn_file(32)[:length])
    with pytest.raises(ModelError, match="not a whole RKNN file"):
        read_rknn_file(path)


@given(st.binary(max_size=200))
def test_whatever_a_file_holds_the_answer_is_a_description_or_a_model_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("rknn") / "model.rknn"
    path.write_bytes(rknn_file(32)[:64] + content)
    with contextlib.suppress(ModelError):
        assert isinstance(read_rknn_file(path), RknnFile)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda raw: raw["npu"].update(target="rk3566"), "was converted for rk3566, and this is an rk3588"),
        (lambda raw: raw["npu"].update(toolkit="2.6.0"), "update librknnrt.so to 2.6.0 or later"),
        (lambda raw: raw["npu"].update(embedding_table=None), "without --with-embedding-table"),
        (lambda raw: raw.update(revision="other"), "another revision (other)"),
        (lambda raw: raw.update(dimensions=192), "another size of a vector (192)"),
        (lambda raw: raw.pop("npu"), "nothing for an NPU"),
        (lambda raw: raw["npu"].update(pad_id=99_999), "no row for the padding"),
    ],
    ids=["other SoC", "newer toolkit", "table inside", "other revision", "other size", "no NPU", "other padding"],
)
def test_a_package_that_does_not_fit_is_refused(
    folder: Path, refusal: Callable[[], str], change: Edit, reason: str
) -> None:
    edit(folder, change)
    assert reason in refusal()


def test_a_package_with_another_tokenizer_than_the_cpus_is_refused(folder: Path, refusal: Callable[[], str]) -> None:
    with (folder / "tokenizer.json").open("a", encoding="utf-8") as stream:
        stream.write("\n")
    edit(folder, unchanged)
    assert "another tokenizer" in refusal()


def test_tables_of_another_form_are_refused(folder: Path, refusal: Callable[[], str]) -> None:
    np.save(folder / "positions.npy", np.zeros((512, 384), np.float32))
    edit(folder, unchanged)
    assert "holds float32 [512, 384] instead of float16" in refusal()

    np.save(folder / "positions.npy", np.zeros((100, 384), np.float16))
    edit(folder, unchanged)
    assert "has 100 positions, and the model needs 256" in refusal()

    np.save(folder / "positions.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    edit(folder, unchanged)
    assert "is not a NumPy table" in refusal()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda board: (board.root / "dev/dri/renderD129").unlink(), "no device of an NPU"),
        (lambda board: (board.root / "proc/device-tree/compatible").unlink(), "a container needs it mounted"),
        (
            lambda board: (board.root / "proc/device-tree/compatible").write_bytes(
                b"pine64,quartz64\0rockchip,rk3566\0"
            ),
            "converted for rk3588, and this is an rk3566",
        ),
        (lambda board: (board.root / "usr/lib/librknnrt.so").unlink(), "there is no /usr/lib/librknnrt.so"),
        (
            lambda board: (board.root / "usr/lib/librknnrt.so").write_bytes(b"librknnrt version: 2.3.2 (x)"),
            "the runtime of the board is 2.3.2: update librknnrt.so to 2.5.0 or later",
        ),
    ],
    ids=["no device", "masked device tree", "other SoC", "no runtime", "older runtime"],
)
def test_a_board_that_cannot_run_it_is_told_apart(
    board: Board, refusal: Callable[[], str], damage: Callable[[Board], object], reason: str
) -> None:
    damage(board)
    assert reason in refusal()


@pytest.mark.parametrize(
    ("compatible", "soc"),
    [
        (b"xunlong,orangepi-5-max\0rockchip,rk3588\0", "rk3588"),
        (b"radxa,rock-5a\0rockchip,rk3588s\0", "rk3588"),
        (b"rockchip,rk3588-orangepi-5-max\0rockchip,rk3588\0", "rk3588"),
        (b"friendlyarm,nanopi-r5s\0rockchip,rk3568\0", "rk3568"),
        (b"raspberrypi,5-model-b\0brcm,bcm2712\0", None),
        (b"", None),
    ],
)
def test_the_soc_is_read_off_the_device_tree(board: Board, compatible: bytes, soc: str | None) -> None:
    (board.root / "proc/device-tree/compatible").write_bytes(compatible)
    assert board.soc == soc


def test_the_package_of_another_model_is_not_found(folder: Path, embedder: OnnxEmbedder) -> None:
    edit(folder, lambda raw: raw.update(name="other-model"))
    assert find_package(folder.parent, ModelKind.EMBEDDER, EMBEDDER) is None
    (folder / MANIFEST_NAME).write_text("{", encoding="utf-8")
    assert find_package(folder.parent, ModelKind.EMBEDDER, EMBEDDER) is None


def test_the_package_itself_is_listed_as_one_of_rknn_files_and_tables(folder: Path) -> None:
    raw = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
    assert {file["role"] for file in raw["files"]} == {FileRole.RKNN, FileRole.TABLE, FileRole.TOKENIZER}
    assert raw["name"] == EMBEDDER
