"""The written graph computes what the original computes, and a check that must notice when it does not."""

from dataclasses import replace
import hashlib
from pathlib import Path
import shutil

import onnx
import pytest

from npu_memory_conversion.errors import ConversionError
from npu_memory_conversion.export_onnx import Fp32Arithmetic, export_encoder
from npu_memory_conversion.recipe import ALL_MINILM_L6_V2
from npu_memory_conversion.verify import known_answers, verify
from npu_memory_conversion.weights import EncoderWeights, read_weights
from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.embedding.manifest import FileRole, ModelFile, ModelManifest, Precision, load_manifest


@pytest.fixture(scope="module")
def weights(source: Path) -> EncoderWeights:
    return read_weights(source / "model.safetensors", ALL_MINILM_L6_V2)


def put_model(package: Path, model: onnx.ModelProto) -> ModelManifest:
    """Replace the FP32 model of a package; returns the manifest that goes with it."""
    path = package / "model.fp32.onnx"
    onnx.save(model, path)
    content = path.read_bytes()
    manifest = load_manifest(package)
    file = ModelFile(FileRole.ONNX, path.name, hashlib.sha256(content).hexdigest(), len(content), Precision.FP32)
    return replace(
        manifest, files=(file, *(other for other in manifest.files if other.precision is not Precision.FP32))
    )


def test_one_input_one_output_any_length(converted: Path) -> None:
    for name in ("model.fp32.onnx", "model.int8.onnx"):
        graph = onnx.load(converted / name).graph
        (ids,), (vectors,) = graph.input, graph.output
        assert (ids.name, vectors.name) == ("input_ids", "token_vectors")
        assert [dimension.dim_value for dimension in ids.type.tensor_type.shape.dim] == [1, 0]
        assert [dimension.dim_value for dimension in vectors.type.tensor_type.shape.dim] == [1, 0, 384]


@pytest.mark.parametrize("precision", Precision)
def test_the_known_answers_come_out(converted: Path, precision: Precision) -> None:
    embedder = OnnxEmbedder.load(converted, precision=precision)
    least = 0.99999 if precision is Precision.FP32 else 0.997
    for sentence, vector in zip(*known_answers(ALL_MINILM_L6_V2.name), strict=True):
        assert embedder.embed(sentence).vector @ vector >= least


def test_the_known_sentences_range_from_one_letter_to_almost_the_longest_text(converted: Path) -> None:
    embedder = OnnxEmbedder.load(converted)
    lengths = [embedder.count_tokens(sentence) for sentence in known_answers(ALL_MINILM_L6_V2.name)[0]]
    assert min(lengths) == 1
    assert 240 <= max(lengths) <= 254


@pytest.mark.parametrize("damage", ["layers swapped", "scale lost", "position off by one"])
def test_the_check_notices_a_graph_that_computes_something_else(
    converted: Path, tmp_path: Path, weights: EncoderWeights, damage: str
) -> None:
    first, second, *rest = weights.layers
    wrong = {
        "layers swapped": replace(weights, layers=(second, first, *rest)),
        "scale lost": replace(weights, layers=(replace(first, attention_norm=second.attention_norm), second, *rest)),
        "position off by one": replace(weights, positions=weights.positions[1:]),
    }[damage]
    package = tmp_path / "package"
    shutil.copytree(converted, package)
    manifest = put_model(package, export_encoder(wrong, ALL_MINILM_L6_V2, Fp32Arithmetic()))
    with pytest.raises(ConversionError, match="the fp32 model is too far from the original"):
        verify(package, manifest, Precision.FP32, ALL_MINILM_L6_V2)


def test_weights_of_another_shape_are_refused_by_name(source: Path) -> None:
    with pytest.raises(ConversionError, match=r"`embeddings\.position_embeddings\.weight` of the shape \[1024, 384\]"):
        read_weights(source / "model.safetensors", replace(ALL_MINILM_L6_V2, positions=1024))


def test_a_file_that_is_not_safetensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"\x80\x04 a pickle, perhaps")
    with pytest.raises(ConversionError, match=r"model\.safetensors cannot be read as safetensors"):
        read_weights(path, ALL_MINILM_L6_V2)
