"""Somebody brings a model of their own, and it is understood, or refused with a reason."""

from collections.abc import Callable
import json
from pathlib import Path
import shutil

import numpy as np
import onnx
from onnx import helper
import pytest

from npu_memory_conversion.errors import ConversionError
from npu_memory_conversion.local import find_recipe, read_folder
from npu_memory_server.embedding.manifest import FileRole, ModelKind, Precision, load_manifest, verify_file

from .conftest import contents, run
from .model_folders import HIDDEN, write_model


def change_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_an_embedder_is_described_by_its_folder(small_embedder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(small_embedder, tmp_path / "my model (v2)")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# A model\n")
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 128}')
    recipe = read_folder(folder)
    assert (recipe.name, recipe.kind, recipe.license) == ("my-model-v2", ModelKind.EMBEDDER, "mit")
    assert (recipe.hidden, recipe.layers, recipe.max_length) == (HIDDEN, 2, 128)


def test_a_classifier_with_one_output_makes_it_a_cross_encoder(small_cross_encoder: Path) -> None:
    recipe = read_folder(small_cross_encoder)
    assert (recipe.kind, recipe.prefix, recipe.max_length) == (ModelKind.CROSS_ENCODER, "bert.", 160)


def quantize_dynamically(folder: Path) -> Path:
    """Write an ONNX file as onnxruntime's quantize_dynamic makes them."""
    nodes = [helper.make_node("DynamicQuantizeLinear", ["x"], ["y", "scale", "zero"])]
    inputs = [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [4])]
    outputs = [helper.make_tensor_value_info("y", onnx.TensorProto.UINT8, [4])]
    path = folder / "model_quantized.onnx"
    onnx.save(helper.make_model(helper.make_graph(nodes, "quantized", inputs, outputs)), path)
    return path


def test_a_dynamically_quantized_model_is_refused_at_once_with_the_way_to_go(tmp_path: Path) -> None:
    path = quantize_dynamically(tmp_path)
    for model in (path, tmp_path):
        done = run(model, "--target", "rknn", "--output", tmp_path / "package")
        assert done.returncode == 1
        assert "model_quantized.onnx is dynamically quantized (DynamicQuantizeLinear)" in done.stderr
        assert "Convert the original instead, a folder with model.safetensors" in done.stderr
        assert "--precision hybrid-int8" in done.stderr
    assert contents(tmp_path) == ["model_quantized.onnx"]


def test_any_other_file_is_refused_too(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\xff\xff not a model")
    with pytest.raises(ConversionError, match="cannot be read as ONNX"):
        find_recipe(str(path))
    with pytest.raises(ConversionError, match="neither a known model \\(all-MiniLM-L6-v2\\) nor a folder"):
        find_recipe("no-such-model")


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda folder: change_config(folder, model_type="roberta"), "`model_type` 'roberta'"),
        (lambda folder: change_config(folder, hidden_act="relu"), "`hidden_act` 'relu'"),
        (lambda folder: change_config(folder, position_embedding_type="relative_key"), "`position_embedding_type`"),
        (lambda folder: change_config(folder, num_hidden_layers="two"), "no usable `num_hidden_layers`"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json cannot be read"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "has no tokenizer.json"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"\x80\x04."), "cannot be read as safetensors"),
        (lambda folder: (folder / "modules.json").write_text('[{"type": "models.Dense"}]'), "has a Dense"),
    ],
)
def test_a_model_that_is_something_else_is_refused_with_a_reason(
    small_embedder: Path, tmp_path: Path, damage: Callable[[Path], object], complaint: str
) -> None:
    folder = shutil.copytree(small_embedder, tmp_path / "model")
    damage(folder)
    with pytest.raises(ConversionError) as refused:
        read_folder(folder)
    assert complaint in str(refused.value)


def test_a_model_that_does_not_average_is_refused(small_embedder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(small_embedder, tmp_path / "model")
    (folder / "modules.json").write_text('[{"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}]')
    (folder / "1_Pooling").mkdir()
    settings = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ConversionError, match="pools by pooling_mode_cls_token; the server averages"):
        read_folder(folder)


def test_a_classifier_of_three_classes_ranks_nothing(source: Path, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "nli", source, np.random.default_rng(3), head=3)
    with pytest.raises(ConversionError, match="the classifier has 3 outputs"):
        read_folder(folder)


def test_a_cross_encoder_becomes_a_folder_that_flashrank_reads_too(small_cross_encoder: Path, tmp_path: Path) -> None:
    output = tmp_path / "package"
    done = run(small_cross_encoder, "--output", output)
    assert done.returncode == 0, done.stderr
    settings = ["config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json"]
    models = ["flashrank-small-pairs.onnx", "flashrank-small-pairs_Q.onnx"]
    assert contents(output) == sorted([*settings, *models, "manifest.json", "report.json", "report.md"])
    manifest = load_manifest(output)
    assert manifest.kind is ModelKind.CROSS_ENCODER
    for file in manifest.files:
        verify_file(output, file)
    assert manifest.file(FileRole.ONNX, Precision.INT8).name == "flashrank-small-pairs_Q.onnx"
    report = json.loads((output / "report.json").read_text())
    assert [model["rank_correlation"] >= 0.99 for model in report["models"]] == [True, True]
    assert report["checked_with"] >= 200


def test_an_embedder_of_ones_own_is_checked_against_its_own_weights(small_embedder: Path, tmp_path: Path) -> None:
    done = run(small_embedder, "--target", "onnx", "--output", tmp_path / "package")
    assert done.returncode == 0, done.stderr
    assert load_manifest(tmp_path / "package").verification[Precision.FP32].cosine_min >= 0.99999


def test_without_the_toolkit_the_way_to_it_is_said(small_embedder: Path, tmp_path: Path) -> None:
    refused = run(small_embedder, "--target", "rknn", "--output", tmp_path / "package", without_toolkit=True)
    assert refused.returncode == 1
    assert "a model for the NPU needs rknn-toolkit2 2.5.0" in refused.stderr
    assert "script/convert" in refused.stderr
    assert contents(tmp_path) == []


def test_a_length_that_the_model_cannot_read_is_refused(small_embedder: Path, tmp_path: Path) -> None:
    done = run(small_embedder, "--target", "rknn", "--lengths", "32,512", "--output", tmp_path / "package")
    assert done.returncode == 1
    assert "reads 8 to 160 tokens at once, not 512" in done.stderr
