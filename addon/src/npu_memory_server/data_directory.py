"""The folder that holds a household's memories: one process at a time, a token, and the address of the server in it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
import fcntl
import json
import os
from pathlib import Path
import secrets
from types import TracebackType
from typing import Self

from .errors import BusyError, StorageError

TOKEN_FILE = "token"
ADDRESS_FILE = "server.json"
LOCK_FILE = "lock"
MIN_TOKEN_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where the server that has the folder listens."""

    host: str
    port: int
    pid: int


class DataDirectory:
    """A data directory that belongs to this process while the `with` lasts."""

    def __init__(self, path: Path) -> None:
        """Name the folder; nothing is touched before `with`."""
        self.path = path
        self._lock: int | None = None

    def __enter__(self) -> Self:
        """Make the folder if need be and lock it. Raises `BusyError` if another process has it, and `StorageError`."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(self.path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageError(f"The data directory {self.path} cannot be used: {error.strerror}.") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._close()
            raise BusyError(f"The data directory {self.path} is in use by another process.") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give the folder back."""
        (self.path / ADDRESS_FILE).unlink(missing_ok=True)
        self._close()

    def announce(self, address: ServerAddress) -> None:
        """Write down where the server listens, for the other commands on this folder."""
        _write_whole(self.path / ADDRESS_FILE, json.dumps(asdict(address)) + "\n")

    def _close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def server_address(path: Path) -> ServerAddress | None:
    """Return where a server listens that has this folder, or None if none has announced itself."""
    try:
        return ServerAddress(**json.loads((path / ADDRESS_FILE).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def read_token(path: Path) -> str:
    """Return the token of a data directory, made at the first call. Raises `StorageError`."""
    file = path / TOKEN_FILE
    try:
        if not file.exists():
            _write_whole(file, secrets.token_urlsafe(24) + "\n")
        token = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"The token in {file} cannot be read or written.") from error
    if len(token) < MIN_TOKEN_CHARACTERS:
        raise StorageError(
            f"The token in {file} is shorter than {MIN_TOKEN_CHARACTERS} characters: delete the file to get a new one."
        )
    return token


def _write_whole(file: Path, content: str) -> None:
    """Write a private file so that nobody ever sees half of it."""
    new = file.with_name(f".{file.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(file)
