"""The first question after hours of silence: somebody says that it is coming."""

import asyncio
import ctypes
import mmap
import os
from pathlib import Path

import pytest

from npu_memory_server import memory as memory_module
from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.memory import Memory
from npu_memory_server.store.database import FILE_NAME
from npu_memory_server.waking import wake_files
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


def in_memory(file: Path) -> int:
    """Return how many pages of a file the kernel has in memory."""
    system = ctypes.CDLL(None, use_errno=True)
    system.mmap.restype = ctypes.c_void_p
    system.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *(ctypes.c_int,) * 3, ctypes.c_long)
    system.mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
    system.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    size = file.stat().st_size
    pages = (ctypes.c_ubyte * (size // mmap.PAGESIZE + 1))()
    with file.open("rb") as stream:
        place = system.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, stream.fileno(), 0)
    assert system.mincore(place, size, pages) == 0
    system.munmap(place, size)
    return sum(page & 1 for page in pages)


@pytest.mark.usefixtures("long_silence")
async def test_after_a_silence_the_whole_database_is_back_in_memory(
    household_directory: Path, open_memory: OpenMemory
) -> None:
    """Not only the pages that the waking needs: the question may be about anything."""
    memory = await open_memory(household_directory)
    file = household_directory / FILE_NAME
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    pages = file.stat().st_size // mmap.PAGESIZE
    if in_memory(file) > pages // 2:
        pytest.skip("files of this folder are never let go of: they live in memory")
    await memory.prepare()
    async with asyncio.timeout(60):
        while in_memory(file) < pages:  # noqa: ASYNC110 - in the kernel
            await asyncio.sleep(0.02)


def test_what_is_not_there_is_not_woken(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"seven b")
    assert wake_files([tmp_path / "missing", tmp_path / "there"]) == 7


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
