"""Named arrays in one file that is mapped into memory: written whole or not at all, and checked before it is used."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
import json
import os
from pathlib import Path
from typing import Any, BinaryIO
import zlib

import numpy as np
from numpy.typing import DTypeLike, NDArray

MAGIC = b"NPUMEM01"
"""The version is part of it: a file of another version counts as damaged and is made anew."""
ALIGNMENT = 64
READ_BYTES = 4 * 1024 * 1024
MAX_HEADER_BYTES = 64 * 1024 * 1024
_END = 32
"""Bytes behind the header: its length, its checksum and the magic again."""


class DamagedFileError(Exception):
    """The file is not what was written; the sentence quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class Column:
    """An array that comes in pieces, so that it need not be whole in memory; `shape[0]` is the sum of the pieces'."""

    name: str
    dtype: DTypeLike
    shape: tuple[int, ...]
    pieces: Iterable[NDArray[Any]]

    @classmethod
    def of(cls, name: str, values: NDArray[Any]) -> Column:
        """Return an array that is whole in memory."""
        return cls(name, values.dtype, values.shape, (values,))


def write_arrays(path: Path, header: Mapping[str, Any], columns: Iterable[Column]) -> None:
    """Write a private file; until it is complete and synced, whatever had its name stays. Raises `OSError`."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(MAGIC.ljust(ALIGNMENT, b"\0"))
            arrays = [_write(stream, column) for column in columns]
            content = json.dumps({"header": header, "arrays": arrays}).encode()
            stream.write(content)
            stream.write(len(content).to_bytes(8, "little") + zlib.crc32(content).to_bytes(8, "little"))
            stream.write(MAGIC.rjust(_END - 16, b"\0"))
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def _write(stream: BinaryIO, column: Column) -> dict[str, Any]:
    stream.write(b"\0" * (-stream.tell() % ALIGNMENT))
    start, checksum, rows = stream.tell(), 0, 0
    for piece in column.pieces:
        content = np.ascontiguousarray(piece, column.dtype)
        rows += len(content)
        checksum = zlib.crc32(content.data.cast("B") if content.size else b"", checksum)
        stream.write(content.data.cast("B") if content.size else b"")
    if rows != column.shape[0]:
        raise ValueError(f"the array {column.name} has {rows} rows instead of {column.shape[0]}")
    return {
        "name": column.name,
        "dtype": np.dtype(column.dtype).str,
        "shape": list(column.shape),
        "start": start,
        "checksum": checksum,
    }


def read_arrays(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the header and the arrays, mapped and not to be written to.

    Every byte is checked first, which also brings the file into the system's cache. Raises `DamagedFileError`, also
    where there is no file.
    """
    try:
        with path.open("rb") as stream:
            content = _content(stream)
            for array in content["arrays"]:
                if _checksum(stream, array["start"], _size(array)) != array["checksum"]:
                    raise DamagedFileError("an array has changed")
        mapped = np.memmap(path, np.uint8, "r")
        arrays = {
            array["name"]: mapped[array["start"] : array["start"] + _size(array)]
            .view(np.dtype(array["dtype"]))
            .reshape(array["shape"])
            .view(np.ndarray)
            for array in content["arrays"]
        }
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedFileError(f"the file cannot be read ({type(error).__name__})") from error
    return content["header"], arrays


def read_some(path: Path, names: Collection[str]) -> tuple[dict[str, Any], dict[str, NDArray[Any]], dict[str, int]]:
    """Return the header, the arrays of these names, checked and copied, and where in the file each array begins.

    Raises `DamagedFileError`, also where there is no file; the other arrays are not looked at.
    """
    try:
        with path.open("rb") as stream:
            content = _content(stream)
            arrays: dict[str, NDArray[Any]] = {}
            for array in content["arrays"]:
                if array["name"] in names:
                    stream.seek(array["start"])
                    read = stream.read(_size(array))
                    if zlib.crc32(read) != array["checksum"]:
                        raise DamagedFileError("an array has changed")
                    arrays[array["name"]] = np.frombuffer(read, array["dtype"]).reshape(array["shape"])
            return content["header"], arrays, {array["name"]: int(array["start"]) for array in content["arrays"]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedFileError(f"the file cannot be read ({type(error).__name__})") from error


def _content(stream: BinaryIO) -> dict[str, Any]:
    size = stream.seek(0, os.SEEK_END)
    if size < ALIGNMENT + _END:
        raise DamagedFileError("the file is too short")
    stream.seek(0)
    if stream.read(len(MAGIC)) != MAGIC:
        raise DamagedFileError("the file is of another kind or version")
    stream.seek(size - _END)
    end = stream.read(_END)
    length, checksum = int.from_bytes(end[:8], "little"), int.from_bytes(end[8:16], "little")
    if not end.endswith(MAGIC) or length > min(size - ALIGNMENT - _END, MAX_HEADER_BYTES):
        raise DamagedFileError("the end of the file is missing")
    stream.seek(size - _END - length)
    content = stream.read(length)
    if zlib.crc32(content) != checksum:
        raise DamagedFileError("the header has changed")
    read: dict[str, Any] = json.loads(content)
    return read


def _size(array: Mapping[str, Any]) -> int:
    size: int = np.dtype(array["dtype"]).itemsize
    for length in array["shape"]:
        size *= length
    return size


def _checksum(stream: BinaryIO, start: int, size: int) -> int:
    stream.seek(start)
    checksum = 0
    for piece in _pieces(stream, size):
        checksum = zlib.crc32(piece, checksum)
    return checksum


def _pieces(stream: BinaryIO, size: int) -> Iterator[bytes]:
    while size:
        piece = stream.read(min(size, READ_BYTES))
        if not piece:
            raise DamagedFileError("the file is shorter than it says")
        size -= len(piece)
        yield piece
