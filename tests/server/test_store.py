"""What was stored stays, through full disks, damage and other embedders; and what was forgotten is nowhere."""

import asyncio
from collections.abc import Callable
from concurrent.futures import wait
import contextlib
from dataclasses import dataclass
import hashlib
from pathlib import Path
import resource
import secrets
import shutil
import sqlite3
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.errors import ConflictError, StorageError
from npu_memory_server.memory import Memory
from npu_memory_server.store import memories
from npu_memory_server.store.database import FILE_NAME, open_database, truncate_log
from npu_memory_server.store.group_commit import GroupCommit
from npu_memory_server.store.migrations import MIGRATIONS
from npu_memory_server.transport.client import connected
from npu_memory_server.wire import (
    ForgetRequest,
    ListRequest,
    RecallRequest,
    RememberRequest,
    Strategy,
)
from tests.server.conftest import OpenMemory
from tests.server.faulty_embedders import CountingEmbedder, OtherEmbedder
from tests.server.process import ServerProcess

CALM_MS = 20_000.0


async def texts(memory: Memory, question: str, **fields: Any) -> list[str]:
    answer = await memory.recall(RecallRequest(text=question, **{"budget_ms": CALM_MS, **fields}))
    return [found.text for found in answer.memories]


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def digests_of(folder: Path) -> dict[str, str]:
    """Return what tells whether a file has changed; pytest would take hours to say in what two databases differ."""
    return {name: digest(content) for name, content in bytes_of(folder).items()}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def write_alone(database: Path, content: bytes) -> None:
    """Write a file of a folder in which nothing else is left."""
    for leftover in database.parent.iterdir():
        leftover.unlink()
    database.write_bytes(content)


def read_elsewhere(database: Path, statement: str) -> str:
    """Ask another process what it finds in the database."""
    script = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchall())"
    command = [sys.executable, "-c", script, str(database), statement]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()


# "Stored" is said after the commit


async def test_what_is_said_to_be_stored_is_seen_by_another_process(memory: Memory, tmp_path: Path) -> None:
    stored = await memory.remember(RememberRequest(text="The key is under the flowerpot."))
    rows = await asyncio.to_thread(read_elsewhere, tmp_path / "memory" / FILE_NAME, "SELECT id, text FROM memory")
    assert rows == str([(stored.memory_id, "The key is under the flowerpot.")])


async def test_the_database_belongs_to_its_owner_and_syncs_every_commit(memory: Memory, tmp_path: Path) -> None:
    await memory.remember(RememberRequest(text="The key is under the flowerpot."))
    assert (tmp_path / "memory" / FILE_NAME).stat().st_mode & 0o077 == 0
    connection = open_database(tmp_path / "other")
    settings = {
        name: connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
    }
    connection.close()
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1}


@dataclass
class Writes:
    """A database to write to in groups, and what SQLite was told to do."""

    group_commit: GroupCommit
    connection: sqlite3.Connection
    statements: list[str]

    def commits(self) -> int:
        return sum(statement == "COMMIT" for statement in self.statements)

    def numbers(self) -> list[int]:
        return [row[0] for row in self.connection.execute("SELECT number FROM written ORDER BY rowid")]


@pytest.fixture
def writes(tmp_path: Path) -> Any:
    connection = sqlite3.connect(tmp_path / "written", timeout=0.2, isolation_level=None, check_same_thread=False)
    connection.execute("CREATE TABLE written (number INTEGER UNIQUE)")
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    reader = sqlite3.connect(tmp_path / "written", check_same_thread=False)
    group_commit = GroupCommit(connection, lambda: None)
    yield Writes(group_commit, reader, statements)
    group_commit.close()
    reader.close()


def insert(number: int) -> Callable[[sqlite3.Connection], int]:
    def operation(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO written VALUES (?)", (number,))
        return number

    return operation


def hold(writes: Writes) -> threading.Event:
    """Keep the writer busy until the event is set, so that what comes meanwhile has to wait together."""
    release = threading.Event()
    writes.group_commit.submit(lambda _: release.wait(30))
    return release


@pytest.mark.parametrize("alone", [False, True])
async def test_who_waits_no_longer_does_not_end_the_writing_of_others(writes: Writes, alone: bool) -> None:
    release = hold(writes)
    submit = writes.group_commit.submit_alone if alone else writes.group_commit.submit
    waiting = asyncio.wrap_future(submit(insert(1)))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(0)
    following = writes.group_commit.submit(insert(2))
    release.set()
    assert await asyncio.wait_for(asyncio.wrap_future(following), 30) == 2
    assert writes.numbers() == [1, 2]


def test_many_writers_share_few_transactions(writes: Writes) -> None:
    release = hold(writes)
    results = [writes.group_commit.submit(insert(number)) for number in range(300)]
    release.set()
    assert [result.result(30) for result in results] == list(range(300))
    assert writes.commits() <= 3
    assert writes.numbers() == list(range(300))


def test_one_that_fails_harms_no_other_of_its_group(writes: Writes) -> None:
    def half_done(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO written VALUES (1000)")
        raise ConflictError("it was refused after it had written something")

    release = hold(writes)
    good = [writes.group_commit.submit(insert(number)) for number in range(5)]
    refused = writes.group_commit.submit(half_done)
    twice = writes.group_commit.submit(insert(3))
    later = writes.group_commit.submit(insert(7))
    release.set()
    assert [result.result(30) for result in (*good, later)] == [0, 1, 2, 3, 4, 7]
    with pytest.raises(ConflictError):
        refused.result(30)
    with pytest.raises(StorageError, match="Nothing was stored"):
        twice.result(30)
    assert writes.numbers() == [0, 1, 2, 3, 4, 7]


def test_what_follows_a_commit_comes_after_it_and_in_its_order(writes: Writes) -> None:
    seen: list[tuple[int, int]] = []
    release = hold(writes)
    results = [
        writes.group_commit.submit(insert(number), lambda value: seen.append((value, len(writes.numbers()))))
        for number in range(5)
    ]
    release.set()
    wait(results, 30)
    assert [value for value, _ in seen] == [0, 1, 2, 3, 4]
    assert {count for _, count in seen} == {5}


def test_work_that_needs_to_be_alone_is_in_no_transaction_and_in_its_turn(writes: Writes) -> None:
    release = hold(writes)
    before = writes.group_commit.submit(insert(1))
    alone = writes.group_commit.submit_alone(lambda connection: (connection.in_transaction, writes.numbers()))
    after = writes.group_commit.submit(insert(2))
    broken = writes.group_commit.submit_alone(lambda connection: connection.execute("SELECT nonsense"))
    release.set()
    assert alone.result(30) == (False, [1])
    assert (before.result(30), after.result(30)) == (1, 2)
    with pytest.raises(StorageError):
        broken.result(30)


def test_a_commit_that_fails_fails_for_everybody_and_the_next_one_works(writes: Writes, tmp_path: Path) -> None:
    """Somebody else holds the database: the group gives up, says so, and its successors are none the worse."""
    writes.group_commit.submit(lambda connection: connection.execute("SELECT 1")).result(30)
    other = sqlite3.connect(tmp_path / "written", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    release = hold(writes)
    release.set()
    results = [writes.group_commit.submit(insert(number)) for number in range(3)]
    for result in results:
        with pytest.raises(StorageError, match="locked"):
            result.result(60)
    other.execute("ROLLBACK")
    other.close()
    assert writes.group_commit.submit(insert(9)).result(30) == 9
    assert writes.numbers() == [9]


# The disk is full


async def test_on_a_full_disk_nothing_is_half_stored_and_afterwards_all_is_well_again(
    tmp_path: Path, start_server: Callable[..., ServerProcess]
) -> None:
    """The limit is the kernel's: no file of the server may grow any further."""
    server = start_server(tmp_path / "data")
    log_size = max(path.stat().st_size for path in (*(tmp_path / "data").iterdir(), server.log))
    async with connected("127.0.0.1", server.port, server.token) as memory:
        kept = [(await memory.remember(RememberRequest(text=f"Number {number}."))).memory_id for number in range(20)]
        unlimited = resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (log_size + 4096, resource.RLIM_INFINITY))
        refused = 0
        for number in range(60):
            try:
                kept.append((await memory.remember(RememberRequest(text=f"{number} is long. " + "x" * 8000))).memory_id)
            except StorageError:
                refused += 1
        assert refused > 30
        assert kept[0] in {
            found.id
            for found in (await memory.recall(RecallRequest(text="number 0", top_k=20, budget_ms=20_000))).memories
        }
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, unlimited)
        kept.append((await memory.remember(RememberRequest(text="There is room again."))).memory_id)
        listed = [found.id for found in (await memory.list(ListRequest(limit=200))).memories]
        assert sorted(listed) == sorted(kept)
    assert server.stop() == 0
    again = open_database(tmp_path / "data" / FILE_NAME)
    assert sorted(row[0] for row in again.execute("SELECT id FROM memory")) == sorted(kept)
    again.close()


async def test_a_database_that_cannot_be_read_for_a_moment_does_not_end_the_embedding(
    tmp_path: Path, embedder: OnnxEmbedder, open_memory: OpenMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = await open_memory(tmp_path)
    real = memories.by_slot

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(memories, "by_slot", fail)
    await memory.remember(RememberRequest(text="The key is under the flowerpot."))
    await asyncio.wait_for(memory.embedded(), 30)
    monkeypatch.setattr(memories, "by_slot", real)
    await memory.remember(RememberRequest(text="The boiler hums at night."))
    await asyncio.wait_for(memory.embedded(), 30)
    assert await texts(memory, "heating noise", strategy=Strategy.VECTOR) == ["The boiler hums at night."]
    assert len(await texts(memory, "key boiler", strategy=Strategy.LEXICAL)) == 2
    await memory.close()
    again = await open_memory(tmp_path)
    await again.embedded()
    assert (await texts(again, "where is the key", strategy=Strategy.VECTOR))[0] == "The key is under the flowerpot."


# The file is damaged


def _truncate(database: Path) -> None:
    with database.open("r+b") as stream:
        stream.truncate(database.stat().st_size // 2)


def _flip_the_middle(database: Path) -> None:
    content = bytearray(database.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20_000] = bytes(byte ^ 0xFF for byte in content[middle : middle + 20_000])
    database.write_bytes(content)


def _write_something_else(database: Path) -> None:
    database.write_bytes(b"\x80\x04\x95pickled memories of an earlier system" * 100)


def _spoil_the_header(database: Path) -> None:
    database.write_bytes(b"X" + database.read_bytes()[1:])


def _having(statement: str) -> Callable[[Path], None]:
    """Return what executes a statement in a database."""

    def execute(database: Path) -> None:
        with contextlib.closing(sqlite3.connect(database)) as connection:
            connection.execute(statement)
            connection.commit()

    return execute


_write_nonsense_rows = _having("UPDATE memory SET kind = 'nonsense' WHERE slot = 300")

DAMAGE = {
    "truncated": _truncate,
    "flipped": _flip_the_middle,
    "something else": _write_something_else,
    "spoilt header": _spoil_the_header,
    "nonsense rows": _write_nonsense_rows,
    "text that is none": _having("UPDATE memory SET text = CAST(x'ff00fe' AS TEXT) WHERE slot = 300"),
    "no name": _having("DELETE FROM property WHERE name = 'instance'"),
    "no key of what was forgotten": _having("DELETE FROM property WHERE name = 'digest_key'"),
    "misspelled name": _having("UPDATE property SET value = x'ff00fe' WHERE name = 'instance'"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
async def test_a_damaged_database_is_refused_and_left_as_it_is(
    household_directory: Path, embedder: OnnxEmbedder, damage: Callable[[Path], None]
) -> None:
    database = household_directory / FILE_NAME
    damage(database)
    before = digests_of(household_directory)
    with pytest.raises(StorageError, match=r"The database .*memories\.sqlite3") as refused:
        await Memory.open(household_directory, embedder)
    assert str(refused.value).endswith(".")
    assert "\udcff" not in str(refused.value)
    assert "nonsense" not in str(refused.value)
    assert digests_of(household_directory).items() >= before.items()


async def test_damage_found_after_a_power_cut_is_left_as_it_is_with_its_log(
    household_directory: Path, tmp_path: Path, embedder: OnnxEmbedder
) -> None:
    """The log beside the file holds what was said last: it is not to be mixed into a file that is damaged."""
    memory = await Memory.open(household_directory, embedder)
    for number in range(10):
        await memory.remember(RememberRequest(text=f"The last thing before the power went: {number}."))
    cut = tmp_path / "cut"
    shutil.copytree(household_directory, cut)  # as the power cut leaves it: the log is not in the file yet
    await memory.close()
    assert (cut / f"{FILE_NAME}-wal").stat().st_size > 0
    _flip_the_middle(cut / FILE_NAME)
    before = digests_of(cut)
    with pytest.raises(StorageError, match="damaged"):
        await Memory.open(cut, embedder)
    after = digests_of(cut)
    assert after[FILE_NAME] == before[FILE_NAME]
    assert after[f"{FILE_NAME}-wal"] == before[f"{FILE_NAME}-wal"]


async def test_damage_found_only_while_reading_leaves_file_and_log_as_they_are(
    household_directory: Path, tmp_path: Path, embedder: OnnxEmbedder
) -> None:
    """SQLite's own check sees nothing wrong with a row that no memory can be made of."""
    _write_nonsense_rows(household_directory / FILE_NAME)
    cut = tmp_path / "cut"
    with contextlib.closing(sqlite3.connect(household_directory / FILE_NAME)) as connection:
        connection.execute("UPDATE memory SET area = 'attic' WHERE slot = 2")
        connection.commit()
        shutil.copytree(household_directory, cut)  # as a power cut leaves it
    assert (cut / f"{FILE_NAME}-wal").stat().st_size > 0
    (cut / f"{FILE_NAME}-shm").unlink()
    before = digests_of(cut)
    with pytest.raises(StorageError, match="damaged"):
        await Memory.open(cut, embedder)
    assert digests_of(cut).items() >= before.items()


async def test_whatever_bytes_are_flipped_there_is_an_answer_or_a_refusal(
    tmp_path: Path, embedder: OnnxEmbedder, open_memory: OpenMemory
) -> None:
    """Not every flipped byte can be noticed, but none is a crash, and a file that is refused is not touched."""
    directory = tmp_path / "data"
    directory.mkdir()
    memory = await open_memory(directory)
    for number in range(40):
        await memory.remember(RememberRequest(text=f"Number {number} of the things that were said in this house."))
    await memory.embedded()
    await memory.close()
    database = directory / FILE_NAME
    whole = database.read_bytes()
    seed = secrets.randbits(32)
    random = np.random.default_rng(seed)
    refused = 0
    for turn in range(200):
        content = bytearray(whole)
        for place in random.integers(0, len(content), 12):
            content[place] ^= int(random.integers(1, 256))
        write_alone(database, bytes(content))
        try:
            memory = await Memory.open(directory, embedder)
        except StorageError:
            refused += 1
            assert digest(database.read_bytes()) == digest(content), f"seed {seed}, turn {turn}"
        except Exception as error:
            error.add_note(f"seed {seed}, turn {turn}")
            raise
        else:
            await memory.close()
    assert refused > 50


async def test_the_database_of_a_newer_version_is_refused_and_left_as_it_is(
    household_directory: Path, embedder: OnnxEmbedder
) -> None:
    database = household_directory / FILE_NAME
    connection = sqlite3.connect(database)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    before = digests_of(household_directory)
    with pytest.raises(StorageError, match="written by a newer version; update the server"):
        await Memory.open(household_directory, embedder)
    assert digests_of(household_directory).items() >= before.items()


async def test_a_folder_where_nothing_can_be_written_is_a_sentence(tmp_path: Path, embedder: OnnxEmbedder) -> None:
    with pytest.raises(StorageError, match="could not be opened"):
        await Memory.open(tmp_path / "nowhere", embedder)
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(StorageError, match="could not be opened"):
        await Memory.open(tmp_path, embedder)


async def test_a_migration_that_fails_changes_nothing(
    tmp_path: Path, embedder: OnnxEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await Memory.open(tmp_path, embedder)).close()
    before = bytes_of(tmp_path)[FILE_NAME]
    broken = (*MIGRATIONS, ("CREATE TABLE half (a INTEGER) STRICT", "CREATE NONSENSE"))
    monkeypatch.setattr("npu_memory_server.store.migrations.MIGRATIONS", broken)
    monkeypatch.setattr("npu_memory_server.store.database.MIGRATIONS", broken)
    with pytest.raises(StorageError, match="could not be opened"):
        await Memory.open(tmp_path, embedder)
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    assert connection.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
    assert not connection.execute("SELECT * FROM sqlite_master WHERE name = 'half'").fetchall()
    connection.close()
    assert len(before) > 0


# Forgotten is nowhere


SECRET = "quixotic zeppelin passphrase"


async def test_forgotten_text_is_in_no_byte_of_any_file(household: Memory, household_directory: Path) -> None:
    secrets = [f"{SECRET} {number} " + "padding " * 60 for number in range(30)]
    ids = [(await household.remember(RememberRequest(text=text, speaker="Nora"))).memory_id for text in secrets]
    await household.correct(ids[0], RememberRequest(text="Something harmless."))
    await household.embedded()
    await texts(household, SECRET)
    assert any(SECRET.encode() in content for content in bytes_of(household_directory).values())
    await household.forget(ForgetRequest(memory_ids=tuple(ids)))
    assert not [name for name, content in bytes_of(household_directory).items() if SECRET.encode() in content]
    assert await texts(household, SECRET, strategy=Strategy.LEXICAL) == []
    await household.close()
    assert not [name for name, content in bytes_of(household_directory).items() if SECRET.encode() in content]


async def test_the_vectors_of_forgotten_memories_are_gone_too(
    memory: Memory, embedder: OnnxEmbedder, tmp_path: Path
) -> None:
    """A vector can be turned back into something near its text."""
    stored = await memory.remember(RememberRequest(text=SECRET, created_at="2026-03-03T10:00:00Z"))
    await memory.embedded()
    vector = embedder.embed(SECRET, "(3 March 2026) ").vector.astype("<f4").tobytes()
    assert any(vector in content for content in bytes_of(tmp_path / "memory").values())
    await memory.forget(ForgetRequest(memory_ids=(stored.memory_id,)))
    assert not [name for name, content in bytes_of(tmp_path / "memory").items() if vector in content]


async def test_what_expired_while_the_server_was_off_is_in_no_byte_after_the_start(
    tmp_path: Path, open_memory: OpenMemory
) -> None:
    first = await open_memory(tmp_path)
    await first.remember(RememberRequest(text=SECRET, expires_at="2020-01-01T00:00:00Z"))
    await first.embedded()
    await first.close()
    await open_memory(tmp_path)
    assert not [name for name, content in bytes_of(tmp_path).items() if SECRET.encode() in content]


# Another embedder


async def test_with_another_embedder_old_memories_stay_findable_and_get_new_vectors(
    household_directory: Path, open_memory: OpenMemory, embedder: OnnxEmbedder
) -> None:
    """The dimensions are the same, so nothing but the fingerprint tells."""
    other = OtherEmbedder(embedder)
    memory = await open_memory(household_directory, other)
    assert (await memory.status()).pending_embeddings > 500
    early = await texts(memory, "error E31 boiler", strategy=Strategy.LEXICAL)
    assert any("E31" in text for text in early)
    await memory.embedded()
    assert other.calls >= 742
    assert (await memory.status()).fingerprint.startswith("other-")
    assert any("E31" in text for text in await texts(memory, "error E31 boiler", strategy=Strategy.VECTOR))
    assert await memory.faults() == []
    await memory.close()
    once_more = OtherEmbedder(embedder)
    memory = await open_memory(household_directory, once_more)
    await memory.embedded()
    assert once_more.calls == 0


async def test_an_interrupted_embedding_goes_on_at_the_next_start(
    tmp_path: Path, open_memory: OpenMemory, embedder: OnnxEmbedder
) -> None:
    first = await open_memory(tmp_path)
    await asyncio.gather(*(first.remember(RememberRequest(text=f"Number {number}.")) for number in range(100)))
    await first.close()
    counting = CountingEmbedder(embedder)
    second = await open_memory(tmp_path, counting)
    assert len(await texts(second, "number", strategy=Strategy.LEXICAL, top_k=50)) == 50
    await second.embedded()
    assert 0 < counting.calls <= 100
    assert (await second.status()).pending_embeddings == 0
    assert await second.faults() == []


# A write costs what it writes


async def test_adding_one_memory_touches_no_other(
    household_directory: Path, open_memory: OpenMemory, embedder: OnnxEmbedder
) -> None:
    counting = CountingEmbedder(embedder)
    memory = await open_memory(household_directory, counting)
    database = household_directory / FILE_NAME
    log = household_directory / f"{FILE_NAME}-wal"
    reader = sqlite3.connect(database)
    rows_before = reader.execute("SELECT * FROM memory JOIN vector USING (slot) ORDER BY slot").fetchall()
    log_before = log.stat().st_size if log.exists() else 0
    await memory.remember(RememberRequest(text="Finn swims on Thursdays."))
    await memory.embedded()
    rows_after = reader.execute("SELECT * FROM memory JOIN vector USING (slot) ORDER BY slot").fetchall()
    reader.close()
    assert rows_after[:-1] == rows_before
    assert len(rows_before) == 742
    assert counting.calls == 1
    # Some pages of 4 KB: its row, its vector, and the way to both; the whole file has more than two million bytes.
    assert log.stat().st_size - log_before < 100_000 < database.stat().st_size / 10


async def test_what_is_forgotten_while_a_backup_reads_leaves_the_files_once_the_backup_is_done(
    embedder: OnnxEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("npu_memory_server.removing.TRUNCATE_AGAIN_SECONDS", 0.05)
    secret = "The tortoise is called Xylophonia"
    memory = await Memory.open(tmp_path, embedder)
    try:
        kept = await memory.remember(RememberRequest(text=secret))
        await memory.embedded()
        with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as backup:
            backup.execute("BEGIN")
            backup.execute("SELECT count(*) FROM memory").fetchone()
            await memory.forget(ForgetRequest(memory_ids=(kept.memory_id,)))
            await memory.remember(RememberRequest(text="Somebody else is heard meanwhile."))
            backup.execute("COMMIT")
        await _out_of_the_files(secret, tmp_path)
    finally:
        await memory.close()


@pytest.mark.parametrize("failing", [{1}, {2, 3}, {1, 2}], ids=["at once", "later", "both"])
async def test_what_is_forgotten_leaves_the_log_once_a_disk_that_fails_recovers(
    embedder: OnnxEmbedder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    failing: set[int],
) -> None:
    monkeypatch.setattr("npu_memory_server.removing.TRUNCATE_AGAIN_SECONDS", 0.05)
    tried = 0

    def truncate(connection: sqlite3.Connection) -> bool:
        nonlocal tried
        tried += 1
        if tried in failing:
            raise OSError(5, "Input/output error")
        return tried > 1 and truncate_log(connection)

    monkeypatch.setattr("npu_memory_server.removing.truncate_log", truncate)
    secret = "The tortoise is called Xylophonia"
    memory = await Memory.open(tmp_path, embedder)
    try:
        kept = await memory.remember(RememberRequest(text=secret))
        await memory.embedded()
        gone = await memory.forget(ForgetRequest(memory_ids=(kept.memory_id,)))
        assert gone.memory_ids == (kept.memory_id,)
        await _out_of_the_files(secret, tmp_path)
        assert caplog.text.count("Input/output error") == len(failing)
        assert "Xylophonia" not in caplog.text
    finally:
        await memory.close()


async def _out_of_the_files(text: str, folder: Path) -> None:
    async with asyncio.timeout(10):
        while _is_in_a_file(text, folder):  # noqa: ASYNC110 - in another thread
            await asyncio.sleep(0.05)


def _is_in_a_file(text: str, folder: Path) -> bool:
    return any(text.encode() in file.read_bytes() for file in folder.iterdir())
