"""The embedder answers what the original model answers, in either precision, for any text."""

from collections.abc import Callable
import hashlib
from itertools import pairwise
from pathlib import Path
import subprocess
import sys
import textwrap
from time import perf_counter
from typing import Any

from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from npu_memory_conversion.verify import known_answers
from npu_memory_server.embedding.base import Embedder
from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.embedding.manifest import Precision, load_manifest
from npu_memory_server.errors import ModelError

Edit = Callable[[Callable[[dict[str, Any]], object]], None]

SENTENCES, ORIGINAL = known_answers("all-MiniLM-L6-v2")
LONG = " ".join(f"On day {day} the thermometer in room {day % 7} showed {day % 30} degrees." for day in range(60))


@pytest.fixture(params=Precision)
def embedder(request: pytest.FixtureRequest) -> OnnxEmbedder:
    loaded: OnnxEmbedder = request.getfixturevalue(request.param.value)
    return loaded


def test_it_is_an_embedder_of_384_dimensions_on_the_cpu(int8: OnnxEmbedder) -> None:
    used: Embedder = int8
    assert (used.dimensions, used.backend) == (384, "cpu")


@pytest.mark.parametrize("number", range(len(SENTENCES)))
def test_fp32_gives_the_vectors_of_the_original_model(fp32: OnnxEmbedder, number: int) -> None:
    vector = fp32.embed(SENTENCES[number]).vector
    assert vector @ ORIGINAL[number] >= 0.99999
    assert vector == pytest.approx(ORIGINAL[number], abs=1e-4)


@pytest.mark.parametrize("number", range(len(SENTENCES)))
def test_int8_stays_close_to_the_original_model(int8: OnnxEmbedder, number: int) -> None:
    assert int8.embed(SENTENCES[number]).vector @ ORIGINAL[number] >= 0.997


def test_int8_is_closer_to_the_original_on_average_than_weights_of_7_bits_would_be(int8: OnnxEmbedder) -> None:
    cosines = [int8.embed(text).vector @ vector for text, vector in zip(SENTENCES, ORIGINAL, strict=True)]
    assert np.mean(cosines) >= 0.998


def test_a_question_finds_what_answers_it(embedder: OnnxEmbedder) -> None:
    answer = embedder.embed("The spare key lies under the blue flower pot.").vector
    other = embedder.embed("The dentist moved my appointment to Thursday.").vector
    question = embedder.embed("Where did I put the spare key?").vector
    assert question @ answer > 0.5
    assert question @ other < 0.2


def test_a_text_has_the_same_vector_alone_and_after_longer_and_shorter_ones(embedder: OnnxEmbedder) -> None:
    alone = embedder.embed(SENTENCES[4]).vector
    for before in (LONG, "a", SENTENCES[20], SENTENCES[4]):
        embedder.embed(before)
        assert np.array_equal(embedder.embed(SENTENCES[4]).vector, alone)


def test_threads_change_the_time_not_the_vector(package: Path, int8: OnnxEmbedder) -> None:
    two = OnnxEmbedder.load(package, threads=2)
    assert two.fingerprint == int8.fingerprint
    assert two.embed(SENTENCES[20]).vector @ int8.embed(SENTENCES[20]).vector == pytest.approx(1, abs=1e-4)


@settings(max_examples=60)
@given(st.text(max_size=400))
def test_any_text_has_one_vector_of_length_one_or_nothing_to_embed(int8: OnnxEmbedder, text: str) -> None:
    try:
        first = int8.embed(text)
    except ValueError:
        assert int8.count_tokens(text) == 0
        return
    assert first.vector.shape == (384,)
    assert first.vector.dtype == np.float32
    assert np.linalg.norm(first.vector) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(int8.embed(text).vector, first.vector)
    assert first.tokens == int8.count_tokens(text) > 0


@pytest.mark.parametrize("text", ["", "  \n", "\x00"])
def test_nothing_to_embed_is_said_and_not_answered_with_a_vector(int8: OnnxEmbedder, text: str) -> None:
    with pytest.raises(ValueError, match="nothing to embed"):
        int8.embed(text)


def test_the_end_of_a_long_text_counts(int8: OnnxEmbedder) -> None:
    one, other = int8.embed(LONG + " The cat is ill."), int8.embed(LONG + " Marta got married.")
    assert one.tokens > 800
    assert np.linalg.norm(one.vector) == pytest.approx(1, abs=1e-5)
    assert one.vector @ other.vector < 0.9999
    assert one.vector @ int8.embed(LONG).vector > 0.98


def test_the_vector_glides_where_one_window_becomes_two(embedder: OnnxEmbedder) -> None:
    report = "the heat pump in the cellar needs water and a new filter "
    texts = [report * 21 + "today " * more for more in range(5)]
    embeddings = [embedder.embed(text) for text in texts]
    assert [embedding.tokens for embedding in embeddings] == [252, 253, 254, 255, 256]
    for one, next_one in pairwise(embeddings):
        assert one.vector @ next_one.vector > 0.97


def test_without_tokens_the_vector_is_the_same(embedder: OnnxEmbedder) -> None:
    for text, prefix in ((SENTENCES[4], ""), (LONG, ""), (SENTENCES[4], "(3 March 2026) Nora: ")):
        whole, alone = embedder.embed(text, prefix), embedder.embed(text, prefix, tokens=False)
        assert np.array_equal(alone.vector, whole.vector)
        assert (alone.tokens, alone.windows) == (whole.tokens, whole.windows)
        assert len(whole.token_vectors) == len(whole.token_starts) > 0
        assert len(alone.token_vectors) == len(alone.token_starts) == 0


def test_the_timings_add_up_to_the_time_it_took(int8: OnnxEmbedder) -> None:
    began = perf_counter()
    timings = int8.embed(LONG).timings
    took = (perf_counter() - began) * 1000
    assert min(timings.tokenize, timings.inference, timings.pooling) > 0
    assert timings.tokenize + timings.inference + timings.pooling <= took


def test_int8_is_the_faster_one(int8: OnnxEmbedder, fp32: OnnxEmbedder) -> None:
    def fastest(embedder: OnnxEmbedder) -> float:
        return min(embedder.embed(SENTENCES[20]).timings.inference for _ in range(40))

    assert fastest(int8) < fastest(fp32)


def test_the_fingerprint_changes_with_everything_that_shapes_a_vector(
    package_copy: Path, edit_manifest: Edit, int8: OnnxEmbedder, fp32: OnnxEmbedder
) -> None:
    fingerprints = {int8.fingerprint, fp32.fingerprint}
    assert int8.fingerprint.startswith("all-MiniLM-L6-v2@")
    for key, value in (("name", "other"), ("revision", "2"), ("max_length", 128)):
        edit_manifest(lambda raw, key=key, value=value: raw.__setitem__(key, value))  # type: ignore[misc]
        fingerprints.add(OnnxEmbedder.load(package_copy).fingerprint)
    assert len(fingerprints) == 5


def test_the_same_package_has_the_same_fingerprint_elsewhere(package_copy: Path, int8: OnnxEmbedder) -> None:
    assert OnnxEmbedder.load(package_copy).fingerprint == int8.fingerprint


def test_a_shorter_model_reads_in_shorter_windows(package_copy: Path, edit_manifest: Edit, int8: OnnxEmbedder) -> None:
    edit_manifest(lambda raw: raw.__setitem__("max_length", 64))
    short = OnnxEmbedder.load(package_copy).embed(SENTENCES[22])
    assert short.tokens == int8.count_tokens(SENTENCES[22])
    assert short.vector @ int8.embed(SENTENCES[22]).vector > 0.8


def test_a_precision_that_was_not_converted_is_named(package_copy: Path, edit_manifest: Edit) -> None:
    edit_manifest(lambda raw: raw.__setitem__("files", [file for file in raw["files"] if file["precision"] != "fp32"]))
    OnnxEmbedder.load(package_copy)
    with pytest.raises(ModelError, match="no fp32 onnx file; run `npu-memory-convert"):
        OnnxEmbedder.load(package_copy, precision=Precision.FP32)


@pytest.mark.parametrize("name", ["model.int8.onnx", "tokenizer.json"])
def test_a_damaged_file_is_found_before_it_is_used(package_copy: Path, name: str) -> None:
    path = package_copy / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(ModelError, match=f"{name} has the SHA-256 .* instead of"):
        OnnxEmbedder.load(package_copy)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match="bytes instead of"):
        OnnxEmbedder.load(package_copy)


def put_model(package: Path, edit_manifest: Edit, content: bytes) -> None:
    """Exchange the model for another file whose size and sum are right."""
    (package / "model.int8.onnx").write_bytes(content)

    def change(raw: dict[str, Any]) -> None:
        for file in raw["files"]:
            if file["precision"] == "int8":
                file |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}

    edit_manifest(change)


def test_a_file_that_is_no_model_is_a_model_error(package_copy: Path, edit_manifest: Edit) -> None:
    put_model(package_copy, edit_manifest, b"not a model")
    with pytest.raises(ModelError, match=r"cannot load model\.int8\.onnx"):
        OnnxEmbedder.load(package_copy)


def test_a_model_of_other_dimensions_than_the_manifests_is_found_out(package_copy: Path, edit_manifest: Edit) -> None:
    edit_manifest(lambda raw: raw.__setitem__("dimensions", 768))
    embedder = OnnxEmbedder.load(package_copy)
    with pytest.raises(ModelError, match=r"answered float32 \[7, 384\] to 7 tokens"):
        embedder.embed("Where are the keys?")


def test_the_checked_sums_are_those_of_the_manifest(package: Path) -> None:
    for file in load_manifest(package).files:
        assert hashlib.sha256((package / file.name).read_bytes()).hexdigest() == file.sha256


def test_no_training_framework_is_ever_asked_for(package: Path) -> None:
    program = """
        import sys
        from pathlib import Path

        asked = []

        class Watch:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in {"torch", "tensorflow", "transformers", "sentence_transformers", "jax"}:
                    asked.append(name)

        sys.meta_path.insert(0, Watch())
        from npu_memory_server.embedding.embedder import OnnxEmbedder

        OnnxEmbedder.load(Path(sys.argv[1])).embed("hello")
        print(asked)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(package)]
    path = {"PYTHONPATH": ":".join(sys.path)}
    answer = subprocess.run(command, check=True, capture_output=True, text=True, env=path, timeout=60)
    assert answer.stdout.strip() == "[]"
