"""Stories told by voice: real ones, each of which takes minutes, so that they are told once for all tests."""

import os
from pathlib import Path

import pytest

from script.demonstration.memory_server import Command
from tests.voice import report
from tests.voice.story import Story, happened

NEWEST = "2026.11.0"
OLDEST = "2026.10.4"
CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="session", params=[NEWEST, OLDEST])
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, model_directory: Path) -> Story:
    """Return what happened in one of the releases; in the oldest nothing was said while the memory server was away."""
    version: str = request.param
    lab, python = (os.environ.get(name) for name in ("NPU_MEMORY_LAB", "NPU_MEMORY_SERVER_PYTHON"))
    if not lab or not python:
        pytest.skip("NPU_MEMORY_LAB or NPU_MEMORY_SERVER_PYTHON is not set; script/test --voice sets them")
    if not (Path(lab) / f"ha-{version}").is_dir():
        pytest.skip(f"There is no Home Assistant {version} in {lab}")
    folder = tmp_path_factory.mktemp(version)
    command = Command(CHECKOUT, Path(python), model_directory, folder / "data")
    command.data_directory.mkdir()
    told = happened(folder, Path(lab), version, command, in_full=version == NEWEST)
    if into := os.environ.get("NPU_MEMORY_VOICE_REPORT"):
        report.write(told, Path(into))
    return told
