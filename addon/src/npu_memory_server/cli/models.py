"""`npu-memory models`: which models there are, whether their files are what they were, and getting another reranker."""

from __future__ import annotations

import json
from pathlib import Path
import sys
from typing import Any

from tqdm import tqdm

from ..embedding.manifest import MANIFEST_NAME, load_manifest, verify_file
from ..embedding.preparing import convert_package, copy_package, folder_of, is_whole, remove_package
from ..errors import ModelError
from ..reranking.fetching import fetch
from ..reranking.files import find_files, verify_files
from ..reranking.registry import HUB, MODEL_FILES
from ..wire import Reranker


def list_models(directory: Path, *, verify: bool, as_json: bool) -> int:
    """Print the models in a folder, with their files' sums checked if asked; returns the exit code."""
    found = [
        *(_package(path.parent, verify=verify) for path in sorted(directory.glob("*/manifest.json"))),
        *(_reranker(name, directory / name, verify=verify) for name in MODEL_FILES if _is_reranker(directory / name)),
    ]
    if as_json:
        print(json.dumps(found))
    else:
        for model in found:
            state = "verified" if model.get("is_verified") else "there"
            print(f"{model['name']}: {model.get('fault') or state}")
        if not found:
            print(f"There is no model package in {directory}: make one with npu-memory-convert.")
    return 1 if not found or any("fault" in model for model in found) else 0


def fetch_reranker(reranker: Reranker, directory: Path, source: str | None, *, as_json: bool) -> int:
    """Get a cross-encoder into the folder of the models; returns the exit code. Raises `ModelError`.

    One that is there and sound is left alone.
    """
    folder = directory / reranker
    if not _is_sound(reranker, folder):
        folder = _fetched(reranker, directory, source)
    if as_json:
        print(json.dumps({"name": reranker, "folder": str(folder)}))
    else:
        print(f"{reranker} is in {folder}.")
        print(f"Use it with --reranker {reranker}, or RERANK_MODEL={reranker} for a server.", file=sys.stderr)
    return 0


def _is_sound(reranker: Reranker, folder: Path) -> bool:
    try:
        find_files(folder, MODEL_FILES[reranker])
    except ModelError:
        return False
    return True


def _fetched(reranker: Reranker, directory: Path, source: str | None) -> Path:
    with tqdm(desc=f"fetching {reranker}", unit="B", unit_scale=True, disable=None) as bar:

        def show(come: int, size: int | None) -> None:
            bar.total = size
            bar.update(come - bar.n)

        return fetch(reranker, directory, source or HUB, show)


def _is_reranker(folder: Path) -> bool:
    """Return whether a folder is flashrank's: a package of the conversion is listed as one."""
    return folder.is_dir() and not (folder / MANIFEST_NAME).exists()


def prepare_package(name: str, directory: Path, source: str | None, *, as_json: bool) -> int:
    """Put a model package into its place unless it is there; returns the exit code. Raises `ModelError`."""
    folder = folder_of(directory, name)
    if is_whole(folder):
        said = "was there already, whole"
    elif source is None:
        convert_package(directory, name)
        said = "was converted"
    else:
        with tqdm(desc=f"copying {name}", unit="B", unit_scale=True, disable=None) as bar:

            def show(file: str, come: int, size: int) -> None:
                bar.set_postfix_str(file, refresh=False)
                bar.total = size
                bar.update(come - bar.n)

            copy_package(Path(source), directory, name, show)
        said = "was copied and verified"
    print(json.dumps({"name": name, "folder": str(folder), "outcome": said}) if as_json else f"{name} {said}: {folder}")
    return 0


def remove(name: str, directory: Path, *, as_json: bool) -> int:
    """Delete a model; returns the exit code. Raises `ModelError` if there is none."""
    remove_package(directory, name)
    print(json.dumps({"removed": name}) if as_json else f"{name} is removed.")
    return 0


def _package(folder: Path, *, verify: bool) -> dict[str, Any]:
    try:
        manifest = load_manifest(folder)
        if verify:
            for file in manifest.files:
                verify_file(folder, file)
    except ModelError as error:
        return {"name": folder.name, "fault": str(error)}
    files = [{"name": file.name, "bytes": file.bytes, "sha256": file.sha256} for file in manifest.files]
    return {"name": manifest.name, "revision": manifest.revision, "files": files, "is_verified": verify}


def _reranker(name: Reranker, folder: Path, *, verify: bool) -> dict[str, Any]:
    try:
        find_files(folder, MODEL_FILES[name], verify=False)
        is_verified = verify and verify_files(folder)
    except ModelError as error:
        return {"name": name, "fault": str(error)}
    files = [{"name": path.name, "bytes": path.stat().st_size} for path in sorted(folder.iterdir())]
    return {"name": name, "files": files, "is_verified": is_verified}
