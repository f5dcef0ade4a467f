"""Puts model packages in their place: copied from a folder, or converted here; complete, or not there."""

from __future__ import annotations

from collections.abc import Callable
import hashlib
from pathlib import Path
import re
import shutil
import subprocess
import sys

from ..errors import ModelError
from .manifest import MANIFEST_NAME, ModelFile, ModelManifest, load_manifest, verify_file

CONVERTER = "npu-memory-convert"
CONVERSIONS = {
    "all-MiniLM-L6-v2": ("all-MiniLM-L6-v2",),
    "all-MiniLM-L6-v2-rk3588": ("all-MiniLM-L6-v2", "--target", "rknn"),
}
"""What can be prepared without a package of it: what to tell the converter, which knows the sources and their sums."""
CHUNK_BYTES = 1024 * 1024
CONVERSION_SECONDS = 3600

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")

Progress = Callable[[str, int, int], None]
"""Is told a file, the bytes of it that have come, and how many it has."""


def folder_of(models: Path, name: str) -> Path:
    """Return where a package of that name belongs. Raises ModelError for what is no name."""
    if not _NAME.fullmatch(name):
        raise ModelError(f"'{name}' is not the name of a model: letters, digits and ._+- are")
    return models / name


def is_whole(folder: Path) -> bool:
    """Return whether there is a package in a folder, and every file of it is what its manifest says."""
    try:
        for file in load_manifest(folder).files:
            verify_file(folder, file)
    except ModelError:
        return False
    return True


def copy_package(source: Path, models: Path, name: str, progress: Progress) -> Path:
    """Copy a package, or the one of that name in a folder, into `models`; returns where it is.

    What was interrupted goes on with the file that it had come to. Raises ModelError: then what was there before is
    still there.
    """
    folder = folder_of(models, name)
    origin = source / name if (source / name / MANIFEST_NAME).is_file() else source
    manifest = load_manifest(origin)
    staged = models / f".preparing-{name}"
    try:
        staged.mkdir(parents=True, exist_ok=True)
        for file in manifest.files:
            _copy(origin, staged, file, progress)
        shutil.copyfile(origin / MANIFEST_NAME, staged / MANIFEST_NAME)
        _require_same(staged, manifest)
        _replace(folder, staged)
    except OSError as error:
        raise ModelError(f"{name} could not be copied to {models}: {error.strerror or error}") from error
    return folder


def convert_package(models: Path, name: str) -> Path:
    """Have the converter make a package, where it is installed; returns where it is. Raises ModelError."""
    folder = folder_of(models, name)
    if name not in CONVERSIONS:
        raise ModelError(f"Nothing is known of '{name}': give --from, or one of {', '.join(CONVERSIONS)}.")
    command = [*CONVERSIONS[name], "--output", str(folder)]
    program = shutil.which(CONVERTER)
    if program is None:
        raise ModelError(
            f"{CONVERTER} is not installed here. On a PC: {CONVERTER} {' '.join(CONVERSIONS[name])} --output {name}; "
            f"then, here: npu-memory models prepare {name} --from {name}"
        )
    models.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run([program, *command], check=True, stdout=sys.stderr, timeout=CONVERSION_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        raise ModelError(f"{name} could not be converted; what went wrong is above") from error
    return folder


def remove_package(models: Path, name: str) -> None:
    """Delete a package, or what is left of one. Raises ModelError if there is none."""
    found = [path for path in (folder_of(models, name), models / f".preparing-{name}") if path.is_dir()]
    if not found:
        raise ModelError(f"there is no {name} in {models}")
    for path in found:
        try:
            if path.is_symlink():
                path.unlink()
                continue
            # First, so that what is half deleted is no package.
            (path / MANIFEST_NAME).unlink(missing_ok=True)
            shutil.rmtree(path)
        except OSError as error:
            raise ModelError(f"{path} could not be removed: {error.strerror or error}") from error


def _copy(origin: Path, staged: Path, file: ModelFile, progress: Progress) -> None:
    """Copy one file from where an earlier attempt ended, never more than it has, and compare its sum."""
    target = staged / file.name
    hashed, come = hashlib.sha256(), 0
    if target.is_file() and target.stat().st_size <= file.bytes:
        with target.open("rb") as before:
            while chunk := before.read(CHUNK_BYTES):
                hashed.update(chunk)
                come += len(chunk)
    with (origin / file.name).open("rb") as stream, target.open("ab" if come else "wb") as copy:
        stream.seek(come)
        while come <= file.bytes and (chunk := stream.read(CHUNK_BYTES)):
            copy.write(chunk)
            hashed.update(chunk)
            come += len(chunk)
            progress(file.name, come, file.bytes)
    progress(file.name, come, file.bytes)
    if come != file.bytes or hashed.hexdigest() != file.sha256:
        target.unlink()
        raise ModelError(f"{origin / file.name} is not what its manifest says: get the package again")


def _require_same(staged: Path, manifest: ModelManifest) -> None:
    if load_manifest(staged) != manifest:
        raise ModelError("the package has changed while it was copied: try again")


def _replace(folder: Path, staged: Path) -> None:
    before = folder.with_name(f".before-{folder.name}")
    if folder.exists():
        folder.rename(before)
    staged.rename(folder)
    if before.exists():
        shutil.rmtree(before)
