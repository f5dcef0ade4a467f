"""A memory too large for looking at everything: it finds the same, and its indexes lie in a file that can be lost."""

import asyncio
from collections.abc import Callable
import json
import os
from pathlib import Path
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import numpy as np
from numpy.typing import NDArray
import pytest

from npu_memory_server import indexing, saving
from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.memory import Memory
from npu_memory_server.store import memories
from npu_memory_server.store.database import FILE_NAME
from npu_memory_server.wire import (
    MAX_TOP_K,
    ForgetRequest,
    ListRequest,
    RecallRequest,
    RememberRequest,
    Reranker,
    Strategy,
)
from tests.server.conftest import HOUSEHOLD, OpenMemory
from tests.server.faulty_embedders import OtherEmbedder
from tests.server.process import environment

SMALL_FOR_A_LARGE_ONE = 300
CALM_MS = 20_000.0
QUESTIONS = [
    json.loads(line)["text"] for line in (HOUSEHOLD / "questions.jsonl").read_text(encoding="utf-8").splitlines()
][::6]


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the sample household count as large."""
    monkeypatch.setattr(saving, "LARGE", SMALL_FOR_A_LARGE_ONE)
    monkeypatch.setattr(indexing, "TICK_SECONDS", 0.02)


@pytest.fixture
async def large_household(large: None, household_directory: Path, open_memory: OpenMemory) -> tuple[Memory, Path]:
    """Return the sample household as a large memory with its folder."""
    memory = await open_memory(household_directory)
    await settled(memory, household_directory)
    return memory, household_directory


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("indexes-*.bin"))


async def settled(memory: Memory, folder: Path) -> None:
    """Wait until everything can be found, and the indexes are saved."""
    async with asyncio.timeout(60):
        await memory.indexed()
        while not files(folder) or memory._keeper._is_partial:  # noqa: ASYNC110 - it happens in a thread
            await asyncio.sleep(0.02)


async def found(memory: Memory, text: str, **fields: object) -> list[str]:
    request = RecallRequest(text=text, budget_ms=CALM_MS, top_k=5, **fields)  # type: ignore[arg-type]
    answer = await memory.recall(request)
    assert not answer.degraded
    return [one.id for one in answer.memories]


async def agreement(one: Memory, other: Memory, **fields: object) -> tuple[float, float]:
    """Return the share of questions with the same first memory, and of the first five that both have found."""
    first = same = 0.0
    for text in QUESTIONS:
        these, those = await found(one, text, **fields), await found(other, text, **fields)
        first += these[:1] == those[:1]
        same += len(set(these) & set(those)) / max(len(those), 1)
    return first / len(QUESTIONS), same / len(QUESTIONS)


async def exact(folder: Path, into: Path, embedder: OnnxEmbedder, monkeypatch: pytest.MonkeyPatch) -> Memory:
    """Open a copy of the database as a small memory, which looks at everything."""
    into.mkdir()  # noqa: ASYNC240 - nobody waits for it
    source = sqlite3.connect(folder / FILE_NAME)
    with sqlite3.connect(into / FILE_NAME) as copy:
        source.backup(copy)
    source.close()
    with monkeypatch.context() as patch:
        patch.setattr(saving, "LARGE", 10**9)
        return await Memory.open(into, embedder)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"reranker": Reranker.NONE},
        {"strategy": Strategy.VECTOR},
        {"strategy": Strategy.LEXICAL},
        {"strategy": Strategy.RECENT},
        {"scopes": ("household", "person:Maya")},
    ],
    ids=["maxsim", "hybrid", "vector", "lexical", "recent", "scopes"],
)
async def test_a_large_memory_finds_what_looking_at_everything_finds(
    large_household: tuple[Memory, Path],
    fields: dict[str, object],
    embedder: OnnxEmbedder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    memory, folder = large_household
    other = await exact(folder, tmp_path / "exact", embedder, monkeypatch)
    first, five = await agreement(memory, other, **fields)
    await other.close()
    assert first >= 0.95
    assert five >= 0.97


async def test_somebody_who_leafs_through_everything_keeps_no_question_waiting(
    large_household: tuple[Memory, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counting a million memories takes the panel a second, which is longer than a voice can wait."""
    memory, _ = large_household
    counting, answered = threading.Event(), threading.Event()

    def count(*_: object) -> int:
        counting.set()
        return 700 if answered.wait(20) else 0

    monkeypatch.setattr(memories, "count", count)
    leafing = asyncio.create_task(memory.list(ListRequest()))
    await asyncio.to_thread(counting.wait, 20)
    for strategy in (Strategy.HYBRID, Strategy.LEXICAL):
        assert await found(memory, QUESTIONS[0], strategy=strategy)
    answered.set()
    assert (await leafing).total == 700


async def test_a_start_loads_what_was_saved(
    large_household: tuple[Memory, Path], open_memory: OpenMemory, caplog: pytest.LogCaptureFixture
) -> None:
    memory, folder = large_household
    before = [await found(memory, text) for text in QUESTIONS]
    await memory.close()
    saved = files(folder)
    caplog.set_level("INFO")
    again = await open_memory(folder)
    await again.indexed()
    assert "anew" not in caplog.text
    assert [await found(again, text) for text in QUESTIONS] == before
    assert files(folder) == saved
    assert await again.faults() == []


async def test_a_vector_on_its_way_into_the_indexes_while_they_are_saved_is_there_after_a_start(
    large_household: tuple[Memory, Path], open_memory: OpenMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, folder = large_household
    stored, go_on, put_vector = threading.Event(), threading.Event(), memory._indexes.put_vector

    def wait_and_put(slot: int, vector: NDArray[np.float32]) -> None:
        stored.set()
        go_on.wait(60)
        put_vector(slot, vector)

    monkeypatch.setattr(memory._indexes, "put_vector", wait_and_put)
    await memory.remember(RememberRequest(text="The zither is tuned by Ottokar."))
    await asyncio.to_thread(stored.wait, 60)
    assert await memory._keeper.save()
    go_on.set()
    await memory.embedded()
    await memory.close()
    again = await open_memory(folder)
    await again.indexed()
    assert await again.faults() == []


async def test_what_changed_after_saving_holds_after_a_start(
    large_household: tuple[Memory, Path],
    open_memory: OpenMemory,
    embedder: OnnxEmbedder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    memory, folder = large_household
    new = await memory.remember(RememberRequest(text="The zither is tuned by Ottokar.", session="s", speaker="Maya"))
    gone = (await found(memory, "when is bin day"))[0]
    corrected = (await found(memory, "what is the wifi password"))[0]
    await memory.correct(corrected, RememberRequest(text="The wifi password is on the new card by the door."))
    await memory.forget(ForgetRequest(memory_ids=(gone,)))
    await memory.embedded()
    await memory.close()
    again = await open_memory(folder)
    await again.indexed()
    assert await again.faults() == []
    assert (await found(again, "who tunes the zither"))[0] == new.memory_id
    assert gone not in await found(again, "when is bin day")
    other = await exact(folder, tmp_path / "exact", embedder, monkeypatch)
    first, five = await agreement(again, other)
    await other.close()
    assert first >= 0.95
    assert five >= 0.97


def flip_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x20
    file.write_bytes(content)


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1000])


def of_another_version(file: Path) -> None:
    file.write_bytes(b"NPUMEM99" + file.read_bytes()[8:])


def nothing(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize("harm", [flip_a_byte, cut_short, of_another_version, nothing, Path.unlink])
async def test_a_file_that_is_lost_or_damaged_is_made_anew_and_nothing_is_lost(
    large_household: tuple[Memory, Path], open_memory: OpenMemory, harm: Callable[[Path], None]
) -> None:
    memory, folder = large_household
    before = [await found(memory, text) for text in QUESTIONS[:20]]
    await memory.close()
    (file,) = files(folder)
    harm(file)
    again = await open_memory(folder)
    await settled(again, folder)
    assert [await found(again, text) for text in QUESTIONS[:20]] == before
    assert await again.faults() == []
    assert files(folder) != [file]
    await again.close()
    third = await open_memory(folder)
    await third.indexed()
    assert [await found(third, text) for text in QUESTIONS[:20]] == before


async def test_while_the_indexes_are_made_anew_it_says_so_and_takes_in_what_is_said(
    large: None, household_directory: Path, open_memory: OpenMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "READ_AT_ONCE", 8)
    memory = await open_memory(household_directory)
    with memory._indexes._reading:  # the next memories cannot be read while somebody asks
        answer = await memory.recall(RecallRequest(text="where is the spare key", budget_ms=CALM_MS))
    assert "made anew" in answer.degraded
    new = await memory.remember(RememberRequest(text="The zither is tuned by Ottokar."))
    await memory.indexed()
    assert (await found(memory, "who tunes the zither"))[0] == new.memory_id
    assert await memory.faults() == []


async def test_after_a_change_of_the_embedder_words_find_until_there_are_vectors(
    large: None, household_directory: Path, open_memory: OpenMemory, embedder: OnnxEmbedder
) -> None:
    memory = await open_memory(household_directory, OtherEmbedder(embedder))
    await settled(memory, household_directory)
    assert await found(memory, "wifi password", strategy=Strategy.LEXICAL)
    assert await memory.faults() == []


async def test_indexes_newer_than_the_database_are_not_used(
    large_household: tuple[Memory, Path], open_memory: OpenMemory, tmp_path: Path
) -> None:
    """Somebody puts a backup of the database in its place, and leaves the other files as they are."""
    memory, folder = large_household
    backup = tmp_path / "backup.sqlite3"
    source = sqlite3.connect(folder / FILE_NAME)
    with sqlite3.connect(backup) as copy:
        source.backup(copy)
    source.close()
    await memory.remember(RememberRequest(text="The zither is tuned by Ottokar."))
    await memory.embedded()
    assert await memory.save_indexes()
    await memory.close()
    for file in folder.glob(f"{FILE_NAME}*"):
        file.unlink()
    shutil.copy(backup, folder / FILE_NAME)
    again = await open_memory(folder)
    await again.indexed()
    assert await again.faults() == []
    assert not (await again.recall(RecallRequest(text="Ottokar", strategy=Strategy.LEXICAL))).memories


async def test_what_was_forgotten_is_in_no_file(large_household: tuple[Memory, Path]) -> None:
    memory, folder = large_household
    secret = await memory.remember(RememberRequest(text="The xylophonist Quagmire owes us.", speaker="Wombat"))
    await memory.embedded()
    assert await memory.save_indexes()
    (saved,) = files(folder)
    assert b"quagmir" in saved.read_bytes()
    await memory.forget(ForgetRequest(memory_ids=(secret.memory_id,)))
    async with asyncio.timeout(60):
        while files(folder) == [saved] or len(files(folder)) != 1:  # noqa: ASYNC110 - it happens in a thread
            await asyncio.sleep(0.02)
    for file in folder.iterdir():
        content = file.read_bytes().lower()
        for word in (b"quagmir", b"xylophon", b"wombat"):
            assert word not in content, file.name


async def test_a_full_disk_costs_the_file_and_nothing_else(
    large_household: tuple[Memory, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, folder = large_household
    before = [await found(memory, text) for text in QUESTIONS[:20]]
    saved = files(folder)
    await memory.remember(RememberRequest(text="The zither is tuned by Ottokar."))
    await memory.embedded()
    with monkeypatch.context() as patch:

        def no_space(_descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr(os, "fsync", no_space)
        assert not await memory.save_indexes()
    assert files(folder) == saved
    assert len(await found(memory, "who tunes the zither")) == 5
    assert [await found(memory, text) for text in QUESTIONS[:20]] == before
    assert await memory.save_indexes()
    assert [await found(memory, text) for text in QUESTIONS[:20]] == before
    assert await memory.faults() == []


SAVING_FOR_EVER = """
import asyncio, sys
from pathlib import Path
from npu_memory_server import saving, indexing
saving.LARGE = 300
from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.memory import Memory
from npu_memory_server.wire import RememberRequest

async def main():
    folder, models = map(Path, sys.argv[1:])
    memory = await Memory.open(folder, OnnxEmbedder.load(models / "all-MiniLM-L6-v2"))
    await memory.indexed()
    number = 0
    while True:
        await memory.remember(RememberRequest(text=f"Parcel {number} is in the shed.", memory_id=f"parcel-{number}"))
        print(number, flush=True)
        number += 1
        await memory.save_indexes()

asyncio.run(main())
"""


@pytest.mark.parametrize("seconds", [0.05, 0.31, 0.77])
async def test_a_power_cut_while_saving_loses_nothing(
    large: None, household_directory: Path, open_memory: OpenMemory, model_directory: Path, seconds: float
) -> None:
    script = household_directory.parent / "saving.py"
    script.write_text(SAVING_FOR_EVER)
    with subprocess.Popen(  # noqa: ASYNC220 - nobody else runs here
        [sys.executable, str(script), str(household_directory), str(model_directory)],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "0\n"
        time.sleep(seconds)  # noqa: ASYNC251 - nobody else runs here
        process.send_signal(signal.SIGKILL)
        stored = int((process.stdout.read().split() or ["0"])[-1])
    memory = await open_memory(household_directory)
    await settled(memory, household_directory)
    assert await memory.faults() == []
    answer = await memory.recall(
        RecallRequest(text="parcel", strategy=Strategy.LEXICAL, top_k=MAX_TOP_K, budget_ms=CALM_MS)
    )
    there = {one.id for one in answer.memories}
    newest = range(max(0, stored - 20), stored + 1)
    assert {f"parcel-{number}" for number in newest} <= there
