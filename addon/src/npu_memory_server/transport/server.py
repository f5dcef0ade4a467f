"""Listening: accepts peers up to a limit, and lets them all go at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
import contextlib
from contextlib import asynccontextmanager
import logging
from typing import cast

from ..errors import BusyError
from ..wire import ErrorCode, Failure, message_bytes
from .connection import Connection
from .requests import Serving

LOGGER = logging.getLogger(__name__)

MAX_CONNECTIONS = 64


@asynccontextmanager
async def listening(serving: Serving, host: str, port: int) -> AsyncIterator[tuple[str, int]]:
    """Serve while the `async with` lasts; gives the address in use (port 0 takes a free one). Raises `BusyError`."""
    loop = asyncio.get_running_loop()
    connections: set[Connection] = set()
    all_gone = asyncio.Event()
    all_gone.set()

    def accept() -> asyncio.BaseProtocol:
        if len(connections) >= MAX_CONNECTIONS:
            return _Refusal()
        connection = Connection(serving, ended)
        connections.add(connection)
        all_gone.clear()
        return connection

    def ended(connection: Connection) -> None:
        connections.discard(connection)
        if not connections:
            all_gone.set()

    try:
        server = await loop.create_server(accept, host, port)
    except OSError as error:
        raise BusyError(f"Port {port} of {host} cannot be used: {error.strerror or error}.") from error
    address = server.sockets[0].getsockname()
    LOGGER.info("Listening on %s port %s", address[0], address[1])
    try:
        yield address[0], address[1]
    finally:
        server.close()
        for connection in connections:
            connection.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await all_gone.wait()


class _Refusal(asyncio.Protocol):
    """What a peer gets that is one too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        sentence = f"The server has {MAX_CONNECTIONS} connections already; try again later."
        writing = cast("asyncio.WriteTransport", transport)
        writing.write(message_bytes(Failure(text=sentence, code=ErrorCode.BUSY)))
        writing.close()
