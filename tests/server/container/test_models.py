"""The models that came with the image and those that were fetched lie side by side in the data directory."""

import os
from pathlib import Path
import sys

import pytest

from npu_memory_server.container import __main__ as container
from npu_memory_server.errors import StorageError


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "image"
    (folder / "embedder").mkdir(parents=True)
    (folder / "embedder" / "manifest.json").write_text("of the image")
    monkeypatch.setattr(container, "BUILT_IN_MODELS", folder)
    return folder


def test_the_images_models_are_seen_beside_the_fetched(image: Path, tmp_path: Path) -> None:
    models = tmp_path / "data" / "models"
    (models / "reranker").mkdir(parents=True)
    container.show_built_in_models(models)
    assert sorted(path.name for path in models.iterdir()) == ["embedder", "reranker"]
    assert (models / "embedder" / "manifest.json").read_text() == "of the image"


def test_another_image_shows_its_own(image: Path, tmp_path: Path) -> None:
    models = tmp_path / "data" / "models"
    models.mkdir(parents=True)
    (models / "embedder").symlink_to(tmp_path / "an image that is gone")
    container.show_built_in_models(models)
    assert (models / "embedder" / "manifest.json").read_text() == "of the image"


def test_a_model_of_the_users_own_is_left_in_its_place(image: Path, tmp_path: Path) -> None:
    models = tmp_path / "data" / "models"
    (models / "embedder").mkdir(parents=True)
    container.show_built_in_models(models)
    assert not (models / "embedder").is_symlink()


def test_a_folder_that_cannot_be_made_is_told_of(image: Path, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StorageError, match="cannot be written to"):
        container.show_built_in_models(tmp_path / "data" / "models")


@pytest.mark.parametrize("name", ["", "maxsim", "none", "ms-marco-TinyBERT-L-2-v2"])
def test_what_needs_no_fetching_is_not_fetched(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "ms-marco-TinyBERT-L-2-v2").mkdir()
    container.fetch_reranker(name, tmp_path)
    assert caplog.text == ""


def test_fetching_leaves_the_server_no_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/true")  # as far as the hub is from here
    container.fetch_reranker("ms-marco-TinyBERT-L-2-v2", tmp_path)
    assert "Fetching the reranker ms-marco-TinyBERT-L-2-v2" in caplog.text
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
