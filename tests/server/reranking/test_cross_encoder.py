"""A cross-encoder: the same numbers as by the plain way, within the time that it has, and no other kind of model."""

import json
from pathlib import Path
import shutil
from time import perf_counter

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from benchmarks.made_cross_encoder import TINYBERT_L2, Shape, cross_encoder as make, random_weights, repeated_weights
from npu_memory_server.embedding.manifest import (
    MANIFEST_NAME,
    FileRole,
    ModelFile,
    ModelKind,
    ModelManifest,
    Pooling,
    Precision,
    dump_manifest,
    sha256_of,
)
from npu_memory_server.errors import ModelError
from npu_memory_server.reranking.cross_encoder import CrossEncoder
from npu_memory_server.reranking.files import SUMS, find_files, verify_files, write_sums
from npu_memory_server.reranking.registry import MODEL_FILES
from npu_memory_server.wire import Reranker
from tests.server.reranking.made import Pair, put, run

LATER = 60.0
LONG = "and then we went on to the next room with the old lamp " * 40
SHORT = "the spare key is at the neighbors"


def probability(logits: np.ndarray) -> float:
    return float(1 / (1 + np.exp(-logits[0, 0])))


# What it says


def test_a_pair_that_is_not_padded_gets_the_score_of_the_padded_one(
    cross_encoder: CrossEncoder, trained: Path, tokenizer: Path, judged_pairs: tuple[list[Pair], list[Pair]]
) -> None:
    model = trained / Reranker.TINYBERT_L2 / MODEL_FILES[Reranker.TINYBERT_L2]
    plain = ort.InferenceSession(str(model))
    pairs = [*judged_pairs[0][:10], *judged_pairs[1][:10], (SHORT, LONG), (LONG, SHORT)]
    for question, text in pairs:
        (score,) = cross_encoder.judge(question, [text], perf_counter() + LATER).scores

        assert score == pytest.approx(probability(run(plain, tokenizer, question, text, padded_to=512)), abs=1e-4)


def test_what_the_head_has_learned_holds_for_pairs_that_it_has_not_seen(
    cross_encoder: CrossEncoder, judged_pairs: tuple[list[Pair], list[Pair]]
) -> None:
    right, wrong = (
        [cross_encoder.judge(question, [text], perf_counter() + LATER).scores[0] or 0.0 for question, text in pairs]
        for pairs in (judged_pairs[0][1::2], judged_pairs[1][1::2])
    )
    better = np.mean([one > other for one in right for other in wrong])

    assert better > 0.8


def test_a_model_with_two_logits_is_read_as_no_and_yes(tokenizer: Path, tmp_path: Path) -> None:
    shape = Shape(layers=1, hidden=32, heads=2)
    weights = random_weights(shape)
    two = {**weights, "classifier": np.concatenate([-weights["classifier"], weights["classifier"]], axis=1)}
    two["classifier.bias"] = np.zeros(2, np.float32)
    one = {**weights, "classifier": 2 * weights["classifier"]}
    scores = []
    for name, chosen in (("one", one), ("two", two)):
        folder = put(tmp_path / name, Reranker.MULTIBERT_L12, make(shape, chosen), tokenizer, shape)
        scores.append(CrossEncoder(find_files(folder)).judge(SHORT, [LONG, SHORT], perf_counter() + LATER).scores)

    assert scores[0] == pytest.approx(scores[1], abs=1e-5)


def test_a_question_that_fills_the_model_alone_is_cut_and_answered(cross_encoder: CrossEncoder) -> None:
    (score,) = cross_encoder.judge(LONG * 3, [LONG * 3], perf_counter() + LATER).scores

    assert score is not None


# Its time


def test_when_the_time_is_up_nothing_is_read(cross_encoder: CrossEncoder) -> None:
    assert cross_encoder.judge(SHORT, [SHORT] * 3, perf_counter() - 1).scores == (None, None, None)


@pytest.fixture
def slow(tokenizer: Path, tmp_path: Path) -> CrossEncoder:
    """Return a model whose long pairs take many times as long as its short ones."""
    shape = Shape(layers=12, hidden=256, heads=4)
    folder = put(tmp_path, Reranker.MINILM_L12, make(shape, repeated_weights(shape)), tokenizer, shape)
    return CrossEncoder(find_files(folder))


def time_of(encoder: CrossEncoder, text: str) -> float:
    """Return the seconds that reading a text takes: the best of three."""
    times = []
    for _ in range(3):
        began = perf_counter()
        encoder.judge(SHORT, [text], began + LATER)
        times.append(perf_counter() - began)
    return min(times)


def test_one_that_would_take_too_long_is_passed_over_for_shorter_ones_behind_it(slow: CrossEncoder) -> None:
    brief, lengthy = time_of(slow, SHORT), time_of(slow, LONG)
    assert lengthy > 6 * brief, "the test needs a difference"

    judged = slow.judge(SHORT, [SHORT, LONG, SHORT], perf_counter() + 0.7 * lengthy)

    assert judged.scores[1] is None
    assert judged.scores[0] is not None
    assert judged.reached == 2


def test_those_in_front_are_read_first(slow: CrossEncoder) -> None:
    brief = time_of(slow, SHORT)

    judged = slow.judge(SHORT, [SHORT] * 40, perf_counter() + 10 * brief)
    read = [score is not None for score in judged.scores]

    assert 1 <= judged.reached < 40
    assert read == sorted(read, reverse=True)


def test_one_that_takes_longer_than_was_thought_is_stopped_and_the_next_is_thought_of_differently(
    slow: CrossEncoder,
) -> None:
    lengthy = time_of(slow, LONG)
    for _ in range(200):
        slow._pace.idle()

    began = perf_counter()
    stopped = slow.judge(SHORT, [LONG] * 5, began + 0.3 * lengthy)
    took = perf_counter() - began
    judged = slow.judge(SHORT, [SHORT], perf_counter() + LATER)

    assert stopped.reached == 0
    assert took < 0.8 * lengthy
    assert judged.reached == 1


# What is no cross-encoder


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ("tokenizer.json", "lacks tokenizer.json"),
        ("config.json", "lacks config.json"),
        ("*.onnx", "lacks an ONNX file"),
    ],
)
def test_a_folder_that_lacks_a_file_is_told_which(models: Path, missing: str, sentence: str) -> None:
    folder = models / Reranker.TINYBERT_L2
    for path in folder.glob(missing):
        path.unlink()

    with pytest.raises(ModelError, match=sentence):
        find_files(folder)


def test_of_several_models_the_one_with_8_bits_is_taken(models: Path) -> None:
    folder = models / Reranker.TINYBERT_L2
    model = find_files(folder).model
    shutil.copy(model, folder / "flashrank-own_Q.onnx")
    assert find_files(folder).model.name == "flashrank-own_Q.onnx"
    assert find_files(folder, MODEL_FILES[Reranker.TINYBERT_L2]).model == model
    assert find_files(folder, "of-another-name.onnx").model.name == "flashrank-own_Q.onnx"
    shutil.copy(model, folder / "flashrank-other_Q.onnx")

    with pytest.raises(ModelError, match="has 3 ONNX files"):
        find_files(folder)


def test_a_package_of_the_conversion_is_compared_with_its_manifest(models: Path) -> None:
    folder = models / Reranker.TINYBERT_L2
    model, tokenizer = find_files(folder).model, folder / "tokenizer.json"
    files = tuple(
        ModelFile(role, path.name, sha256_of(path), path.stat().st_size, precision)
        for role, path, precision in (
            (FileRole.ONNX, model, Precision.INT8),
            (FileRole.TOKENIZER, tokenizer, None),
        )
    )
    manifest = ModelManifest(
        name="small-pairs",
        revision="1",
        kind=ModelKind.CROSS_ENCODER,
        dimensions=64,
        max_length=512,
        pooling=Pooling.CLS,
        normalize=False,
        license="Apache-2.0",
        files=files,
    )
    (folder / MANIFEST_NAME).write_text(dump_manifest(manifest))
    assert verify_files(folder)
    assert CrossEncoder(find_files(folder)).judge(SHORT, [SHORT], perf_counter() + LATER).reached == 1
    with tokenizer.open("a") as file:
        file.write(" ")

    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        find_files(folder)


def test_a_folder_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="There is no folder"):
        find_files(tmp_path / "nowhere")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"hidden_size": "384"}', b"[" * 100_000, b"\xff\xfe"])
def test_a_configuration_that_makes_no_sense_is_a_sentence(models: Path, content: bytes) -> None:
    folder = models / Reranker.TINYBERT_L2
    (folder / "config.json").write_bytes(content)

    with pytest.raises(ModelError, match=r"config\.json"):
        find_files(folder)


@pytest.mark.parametrize(("name", "content"), [("tokenizer.json", b"{}"), ("flashrank-TinyBERT-L-2-v2.onnx", b"no")])
def test_a_file_that_is_not_what_its_name_says_is_a_sentence(models: Path, name: str, content: bytes) -> None:
    folder = models / Reranker.TINYBERT_L2
    (folder / name).write_bytes(content)

    with pytest.raises(ModelError, match=name):
        CrossEncoder(find_files(folder))


def test_a_model_of_another_architecture_is_refused(models: Path, tmp_path: Path) -> None:
    folder = models / Reranker.TINYBERT_L2
    path = folder / MODEL_FILES[Reranker.TINYBERT_L2]
    model = onnx.load(str(path))
    extra = onnx.helper.make_tensor_value_info("decoder_input_ids", onnx.TensorProto.INT64, ["batch", "tokens"])
    model.graph.input.append(extra)
    onnx.save(model, str(path))

    with pytest.raises(ModelError, match=r"no BERT: its inputs are attention_mask, decoder_input_ids"):
        CrossEncoder(find_files(folder))


def test_a_model_that_answers_with_many_numbers_is_refused(tokenizer: Path, tmp_path: Path) -> None:
    shape = Shape(layers=1, hidden=32, heads=2)
    weights = {**random_weights(shape), "classifier": np.zeros((32, 5), np.float32)}
    weights["classifier.bias"] = np.zeros(5, np.float32)
    folder = put(tmp_path, Reranker.TINYBERT_L2, make(shape, weights), tokenizer, shape)

    with pytest.raises(ModelError, match=r"it answers \[1, 5\] numbers"):
        CrossEncoder(find_files(folder))


def test_the_length_is_the_least_that_any_file_names(models: Path) -> None:
    folder = models / Reranker.TINYBERT_L2
    assert find_files(folder).max_length == 512
    for said, expected in ((128, 128), (10**30, 512), (None, 512), (-1, 512)):
        (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": said}))
        assert find_files(folder).max_length == expected


def test_the_shape_of_flashranks_smallest_is_read(tokenizer: Path, tmp_path: Path) -> None:
    folder = put(tmp_path, Reranker.TINYBERT_L2, make(TINYBERT_L2, random_weights(TINYBERT_L2)), tokenizer, TINYBERT_L2)

    assert CrossEncoder(find_files(folder)).judge(SHORT, [SHORT], perf_counter() + LATER).reached == 1


# Checksums


def test_a_file_that_was_altered_after_it_was_fetched_is_found_out(models: Path) -> None:
    folder = models / Reranker.TINYBERT_L2
    assert not verify_files(folder)
    write_sums(folder)
    assert verify_files(folder)
    with (folder / "tokenizer.json").open("a") as file:
        file.write(" ")

    with pytest.raises(ModelError, match="not the file that was fetched"):
        find_files(folder)


@pytest.mark.parametrize("content", [b"", b"hello\n", b"\xff", f"{'0' * 64}  ../../secret\n".encode()])
def test_checksums_that_are_none_are_refused(models: Path, content: bytes) -> None:
    folder = models / Reranker.TINYBERT_L2
    (folder / SUMS).write_bytes(content)

    with pytest.raises(ModelError, match="not a list of checksums"):
        find_files(folder)
