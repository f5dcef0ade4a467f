"""Gets a cross-encoder as flashrank has it: a ZIP file from its hub, from a mirror or from a disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import hashlib
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path, PurePosixPath
import re
import shutil
import tempfile
from typing import IO
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener
import zipfile

from ..errors import ModelError
from ..wire import Reranker
from .cross_encoder import CrossEncoder
from .files import CONFIG, MARKS, TOKENIZER, TOKENIZER_CONFIG, find_files, write_sums
from .registry import MODEL_FILES

MAX_ARCHIVE_BYTES = 1024**3
"""The largest of them, of 168 languages, has about 100 MB."""
MAX_UNPACKED_BYTES = 2 * 1024**3
ANSWER_SECONDS = 30.0
"""For each part of an answer to arrive."""
CHUNK_BYTES = 256 * 1024

Progress = Callable[[int, int | None], None]
"""Is told the bytes that have come, and the bytes in all if that is known."""

_SHA256 = re.compile(r'"?([0-9a-f]{64})"?')


def fetch(reranker: Reranker, models: Path, source: str, progress: Progress) -> Path:
    """Put a cross-encoder into its folder in `models`, which is complete or not there, and return that folder.

    `source` is an address that `NAME.zip` is appended to, or a ZIP file on the disk. The model is loaded once before it
    is accepted. Raises `ModelError` with what to do about it.
    """
    models.mkdir(parents=True, exist_ok=True)
    folder = models / reranker
    try:
        with tempfile.TemporaryDirectory(prefix=".fetching-", dir=models) as scratch:
            archive = Path(scratch) / "archive.zip"
            with _opened(source, reranker) as (stream, size, digest):
                _copy(stream, size, digest, archive, progress)
            unpacked = Path(scratch) / reranker
            unpacked.mkdir()
            _unpack(archive, reranker, unpacked)
            CrossEncoder(find_files(unpacked, MODEL_FILES[reranker]))
            write_sums(unpacked)
            if folder.exists():
                folder.rename(Path(scratch) / "before")
            unpacked.rename(folder)
    except ModelError as error:
        raise ModelError(f"The reranker {reranker} was not fetched: {error}") from error
    except OSError as error:
        raise ModelError(f"The reranker {reranker} was not fetched: {error.strerror or error}.") from error
    return folder


@contextmanager
def _opened(source: str, reranker: Reranker) -> Iterator[tuple[IO[bytes], int | None, str | None]]:
    """Give what to read from, the bytes in all and the SHA-256 that its server names, as far as they are known."""
    if urlsplit(source).scheme not in {"http", "https"}:
        path = Path(source)
        with path.open("rb") as stream:
            yield stream, path.stat().st_size, None
        return
    address = f"{source.rstrip('/')}/{reranker}.zip"
    elsewhere = f"Download {address} elsewhere and name the file with --from."
    redirects = _Redirects()
    try:
        request = Request(address, headers={"User-Agent": "npu-memory"})  # noqa: S310 - http and https alone
        response: HTTPResponse = build_opener(redirects).open(request, timeout=ANSWER_SECONDS)
        with response:
            length = response.headers.get("Content-Length", "")
            digest = redirects.digest or _digest(response.headers)
            yield response, int(length) if length.isdecimal() else None, digest
    except (URLError, HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        raise ModelError(f"{urlsplit(address).netloc} did not give it ({reason}). {elsewhere}") from error


class _Redirects(HTTPRedirectHandler):
    """Follows redirects, never from https to http, and keeps the checksum that a model hub gives with the first one."""

    def __init__(self) -> None:
        self.digest: str | None = None

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        self.digest = self.digest or _digest(headers)
        if urlsplit(newurl).scheme not in {"https", urlsplit(req.full_url).scheme}:
            raise ModelError(f"{urlsplit(req.full_url).netloc} sends us to an address without encryption.")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _digest(headers: HTTPMessage) -> str | None:
    """Return the SHA-256 of a large file as the hub of flashrank's models names it."""
    found = _SHA256.fullmatch(headers.get("X-Linked-ETag", ""))
    return found[1] if found else None


def _copy(stream: IO[bytes], size: int | None, digest: str | None, target: Path, progress: Progress) -> None:
    """Copy a stream, never more than a model may have, and compare it with its size and its checksum."""
    hashed = hashlib.sha256()
    come = 0
    with target.open("wb") as file:
        while chunk := stream.read(CHUNK_BYTES):
            come += len(chunk)
            if come > MAX_ARCHIVE_BYTES or (size is not None and size > MAX_ARCHIVE_BYTES):
                raise ModelError(f"the archive is larger than {MAX_ARCHIVE_BYTES} bytes: that is no reranker.")
            hashed.update(chunk)
            file.write(chunk)
            progress(come, size)
    if size is not None and come != size:
        raise ModelError(f"only {come} of {size} bytes arrived. Try again.")
    if digest is not None and hashed.hexdigest() != digest:
        raise ModelError("what arrived has another checksum than its server names. Try again.")


def _unpack(archive: Path, reranker: Reranker, folder: Path) -> None:
    """Unpack the files that a cross-encoder has and nothing else, each once, wherever the archive would have them."""
    wanted = {MODEL_FILES[reranker], TOKENIZER, CONFIG, TOKENIZER_CONFIG, MARKS}
    left = MAX_UNPACKED_BYTES
    try:
        with zipfile.ZipFile(archive) as opened:
            for member in opened.infolist():
                path = PurePosixPath(member.filename)
                if path.name not in wanted or str(path.parent) not in {".", reranker}:
                    continue
                left -= member.file_size
                if left < 0:
                    raise ModelError("its files are larger than those of a reranker.")
                with opened.open(member) as stream, (folder / path.name).open("xb") as file:
                    # No more than it says of itself: zipfile stops there, and compares the checksum.
                    shutil.copyfileobj(stream, file, CHUNK_BYTES)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, FileExistsError) as error:
        raise ModelError(f"it is no ZIP file as flashrank has it ({type(error).__name__}).") from error
