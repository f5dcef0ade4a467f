"""The first question after hours of silence: somebody says that it is coming."""

from pathlib import Path

import pytest

from npu_memory_server import memory as memory_module
from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.memory import Memory
from npu_memory_server.wire import PrepareRequest, RecallRequest, RememberRequest, StatusRequest
from tests.server.conftest import OpenMemory
from tests.server.faulty_embedders import CountingEmbedder, FailingEmbedder
from tests.server.peer import peer
from tests.server.process import ServerProcess


@pytest.fixture
def long_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every moment count as one after hours of silence."""
    monkeypatch.setattr(memory_module, "IDLE_SECONDS", 0.0)


@pytest.mark.usefixtures("long_silence")
async def test_after_a_silence_the_model_runs_before_the_question(
    embedder: OnnxEmbedder, open_memory: OpenMemory, tmp_path: Path
) -> None:
    counting = CountingEmbedder(embedder)
    memory = await open_memory(tmp_path, counting)
    assert (await memory.prepare()).woken
    assert len(counting.texts) == 1


async def test_while_people_talk_there_is_nothing_to_wake(
    embedder: OnnxEmbedder, open_memory: OpenMemory, tmp_path: Path
) -> None:
    counting = CountingEmbedder(embedder)
    memory = await open_memory(tmp_path, counting)
    await memory.recall(RecallRequest(text="where is the key"))
    asked = len(counting.texts)
    assert not (await memory.prepare()).woken
    assert len(counting.texts) == asked


@pytest.mark.usefixtures("long_silence")
async def test_waking_is_no_question_of_anybody(memory: Memory) -> None:
    await memory.remember(RememberRequest(text="What we said about that: nothing."))
    await memory.prepare()
    status = await memory.status()
    assert status.recalls == 0
    assert status.last_recall is None


@pytest.mark.usefixtures("long_silence")
async def test_a_model_that_fails_is_told_of_by_the_question_and_not_by_the_waking(
    embedder: OnnxEmbedder, open_memory: OpenMemory, tmp_path: Path
) -> None:
    memory = await open_memory(tmp_path, FailingEmbedder(embedder))
    await memory.prepare()
    assert (await memory.recall(RecallRequest(text="where is the key"))).degraded


async def test_it_is_an_event_like_the_others(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data")
    server.start()
    try:
        async with peer(server.port, server.token) as client:
            answer = await client.ask(PrepareRequest(id="5"))
            assert answer.type == "memory-prepared"
            # The start itself has woken everything a moment ago.
            assert answer.data == {"id": "5"}
            assert (await client.ask(StatusRequest(id="7"))).data["recalls"] == 0
    finally:
        server.stop()
