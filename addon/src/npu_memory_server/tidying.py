"""Garbage is collected while nobody waits for an answer: the interpreter does nothing else until a collection is done.

During an import one of everything that is new takes 20 to 30 ms, and Python begins it whenever enough has been made.
Nearly all that is let go of is freed without it; what is left are cycles.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
import contextlib
from contextlib import asynccontextmanager
import gc
from time import monotonic

from .right_of_way import RightOfWay

YOUNG = 1
ALL = 2
"""Generations: what was made since the last time, and everything since the start."""
EVERY_SECONDS = 1.0
"""How often what is young is collected: of a second of an import that takes half a millisecond."""
ALL_EVERY_SECONDS = 600.0
QUIET_SECONDS = 5.0
AT_LATEST_SECONDS = 3600.0
"""Everything is collected in a quiet moment, or so much later where there is none."""


@asynccontextmanager
async def tidied(right_of_way: RightOfWay) -> AsyncIterator[None]:
    """Collect garbage between questions instead of whenever Python would; what is there now is left alone."""
    gc.collect()
    gc.freeze()
    gc.disable()
    tidying = asyncio.create_task(_tidy(right_of_way), name="npu-memory-tidying")
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
        tidying.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await tidying


async def _tidy(right_of_way: RightOfWay) -> None:
    last = monotonic()
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        await right_of_way.wait()
        is_quiet = right_of_way.quiet_seconds >= QUIET_SECONDS
        if monotonic() - last >= (ALL_EVERY_SECONDS if is_quiet else AT_LATEST_SECONDS):
            gc.collect(ALL)
            last = monotonic()
        else:
            gc.collect(YOUNG)
