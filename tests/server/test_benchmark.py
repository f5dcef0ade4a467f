"""`npu-memory bench`: what it says of a machine, and what it must not say."""

from collections.abc import Iterator
import json
from pathlib import Path
import platform
import re
from typing import Any
import xml.etree.ElementTree as ET

import pytest

from benchmarks.made_cross_encoder import TINYBERT_L2, cross_encoder, random_weights
from npu_memory_server.benchmark import made
from npu_memory_server.benchmark.figures import EARLIER_SYSTEM
from npu_memory_server.data_directory import DataDirectory
from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.settings import EMBEDDER
from npu_memory_server.wire import Reranker
from tests.server.process import run_command
from tests.server.reranking.made import put

Data = dict[str, Any]
TWO_LAYERS = "cross-encoder, 2 layers"


@pytest.fixture(scope="module")
def models(model_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of models with a cross-encoder of two layers, and none of 6 and 12."""
    folder = tmp_path_factory.mktemp("shelf")
    (folder / EMBEDDER).symlink_to(model_directory / EMBEDDER)
    model = cross_encoder(TINYBERT_L2, random_weights(TINYBERT_L2))
    put(folder, Reranker.TINYBERT_L2, model, model_directory / EMBEDDER / "tokenizer.json", TINYBERT_L2)
    return folder


@pytest.fixture(scope="module")
def finished(models: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return the folder with the files of a benchmark, and what it printed."""
    folder = tmp_path_factory.mktemp("results")
    done = run_command(
        "bench", "--model-dir", models, "--memories", "120", "--rounds", "2", "--npu-embedder", "0",
        "--json", folder / "bench.json", "--plot", folder / "bench.svg",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


@pytest.fixture(scope="module")
def report(finished: tuple[Path, str]) -> Data:
    return dict(json.loads((finished[0] / "bench.json").read_text(encoding="utf-8")))


def rows(report: Data, table: str) -> dict[str, Data]:
    return {row["name"]: row for one in report["tables"] if one["name"] == table for row in one["rows"]}


def all_rows(report: Data) -> Iterator[Data]:
    for table in report["tables"]:
        yield from table["rows"]


# What is in it


def test_the_machine_and_the_conditions_are_described(report: Data) -> None:
    machine = report["machine"]
    assert machine["cpu"]
    assert machine["architecture"] == platform.machine()
    assert machine["cores"] >= 1
    assert machine["memory_gib"] > 0
    assert machine["python"] == platform.python_version()
    assert {"npu-memory", "onnxruntime", "numpy", "tokenizers"} <= set(machine["versions"])
    assert (report["memories"], report["is_made"]) == (120, True)
    assert (report["questions"], report["rounds"], report["degraded"]) == (60, 2, 0)
    assert (report["model"], report["precision"], report["threads"]) == (EMBEDDER, "int8", 1)


def test_every_stage_and_every_configuration_that_can_be_had_has_its_figures(report: Data) -> None:
    assert [table["name"] for table in report["tables"]] == [
        "embedding", "retrieval", "configurations", "reading", "five",
    ]  # fmt: skip
    measured = {row["name"] for row in all_rows(report) if row["cpu"]}
    assert {"tokenize", "inference", "pooling", "normalizing", "total"} <= measured
    assert {"vector", "lexical", "fusion", "rerank (maxsim)", "context"} <= measured
    assert {"no reranker", "maxsim", TWO_LAYERS} <= measured
    assert not any(row["npu"] for row in all_rows(report))


def test_figures_are_possible_ones(report: Data) -> None:
    m = report["m"]
    assert m["p50_ms"] > 0
    for row in all_rows(report):
        if figure := row["cpu"]:
            assert 0 <= figure["p50_ms"] <= figure["p95_ms"], row["name"]
            assert figure["p50_in_m"] == pytest.approx(figure["p50_ms"] / m["p50_ms"])
    embedding, whole = rows(report, "embedding"), rows(report, "configurations")
    assert embedding["inference"]["cpu"]["p50_in_m"] == 1
    assert embedding["inference"]["cpu"]["p50_ms"] < embedding["total"]["cpu"]["p50_ms"]
    assert whole["no reranker"]["cpu"]["p50_in_m"] > 1
    reading, five = (rows(report, table)[TWO_LAYERS]["cpu"]["p50_ms"] for table in ("reading", "five"))
    assert whole[TWO_LAYERS]["cpu"]["p50_ms"] > reading
    assert five > 2 * reading


def test_a_cross_encoder_takes_part_in_the_first_of_five_rounds_and_the_others_in_all(report: Data) -> None:
    whole = rows(report, "configurations")
    assert {name: row["cpu"]["n"] for name, row in whole.items() if row["cpu"]} == {
        "no reranker": 120,
        "maxsim": 120,
        TWO_LAYERS: 60,
        "recall over the wire (TCP, maxsim)": 120,
    }


def test_published_figures_stand_beside_and_say_whose_they_are(finished: tuple[Path, str], report: Data) -> None:
    assert rows(report, "configurations")["no reranker"]["published"] == {
        "cpu_ms": 176, "npu_ms": 65.3, "whose": EARLIER_SYSTEM,
    }  # fmt: skip
    assert rows(report, "embedding")["inference"]["published"]["npu_ms"] == 19
    assert {row["published"]["whose"] for row in all_rows(report) if row["published"]} == {EARLIER_SYSTEM}
    assert "theirs, CPU ms  theirs, NPU ms" in finished[1]
    assert '"Theirs" are the earlier system\'s published figures' in finished[1]


def test_what_is_missing_is_said_with_how_to_get_it(finished: tuple[Path, str], report: Data) -> None:
    said = finished[1]
    twelve = rows(report, "configurations")["cross-encoder, 12 layers"]
    assert (twelve["cpu"], twelve["note"]) == (None, "not there: npu-memory models fetch ms-marco-MiniLM-L-12-v2")
    assert twelve["note"] in said
    assert "cross-encoder, 6 layers, not measured: not there: flashrank serves none of six layers" in said
    assert "No NPU is measured (disabled): the settings say so." in said


def test_the_picture_shows_every_measured_row(finished: tuple[Path, str], report: Data) -> None:
    picture = ET.parse(finished[0] / "bench.svg").getroot()
    texts = [element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {row["name"] for row in all_rows(report) if row["cpu"]} <= set(texts)
    width, height = float(picture.get("width", 0)), float(picture.get("height", 0))
    for circle in picture.iter("{http://www.w3.org/2000/svg}circle"):
        assert 0 < float(circle.get("cx", -1)) < width
        assert 0 < float(circle.get("cy", -1)) < height


# What is not in it


def test_results_name_no_text_no_machine_and_no_folder(
    finished: tuple[Path, str], models: Path, model_directory: Path
) -> None:
    written = (finished[0] / "bench.json").read_text(encoding="utf-8")
    written += (finished[0] / "bench.svg").read_text(encoding="utf-8")
    for secret in (models, model_directory, finished[0], Path.home()):
        assert str(secret) not in written
    assert not re.search(rf"\b{re.escape(platform.node() or 'nameless')}\b", written)
    for text in (*made.questions(), *(memory.text for memory in made.memories(120))):
        assert text not in written


def test_a_households_own_memories_are_asked_and_nothing_is_stored(
    household_directory: Path, model_directory: Path, tmp_path: Path
) -> None:
    before = run_command("export", "-", data=household_directory).stdout
    done = run_command("bench", "--rounds", "1", "--json", tmp_path / "bench.json", data=household_directory)
    assert done.returncode == 0, done.stderr
    written = (tmp_path / "bench.json").read_text(encoding="utf-8")
    report = json.loads(written)
    assert (report["memories"], report["is_made"]) == (742, False)
    assert run_command("export", "-", data=household_directory).stdout == before
    assert len(before.splitlines()) == 742
    texts = [json.loads(line)["text"] for line in before.splitlines()]
    assert not [text for text in texts if len(text.split()) > 2 and text in written + done.stdout]


# Memories and questions that are made


def test_the_same_memories_and_questions_are_made_at_every_run() -> None:
    assert list(made.memories(50)) == list(made.memories(200))[:50]
    assert made.questions() == made.questions()
    assert len(made.questions()) == 60
    assert all(5 <= len(text.split()) <= 16 for text in made.questions())
    texts = [memory.text for memory in made.memories(742)]
    assert len(set(texts)) > 700
    assert all(6 <= len(text.split()) <= 30 for text in texts)


def test_the_five_texts_fill_pairs_of_128_tokens(embedder: OnnxEmbedder) -> None:
    texts = made.five(embedder.count_tokens)
    asked = max(embedder.count_tokens(question) for question in made.questions())
    assert len(set(texts)) == 5
    assert all(118 <= embedder.count_tokens(text) + asked + 3 <= 128 for text in texts)


# What is asked wrongly


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--plot", "bench.png"], "bench.png: the picture is an SVG; give it a name that ends in .svg."),
        (["--json", "nowhere/bench.json"], "nowhere/bench.json cannot be written: there is no folder nowhere."),
        (["--data-dir", "nowhere"], "nowhere has no memories. Without --data-dir the benchmark makes its own."),
        (["--data-dir", "nowhere", "--memories", "10"], "not allowed with argument"),
        (["--rounds", "0"], "0 is not from 1 to 1000"),
    ],
)
def test_a_mistake_is_a_sentence_before_anything_is_measured(arguments: list[str], sentence: str) -> None:
    done = run_command("bench", *arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not Path("nowhere").exists()


def test_a_data_directory_whose_memories_are_all_gone_is_not_asked(tmp_path: Path) -> None:
    run_command("remember", "The key is here.", "--id", "k-1", data=tmp_path)
    run_command("forget", "k-1", data=tmp_path)
    done = run_command("bench", data=tmp_path)
    assert done.returncode == 2
    assert "There are no memories to ask" in done.stderr


def test_memories_that_a_server_has_are_left_to_it(household_directory: Path, tmp_path: Path) -> None:
    with DataDirectory(household_directory):
        done = run_command("bench", "--rounds", "1", data=household_directory)
    assert done.returncode == 1
    assert "in use by another process" in done.stderr
