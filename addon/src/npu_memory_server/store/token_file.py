"""The token vectors of a stretch of slots in a file of their own, where they are read without being searched for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
import os
from pathlib import Path
import zlib

import numpy as np
from numpy.typing import NDArray

from ..native.tokens import Slots, Vectors
from .array_file import Column, DamagedFileError, read_some, write_arrays

PREFIX = "tokens-"
SUFFIX = ".bin"
FORMAT = 1
ELSEWHERE = -1
SLOTS = 4096
"""Slots of a file, which then has about 13 MB."""


class TokenFile:
    """An open file. One thread reads, and another may overwrite what was forgotten."""

    def __init__(self, path: Path) -> None:
        """Open a file; what it says of itself is checked, the vectors are not. Raises `DamagedFileError`."""
        try:
            header, arrays, begins = read_some(path, ("bounds", "checksums"))
            if header["format"] != FORMAT:
                raise DamagedFileError("the file is of another version")
            self.number = int(header["number"])
            self.space = str(header["space"])
            self._reduced, self._at = int(header["reduced"]), begins["tokens"]
            bounds = arrays["bounds"]
            if bounds.shape != (SLOTS + 1,) or bounds.dtype != np.uint32 or (bounds[1:] < bounds[:-1]).any():
                raise DamagedFileError("the file does not say where its vectors are")
            self._stream = path.open("r+b", buffering=0)
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise DamagedFileError(f"the file cannot be read ({type(error).__name__})") from error
        self.path = path
        self._checksums = arrays["checksums"]
        # A memoryview gives a number five times as fast as an array does.
        self._bounds = bounds.data
        self._is_here = bytearray((bounds[1:] > bounds[:-1]).astype(np.uint8).tobytes())

    def vectors(self) -> Vectors:
        """Return where the vectors are, as long as the file is open."""
        here = np.frombuffer(self._is_here, np.uint8)
        return Vectors(np.asarray(self._bounds), here, self._at, self._stream.fileno())

    def slots(self) -> list[int]:
        """Return the slots whose vectors are here."""
        return [self.number * SLOTS + place for place in range(SLOTS) if self._is_here[place]]

    def span(self, slot: int) -> tuple[int, int]:
        """Return where the vectors of one of its slots begin and end in the file; 0, 0 if they are not here."""
        return self.written(slot) if self._is_here[slot % SLOTS] else (0, 0)

    def written(self, slot: int) -> tuple[int, int]:
        """Return where the vectors of one of its slots are, or were when the file was made."""
        place = slot % SLOTS
        return self._at + self._bounds[place] * self._reduced, self._at + self._bounds[place + 1] * self._reduced

    def read(self, begin: int, end: int) -> bytes:
        """Return some bytes. Raises `OSError`."""
        read = os.pread(self._stream.fileno(), end - begin, begin)
        if len(read) != end - begin:
            raise OSError("a file of token vectors is shorter than it was")
        return read

    def leave_out(self, slot: int) -> None:
        """Say from now on that the vectors of a slot are not here: there are newer ones, or none any more."""
        self._is_here[slot % SLOTS] = 0

    def erase(self, spans: Iterable[tuple[int, int]]) -> None:
        """Overwrite some bytes with zeros; returns when they are on the disk. Raises `OSError`."""
        for begin, end in spans:
            if end > begin:
                os.pwrite(self._stream.fileno(), bytes(end - begin), begin)
        os.fdatasync(self._stream.fileno())

    def is_sound(self, slot: int) -> bool:
        """Return whether the vectors of one of its slots are what was written. Raises `OSError`."""
        return zlib.crc32(self.read(*self.span(slot))) == int(self._checksums[slot % SLOTS])


def read(files: Mapping[int, TokenFile], slots: Slots) -> tuple[NDArray[np.int8], Slots]:
    """Return the token vectors of some slots one behind the other, int8 [bytes], and the bytes of each: -1, elsewhere.

    `files` are by their numbers. Slots that follow each other are read at once. Raises `OSError`.
    """
    pieces = []
    sizes = []
    previous: TokenFile | None = None
    begun = ended = 0
    for slot in slots.tolist():
        file = files.get(slot // SLOTS)
        begin, end = file.span(slot) if file is not None else (0, 0)
        sizes.append(end - begin or ELSEWHERE)
        if begin == end:
            continue
        if file is not previous or begin != ended:
            if previous is not None:
                pieces.append(previous.read(begun, ended))
            previous, begun = file, begin
        ended = end
    if previous is not None:
        pieces.append(previous.read(begun, ended))
    return np.frombuffer(b"".join(pieces), np.int8), np.array(sizes, np.int64)


def write(path: Path, number: int, space: str, blobs: Mapping[int, bytes], reduced: int) -> None:
    """Write the token vectors of some slots of a stretch, int8 [tokens, reduced] each. Raises `OSError`.

    `space` says with which others they may be compared.
    """
    ordered = [blobs.get(slot, b"") for slot in range(number * SLOTS, (number + 1) * SLOTS)]
    bounds = np.cumsum([0, *(len(blob) // reduced for blob in ordered)]).astype(np.uint32)
    header = {"format": FORMAT, "number": number, "space": space, "reduced": reduced}
    pieces = (np.frombuffer(blob, np.int8).reshape(-1, reduced) for blob in ordered)
    write_arrays(
        path,
        header,
        (
            Column.of("bounds", bounds),
            Column.of("checksums", np.array([zlib.crc32(blob) for blob in ordered], np.uint32)),
            Column("tokens", np.int8, (int(bounds[-1]), reduced), pieces),
        ),
    )
