"""Token vectors that move out of the database: wherever they are, the newest are read, and forgotten ones are gone."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
import os
from pathlib import Path
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from npu_memory_server import indexing, saving
from npu_memory_server.memory import Memory
from npu_memory_server.native.library import Kernels, kernels
from npu_memory_server.records import Record
from npu_memory_server.store import memories, token_file, token_files, vectors
from npu_memory_server.store.database import FILE_NAME, open_database
from npu_memory_server.store.token_files import TokenFiles
from npu_memory_server.wire import ForgetRequest
from tests.server.conftest import OpenMemory
from tests.server.process import environment
from tests.server.test_large_memory import QUESTIONS, found

REDUCED = 16
NOW = datetime(2026, 5, 1, tzinfo=UTC)


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("tokens-*"))


class Store:
    """A database with its token files, and what should be in both: other vectors every time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.expected: dict[int, bytes] = {}
        self.forgotten: list[bytes] = []
        self._number = 0
        self._made: dict[int, list[bytes]] = {}
        self._chance = np.random.default_rng(1)
        self.open()

    def open(self) -> None:
        self.connection = open_database(self.folder / FILE_NAME)
        self.embedder = vectors.embedder_number(self.connection, "made")
        self.tokens = TokenFiles(self.folder, self.connection, ("made", (self.embedder,)), REDUCED)
        self.connection.execute("BEGIN")
        self.tokens.open(self.connection)
        self.connection.execute("COMMIT")
        self.tokens.remove_others()
        self.tokens.erase_gone(self.connection)

    def remember(self) -> None:
        self._number += 1
        record = Record(id=f"m-{self._number}", text=f"Parcel {self._number}.", created_at=NOW)
        addition = memories.add(self.connection, record, NOW)
        assert addition.added is not None
        self.embed(addition.added.slot)

    def embed(self, slot: int) -> None:
        made = self._chance.integers(-127, 128, (int(self._chance.integers(1, 4)), REDUCED), np.int8)
        vector = np.ones(4, np.float32)
        vectors.put(self.connection, self.embedder, [vectors.StoredVector(slot, vector, made)])
        self.tokens.embedded_anew(slot)
        self.expected[slot] = made.tobytes()
        self._made.setdefault(slot, []).append(made.tobytes())

    def move(self) -> None:
        for number in self.tokens.due(self.connection):
            moved = self.tokens.gather(self.connection, number)
            file = self.tokens.write(number, moved)
            self.tokens.take_over(self.connection, file)
            self.tokens.use(file)
            assert self.tokens.clear(self.connection, list(moved.items())) == []

    def forget(self, slot: int) -> None:
        name = self.connection.execute("SELECT id FROM memory WHERE slot = ?", (slot,)).fetchone()[0]
        self.connection.execute("BEGIN")
        memories.forget(self.connection, [name], NOW)
        self.connection.execute("COMMIT")
        del self.expected[slot]
        self.forgotten += self._made.pop(slot)
        self.tokens.erase_gone(self.connection)

    def check(self) -> None:
        """Everything is read as it was stored last, in any company, and nothing that was forgotten is left."""
        slots = np.array([0, *self.expected, 1_000_000], np.int64)
        tokens, counts = self.tokens.fetch(slots)
        read = np.split(tokens, np.cumsum(counts)[:-1])
        assert [one.tobytes() for one in read] == [b"", *self.expected.values(), b""]
        left = b"".join(file.read_bytes() for file in files(self.folder))
        for blob in self.forgotten:
            assert blob not in left
        assert self.tokens.faults(self.connection) == []


def of(patch: pytest.MonkeyPatch, slots: int, worth: int) -> None:
    """Let a file hold so many slots, and move when so many are there."""
    patch.setattr(token_file, "SLOTS", slots)
    patch.setattr(token_files, "SLOTS", slots)
    patch.setattr(token_files, "WORTH_MOVING", worth)


steps = st.one_of(
    st.tuples(st.just("remember"), st.integers(1, 12)),
    st.tuples(st.sampled_from(["embed", "forget"]), st.integers(0, 40)),
    st.tuples(st.sampled_from(["move", "open"]), st.just(0)),
)


@pytest.fixture(scope="module", params=["in Python", "in C"])
def read_by(request: pytest.FixtureRequest) -> Kernels:
    """Return what has each of both ways to read files."""
    if request.param == "in Python":
        return Kernels(None, reason="both ways are tried")
    if kernels().functions is None:
        pytest.skip(f"the kernels are not used: {kernels().reason}")
    return kernels()


@settings(max_examples=40, deadline=None)
@given(what=st.lists(steps, min_size=3, max_size=25))
def test_wherever_vectors_are_the_newest_are_read_and_forgotten_ones_are_gone(
    read_by: Kernels, what: list[tuple[str, int]]
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        of(patch, 8, 2)
        patch.setattr(token_files, "kernels", lambda: read_by)
        store = Store(Path(folder))
        for _ in range(20):
            store.remember()
        for step, number in what:
            slots = list(store.expected)
            match step:
                case "remember":
                    for _ in range(number):
                        store.remember()
                case "embed" if slots:
                    store.embed(slots[number % len(slots)])
                case "forget" if slots:
                    store.forget(slots[number % len(slots)])
                case "move":
                    store.move()
                case "open":
                    store.connection.close()
                    store.open()
            store.check()
        store.connection.close()


def test_what_is_forgotten_between_reading_and_writing_is_overwritten_in_the_new_file(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        of(patch, 8, 2)
        store = Store(tmp_path)
        for _ in range(20):
            store.remember()
        number = store.tokens.due(store.connection)[0]
        moved = store.tokens.gather(store.connection, number)
        store.forget(next(iter(moved)))
        file = store.tokens.write(number, moved)
        store.tokens.take_over(store.connection, file)
        store.tokens.use(file)
        store.tokens.erase_gone(store.connection)
        store.tokens.clear(store.connection, list(moved.items()))
        store.check()
        store.connection.close()


def test_a_file_that_was_cut_off_while_it_is_read_is_an_error(
    read_by: Kernels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of(monkeypatch, 8, 2)
    monkeypatch.setattr(token_files, "kernels", lambda: read_by)
    store = Store(tmp_path)
    for _ in range(20):
        store.remember()
    store.move()
    store.check()
    os.truncate(files(tmp_path)[-1], 100)
    with pytest.raises(OSError, match="shorter than it was"):
        store.check()
    store.connection.close()


def test_files_can_be_checked_while_another_one_is_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of(monkeypatch, 8, 2)
    store = Store(tmp_path)
    for _ in range(20):
        store.remember()
    first, second = store.tokens.due(store.connection)[:2]
    written = [store.tokens.write(number, store.tokens.gather(store.connection, number)) for number in (first, second)]
    store.tokens.use(written[0])
    store.connection.set_trace_callback(lambda _: store.tokens.use(written[1]))
    assert store.tokens.faults(store.connection) == []
    store.connection.close()


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the sample household count as large, and a file hold 64 slots."""
    monkeypatch.setattr(saving, "LARGE", 300)
    monkeypatch.setattr(indexing, "TICK_SECONDS", 0.02)
    of(monkeypatch, 64, 16)


async def moved(memory: Memory, folder: Path) -> None:
    """Wait until the token vectors are in files."""
    async with asyncio.timeout(120):
        await memory.indexed()
        await memory.embedded()
        while not await memory.save_indexes() or left_in_the_database(folder) > 64:  # noqa: ASYNC110 - it happens in a thread
            await asyncio.sleep(0.05)


def everything(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


def left_in_the_database(folder: Path) -> int:
    connection = sqlite3.connect(folder / FILE_NAME)
    try:
        return int(connection.execute("SELECT count(*) FROM vector WHERE length(tokens) > 0").fetchone()[0])
    finally:
        connection.close()


async def test_a_large_memory_moves_its_token_vectors_and_finds_the_same(
    large: None, household_directory: Path, open_memory: OpenMemory
) -> None:
    memory = await open_memory(household_directory)
    await memory.indexed()
    before = [await found(memory, text) for text in QUESTIONS]
    await moved(memory, household_directory)
    assert len(files(household_directory)) == 742 // 64
    assert [await found(memory, text) for text in QUESTIONS] == before
    assert await memory.faults() == []
    await memory.close()
    again = await open_memory(household_directory)
    assert [await found(again, text) for text in QUESTIONS] == before
    assert await again.faults() == []


async def test_an_older_database_is_opened_and_moved(
    large: None, household_directory: Path, open_memory: OpenMemory
) -> None:
    with sqlite3.connect(household_directory / FILE_NAME) as connection:
        for thing in ("TRIGGER vector_removed", "INDEX vector_unmoved", "TABLE token_gone", "TABLE token_file"):
            connection.execute(f"DROP {thing}")
        connection.execute("PRAGMA user_version = 7")
    connection.close()
    memory = await open_memory(household_directory)
    await moved(memory, household_directory)
    assert files(household_directory)
    assert await memory.faults() == []


@pytest.mark.parametrize("damage", ["removed", "shortened", "overwritten", "of others"])
async def test_vectors_that_are_lost_are_made_anew(
    large: None,
    household_directory: Path,
    open_memory: OpenMemory,
    damage: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    memory = await open_memory(household_directory)
    await moved(memory, household_directory)
    before = [await found(memory, text) for text in QUESTIONS]
    await memory.close()
    one, other = files(household_directory)[2:4]
    match damage:
        case "removed":
            one.unlink()
        case "shortened":
            os.truncate(one, one.stat().st_size // 2)
        case "overwritten":
            one.write_bytes(bytes(one.stat().st_size))
        case "of others":
            one.write_bytes(other.read_bytes())
    again = await open_memory(household_directory)
    assert "are lost and made anew" in caplog.text
    assert [one for one in await found(again, QUESTIONS[0]) if one]
    await moved(again, household_directory)
    assert [await found(again, text) for text in QUESTIONS] == before
    assert await again.faults() == []


async def test_a_damaged_byte_is_found_by_the_check(
    large: None, household_directory: Path, open_memory: OpenMemory
) -> None:
    memory = await open_memory(household_directory)
    await moved(memory, household_directory)
    file = files(household_directory)[0]
    with file.open("r+b") as stream:
        stream.seek(file.stat().st_size // 2)
        (byte,) = stream.read(1)
        stream.seek(-1, os.SEEK_CUR)
        stream.write(bytes([byte ^ 1]))
    (fault,) = await memory.faults()
    assert "those of 1 memories are damaged" in fault


async def test_forgotten_vectors_are_gone_from_the_files(
    large: None, household_directory: Path, open_memory: OpenMemory
) -> None:
    with sqlite3.connect(household_directory / FILE_NAME) as connection:
        rows = connection.execute("SELECT id, tokens FROM vector JOIN memory USING (slot) LIMIT 5").fetchall()
    connection.close()
    memory = await open_memory(household_directory)
    await moved(memory, household_directory)
    content = everything(household_directory)
    assert all(tokens in content for _, tokens in rows)
    await memory.forget(ForgetRequest(memory_ids=tuple(name for name, _ in rows[:4])))
    content = everything(household_directory)
    assert [tokens in content for _, tokens in rows] == [False, False, False, False, True]


async def test_on_a_full_disk_they_stay_in_the_database(
    large: None, household_directory: Path, open_memory: OpenMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:

        def no_space(*_: object) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr(token_files, "write", no_space)
        memory = await open_memory(household_directory)
        await memory.indexed()
        before = [await found(memory, text) for text in QUESTIONS[:20]]
        assert not await memory.save_indexes()
        assert left_in_the_database(household_directory) == 742
        assert files(household_directory) == []
        assert [await found(memory, text) for text in QUESTIONS[:20]] == before
    await moved(memory, household_directory)
    assert [await found(memory, text) for text in QUESTIONS[:20]] == before


MOVING = """
import asyncio, sys
from pathlib import Path
from npu_memory_server import saving, indexing
from npu_memory_server.store import token_file, token_files
saving.LARGE, indexing.TICK_SECONDS = 300, 0.01
token_file.SLOTS = token_files.SLOTS = 64
token_files.WORTH_MOVING = 16
from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.memory import Memory
from npu_memory_server.native.library import Kernels, kernels

async def main():
    folder, models = map(Path, sys.argv[1:])
    memory = await Memory.open(folder, OnnxEmbedder.load(models / "all-MiniLM-L6-v2"))
    print("open", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("at", [1, 4, 9])
async def test_a_power_cut_while_they_are_moved_loses_nothing(
    large: None, household_directory: Path, open_memory: OpenMemory, model_directory: Path, at: int
) -> None:
    script = household_directory.parent / "moving.py"
    script.write_text(MOVING)
    with subprocess.Popen(  # noqa: ASYNC220 - nobody else runs here
        [sys.executable, str(script), str(household_directory), str(model_directory)],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        until = time.monotonic() + 60
        while len(files(household_directory)) < at and time.monotonic() < until:
            time.sleep(0.001)  # noqa: ASYNC251 - nobody else runs here
        process.send_signal(signal.SIGKILL)
    assert files(household_directory)
    memory = await open_memory(household_directory)
    await memory.indexed()
    status = await memory.status()
    assert status.pending_embeddings == 0
    assert await memory.faults() == []
    await moved(memory, household_directory)
    assert await memory.faults() == []
    assert len(files(household_directory)) == 742 // 64
