"""Where the token vectors of each memory are: in the database at first, of a large memory in files later."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
import logging
from pathlib import Path
import secrets
import sqlite3

import numpy as np
from numpy.typing import NDArray

from ..native.library import kernels
from ..native.tokens import Slots, TokenReads
from . import vectors
from .array_file import DamagedFileError
from .token_file import PREFIX, SLOTS, SUFFIX, TokenFile, read, write

LOGGER = logging.getLogger(__name__)

WORTH_MOVING = 256
"""Fewer of a stretch stay in the database: those that were embedded anew, or are left of very old ones."""


class TokenFiles:
    """The files of a data directory. What is in the database is newer than what is in a file."""

    def __init__(
        self, directory: Path, reader: sqlite3.Connection, embedder: tuple[str, Sequence[int]], reduced: int
    ) -> None:
        """Begin with no files; `reader` is for `fetch`, `embedder` what vectors have to be comparable with.

        That is the name of a space, and the numbers of the embedders that share it.
        """
        self._directory = directory
        self._reader = reader
        self._space, self._comparable = embedder
        self._reduced = reduced
        self._files: dict[int, TokenFile] = {}
        self._read: Callable[[Slots], tuple[NDArray[np.int8], Slots]] | None = None

    def open(self, connection: sqlite3.Connection) -> None:
        """Open the files that belong to a database, inside a transaction; vectors that are lost are to be made anew."""
        named = dict(connection.execute("SELECT number, name FROM token_file"))
        for number, name in named.items():
            try:
                file = TokenFile(self._path(name))
                if file.number != number:
                    raise DamagedFileError("the file is that of others")
            except DamagedFileError as error:
                LOGGER.warning("Token vectors of up to %s memories are lost and made anew: %s", SLOTS, error)
                connection.execute(
                    "UPDATE vector SET tokens = NULL WHERE slot >= ? AND slot < ? AND tokens = x''",
                    (number * SLOTS, (number + 1) * SLOTS),
                )
                connection.execute("DELETE FROM token_file WHERE number = ?", (number,))
                continue
            for slot in _unmoved(connection, number):
                file.leave_out(slot)
            self._files[number] = file
        self._read = None

    def remove_others(self) -> None:
        """Remove what belongs to no database, or was only half written."""
        used = {file.path for file in self._files.values()}
        for file in (*self._directory.glob(f"{PREFIX}*{SUFFIX}"), *self._directory.glob(f".{PREFIX}*{SUFFIX}.new")):
            if file not in used:
                file.unlink(missing_ok=True)

    def fetch(self, slots: NDArray[np.int64]) -> tuple[NDArray[np.int8], NDArray[np.intp]]:
        """Return the token vectors of some slots one behind the other, int8 [tokens, reduced], and how many each has.

        They may be overwritten by the next call. Raises `OSError` and `sqlite3.Error`.
        """
        if self._read is None:
            self._read = self._reads()
        content, sizes = self._read(slots)
        if len(elsewhere := np.flatnonzero(sizes < 0)):
            blobs = vectors.tokens(self._reader, slots[elsewhere].tolist(), self._comparable, self._reduced)
            sizes[elsewhere] = 0
            view, begin = content.data, 0
            pieces: list[memoryview | bytes] = []
            for end, blob in zip(np.cumsum(sizes)[elsewhere].tolist(), blobs, strict=True):
                pieces += [view[begin:end], blob]
                begin = end
            content = np.frombuffer(b"".join([*pieces, view[begin:]]), np.int8)
            sizes[elsewhere] = [len(blob) for blob in blobs]
        return content.reshape(-1, self._reduced), sizes // self._reduced

    def embedded_anew(self, slot: int) -> None:
        """Note that the database has newer vectors than the file, if that has any."""
        if (file := self._files.get(slot // SLOTS)) is not None:
            file.leave_out(slot)

    def due(self, connection: sqlite3.Connection) -> list[int]:
        """Return the stretches that are worth moving: no memory comes to them any more, and each has its vector."""
        newest = connection.execute("SELECT max(slot) FROM memory").fetchone()[0] or 0
        found = connection.execute(
            "SELECT slot / ? AS number FROM vector WHERE length(tokens) > 0 GROUP BY number HAVING count(*) >= ?",
            (SLOTS, WORTH_MOVING),
        )
        return [number for (number,) in found if (number + 1) * SLOTS <= newest and self._is_whole(connection, number)]

    def gather(self, connection: sqlite3.Connection, number: int) -> dict[int, bytes]:
        """Return the token vectors of a stretch that are in the database, by slot."""
        slots = _unmoved(connection, number)
        read = vectors.tokens(connection, slots, self._comparable, self._reduced)
        return {slot: blob for slot, blob in zip(slots, read, strict=True) if blob}

    def write(self, number: int, gathered: Mapping[int, bytes]) -> TokenFile:
        """Write a new file of what was gathered and what the old file has besides. Raises `OSError`."""
        blobs: dict[int, bytes] = {}
        older = self._files.get(number)
        if older is not None and older.space == self._space:
            blobs = {slot: older.read(*older.span(slot)) for slot in older.slots()}
        path = self._path(f"{number}-{secrets.token_hex(8)}")
        write(path, number, self._space, {**blobs, **gathered}, self._reduced)
        try:
            return TokenFile(path)
        except DamagedFileError as error:
            raise OSError(str(error)) from error

    def take_over(self, connection: sqlite3.Connection, file: TokenFile) -> None:
        """Note a new file as that of its stretch, inside a transaction, and what in it was forgotten meanwhile.

        What is still in the database counts until it is `clear`ed.
        """
        connection.execute("INSERT OR REPLACE INTO token_file VALUES (?, ?)", (file.number, _name(file.path)))
        rows = connection.execute("SELECT slot FROM memory WHERE slot >= ? AND slot < ?", _range(file.number))
        there = {slot for (slot,) in rows}
        gone = [(slot,) for slot in file.slots() if slot not in there]
        connection.executemany("INSERT OR IGNORE INTO token_gone VALUES (?)", gone)

    def use(self, file: TokenFile) -> None:
        """Read a file from now on in place of the one there was, which is removed."""
        older = self._files.get(file.number)
        self._files[file.number] = file
        self._read = None
        if older is not None:
            older.path.unlink(missing_ok=True)

    def clear(self, connection: sqlite3.Connection, moved: Sequence[tuple[int, bytes]]) -> list[int]:
        """Empty in the database what a file has, inside a transaction; returns the slots that have newer vectors."""
        newer = []
        for slot, blob in moved:
            done = connection.execute("UPDATE vector SET tokens = x'' WHERE slot = ? AND tokens = ?", (slot, blob))
            if not done.rowcount and _is_in_the_database(connection, slot):
                newer.append(slot)
        return newer

    def erase_gone(self, connection: sqlite3.Connection) -> None:
        """Overwrite the token vectors of memories that were forgotten; runs on the thread that writes."""
        gone = [slot for (slot,) in connection.execute("SELECT slot FROM token_gone")]
        for number in sorted({slot // SLOTS for slot in gone}):
            some = [slot for slot in gone if slot // SLOTS == number]
            if (file := self._files.get(number)) is not None:
                try:
                    file.erase(file.written(slot) for slot in some)
                except OSError as error:
                    LOGGER.warning("Token vectors of what was forgotten are overwritten later: %s", error.strerror)
                    continue
                for slot in some:
                    file.leave_out(slot)
            connection.execute("DELETE FROM token_gone WHERE slot >= ? AND slot < ?", _range(number))

    def faults(self, connection: sqlite3.Connection) -> list[str]:
        """Return what is wrong with the files. Raises `OSError`."""
        damaged = 0
        for number, file in list(self._files.items()):  # another thread may take one over
            moved = connection.execute(
                "SELECT slot FROM vector WHERE slot >= ? AND slot < ? AND tokens = x''", _range(number)
            )
            damaged += sum(not file.is_sound(slot) for (slot,) in moved)
        if not damaged:
            return []
        return [f"token vectors: those of {damaged} memories are damaged; {PREFIX}*{SUFFIX} can be deleted"]

    def paths(self) -> list[Path]:
        """Return the files that are in use."""
        return [file.path for file in list(self._files.values())]

    def _reads(self) -> Callable[[Slots], tuple[NDArray[np.int8], Slots]]:
        """Return what reads from the files as they are now."""
        files = {number: file for number, file in self._files.items() if file.space == self._space}
        functions = kernels().functions
        if functions is None:
            return partial(read, files)
        opened = {number: file.vectors() for number, file in files.items()}
        return TokenReads(functions, opened, SLOTS, self._reduced)

    def _is_whole(self, connection: sqlite3.Connection, number: int) -> bool:
        missing = connection.execute(
            "SELECT 1 FROM memory WHERE slot >= ? AND slot < ? AND slot NOT IN (SELECT slot FROM vector "
            f"WHERE slot >= ? AND slot < ? AND tokens IS NOT NULL "
            f"AND embedder IN ({', '.join('?' * len(self._comparable))})) LIMIT 1",
            (*_range(number), *_range(number), *self._comparable),
        )
        return missing.fetchone() is None

    def _path(self, name: str) -> Path:
        return self._directory / f"{PREFIX}{name}{SUFFIX}"


def _unmoved(connection: sqlite3.Connection, number: int) -> list[int]:
    rows = connection.execute(
        "SELECT slot FROM vector WHERE length(tokens) > 0 AND slot >= ? AND slot < ?", _range(number)
    )
    return [slot for (slot,) in rows]


def _is_in_the_database(connection: sqlite3.Connection, slot: int) -> bool:
    return (
        connection.execute("SELECT 1 FROM vector WHERE slot = ? AND length(tokens) > 0", (slot,)).fetchone() is not None
    )


def _range(number: int) -> tuple[int, int]:
    return number * SLOTS, (number + 1) * SLOTS


def _name(path: Path) -> str:
    return path.name.removeprefix(PREFIX).removesuffix(SUFFIX)
