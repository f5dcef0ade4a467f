"""Is the server in this container alive? What the image's health check asks."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ..data_directory import server_address
from ..wire import WireError, frame_bytes, read_frame

ANSWER_SECONDS = 5.0


async def answers(data_directory: Path) -> bool:
    """Return whether the server that has the data directory answers a ping in time."""
    address = server_address(data_directory)
    if address is None:
        return False
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(address.host, address.port)
            try:
                writer.write(frame_bytes("ping", {}))
                answer = await read_frame(reader)
            finally:
                writer.close()
    except (OSError, TimeoutError, WireError, asyncio.IncompleteReadError):
        return False
    return answer is not None and answer.type == "pong"
