"""`npu-memory bench` on a board with an NPU: its figures stand beside the CPU's."""

from dataclasses import replace
from pathlib import Path
import shutil

import pytest

from npu_memory_server.asking import RecallDefaults
from npu_memory_server.benchmark.figures import Report
from npu_memory_server.cli.bench_tables import as_text
from npu_memory_server.cli.benchmarking import BenchOptions, measured
from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.npu.board import Board
from npu_memory_server.npu.settings import NpuSettings
from npu_memory_server.settings import EMBEDDER, Settings
from npu_memory_server.wire import NpuState
from tests.server.npu.conftest import OpenNpu
from tests.server.npu.stand_in import FAIL, Faults, StandInNpu
from tests.server.npu.test_memory_on_npu import on_npu

pytestmark = pytest.mark.usefixtures("rknnlite")

OPTIONS = BenchOptions(memories=20, rounds=1, is_made=True, json=None, plot=None)


@pytest.fixture
def settings(model_directory: Path, tmp_path: Path) -> Settings:
    return Settings(data_directory=tmp_path / "data", model_directory=model_directory, recall=RecallDefaults())


def counts(report: Report, table: str) -> dict[str, tuple[int, int]]:
    """Return how often each row was measured on the CPU and on the NPU."""
    return {
        row.name: (row.cpu.n if row.cpu else 0, row.npu.n if row.npu else 0)
        for one in report.tables
        if one.name == table
        for row in one.rows
    }


async def test_every_stage_and_configuration_is_measured_on_both_in_one_run(
    settings: Settings, embedder: OnnxEmbedder, open_npu: OpenNpu
) -> None:
    encoder = open_npu()
    report = await measured(settings, OPTIONS, embedder, on_npu(embedder, encoder), encoder.report)
    assert (report.npu, report.degraded) == (NpuState.ACTIVE, 0)
    embedding = counts(report, "embedding")
    assert embedding["inference"] == embedding["total"] == (60, 60)
    assert embedding["pooling"] == embedding["normalizing"] == (60, 0)
    whole = counts(report, "configurations")
    assert whole["no reranker"] == whole["maxsim"] == whole["recall over the wire (TCP, maxsim)"] == (60, 60)
    said = as_text(report, encoder.report)
    assert "NPU p50 ms" in said
    assert "On the NPU pooling and normalizing are part of the inference." in said
    assert "No NPU" not in said


async def test_what_the_cpu_answers_for_a_failing_npu_is_not_counted_as_the_npus(
    settings: Settings, embedder: OnnxEmbedder, open_npu: OpenNpu, npu: StandInNpu
) -> None:
    encoder = open_npu()
    npu.faults = Faults(run=FAIL)
    report = await measured(settings, OPTIONS, embedder, on_npu(embedder, encoder), encoder.report)
    assert counts(report, "embedding")["inference"] == (60, 0)
    assert counts(report, "configurations")["maxsim"] == (60, 0)
    assert report.degraded > 0


@pytest.fixture
def with_rerankers(
    settings: Settings,
    trained: Path,
    pair_package: Path,
    model_directory: Path,
    board: Board,
    monkeypatch: pytest.MonkeyPatch,
) -> Settings:
    """Return settings of a board whose cross-encoder of two layers has a package for the NPU, and reads only there."""
    models = settings.data_directory.parent / "models"
    shutil.copytree(trained, models)
    (models / EMBEDDER).symlink_to(model_directory / EMBEDDER)
    (models / pair_package.name).symlink_to(pair_package)
    monkeypatch.setattr("npu_memory_server.reranking.shelf.Board", lambda: board)
    return replace(settings, model_directory=models, npu=NpuSettings(fallback=False))


@pytest.mark.usefixtures("rerank_npu")
async def test_a_cross_encoder_is_measured_on_both_and_five_memories_of_128_tokens_too(
    with_rerankers: Settings, embedder: OnnxEmbedder, open_npu: OpenNpu
) -> None:
    encoder = open_npu()
    report = await measured(with_rerankers, OPTIONS, embedder, on_npu(embedder, encoder), encoder.report)
    for table in ("configurations", "reading", "five"):
        assert counts(report, table)["cross-encoder, 2 layers"] == (60, 60)
        assert counts(report, table)["cross-encoder, 12 layers"] == (0, 0)
    assert report.degraded == 0


@pytest.mark.usefixtures("rerank_npu")
async def test_a_cross_encoder_is_measured_on_the_npu_where_the_embedder_has_none(
    with_rerankers: Settings, embedder: OnnxEmbedder
) -> None:
    report = await measured(with_rerankers, OPTIONS, embedder, None, embedder.npu)
    assert counts(report, "five")["cross-encoder, 2 layers"] == (60, 60)
    assert counts(report, "configurations")["cross-encoder, 2 layers"] == (60, 0)
