"""Listening: accepts peers up to a limit, and lets them all go at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
import contextlib
from contextlib import asynccontextmanager
import logging

from ..errors import BusyError
from ..wire import MAX_HEADER_BYTES, ErrorCode, Failure, message_bytes
from .connection import Connection
from .requests import Serving

LOGGER = logging.getLogger(__name__)

MAX_CONNECTIONS = 64


@asynccontextmanager
async def listening(serving: Serving, host: str, port: int) -> AsyncIterator[tuple[str, int]]:
    """Serve while the `async with` lasts; gives the address in use (port 0 takes a free one). Raises `BusyError`."""
    connections: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(connections) >= MAX_CONNECTIONS:
            sentence = f"The server has {MAX_CONNECTIONS} connections already; try again later."
            writer.write(message_bytes(Failure(text=sentence, code=ErrorCode.BUSY)))
            writer.close()
            return
        connections.add(task)
        try:
            # Canceled at the end of `listening` alone, which Python 3.11 would log with a traceback.
            with contextlib.suppress(asyncio.CancelledError):
                await Connection(serving, reader, writer).serve()
        finally:
            connections.discard(task)

    try:
        server = await asyncio.start_server(accept, host, port, limit=MAX_HEADER_BYTES)
    except OSError as error:
        raise BusyError(f"Port {port} of {host} cannot be used: {error.strerror or error}.") from error
    address = server.sockets[0].getsockname()
    LOGGER.info("Listening on %s port %s", address[0], address[1])
    try:
        yield address[0], address[1]
    finally:
        server.close()
        for task in connections:
            task.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.gather(*connections, return_exceptions=True)
