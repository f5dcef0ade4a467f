"""What `npu-memory doctor` says of boards that lack something, and what it advises."""

from collections.abc import Callable
import json
from pathlib import Path
import shutil

import pytest

from npu_memory_server.asking import RecallDefaults
from npu_memory_server.cli.examining import doctor
from npu_memory_server.embedding.doctor import Finding, Level, examine
from npu_memory_server.embedding.manifest import Precision
from npu_memory_server.npu.board import Board
from npu_memory_server.npu.settings import NpuSettings
from npu_memory_server.reranking.examining import examine as examine_rerankers
from npu_memory_server.settings import EMBEDDER, Settings
from tests.server.npu.conftest import RERANKER
from tests.server.npu.stand_in import FAIL, Faults, StandInNpu
from tests.server.process import run_command

Examine = Callable[..., dict[str, Finding]]


@pytest.fixture
def models(model_directory: Path, npu_package: Path, tmp_path: Path) -> Path:
    """Return a folder with the packages of both backends."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / EMBEDDER).symlink_to(model_directory / EMBEDDER)
    shutil.copytree(npu_package, folder / npu_package.name)
    return folder


@pytest.fixture
def findings(models: Path, board: Board) -> Examine:
    def look(board: Board = board, **settings: object) -> dict[str, Finding]:
        npu = NpuSettings(**settings)
        found = examine(models, EMBEDDER, precision=Precision.INT8, threads=1, npu=npu, board=board)
        return {one.what: one for one in found}

    return look


def problems(found: dict[str, Finding]) -> set[str]:
    return {what for what, one in found.items() if one.level is Level.PROBLEM}


@pytest.mark.usefixtures("rknnlite")
def test_a_whole_board_is_found_whole(findings: Examine, board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    (board.root / "dev/rknpu").touch()
    (board.root / "sys/kernel/debug/rknpu").mkdir(parents=True)
    (board.root / "sys/kernel/debug/rknpu/version").write_text("RKNPU driver: v0.9.8\n")
    monkeypatch.setattr("importlib.metadata.version", lambda name: "2.5.0")
    found = findings(fallback=False)
    assert problems(found) == set()
    assert found["SoC"].seen == "rk3588 (rockchip,rk3588-orangepi-5-max)"
    assert found["kernel driver"].seen == "rknpu 0.9.8"
    assert found["/usr/lib/librknnrt.so"].seen == "version 2.5.0"
    assert "embedded on the npu" in found["a question"].seen
    assert {f"up to {length} tokens" for length in (32, 64, 128, 256)} <= set(found)
    assert "cosine 0.99" in found["up to 32 tokens"].seen


def test_a_pc_has_no_problem_with_having_no_npu(findings: Examine, tmp_path: Path) -> None:
    found = findings(Board(tmp_path / "pc"))
    assert list(found) == ["model for the CPU", "NPU", "a question"]
    assert problems(found) == set()
    assert "embedded on the cpu" in found["a question"].seen


def without(name: str) -> Callable[[Board], object]:
    return lambda board: (board.root / name).unlink()


@pytest.mark.parametrize(
    ("damage", "what", "seen", "advice"),
    [
        (without("dev/dri/renderD129"), "/dev/dri/renderD129", "not there", "the device /dev/dri/renderD129"),
        (without("proc/device-tree/compatible"), "SoC", "cannot be read", "mount /proc/device-tree/compatible"),
        (without("usr/lib/librknnrt.so"), "/usr/lib/librknnrt.so", "not there", "mount it read-only"),
        (
            lambda board: (board.root / "usr/lib/librknnrt.so").write_bytes(b"librknnrt version: 2.3.0"),
            "model for the NPU",
            "toolkit 2.5.0",
            "Update librknnrt.so from 2.3.0 to 2.5.0",
        ),
        (
            lambda board: (board.root / "proc/device-tree/compatible").write_bytes(b"rockchip,rk3566\0"),
            "model for the NPU",
            "rk3588",
            "Convert it for rk3566",
        ),
        (
            lambda board: (
                (board.root / "dev/dri/renderD129").unlink(),
                (board.root / "dev/accel").mkdir(),
                (board.root / "dev/accel/accel0").touch(),
            ),
            "/dev/dri/renderD129",
            "mainline driver",
            "the driver of Rockchip's kernel",
        ),
        (lambda _: None, "rknn-toolkit-lite2", "not installed", "use the container"),
    ],
    ids=["no device", "masked device tree", "no runtime", "old runtime", "other SoC", "mainline kernel", "no library"],
)
def test_what_is_missing_is_named_with_what_to_do(
    findings: Examine, board: Board, damage: Callable[[Board], object], what: str, seen: str, advice: str
) -> None:
    damage(board)
    found = findings()
    assert what in problems(found)
    assert seen in found[what].seen
    assert advice in found[what].advice


def test_a_device_that_may_not_be_used_is_told_from_one_that_is_missing(
    findings: Examine, monkeypatch: pytest.MonkeyPatch, board: Board
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may use whatever there is
    node = findings()["/dev/dri/renderD129"]
    assert node.level is Level.PROBLEM
    assert "belongs to user" in node.seen
    assert "group_add" in node.advice


def test_a_container_is_recognized(findings: Examine, board: Board) -> None:
    (board.root / ".dockerenv").touch()
    (board.root / "dev/dri/renderD129").unlink()
    found = findings()
    assert "/.dockerenv" in found["container"].seen
    assert "Give the container" in found["/dev/dri/renderD129"].advice


def test_a_damaged_model_is_a_problem(findings: Examine, models: Path, npu_package: Path) -> None:
    with (models / npu_package.name / "model.64.rknn").open("ab") as stream:
        stream.write(b"\0")
    assert "model.64.rknn has" in findings()["model for the NPU"].advice
    shutil.rmtree(models / npu_package.name)
    assert "--target rknn" in findings()["model for the NPU"].advice


@pytest.mark.usefixtures("rknnlite")
def test_an_npu_that_does_not_run_is_a_problem_with_its_reason(findings: Examine, npu: StandInNpu) -> None:
    npu.faults = Faults(init=FAIL)
    found = findings()
    assert "refused model.32.rknn" in found["NPU"].seen
    assert "embedded on the cpu" in found["a question"].seen


def test_an_npu_that_was_switched_off_is_a_note(findings: Examine) -> None:
    found = findings(enabled=False)
    assert found["NPU"].level is Level.NOTE
    assert problems(found) == set()


def test_what_is_printed_can_be_read_by_a_person_and_by_a_program(
    models: Path, board: Board, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(data_directory=tmp_path, model_directory=models, recall=RecallDefaults())
    (board.root / "usr/lib/librknnrt.so").unlink()
    assert doctor(settings, board.root, as_json=False) == 1
    said = capsys.readouterr().out
    assert "PROBLEM  /usr/lib/librknnrt.so" in said
    assert "  -> It comes with the board's system" in said
    assert doctor(settings, board.root, as_json=True) == 1
    raw = json.loads(capsys.readouterr().out)
    assert raw["problems"] == sum(one["level"] == "problem" for one in raw["findings"]) > 0


def test_the_command_ends_well_on_this_machine_and_with_one_without_a_model(
    tmp_path: Path, model_directory: Path
) -> None:
    done = run_command("doctor", "--npu-embedder", "0", "--model-dir", model_directory)
    assert (done.returncode, "Everything is as it should be." in done.stdout) == (0, True)
    done = run_command("doctor", "--model-dir", tmp_path)
    assert done.returncode == 1
    assert "npu-memory-convert" in done.stdout


def reranker_findings(models: Path, board: Board, **settings: object) -> dict[str, Finding]:
    found = examine_rerankers(models, threads=1, npu=NpuSettings(**settings), board=board)
    return {one.what: one for one in found}


@pytest.fixture
def rerankers(trained: Path, pair_package: Path, tmp_path: Path) -> Path:
    """Return a folder with a cross-encoder and its package for the NPU."""
    folder = tmp_path / "rerankers"
    shutil.copytree(trained, folder)
    shutil.copytree(pair_package, folder / pair_package.name)
    return folder


@pytest.mark.usefixtures("rerank_npu")
def test_a_reranker_with_a_package_for_the_npu_is_read_with_on_both(rerankers: Path, board: Board) -> None:
    found = reranker_findings(rerankers, board, fallback=False)
    assert problems(found) == set()
    assert "rk3588, fp16, toolkit 2.5.0, lengths 64, 96, 128" in found[f"{RERANKER} for the NPU"].seen
    assert "5 memories read on the NPU in" in found[RERANKER].seen
    assert all("concordance" in found[f"{RERANKER}, up to {length} tokens"].seen for length in (64, 96, 128))


def test_a_reranker_whose_npu_fails_or_whose_cpu_is_missing_is_a_problem(
    rerankers: Path, board: Board, rerank_npu: StandInNpu
) -> None:
    rerank_npu.faults = Faults(run=FAIL)
    found = reranker_findings(rerankers, board)
    assert problems(found) == {f"{RERANKER}, NPU"}
    assert "an earlier pair" in found[f"{RERANKER}, NPU"].seen
    shutil.rmtree(rerankers / RERANKER)
    missing = reranker_findings(rerankers, board)[f"{RERANKER} for the CPU"]
    assert (missing.level, missing.advice) == (Level.PROBLEM, f"npu-memory models fetch {RERANKER}")


def test_a_damaged_package_of_a_reranker_is_a_problem_on_any_machine(
    rerankers: Path, pair_package: Path, tmp_path: Path
) -> None:
    pc = Board(tmp_path / "pc")
    assert "on the CPU" in reranker_findings(rerankers, pc)[RERANKER].seen
    (rerankers / pair_package.name / "types.npy").unlink()
    assert problems(reranker_findings(rerankers, pc)) == {f"{RERANKER} for the NPU"}


def test_the_doctor_examines_the_rerankers_too(
    models: Path, rerankers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in rerankers.iterdir():
        path.rename(models / path.name)
    settings = Settings(data_directory=tmp_path, model_directory=models, recall=RecallDefaults())
    assert doctor(settings, tmp_path / "pc", as_json=True) == 0
    said = {one["what"] for one in json.loads(capsys.readouterr().out)["findings"]}
    assert {RERANKER, f"{RERANKER} for the NPU", "a question"} <= said
