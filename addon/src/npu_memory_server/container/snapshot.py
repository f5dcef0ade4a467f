"""A backup that copies the files of a running server: nothing that it needs is overwritten while it lasts.

A process of its own keeps a read transaction open. As long as it lasts, SQLite brings no page into the database that is
not in the write-ahead log as well, and begins the log anew only where the database has all of it, so that database and
log, copied in any order, open as what was stored when the backup began or a little later
(https://www.sqlite.org/wal.html, 2.2 Checkpointing).
"""

from __future__ import annotations

import contextlib
from pathlib import Path
import socket
import sqlite3
import subprocess
import sys
import time

from ..errors import BusyError

NAME = "\0npu-memory-backup"
"""An abstract socket: of this container's network alone, and gone with the process."""
READY = b"ready\n"
LONGEST_SECONDS = 3600.0
END_SECONDS = 10.0
BUSY_SECONDS = 10.0


def begin(database: Path) -> None:
    """Keep the files as they are from now on, in a process that outlives this one. Raises `BusyError`."""
    end()
    if not database.exists():
        return
    holder = subprocess.Popen(
        [sys.executable, "-m", f"{__package__}.snapshot", str(database)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with holder.stdout or contextlib.nullcontext() as ready:
        if ready is None or ready.readline() != READY:
            raise BusyError("The database could not be held still for the backup; try again.")


def end() -> None:
    """Let the files change again; does nothing if no backup is under way. Raises `BusyError`."""
    until = time.monotonic() + END_SECONDS
    while time.monotonic() < until:
        with socket.socket(socket.AF_UNIX) as door:
            try:
                door.connect(NAME)
            except ConnectionRefusedError:
                return
        time.sleep(0.02)
    raise BusyError("What holds the database still for a backup does not end.")


def hold(database: Path) -> None:
    """Read the database, say so on standard output, and keep reading until `end` or for an hour."""
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(NAME)
        door.listen()
        door.settimeout(LONGEST_SECONDS)
        connection = sqlite3.connect(database, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            sys.stdout.buffer.write(READY)
            sys.stdout.buffer.flush()
            with contextlib.suppress(TimeoutError):
                door.accept()
        finally:
            connection.close()


if __name__ == "__main__":
    hold(Path(sys.argv[1]))
