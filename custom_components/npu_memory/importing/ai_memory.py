"""The SQLite database of the ai_memory integration: read from a copy, so that nothing of it changes."""

from contextlib import closing
from datetime import datetime
from pathlib import Path
import shutil
import sqlite3
from tempfile import TemporaryDirectory
from typing import Any

from homeassistant.util import dt as dt_util

from .drafts import MAX_FILE_BYTES, MAX_MEMORIES, Draft, Fault, Found, UnreadableFile, pieces

WANTED = ("content", "created_at", "scope", "wing", "room")


def ai_memory(path: Path) -> Found:
    """Yield the rows of the table `memories`; wings and rooms, where there are any, become tags."""
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "memories.sqlite3"
        shutil.copyfile(path, copy)
        log = path.with_name(f"{path.name}-wal")
        if log.is_file() and not log.is_symlink() and log.stat().st_size <= MAX_FILE_BYTES:
            shutil.copyfile(log, copy.with_name(f"{copy.name}-wal"))
        try:
            with closing(sqlite3.connect(copy)) as connection:
                yield from _rows(connection)
        except sqlite3.DatabaseError as error:
            raise UnreadableFile("import_not_ai_memory") from error


def _rows(connection: sqlite3.Connection) -> Found:
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_FILE_BYTES)
    connection.text_factory = bytes
    columns = {row[1].decode(errors="replace") for row in connection.execute("PRAGMA table_info(memories)")}
    is_table = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'memories'").fetchone()
    if not is_table or "content" not in columns:
        raise UnreadableFile("import_not_ai_memory")
    names = [name for name in WANTED if name in columns]
    query = f"SELECT rowid, {', '.join(names)} FROM memories ORDER BY rowid LIMIT {MAX_MEMORIES + 1}"  # noqa: S608
    for rowid, *values in connection.execute(query):
        place = f"row {rowid}"
        try:
            row = {name: _text(value) for name, value in zip(names, values, strict=True)}
        except UnicodeDecodeError:
            yield Fault(place, "It is not text in UTF-8.")
            continue
        tags = [row[name][:64] for name in ("wing", "room") if row.get(name)]
        for piece in pieces(row["content"]):
            yield Draft(place, {"text": piece, "created_at": _moment(row.get("created_at", "")), "tags": tags})


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else "" if value is None else str(value)


def _moment(said: str) -> str | None:
    """Return when a row was written: ai_memory writes local time without an offset."""
    try:
        moment = datetime.fromisoformat(said)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt_util.get_default_time_zone())).isoformat()
