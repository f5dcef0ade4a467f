"""A peer of the server with its bare hands on the connection: it may say anything."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
import json
import secrets
from typing import Any

from npu_memory_server.wire import (
    GREETING,
    PROTOCOL_VERSION,
    Authenticate,
    Frame,
    Message,
    client_proof,
    frame_bytes,
    message_bytes,
    read_frame,
)

LONGEST_SECONDS = 30.0


class Peer:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, message: Message | bytes) -> None:
        self.writer.write(message if isinstance(message, bytes) else message_bytes(message))
        await self.writer.drain()

    async def read(self) -> Frame | None:
        """Return the next frame, or None when the server has closed the connection."""
        async with asyncio.timeout(LONGEST_SECONDS):
            try:
                return await read_frame(self.reader)
            except (ConnectionError, asyncio.IncompleteReadError):
                return None

    async def ask(self, message: Message | bytes) -> Frame:
        await self.send(message)
        answer = await self.read()
        assert answer is not None
        return answer

    async def greeting(self) -> dict[str, Any]:
        info = await self.ask(frame_bytes("describe", {}))
        assert info.type == "info"
        greeting: dict[str, Any] = info.data[GREETING]
        return greeting

    async def authenticate(self, token: str, **changed: Any) -> Frame:
        return await self.ask(await self.proof(token, **changed))

    async def proof(self, token: str, **changed: Any) -> Authenticate:
        nonce = secrets.token_hex(16)
        proof = client_proof(token, (await self.greeting())["nonce"], nonce)
        fields: dict[str, Any] = {"id": "auth", "protocol": PROTOCOL_VERSION, "client_nonce": nonce, "proof": proof}
        return Authenticate(**(fields | changed))


@asynccontextmanager
async def peer(port: int, token: str | None = None) -> AsyncIterator[Peer]:
    """Connect, and show the token if one is given."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=64 * 1024)
    connected = Peer(reader, writer)
    try:
        if token is not None:
            assert (await connected.authenticate(token)).type == "memory-authenticated"
        yield connected
    finally:
        writer.transport.abort()


def header(**fields: Any) -> bytes:
    """Return the first line of a frame, right or wrong."""
    return json.dumps(fields).encode() + b"\n"
