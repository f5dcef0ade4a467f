"""The graph for the NPU computes what the original computes, whatever the length and the padding."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from npu_memory_conversion.export_cross_encoder import export_cross_encoder
from npu_memory_conversion.export_npu import LOGIT, TOKENS, VECTOR, NpuShape, export_npu
from npu_memory_conversion.export_onnx import Fp32Arithmetic
from npu_memory_conversion.host import make_tables, prepare
from npu_memory_conversion.local import read_folder
from npu_memory_conversion.original import embed, score
from npu_memory_conversion.texts import Encoded, TextReader, check_pairs, check_texts
from npu_memory_conversion.weights import read_weights

from .model_folders import HIDDEN, logit, text_vector, token_vectors

TEXTS = ("ok", "where is the spare key", "Das Rezept für Omas Apfelkuchen liegt in der blauen Schachtel über dem Herd.")


def run(model: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def row(inputs: dict[str, np.ndarray], index: int) -> dict[str, np.ndarray]:
    return {name: values[index : index + 1] for name, values in inputs.items()}


@pytest.mark.parametrize("length", [32, 64, 160])
@pytest.mark.parametrize("with_table", [False, True])
@pytest.mark.parametrize("mask_bias", [-1e4, -65504.0])
def test_vectors_and_token_vectors_are_the_originals(
    small_embedder: Path, length: int, with_table: bool, mask_bias: float
) -> None:
    recipe = read_folder(small_embedder)
    weights = read_weights(small_embedder / "model.safetensors", recipe)
    reader = TextReader(small_embedder / "tokenizer.json", recipe)
    texts = [reader.read(text) for text in TEXTS]
    tables = None if with_table else make_tables(weights)
    inputs = dict(prepare(texts, length, recipe.pad_id, tables, pairs=False))
    model = export_npu(weights, recipe, NpuShape(length, mask_bias, with_table))
    for index, text in enumerate(texts):
        found = run(model, row(inputs, index))
        wanted = token_vectors(small_embedder, text.ids, text.types)
        # The tables are rounded to 16 bits; with one inside the model, nothing is.
        assert np.abs(found[TOKENS][0, : len(text.ids)] - wanted).max() < (1e-5 if with_table else 1e-2)
        assert found[VECTOR][0] @ text_vector(wanted) > (1 - 1e-6 if with_table else 1 - 1e-5)
        assert np.linalg.norm(found[VECTOR][0]) == pytest.approx(1)


@pytest.mark.parametrize("with_table", [False, True])
def test_scores_are_the_originals(small_cross_encoder: Path, with_table: bool) -> None:
    recipe = read_folder(small_cross_encoder)
    weights = read_weights(small_cross_encoder / "model.safetensors", recipe)
    reader = TextReader(small_cross_encoder / "tokenizer.json", recipe)
    pairs = [reader.read("where is the key", text) for text in TEXTS]
    tables = None if with_table else make_tables(weights)
    inputs = dict(prepare(pairs, 64, recipe.pad_id, tables, pairs=True))
    model = export_npu(weights, recipe, NpuShape(64, -1e4, with_table))
    for index, pair in enumerate(pairs):
        assert set(pair.types) == {0, 1}
        wanted = logit(small_cross_encoder, token_vectors(small_cross_encoder, pair.ids, pair.types))
        assert run(model, row(inputs, index))[LOGIT][0, 0] == pytest.approx(wanted, abs=1e-5 if with_table else 2e-3)


def test_a_batch_of_pairs_of_different_lengths_scores_as_each_alone(small_cross_encoder: Path) -> None:
    recipe = read_folder(small_cross_encoder)
    weights = read_weights(small_cross_encoder / "model.safetensors", recipe)
    reader = TextReader(small_cross_encoder / "tokenizer.json", recipe)
    pairs = [reader.read("where is the key", text) for text in TEXTS]
    wanted = [logit(small_cross_encoder, token_vectors(small_cross_encoder, pair.ids, pair.types)) for pair in pairs]
    longest = max(len(pair.ids) for pair in pairs)

    def padded(values: np.ndarray) -> np.ndarray:
        return np.pad(values, (0, longest - len(values)))

    model = export_cross_encoder(weights, recipe, Fp32Arithmetic())
    together = run(
        model,
        {
            "input_ids": np.stack([padded(pair.ids) for pair in pairs]),
            "attention_mask": np.stack([padded(np.ones_like(pair.ids)) for pair in pairs]),
            "token_type_ids": np.stack([padded(pair.types) for pair in pairs]),
        },
    )
    assert together["logits"].shape == (3, 1)
    assert together["logits"][:, 0] == pytest.approx(wanted, abs=1e-5)
    assert score(weights, recipe, pairs) == pytest.approx(wanted, abs=1e-5)


def test_the_original_in_32_bits_is_the_file_in_64(small_embedder: Path) -> None:
    recipe = read_folder(small_embedder)
    weights = read_weights(small_embedder / "model.safetensors", recipe)
    reader = TextReader(small_embedder / "tokenizer.json", recipe)
    texts = [reader.read(text) for text in TEXTS]
    for text, vector in zip(texts, embed(weights, recipe, texts).vectors, strict=True):
        assert vector @ text_vector(token_vectors(small_embedder, text.ids, text.types)) > 1 - 1e-6


def test_the_compiler_gets_only_what_it_knows(small_embedder: Path) -> None:
    recipe = read_folder(small_embedder)
    weights = read_weights(small_embedder / "model.safetensors", recipe)
    model = export_npu(weights, recipe, NpuShape(32, -1e4))
    (opset,) = model.opset_import
    assert opset.domain == ""
    assert opset.version <= 19
    assert {value.name for value in model.graph.input} == {"embeddings", "mask"}
    assert all(value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT for value in model.graph.input)
    assert not {node.op_type for node in model.graph.node} & {"Gather", "Cast", "Shape"}
    shapes = [[axis.dim_value for axis in value.type.tensor_type.shape.dim] for value in model.graph.output]
    assert shapes == [[1, HIDDEN], [1, 32, HIDDEN]]


def test_the_texts_of_the_check_are_many_and_of_all_lengths(source: Path, small_embedder: Path) -> None:
    reader = TextReader(source / "tokenizer.json", read_folder(small_embedder))
    lengths = [len(text.ids) for text in check_texts(reader, 128)]
    assert len(lengths) >= 200
    assert min(lengths) <= 3
    assert max(lengths) == 128
    for shorter, longer in ((0, 32), (32, 64), (64, 128)):
        assert sum(shorter < length <= longer for length in lengths) >= 15
    pairs = check_pairs(reader, 128)
    assert len(pairs) >= 200
    assert max(len(pair.ids) for pair in pairs) <= 128


def test_padding_is_a_token_and_no_zeros(small_embedder: Path) -> None:
    recipe = read_folder(small_embedder)
    tables = make_tables(read_weights(small_embedder / "model.safetensors", recipe))
    text = Encoded(np.array([101, 102], np.int64), np.zeros(2, np.int64))
    inputs = prepare([text], 8, recipe.pad_id, tables, pairs=False)
    assert inputs["mask"].tolist() == [[1, 1, 0, 0, 0, 0, 0, 0]]
    expected = tables.words[0].astype(np.float32) + tables.positions[7]
    assert np.array_equal(inputs["embeddings"][0, 7], expected)
