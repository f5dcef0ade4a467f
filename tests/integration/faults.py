"""Peers that a real memory server never is: silent, lying, garbled, or of another version."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from custom_components.npu_memory import wire

TOKEN = "a-token-for-tests"
NONCE = "0123456789abcdef0123456789abcdef"
INSTANCE = "instance-of-the-tests"

type Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
type Answers = Callable[[wire.Frame], Awaitable[list[wire.Message]]]


@asynccontextmanager
async def listening(peer: Peer) -> AsyncIterator[int]:
    """Serve every connection with `peer`; yields the port."""

    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            await peer(reader, writer)
        except* ConnectionError, asyncio.IncompleteReadError:
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept and say nothing."""
    await reader.read()


def saying(data: bytes) -> Peer:
    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(data)
        await reader.read()

    return peer


def introducing(info: dict[str, Any]) -> Peer:
    """Answer `describe` with this `info`."""
    return saying(wire.frame_bytes("info", info))


def greeting(**changes: Any) -> dict[str, Any]:
    said = {"protocol": wire.PROTOCOL_VERSION, "version": "0.1.0", "instance": INSTANCE, "nonce": NONCE}
    return {wire.GREETING: said | changes}


def memory_server(answers: Answers, *, token: str = TOKEN, lies: bool = False, pongs: bool = True) -> Peer:
    """Greet and authenticate as the real one does, then answer each request with what `answers` returns."""

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await wire.read_frame(reader)
        writer.write(wire.frame_bytes("info", greeting()))
        asked = await wire.read_frame(reader)
        assert asked is not None
        request = wire.from_data(wire.Authenticate, asked.data)
        if not lies and request.proof != wire.client_proof(token, NONCE, request.client_nonce):
            writer.write(wire.message_bytes(wire.Failure(text="No.", code=wire.ErrorCode.WRONG_TOKEN)))
            return
        proof = "0" * 64 if lies else wire.server_proof(token, NONCE, request.client_nonce)
        welcome = wire.Authenticated(protocol=request.protocol, version="0.1.0", instance=INSTANCE, proof=proof)
        writer.write(wire.message_bytes(welcome))
        async with asyncio.TaskGroup() as group:
            while frame := await wire.read_frame(reader):
                if frame.type == "ping":
                    if pongs:
                        writer.write(wire.frame_bytes("pong", {}))
                    continue
                group.create_task(_answer(writer, frame, answers))

    return peer


async def _answer(writer: asyncio.StreamWriter, frame: wire.Frame, answers: Answers) -> None:
    for message in await answers(frame):
        writer.write(wire.message_bytes(message))
        await writer.drain()


def status(request: wire.Frame) -> wire.Status:
    return wire.Status(
        id=request.data["id"],
        version="0.1.0",
        protocol=wire.PROTOCOL_VERSION,
        instance=INSTANCE,
        memories=2,
        past=1,
        pending_embeddings=0,
        backend="cpu",
        model="a-model",
        fingerprint="a-fingerprint",
        database_bytes=4096,
        uptime_seconds=12.5,
        recalls=3,
    )


async def healthy(request: wire.Frame) -> list[wire.Message]:
    """Answer like a server without memories."""
    request_id = request.data["id"]
    if request.type == wire.StatusRequest.event_type:
        return [status(request)]
    if request.type == wire.RecallRequest.event_type:
        return [wire.Context(id=request_id, context="", memories=(), timings=wire.Timings(), backend="cpu")]
    memory_id = request.data.get("memory_id", "1")
    return [wire.Stored(id=request_id, memory_id=memory_id, outcome=wire.Outcome.STORED)]


async def never(request: wire.Frame) -> list[wire.Message]:
    """Take requests in and answer none but the first, for the status."""
    return [status(request)] if request.type == wire.StatusRequest.event_type else []
