"""`npu-memory-container`: what the image starts, and what is run in it from outside."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
import logging
import os
from pathlib import Path
import subprocess
import sys

from ..errors import NpuMemoryError, StorageError
from ..reranking.registry import MODEL_FILES
from . import health, snapshot
from .options import OPTIONS_FILE, read_options
from .privileges import become_user, groups_of, hand_over

LOGGER = logging.getLogger("npu_memory_server.container")

BUILT_IN_MODELS = Path("/opt/models")
"""Where the image has its model packages."""

DEVICES = (Path("/dev/dri/renderD129"), Path("/dev/rknpu"))
"""The NPU's, of one kernel or another."""


def main() -> int:
    """Run one command; returns the exit code: 0 done, 1 not, 2 wrongly asked."""
    parser = argparse.ArgumentParser(prog="npu-memory-container", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("start", help="serve, with the app's options if there are any; further flags are serve's")
    commands.add_parser("healthy", help="end with 0 if the server answers")
    commands.add_parser("before-backup", help="keep the files of the data directory consistent until after-backup")
    commands.add_parser("after-backup", help="let them change again")
    options, further = parser.parse_known_args()
    if further and options.command != "start":
        parser.error(f"unrecognized arguments: {' '.join(further)}")
    data_directory = Path(os.environ["NPU_MEMORY_DATA"])
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        match options.command:
            case "start":
                start_server(data_directory, further)
            case "healthy":
                return 0 if asyncio.run(health.answers(data_directory)) else 1
            case "before-backup":
                snapshot.begin(data_directory / "memories.sqlite3")
            case _:
                snapshot.end()
    except NpuMemoryError as error:
        print(f"npu-memory-container: {error}", file=sys.stderr)
        return 1
    return 0


def start_server(data_directory: Path, arguments: Sequence[str]) -> None:
    """Become `npu-memory serve`, as its own user where that is possible. Raises `NpuMemoryError`."""
    choices = read_options(data_directory / OPTIONS_FILE)
    if choices.unknown:
        LOGGER.warning("Options that this version does not know: %s", ", ".join(choices.unknown))
    show_built_in_models(data_directory / "models")
    if os.geteuid() == 0:
        groups, roots = groups_of(DEVICES)
        if roots:
            LOGGER.warning("Staying root, since nobody else may use %s", ", ".join(map(str, roots)))
        else:
            hand_over(data_directory)
            become_user(groups)
    os.umask(0o077)
    os.environ.update(choices.environment)
    fetch_reranker(os.environ.get("RERANK_MODEL", ""), data_directory / "models")
    command = [sys.executable, "-m", "npu_memory_server", "serve", *choices.arguments, *arguments]
    os.execv(sys.executable, command)  # noqa: S606 - the server takes this process over, and its signals


def show_built_in_models(folder: Path) -> None:
    """Let the image's models appear in the folder where fetched ones are kept. Raises `StorageError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for package in BUILT_IN_MODELS.glob("*"):
            shown = folder / package.name
            if shown.is_symlink():
                shown.unlink()
            if not shown.exists():
                shown.symlink_to(package)
    except OSError as error:
        raise StorageError(
            f"The data directory {folder.parent} cannot be written to: {error.strerror}. It has to belong to the user "
            f"that the container runs as ({os.geteuid()})."
        ) from error


def fetch_reranker(name: str, folder: Path) -> None:
    """Begin to fetch a reranker that was chosen and is not there; what it comes to is in the log.

    It is nobody's child, so that the server, which takes this process over, has none to look after.
    """
    if name in set(MODEL_FILES) and not (folder / name).exists():
        LOGGER.info("Fetching the reranker %s; until it is there, MaxSim answers", name)
        command = [sys.executable, "-m", "npu_memory_server", "models", "fetch", name]
        subprocess.run(["/bin/sh", "-c", '"$@" &', "sh", *command], check=True, stdin=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
