"""A copy of a data directory to measure with, so that the measured one stays as it is."""

from __future__ import annotations

from contextlib import closing
import os
from pathlib import Path
import shutil
import sqlite3

from npu_memory_server.saving import PREFIX, SUFFIX
from npu_memory_server.store import token_file
from npu_memory_server.store.database import FILE_NAME


def copied(source: Path, target: Path) -> Path:
    """Copy memories, token vectors and saved indexes of a data directory that may be in use; returns `target`."""
    target.mkdir(mode=0o700)
    with (
        closing(sqlite3.connect(f"{(source / FILE_NAME).absolute().as_uri()}?mode=ro", uri=True)) as original,
        closing(sqlite3.connect(target / FILE_NAME)) as copy,
    ):
        original.backup(copy)
    for pattern in (f"{PREFIX}*{SUFFIX}", f"{token_file.PREFIX}*{token_file.SUFFIX}"):
        for file in source.glob(pattern):
            shutil.copy(file, target / file.name)
    os.sync()  # or the gigabytes of a million would be written to the disk while something is timed
    return target
