"""Puts a model package in its place, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import shutil

from npu_memory_server.embedding.manifest import (
    MANIFEST_NAME,
    FileRole,
    ModelFile,
    ModelManifest,
    Precision,
    dump_manifest,
    sha256_of,
)

from .errors import ConversionError


def check_output(output: Path, *, force: bool) -> None:
    """Refuse a place where something is that should stay. Raises ConversionError.

    An empty folder may always be filled; a package is replaced with `force` only, and nothing else ever is.
    """
    if not output.exists() and not output.is_symlink():
        return
    if not output.is_dir() or output.is_symlink():
        raise ConversionError(f"{output} is not a folder; choose another --output")
    if not any(output.iterdir()):
        return
    if not (output / MANIFEST_NAME).is_file():
        raise ConversionError(f"{output} holds something that is not a model package; choose another --output")
    if not force:
        raise ConversionError(f"{output} holds a model package already; --force replaces it")


@contextmanager
def staged(output: Path) -> Iterator[Path]:
    """Yield a new folder beside `output` that takes its place in one step at the end, and vanishes after an error.

    What a killed conversion left there is removed. Raises OSError.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(output)
    folder = output.parent / f".{output.name}.partial-{os.getpid()}"
    folder.mkdir()
    try:
        yield folder
        replaced = output.parent / f".{output.name}.replaced-{os.getpid()}"
        if output.exists():
            output.rename(replaced)
        folder.rename(output)
        _sync(output.parent)
        shutil.rmtree(replaced, ignore_errors=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def describe(folder: Path, name: str, role: FileRole, precision: Precision | None = None) -> ModelFile:
    """Return what the manifest says about a file of the folder. Raises OSError."""
    path = folder / name
    return ModelFile(role=role, name=name, sha256=sha256_of(path), bytes=path.stat().st_size, precision=precision)


def write_manifest(folder: Path, manifest: ModelManifest) -> None:
    """Write the manifest after all else is on the disk, which makes the folder a package. Raises OSError."""
    for file in manifest.files:
        _sync(folder / file.name)
    path = folder / MANIFEST_NAME
    path.write_text(dump_manifest(manifest), encoding="utf-8")
    _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_abandoned(output: Path) -> None:
    for folder in output.parent.glob(f".{output.name}.partial-*"):
        process = folder.name.rpartition("-")[2]
        if process.isdecimal() and not _alive(int(process)):
            shutil.rmtree(folder, ignore_errors=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
