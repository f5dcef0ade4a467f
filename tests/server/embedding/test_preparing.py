"""Model packages get into their place whole, or not at all, and leave it again."""

from collections.abc import Callable
import json
from pathlib import Path
import shutil
from typing import Any

import pytest

from npu_memory_server.embedding.manifest import MANIFEST_NAME, FileRole, load_manifest
from npu_memory_server.embedding.preparing import copy_package, is_whole, remove_package
from npu_memory_server.errors import ModelError
from npu_memory_server.settings import EMBEDDER
from tests.server.process import run_command

Edit = Callable[[Callable[[dict[str, Any]], object]], None]


@pytest.fixture
def source(package_copy: Path, edit_manifest: Edit) -> Path:
    """Return a whole package, somewhere else, without the large FP32 model."""
    edit_manifest(lambda raw: raw.update(files=[file for file in raw["files"] if file["precision"] != "fp32"]))
    return package_copy


def ignore(file: str, come: int, size: int) -> None:
    """Show nothing."""


class TornAway(Exception):
    """The disk was pulled out."""


def test_a_package_is_copied_whole_from_its_folder_or_the_one_above(source: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    seen: list[tuple[str, int, int]] = []
    folder = copy_package(source, models, EMBEDDER, lambda *step: seen.append(step))
    assert folder == models / EMBEDDER
    assert is_whole(folder)
    assert [path.name for path in models.iterdir()] == [EMBEDDER]
    whole = {file.name: file.bytes for file in load_manifest(source).files}
    assert {file: max(come for name, come, _ in seen if name == file) for file, _, _ in seen} == whole
    assert is_whole(copy_package(models, tmp_path / "others", EMBEDDER, ignore))


def test_what_was_interrupted_goes_on_where_it_ended(source: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    model = load_manifest(source).files[0]

    def tear(file: str, come: int, size: int) -> None:
        if file == model.name and come > size // 2:
            raise TornAway

    with pytest.raises(TornAway):
        copy_package(source, models, EMBEDDER, tear)
    assert not (models / EMBEDDER).exists()
    steps: list[int] = []
    copy_package(source, models, EMBEDDER, lambda file, come, _: steps.append(come) if file == model.name else None)
    assert steps[0] > model.bytes // 2
    assert is_whole(models / EMBEDDER)


def test_what_was_left_by_another_attempt_is_not_believed(source: Path, tmp_path: Path) -> None:
    staged = tmp_path / "models" / f".preparing-{EMBEDDER}"
    staged.mkdir(parents=True)
    (staged / "model.int8.onnx").write_bytes(b"something else")
    with pytest.raises(ModelError, match="is not what its manifest says"):
        copy_package(source, tmp_path / "models", EMBEDDER, ignore)
    assert is_whole(copy_package(source, tmp_path / "models", EMBEDDER, ignore))


@pytest.mark.parametrize("damage", ["cut", "flipped", "longer", "missing"])
def test_a_damaged_package_does_not_take_the_place_of_a_good_one(source: Path, tmp_path: Path, damage: str) -> None:
    models = tmp_path / "models"
    copy_package(source, models, EMBEDDER, ignore)
    path = source / load_manifest(source).file(FileRole.TOKENIZER).name
    content = path.read_bytes()
    damaged = {"cut": content[:-1], "flipped": bytes([content[0] ^ 1]) + content[1:], "longer": content + b"\n"}
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(damaged[damage])
    with pytest.raises(ModelError):
        copy_package(source, models, EMBEDDER, ignore)
    assert is_whole(models / EMBEDDER)


def test_a_removed_package_is_gone_and_one_that_was_only_linked_is_not(source: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    copy_package(source, models, EMBEDDER, ignore)
    (models / "linked").symlink_to(source)
    for name in (EMBEDDER, "linked"):
        remove_package(models, name)
        with pytest.raises(ModelError, match="there is no"):
            remove_package(models, name)
    assert list(models.iterdir()) == []
    assert is_whole(source)


@pytest.mark.parametrize("name", ["../models", "/etc", "..", ".hidden", "a/b", ""])
def test_a_name_that_leads_elsewhere_is_refused(source: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "models").mkdir()
    for work in (
        lambda: remove_package(tmp_path / "models", name),
        lambda: copy_package(source, tmp_path, name, ignore),
    ):
        with pytest.raises(ModelError, match="is not the name of a model"):
            work()


def test_the_commands_say_what_they_did_and_what_to_do(source: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    prepared = run_command("models", "prepare", EMBEDDER, "--from", source, "--model-dir", models)
    assert (prepared.returncode, "was copied and verified" in prepared.stdout) == (0, True)
    shutil.rmtree(source)
    again = run_command("models", "prepare", EMBEDDER, "--model-dir", models, "--json")
    assert json.loads(again.stdout)["outcome"] == "was there already, whole"
    assert run_command("models", "remove", EMBEDDER, "--model-dir", models).stdout == f"{EMBEDDER} is removed.\n"
    assert run_command("models", "remove", EMBEDDER, "--model-dir", models).returncode == 1

    no_converter = {"PATH": str(tmp_path)}
    told = run_command("models", "prepare", f"{EMBEDDER}-rk3588", "--model-dir", models, extra=no_converter)
    assert told.returncode == 1
    assert "npu-memory-convert all-MiniLM-L6-v2 --target rknn" in told.stderr
    unknown = run_command("models", "prepare", "gpt-7", "--model-dir", models, extra=no_converter)
    assert "Nothing is known of 'gpt-7'" in unknown.stderr
    assert run_command("models", "prepare", "--model-dir", models).returncode == 2
    assert not (models / EMBEDDER / MANIFEST_NAME).exists()
