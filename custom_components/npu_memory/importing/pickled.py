"""The file of py-tars, a gzipped pickle, through a reader that knows no class but a few that it replaces by nothing."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
import gzip
import io
from pathlib import Path
import pickle
from struct import unpack
from typing import Any, ClassVar, override
import zlib

from ..prompt import ASSISTANT
from .drafts import Draft, Fault, Found, UnreadableFile, pieces

MAX_UNPACKED_BYTES = 256 * 1024 * 1024
GZIP = b"\x1f\x8b"

OF_THE_ASSISTANT = {"stt_ts", "style", "voice", "wake_ack"}
"""Fields that only what was spoken by py-tars itself has; what was heard has others."""

VECTORS = {
    (module, name)
    for module in ("numpy", "numpy.core.multiarray", "numpy._core.multiarray")
    for name in ("_reconstruct", "dtype", "ndarray", "scalar")
} | {("numpy.core.numeric", "_frombuffer"), ("numpy._core.numeric", "_frombuffer")}
"""What a pickled numpy array names: its place is taken by an object that keeps nothing."""


class _Nothing:
    def __init__(self, *_arguments: object) -> None: ...

    def __setstate__(self, _state: object) -> None: ...


class _Reader(pickle._Unpickler):
    """The reader that is written in Python: the other one takes as much memory as a few bytes of a file ask for."""

    read: Callable[[int], bytes]
    append: Callable[[object], None]

    def load_bytearray8(self) -> None:
        """Take the bytes that are there: the inherited way makes room for as many as the file says."""
        (size,) = unpack("<Q", self.read(8))
        self.append(self.read(size))

    dispatch: ClassVar[dict[int, Any]] = {**pickle._Unpickler.dispatch, pickle.BYTEARRAY8[0]: load_bytearray8}

    @override
    def find_class(self, module: str, name: str) -> type[_Nothing]:
        if (module, name) in VECTORS:
            return _Nothing
        raise pickle.UnpicklingError("a class that has no place in there")


def py_tars(path: Path) -> Found:
    """Yield the documents of a database of py-tars as turns; its vectors are left out."""
    try:
        database = _Reader(io.BytesIO(_unpacked(path))).load()
    except UnreadableFile:
        raise
    except Exception as error:  # a damaged pickle raises anything
        raise UnreadableFile("import_not_py_tars") from error
    documents = database.get("documents") if isinstance(database, dict) else None
    if not isinstance(documents, list):
        raise UnreadableFile("import_not_py_tars")
    for number, document in enumerate(documents, 1):
        place = f"document {number}"
        drafts: list[Draft | Fault] = list(_turns(place, document))
        yield from drafts or [Fault(place, "It has no text.")]


def _unpacked(path: Path) -> bytes:
    with path.open("rb") as raw:
        packed = raw.read(2) == GZIP
    try:
        with gzip.open(path) if packed else path.open("rb") as stream:
            content = stream.read(MAX_UNPACKED_BYTES + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UnreadableFile("import_not_py_tars") from error
    if len(content) > MAX_UNPACKED_BYTES:
        raise UnreadableFile("import_too_large")
    return content


def _turns(place: str, document: Any) -> Iterator[Draft]:
    if isinstance(document, str):
        document = {"text": document}
    if not isinstance(document, dict):
        return
    language = document.get("lang") if isinstance(document.get("lang"), str) else None
    common = {"kind": "turn", "created_at": _moment(document), "language": language}
    by_assistant = bool(OF_THE_ASSISTANT & document.keys())
    for name, speaker in (
        ("user_input", None),
        ("bot_response", ASSISTANT),
        ("text", ASSISTANT if by_assistant else None),
    ):
        said = document.get(name)
        for piece in pieces(said) if isinstance(said, str) else []:
            yield Draft(place, {**common, "text": piece, "speaker": speaker})


def _moment(document: dict[Any, Any]) -> str | None:
    """Return when it was said; what is imported later must not look as if it were said then."""
    seconds = document.get("ts", document.get("timestamp"))
    try:
        return datetime.fromtimestamp(float(seconds), UTC).isoformat()  # type: ignore[arg-type]
    except TypeError, ValueError, OverflowError, OSError:
        return None
