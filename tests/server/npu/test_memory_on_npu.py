"""A household's memory on a board with an NPU: questions, bulk work, and what goes wrong in the middle of them."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
import sqlite3

import numpy as np
import pytest

from npu_memory_server.embedding.choosing import embedder as choose
from npu_memory_server.embedding.embedder import OnnxEmbedder, TextEmbedder
from npu_memory_server.embedding.npu.routing import RoutedEncoder
from npu_memory_server.memory import Memory
from npu_memory_server.npu.board import Board
from npu_memory_server.npu.faults import NpuRequiredError
from npu_memory_server.npu.settings import NpuSettings
from npu_memory_server.npu.trial import Limits
from npu_memory_server.records import index_prefix
from npu_memory_server.settings import EMBEDDER
from npu_memory_server.store import memories
from npu_memory_server.store.database import FILE_NAME
from npu_memory_server.wire import NpuState, RecallRequest, RememberRequest
from tests.server.npu.conftest import PATIENT, OpenNpu
from tests.server.npu.stand_in import FAIL, Faults, StandInNpu

pytestmark = pytest.mark.usefixtures("rknnlite")

THINGS = ["ladder", "drill", "tent", "atlas", "cello", "kettle", "sledge", "lantern"]
PLACES = ["attic", "cellar", "garage", "pantry", "shed"]
SAID = [f"The {thing} is in the {place} now, behind box {len(thing + place)}." for place in PLACES for thing in THINGS]


def on_npu(embedder: OnnxEmbedder, encoder: RoutedEncoder) -> TextEmbedder:
    return TextEmbedder(embedder.manifest, embedder.tokenizer, encoder, embedder.fingerprint, lambda: encoder.report)


async def say(memory: Memory, text: str) -> None:
    await memory.remember(RememberRequest(text=text, source="test"))


def cosines_to_the_cpus(folder: Path, embedder: OnnxEmbedder) -> list[float]:
    """Return the cosine of each stored vector to what the CPU makes of the memory."""
    with sqlite3.connect(folder / FILE_NAME) as connection:
        stored = dict(connection.execute("SELECT slot, vector FROM vector").fetchall())
        records = memories.by_slot(connection, list(stored))
    assert set(stored) == set(records)
    return [
        float(np.frombuffer(stored[slot], "<f4") @ embedder.embed(record.text, index_prefix(record)).vector)
        for slot, record in records.items()
    ]


async def test_questions_and_memories_are_embedded_on_the_npu_and_the_status_says_so(
    tmp_path: Path, embedder: OnnxEmbedder, open_npu: OpenNpu, npu: StandInNpu
) -> None:
    encoder = open_npu()
    memory = await Memory.open(tmp_path, on_npu(embedder, encoder))
    await asyncio.gather(*(say(memory, text) for text in SAID))
    answer = await memory.recall(RecallRequest(text="Where is the cello that was in the attic?", budget_ms=20_000))
    await memory.embedded()
    status = await memory.status()
    await memory.close()

    assert (answer.backend, answer.degraded) == ("npu", "")
    assert status.npu is not None
    assert (status.backend, status.npu.state, status.npu.cpu_windows) == ("npu", NpuState.ACTIVE, 0)
    assert status.npu.npu_windows == len(SAID) + 1
    found = cosines_to_the_cpus(tmp_path, embedder)
    assert len(found) == len(SAID)
    assert min(found) >= 0.995
    assert len(npu.seen.threads) == 1 + encoder.lanes


async def test_what_one_backend_has_embedded_the_other_finds(
    tmp_path: Path, embedder: OnnxEmbedder, open_npu: OpenNpu, npu: StandInNpu
) -> None:
    memory = await Memory.open(tmp_path, on_npu(embedder, open_npu()))
    await asyncio.gather(*(say(memory, text) for text in SAID))
    await memory.embedded()
    question = RecallRequest(text="Where is the ladder that was in the cellar?", strategy="vector", budget_ms=20_000)
    from_npu = await memory.recall(question)
    await memory.close()

    memory = await Memory.open(tmp_path, embedder)
    status = await memory.status()
    from_cpu = await memory.recall(question)
    await memory.close()
    assert (from_npu.backend, from_cpu.backend, status.pending_embeddings) == ("npu", "cpu", 0)
    assert from_npu.memories[0].id == from_cpu.memories[0].id
    # The CPU's model has 8 bits, and most of these texts are nearly alike: behind the best they may change places.
    assert len({one.id for one in from_npu.memories} & {one.id for one in from_cpu.memories}) >= 3


FAULTS = {
    "run fails, stale output": Faults(run=FAIL, runs_before=9),
    "NaN": Faults(nan=True, runs_before=9),
    "wrong vectors of the right form": Faults(other_text=True, runs_before=9),
    "wrong shape": Faults(wrong_length=True, runs_before=9),
    "hang": Faults(hang=True, runs_before=9),
    "device gone": Faults(gone=True, runs_before=9),
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS.keys())
async def test_a_fault_in_the_middle_loses_no_memory_stores_no_wrong_vector_and_shows_in_the_status(
    tmp_path: Path, embedder: OnnxEmbedder, open_npu: OpenNpu, npu: StandInNpu, faults: Faults
) -> None:
    encoder = open_npu(Limits(least=0.5, most=0.5, first=1.0, hang=0.1) if faults.hang else PATIENT)
    memory = await Memory.open(tmp_path, on_npu(embedder, encoder))
    npu.faults = faults
    await asyncio.gather(*(say(memory, text) for text in SAID))
    await memory.embedded()
    answer = await memory.recall(RecallRequest(text="Where is the tent that was in the shed?", budget_ms=20_000))
    status = await memory.status()
    await memory.close()

    assert (answer.backend, answer.degraded) == ("cpu", "")
    assert "tent is in the shed" in answer.memories[0].text
    assert status.npu is not None
    assert (status.npu.state, status.pending_embeddings) == (NpuState.RESTING, 0)
    assert status.npu.reason
    found = cosines_to_the_cpus(tmp_path, embedder)
    assert len(found) == len(SAID)
    assert min(found) >= 0.995


async def test_where_only_the_npu_may_embed_a_question_is_refused_with_the_reason_and_memories_wait(
    tmp_path: Path, embedder: OnnxEmbedder, open_npu: OpenNpu, npu: StandInNpu
) -> None:
    encoder = open_npu(npu_only=True)
    memory = await Memory.open(tmp_path, on_npu(embedder, encoder))
    npu.faults = Faults(nan=True)
    for text in ("Where is the tent?", "Where is the drill?", "Where is the cello?", "Where is the atlas?"):
        with pytest.raises(NpuRequiredError, match="not finite"):
            await memory.recall(RecallRequest(text=text, budget_ms=20_000))
    await say(memory, SAID[0])
    by_words = await memory.recall(RecallRequest(text="ladder attic", strategy="lexical"))
    status = await memory.status()
    await memory.close()
    assert [one.text for one in by_words.memories] == [SAID[0]]
    assert status.pending_embeddings == 1


OnBoard = Callable[..., AbstractContextManager[TextEmbedder]]


@pytest.fixture
def on_board(model_directory: Path, npu_package: Path, tmp_path: Path, board: Board) -> OnBoard:
    """Return what chooses the embedder of a board with the packages of both backends."""
    models = tmp_path / "models"
    models.mkdir()
    (models / EMBEDDER).symlink_to(model_directory / EMBEDDER)
    (models / npu_package.name).symlink_to(npu_package)

    def start(board: Board = board, **settings: object) -> AbstractContextManager[TextEmbedder]:
        return choose(models, EMBEDDER, npu=NpuSettings(**settings), board=board)

    return start


def test_the_npu_of_a_board_is_found_and_released(on_board: OnBoard, npu: StandInNpu) -> None:
    with on_board(fallback=False) as chosen:
        assert (chosen.npu.state, chosen.backend, chosen.lanes) == (NpuState.ACTIVE, "npu", 2)
        assert [route.length for route in chosen.npu.routes] == [32, 64, 128, 256]
        embedding = chosen.embed("Where is the spare key?")
        assert (embedding.backend, embedding.windows) == ("npu", 1)
    assert npu.open_contexts == 0


def test_a_machine_without_an_npu_uses_the_cpu_and_does_not_complain(
    on_board: OnBoard, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with on_board(Board(tmp_path / "nothing")) as chosen:
        assert (chosen.npu.state, chosen.backend, chosen.lanes) == (NpuState.ABSENT, "cpu", 0)
        assert "no device" in chosen.npu.reason
        assert chosen.embed("hello").backend == "cpu"
    assert not caplog.records


def test_an_npu_that_was_switched_off_is_not_touched(on_board: OnBoard, npu: StandInNpu) -> None:
    with on_board(enabled=False) as chosen:
        assert (chosen.npu.state, chosen.backend) == (NpuState.DISABLED, "cpu")
    assert npu.seen.opened == []


def test_an_npu_that_is_demanded_and_missing_is_said_so_and_the_cpu_answers(
    on_board: OnBoard, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with on_board(Board(tmp_path / "nothing"), enabled=True) as chosen:
        assert (chosen.npu.state, chosen.backend) == (NpuState.FAILED, "cpu")
        assert "no device of an NPU" in chosen.npu.reason
    assert "no device of an NPU" in caplog.text


def test_an_npu_that_is_demanded_without_the_cpu_and_missing_ends_the_start(on_board: OnBoard, tmp_path: Path) -> None:
    with (
        pytest.raises(NpuRequiredError, match="no device of an NPU"),
        on_board(Board(tmp_path / "nothing"), enabled=True, fallback=False),
    ):
        pass


def test_the_package_can_be_named_by_its_folder_or_a_file_in_it(
    model_directory: Path, npu_package: Path, board: Board
) -> None:
    for named in (npu_package, npu_package / "model.32.rknn"):
        settings = NpuSettings(enabled=True, package=named, fallback=False)
        with choose(model_directory, EMBEDDER, npu=settings, board=board) as chosen:
            assert chosen.npu.state is NpuState.ACTIVE
