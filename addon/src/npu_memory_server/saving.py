"""The indexes of a large memory in a file, so that a start loads them: written beside the old ones, and checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
import logging
from pathlib import Path
import secrets
from typing import Any, TypeVar

from numpy.typing import NDArray

from .embedding.fingerprints import space_of
from .retrieval.frozen import Frozen
from .retrieval.growing import GrowingArray
from .retrieval.maxsim import Fetch
from .retrieval.retriever import Retriever, Saved
from .retrieval.weights import Weights
from .store.array_file import Column, DamagedFileError, read_arrays, write_arrays

LOGGER = logging.getLogger(__name__)
Result = TypeVar("Result")
Locked = Callable[[Callable[[Retriever], Result]], Result]

LARGE = 20_000
"""Memories from which on the indexes are for a large memory, and saved; exact search takes as long below."""
PREFIX = "indexes-"
SUFFIX = ".bin"
FORMAT = 2
"""To be counted up when terms, priors or codes are made in another way: saved ones are then made anew."""


@dataclass(frozen=True, slots=True)
class Reached:
    """How far indexes go: all changes up to the number `change` are in them, of the memories up to `slot`.

    `slot` is None for all memories; otherwise the indexes are being made, and go on behind it.
    """

    change: int
    slot: int | None = None


class StoppedError(OSError):
    """The file was not written to its end because the memory is being closed."""


def index_file(directory: Path, name: str) -> Path:
    """Return where the indexes saved under `name` are."""
    return directory / f"{PREFIX}{name}{SUFFIX}"


def index_files(directory: Path) -> list[Path]:
    """Return the saved indexes in a folder."""
    return list(directory.glob(f"{PREFIX}*{SUFFIX}"))


def remove_others(directory: Path, name: str | None) -> None:
    """Remove all saved indexes except those saved under `name`, and what was only half written."""
    kept = None if name is None else index_file(directory, name).name
    for file in (*index_files(directory), *directory.glob(f".{PREFIX}*{SUFFIX}.new")):
        if file.name != kept:
            file.unlink(missing_ok=True)


def save(
    directory: Path, search: Locked[Any], embedder: str, reached: Reached, between: Callable[[], None]
) -> tuple[str, Frozen]:
    """Write the indexes as they are now; returns the name of the file and what `take_over` needs.

    `search` gives the retriever while nobody else has it: for each column as long as copying it takes. What
    was `reached` must be in the indexes. `between` is called between one piece and the next, and may raise
    `StoppedError`. Raises `OSError`.
    """
    frozen: Frozen = search(lambda retriever: retriever.freeze())
    try:
        columns = {
            name: search(partial(_copied, rows, frozen.count))
            for name, rows in search(lambda retriever: retriever.columns()).items()
        }
        columns["sessions"] = search(lambda retriever: retriever.sessions())
        saved: Saved = search(lambda retriever: retriever.saved())
        header = {
            "format": FORMAT,
            "embedder": embedder,
            "priors": search(lambda retriever: _priors(retriever.weights)),
            "change": reached.change,
            "slot": reached.slot,
            "scopes": saved.scopes,
            "speakers": saved.speakers,
        }

        def everything() -> Iterator[Column]:
            for name, values in columns.items():
                yield Column.of(name, values)
            for name, words in frozen.words.columns(columns["lengths"], columns["alive"]).items():
                yield Column.of(name, words)
            for name, dtype, shape, pieces in frozen.vectors.columns():
                yield Column(name, dtype, shape, _with_breaks(pieces, between))

        name = secrets.token_hex(8)
        write_arrays(index_file(directory, name), header, everything())
    except BaseException:
        search(lambda retriever: retriever.thaw())
        raise
    return name, frozen


def _priors(weights: Weights) -> list[float]:
    """Return what the saved priors depend on."""
    return [weights.question_malus, weights.length_bonus]


def _copied(rows: GrowingArray[Any], count: int, _: Retriever) -> NDArray[Any]:
    return rows.values[:count].copy()


def _with_breaks(pieces: Iterator[NDArray[Any]], between: Callable[[], None]) -> Iterator[NDArray[Any]]:
    for piece in pieces:
        between()
        yield piece


def take_over(directory: Path, name: str, search: Locked[Any], frozen: Frozen) -> None:
    """Go on with the saved indexes. Raises `DamagedFileError`."""
    try:
        _, arrays = read_arrays(index_file(directory, name))
    except DamagedFileError:
        search(lambda retriever: retriever.thaw())
        raise
    search(lambda retriever: retriever.take_over(frozen, arrays))


def restore(
    directory: Path, name: str | None, embedder: str, fetch_tokens: Fetch, weights: Weights | None
) -> tuple[Retriever, Reached] | None:
    """Return the indexes that were saved under `name`, and how far they go.

    None if they cannot be used: missing, damaged, of another version, or with vectors that may not be compared with
    those of `embedder`, a fingerprint.
    """
    if name is None:
        return None
    try:
        header, arrays = read_arrays(index_file(directory, name))
        made_for = (header["format"], space_of(str(header["embedder"])), header["priors"])
        if made_for != (FORMAT, space_of(embedder), _priors(weights or Weights())):
            LOGGER.info("The saved indexes are of another version or embedder and are made anew")
            return None
        saved = Saved(list(header["scopes"]), list(header["speakers"]))
        slot = header["slot"]
        reached = Reached(int(header["change"]), None if slot is None else int(slot))
        return Retriever.restored(saved, arrays, fetch_tokens, weights), reached
    except (DamagedFileError, KeyError, TypeError, ValueError, IndexError) as error:
        LOGGER.warning("The saved indexes cannot be used and are made anew: %s", error)
        return None
