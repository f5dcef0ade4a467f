"""A backup made while the server runs: whatever is copied first, it opens as what was stored when the backup began."""

from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
import shutil
import sqlite3
import subprocess
import sys

import pytest

from npu_memory_server.container import snapshot
from npu_memory_server.store.database import FILE_NAME, integrity_faults, open_database
from tests.server.process import environment

LOG_NAME = f"{FILE_NAME}-wal"


def count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM sentences").fetchone()[0])


def say(connection: sqlite3.Connection, times: int = 1) -> None:
    """Store long sentences, one commit each, and have the log brought into the database after each."""
    for _ in range(times):
        connection.execute("INSERT INTO sentences VALUES (hex(randomblob(5000)))")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def server(data: Path) -> Iterator[sqlite3.Connection]:
    """Return the connection of a server: its settings, but no patience with whoever reads."""
    connection = open_database(data / FILE_NAME)
    connection.execute("PRAGMA busy_timeout = 0")
    connection.execute("CREATE TABLE sentences (text)")
    say(connection, 5)
    yield connection
    connection.close()


@pytest.fixture(autouse=True)
def no_backup_is_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # What holds the snapshot is a process of its own, and must find the package where it is not installed.
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    yield
    snapshot.end()


def restored(folder: Path) -> int:
    """Open a copy as the server would after a restore; returns how many sentences are in it."""
    connection = open_database(folder / FILE_NAME)
    try:
        assert integrity_faults(connection, quick=False) == []
        return count(connection)
    finally:
        connection.close()


@pytest.mark.parametrize("order", list(permutations((FILE_NAME, LOG_NAME))))
@pytest.mark.parametrize("said_before", [0, 3], ids=["empty log", "log in use"])
def test_files_copied_in_any_order_while_the_server_writes_are_whole(
    order: tuple[str, str], said_before: int, data: Path, server: sqlite3.Connection, tmp_path: Path
) -> None:
    for _ in range(said_before):
        server.execute("INSERT INTO sentences VALUES (hex(randomblob(5000)))")
    before = count(server)
    copy = tmp_path / "copy"
    copy.mkdir()
    snapshot.begin(data / FILE_NAME)
    for name in order:
        say(server, 4)
        shutil.copyfile(data / name, copy / name)
        say(server, 4)
    snapshot.end()
    assert before <= restored(copy) <= count(server)


def test_without_it_a_copy_can_lack_what_was_stored_long_ago(
    data: Path, server: sqlite3.Connection, tmp_path: Path
) -> None:
    server.execute("INSERT INTO sentences VALUES ('said before the backup began')")
    before = count(server)
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copyfile(data / FILE_NAME, copy / FILE_NAME)
    say(server)
    shutil.copyfile(data / LOG_NAME, copy / LOG_NAME)
    assert restored(copy) < before


def test_the_log_is_brought_in_when_the_backup_is_over(data: Path, server: sqlite3.Connection) -> None:
    snapshot.begin(data / FILE_NAME)
    say(server, 3)
    assert (data / LOG_NAME).stat().st_size > 0
    snapshot.end()
    say(server)
    assert (data / LOG_NAME).stat().st_size == 0


def test_a_backup_that_was_never_ended_does_not_stop_the_next(data: Path, server: sqlite3.Connection) -> None:
    snapshot.begin(data / FILE_NAME)
    snapshot.begin(data / FILE_NAME)
    snapshot.end()
    say(server)
    assert (data / LOG_NAME).stat().st_size == 0


def test_before_anything_was_remembered_there_is_nothing_to_hold(data: Path) -> None:
    snapshot.begin(data / FILE_NAME)
    snapshot.end()
    assert list(data.iterdir()) == []


def test_what_cannot_be_read_makes_the_backup_fail(data: Path) -> None:
    (data / FILE_NAME).write_bytes(b"no database" * 500)
    command = [sys.executable, "-m", "npu_memory_server.container", "before-backup"]
    variables = environment({"NPU_MEMORY_DATA": str(data)})
    result = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr == "npu-memory-container: The database could not be held still for the backup; try again.\n"


def test_the_supervisors_commands_hold_and_let_go(data: Path, server: sqlite3.Connection) -> None:
    command = [sys.executable, "-m", "npu_memory_server.container"]
    variables = environment({"NPU_MEMORY_DATA": str(data)})
    subprocess.run([*command, "before-backup"], env=variables, check=True, timeout=30)
    say(server)
    held = (data / LOG_NAME).stat().st_size
    subprocess.run([*command, "after-backup"], env=variables, check=True, timeout=30)
    say(server)
    assert held > (data / LOG_NAME).stat().st_size == 0
