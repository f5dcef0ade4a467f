"""A container may be started as root, since its data directory is root's: what serves is another user."""

from __future__ import annotations

from collections.abc import Iterable
import os
from pathlib import Path
import stat

from ..errors import StorageError
from .options import OPTIONS_FILE

USER_ID = 10750
GROUP_ID = 10750
"""As in the image's Dockerfile."""


def groups_of(devices: Iterable[Path]) -> tuple[set[int], list[Path]]:
    """Return the groups that may use the devices that are there, and the devices that root alone may use."""
    groups: set[int] = set()
    roots: list[Path] = []
    for device in devices:
        try:
            state = device.stat()
        except OSError:
            continue
        if state.st_mode & (stat.S_IROTH | stat.S_IWOTH) == stat.S_IROTH | stat.S_IWOTH:
            continue
        if state.st_gid and state.st_mode & (stat.S_IRGRP | stat.S_IWGRP) == stat.S_IRGRP | stat.S_IWGRP:
            groups.add(state.st_gid)
        else:
            roots.append(device)
    return groups, roots


def hand_over(data_directory: Path) -> None:
    """Give what is in the data directory to the server's user, but for the Supervisor's file. Raises `StorageError`."""
    try:
        data_directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in (data_directory, *data_directory.rglob("*")):
            state = path.lstat()
            if (state.st_uid, state.st_gid) != (USER_ID, GROUP_ID) and path.name != OPTIONS_FILE:
                os.chown(path, USER_ID, GROUP_ID, follow_symlinks=False)
    except OSError as error:
        raise StorageError(
            f"The data directory {data_directory} cannot be given to user {USER_ID}: {error.strerror}. Start the "
            f"container as that user (user: {USER_ID}:{GROUP_ID}), with a directory that is this user's."
        ) from error


def become_user(groups: Iterable[int]) -> None:
    """Stop being root, for good. Raises `StorageError`."""
    try:
        os.setgroups(sorted(groups))
        os.setresgid(GROUP_ID, GROUP_ID, GROUP_ID)
        os.setresuid(USER_ID, USER_ID, USER_ID)
    except OSError as error:
        raise StorageError(
            f"The server may not become user {USER_ID}: {error.strerror}. Start the container as that user "
            f"(user: {USER_ID}:{GROUP_ID})."
        ) from error
