"""Opening the database file: durable settings, migrations, and no harm to a file that is damaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib
from pathlib import Path
import sqlite3

from ..errors import StorageError
from .migrations import MIGRATIONS, migrate

FILE_NAME = "memories.sqlite3"

BUSY_MS = 10_000
TRUNCATE_BUSY_MS = 200
"""Whoever remembers meanwhile waits as long."""
CHECKED_AT_START_BYTES = 64 * 1024 * 1024
"""A file up to this size is checked page by page at every start (about 0.1 s); a larger one by `npu-memory check`."""


def open_database(path: Path) -> sqlite3.Connection:
    """Open the database at `path`, making or migrating it. Raises `StorageError`; a damaged file is left as it is."""
    with storage_errors(f"The database {path} could not be opened"):
        is_new = not path.exists()
        if not is_new:
            _require_sound(path)
        connection = _connect(path)
        try:
            if is_new:
                path.chmod(0o600)
            connection.execute("PRAGMA journal_mode = WAL")
            # Boards lose power: FULL syncs the log at every commit, before "stored" is said.
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            # What was forgotten is overwritten in the file, not just unlinked.
            connection.execute("PRAGMA secure_delete = ON")
            migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """Open a second connection to the same database that cannot write. Raises `StorageError`."""
    with storage_errors(f"The database {path} could not be opened"):
        connection = _connect(path)
        connection.execute("PRAGMA query_only = ON")
        return connection


def _connect(path: Path) -> sqlite3.Connection:
    # check_same_thread: each connection is used from one worker thread, but opened and closed from another.
    return sqlite3.connect(path, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False)


def _connect_read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_MS / 1000)


def _require_sound(path: Path) -> None:
    """Look at the file without being able to write: not even the log beside it may be mixed into a damaged one."""
    connection = _connect_read_only(path)
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise StorageError(f"The database {path} was written by a newer version; update the server.")
        if path.stat().st_size <= CHECKED_AT_START_BYTES and (faults := integrity_faults(connection, quick=True)):
            raise damaged(path, faults[0])
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise damaged(path, str(error)) from error
        raise
    finally:
        connection.close()


def close_untouched(path: Path, connections: Sequence[sqlite3.Connection]) -> None:
    """Close the connections to a database that is not to be used, and leave the file and its log as they are."""
    # The last connection that closes brings the log into the file, unless it cannot write.
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(sqlite3.Error):
            last = stack.enter_context(contextlib.closing(_connect_read_only(path)))
            last.execute("PRAGMA user_version").fetchone()
        for connection in connections:
            connection.close()


def truncate_log(connection: sqlite3.Connection) -> bool:
    """Bring the write-ahead log into the database and empty it, so that nothing forgotten is left in it.

    Returns False if another process reads the database, a backup for instance: then the log has to wait for it.
    """
    connection.execute(f"PRAGMA busy_timeout = {TRUNCATE_BUSY_MS}")
    try:
        busy: int = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    finally:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    return not busy


def integrity_faults(connection: sqlite3.Connection, *, quick: bool) -> list[str]:
    """Return what SQLite's own check finds, at most ten lines; none for a sound database."""
    pragma = "quick_check" if quick else "integrity_check"
    try:
        lines = [str(row[0]) for row in connection.execute(f"PRAGMA {pragma}(10)")]
    except UnicodeDecodeError:
        return ["the names of its tables are no text"]
    return [] if lines == ["ok"] else lines


def damaged(path: Path, reason: str) -> StorageError:
    """Return the error for a database that is not to be written any more; `reason` quotes nothing that is stored."""
    first_line = reason.splitlines()[0][:200]
    return StorageError(
        f"The database {path} is damaged ({first_line}). It was left untouched and nothing is written to it: "
        "move it away, or put a backup in its place."
    )


@contextlib.contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Turn the errors of SQLite and of the file system into `StorageError` with a sentence that begins with `what`."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StorageError(f"{what}: {reason(error)}. Nothing was changed.") from error


def reason(error: sqlite3.Error | OSError) -> str:
    """Return what an error says, unless it may quote what is stored: errors of Python's module and not of SQLite do."""
    return str(error) if isinstance(error, OSError) or hasattr(error, "sqlite_errorcode") else type(error).__name__
