"""Waiting for what happens in another process or task, with a limit."""

import asyncio
from collections.abc import Callable

LIMIT_SECONDS = 60.0


async def until(happened: Callable[[], object]) -> None:
    """Wait until `happened` says so; nobody there could set an event."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while not happened():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.02)
