"""Moving the token vectors of a large memory out of the database, into files where they need not be searched for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
import logging
import sqlite3
from typing import Any, TypeVar

from .indexes import Indexes
from .store.group_commit import GroupCommit
from .store.token_file import TokenFile

LOGGER = logging.getLogger(__name__)
Result = TypeVar("Result")
Work = Callable[[Callable[[], Any]], Awaitable[Any]]

CLEARED_AT_ONCE = 32
"""Whoever remembers something meanwhile waits for as many."""
SAID_FROM = 8
"""Stretches: moving fewer takes no longer than a few seconds."""


async def move(indexes: Indexes, writer: GroupCommit, work: Work, between: Callable[[], None]) -> None:
    """Move what is due, a stretch after the other; `work` runs something on the thread for that.

    `between` is called on that thread again and again, and may raise an error to end it. Raises `OSError` and
    `StorageError`; what was not moved is in the database as before.
    """
    tokens = indexes.tokens

    def read(reading: Callable[[sqlite3.Connection], Result]) -> Awaitable[Result]:
        return work(partial(indexes.read, reading))

    due: list[int] = await read(tokens.due)
    for count, number in enumerate(due):
        if len(due) >= SAID_FROM and count % SAID_FROM == 0:
            LOGGER.info("Token vectors are moved to files of their own: %s of %s files", count, len(due))
        await work(between)
        moved: dict[int, bytes] = await read(partial(tokens.gather, number=number))
        file: TokenFile = await work(partial(tokens.write, number, moved))
        used = partial(_locked, indexes, partial(tokens.use, file))
        await asyncio.wrap_future(writer.submit(partial(tokens.take_over, file=file), used))
        rows = list(moved.items())
        for start in range(0, len(rows), CLEARED_AT_ONCE):
            await work(between)
            clear = partial(tokens.clear, moved=rows[start : start + CLEARED_AT_ONCE])
            for slot in await asyncio.wrap_future(writer.submit(clear)):
                await work(partial(_locked, indexes, partial(tokens.embedded_anew, slot)))
        await asyncio.wrap_future(writer.submit_alone(tokens.erase_gone))


def _locked(indexes: Indexes, change: Callable[[], None], _: object = None) -> None:
    """Change the files while no question reads them."""
    indexes.search(lambda _: change())
