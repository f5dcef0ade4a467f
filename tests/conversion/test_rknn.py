"""Rockchip's compiler makes models for the NPU, and its simulator shows what they compute.

Needs the environment of the toolkit, which `script/test rknn` and `script/convert` set up.
"""

import json
import os
from pathlib import Path
import signal
import struct
import time

import numpy as np
import pytest

from npu_memory_conversion import convert_rknn, simulate
from npu_memory_conversion.convert import convert
from npu_memory_conversion.errors import ConversionError
from npu_memory_conversion.host import Tables, prepare
from npu_memory_conversion.local import find_recipe
from npu_memory_conversion.recipe import Target
from npu_memory_conversion.simulate import NpuOptions
from npu_memory_conversion.texts import TextReader
from npu_memory_server.embedding.manifest import (
    FileRole,
    ModelKind,
    NpuPrecision,
    Precision,
    load_manifest,
    verify_file,
)

from .conftest import MODEL, SECONDS, contents, run, start

pytestmark = pytest.mark.skipif(
    "NPU_MEMORY_RKNN_PYTHON" not in os.environ, reason="there is no rknn-toolkit2: `script/test rknn` sets it up"
)
TABLES = ["embeddings.npy", "positions.npy"]
ALWAYS = ["manifest.json", "report.json", "report.md", "tokenizer.json"]
FOR_CPU = "model.fp32.onnx"


@pytest.fixture(scope="module")
def package(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a package of the known model for two lengths."""
    output = tmp_path_factory.mktemp("packages") / MODEL
    done = run(MODEL, "--target", "rknn", "--lengths", "64,32", "--source", source, "--output", output)
    assert done.returncode == 0, done.stderr
    assert f"The package is complete: {output}" in done.stdout
    return output


def test_the_package_has_a_model_for_each_length_and_the_tables_for_the_host(package: Path) -> None:
    assert contents(package) == sorted([*ALWAYS, *TABLES, FOR_CPU, "model.32.rknn", "model.64.rknn"])
    manifest = load_manifest(package)
    for file in manifest.files:
        verify_file(package, file)
    assert manifest.kind is ModelKind.EMBEDDER
    assert manifest.max_length == 64
    npu = manifest.npu
    assert npu is not None
    assert (npu.target, npu.toolkit, npu.precision) == ("rk3588", "2.5.0", NpuPrecision.FP16)
    assert dict(npu.lengths) == {32: "model.32.rknn", 64: "model.64.rknn"}
    assert (npu.embedding_table, npu.position_table, npu.type_table) == (*TABLES, None)
    words, positions = (np.load(package / name, allow_pickle=False) for name in TABLES)
    assert (words.dtype, words.shape) == (np.float16, (30_522, 384))
    assert (positions.dtype, positions.shape) == (np.float16, (256, 384))


def test_what_the_cpu_runs_beside_the_npu_comes_with_it_and_is_the_one_of_the_package_for_the_cpu(
    package: Path, source: Path, tmp_path: Path
) -> None:
    manifest = load_manifest(package)
    file = manifest.file(FileRole.ONNX, Precision.FP32)
    assert file.name == FOR_CPU
    assert manifest.verification[Precision.FP32].cosine_min >= 0.99999
    assert "For the CPU beside the NPU: model.fp32.onnx" in (package / "report.md").read_text()
    done = run(MODEL, "--target", "onnx", "--source", source, "--output", tmp_path / "cpu")
    assert done.returncode == 0, done.stderr
    assert load_manifest(tmp_path / "cpu").file(FileRole.ONNX, Precision.FP32).sha256 == file.sha256


def test_a_model_is_small_names_its_chip_and_takes_no_integers(package: Path) -> None:
    for file in load_manifest(package).files:
        if file.role is not FileRole.RKNN:
            continue
        assert file.bytes <= 24_000_000
        content = (package / file.name).read_bytes()
        # The container: magic, a zero, version, length of the flatbuffer, 64 bytes of header in all.
        magic, _, version, length = struct.unpack_from("<4sIQQ", content)
        assert (magic, version) == (b"RKNN", 6)
        assert len(content) > length
        assert b"rk3588" in content
        assert b"int64" not in content[64 : 64 + 4096]


def test_the_report_says_how_near_and_how_fast_and_that_it_is_an_estimate(package: Path) -> None:
    report = json.loads((package / "report.json").read_text())
    assert report["checked_with"] >= 200
    assert report["neighbors"]["agreement"] == 1
    for model in report["models"]:
        assert model["vectors"]["least"] >= 0.99999
        assert model["tokens"]["least"] >= 0.9999
        assert model["sha256"] == load_manifest(package).named(model["file"]).sha256
        assert 0 < model["estimate"]["least"] < model["estimate"]["most"]
    assert report["models"][0]["estimate"]["most"] <= 4
    assert report["warnings"] == []
    markdown = (package / "report.md").read_text()
    for words in ("Estimates in ms", "nothing was measured", "harmless", "rknn-toolkit2 2.5.0"):
        assert words in markdown


def test_the_tables_of_the_package_are_those_it_was_checked_with(package: Path, source: Path) -> None:
    recipe, _ = find_recipe(MODEL)
    reader = TextReader(source / "tokenizer.json", recipe)
    tables = Tables(np.load(package / TABLES[0]), np.load(package / TABLES[1]), None)
    inputs = prepare([reader.read("the spare key is under the pot")], 32, recipe.pad_id, tables, pairs=False)
    assert list(inputs) == ["embeddings", "mask"]
    assert inputs["mask"].sum() == 9


def test_a_cross_encoder_ranks_as_before(small_cross_encoder: Path, tmp_path: Path) -> None:
    output = tmp_path / "package"
    done = run(small_cross_encoder, "--target", "rknn", "--lengths", "64,96", "--output", output)
    assert done.returncode == 0, done.stderr
    assert "rank correlation to the original" in done.stdout
    manifest = load_manifest(output)
    assert manifest.kind is ModelKind.CROSS_ENCODER
    assert manifest.npu is not None
    assert manifest.npu.type_table == "types.npy"
    report = json.loads((output / "report.json").read_text())
    assert report["rank_correlation"] >= 0.999
    assert all(0 < model["estimate"]["most"] <= model["estimate"]["crowded"] for model in report["models"])
    assert "Five candidates of 96 tokens take 2 rounds on 3 cores" in (output / "report.md").read_text()


def test_eight_bits_go_where_they_lose_next_to_nothing(small_embedder: Path, tmp_path: Path) -> None:
    output = tmp_path / "package"
    options = ("--lengths", "32", "--precision", "hybrid-int8")
    done = run(small_embedder, "--target", "rknn", *options, "--output", output)
    assert done.returncode == 0, done.stderr
    manifest = load_manifest(output)
    assert manifest.npu is not None
    assert manifest.npu.precision is NpuPrecision.HYBRID_INT8
    assert json.loads((output / "report.json").read_text())["models"][0]["vectors"]["least"] >= 0.999


def test_the_table_can_be_inside(small_embedder: Path, tmp_path: Path) -> None:
    output = tmp_path / "package"
    options = ("--lengths", "32", "--with-embedding-table")
    done = run(small_embedder, "--target", "rknn", *options, "--output", output)
    assert done.returncode == 0, done.stderr
    assert contents(output) == sorted([*ALWAYS, FOR_CPU, "model.32.rknn"])
    npu = load_manifest(output).npu
    assert npu is not None
    assert npu.embedding_table is None
    assert (output / "model.32.rknn").stat().st_size > 2 * 30_522 * 64


class TestWhenItGoesWrong:
    """Nothing is kept that could be taken for a package."""

    def test_below_the_bar_the_old_package_stays(
        self, small_embedder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        recipe, folder = find_recipe(str(small_embedder))
        output = tmp_path / "package"
        convert(recipe, Target.ONNX, output, folder, force=False)
        before = load_manifest(output)
        strict = {NpuPrecision.FP16: {"least cosine": 1.1, "agreement of neighbors": 1.0}}
        monkeypatch.setitem(convert_rknn.BARS, ModelKind.EMBEDDER, strict)
        with pytest.raises(ConversionError, match=r"model\.32\.rknn is too far from the original: least cosine [01]"):
            convert(recipe, Target.RKNN, output, folder, force=True, options=NpuOptions(lengths=(32,)))
        assert contents(tmp_path) == ["package"]
        assert load_manifest(output) == before

    def test_padding_that_is_not_hidden_is_noticed(
        self, small_embedder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        recipe, folder = find_recipe(str(small_embedder))
        monkeypatch.setitem(simulate.MASK_BIAS, NpuPrecision.FP16, -1.0)
        with pytest.raises(ConversionError, match="is too far from the original: least cosine"):
            convert(recipe, Target.RKNN, tmp_path / "package", folder, force=False, options=NpuOptions(lengths=(64,)))
        assert contents(tmp_path) == []

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_stopped_it_leaves_no_file_and_no_process(
        self, small_embedder: Path, tmp_path: Path, number: signal.Signals
    ) -> None:
        process = start(small_embedder, "--target", "rknn", "--lengths", "32,64", "--output", tmp_path / "package")
        deadline = time.monotonic() + SECONDS
        while not list(tmp_path.glob(".package.partial-*/embeddings.npy")):
            assert process.poll() is None, process.stderr and process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(1)  # into the middle of it: the compiler's processes have started
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(number)
        _, said = process.communicate(timeout=SECONDS)
        assert process.returncode == 130
        assert "stopped; nothing was written" in said
        assert contents(tmp_path) == []
        assert not [child for child in children if Path(f"/proc/{child}").exists()]

    def test_an_interpreter_without_the_toolkit_is_named(
        self, small_embedder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NPU_MEMORY_RKNN_PYTHON", "/usr/bin/env")
        done = run(small_embedder, "--target", "rknn", "--output", tmp_path / "package")
        assert done.returncode == 1
        assert "/usr/bin/env has no rknn-toolkit2 that starts" in done.stderr
