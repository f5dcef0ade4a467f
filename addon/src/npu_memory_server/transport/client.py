"""The command line's way to a running server: the same methods as `Memory`, over the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
import contextlib
from contextlib import asynccontextmanager
from dataclasses import replace
import hmac
import itertools
import secrets
from typing import TypeVar

from ..errors import ERRORS, BusyError, NpuMemoryError
from ..wire import (
    GREETING,
    MAX_HEADER_BYTES,
    PROTOCOL_VERSION,
    AcceptCorrectionRequest,
    Authenticate,
    Authenticated,
    Context,
    CorrectionPage,
    CorrectionSettled,
    CorrectionsRequest,
    Failure,
    ForgetRequest,
    Forgotten,
    Frame,
    Greeting,
    ListRequest,
    Message,
    Page,
    Prepared,
    PrepareRequest,
    RecallRequest,
    RememberRequest,
    RevertCorrectionRequest,
    Status,
    StatusRequest,
    Stored,
    WireError,
    client_proof,
    frame_bytes,
    from_data,
    message_bytes,
    read_frame,
    server_proof,
)

Answer = TypeVar("Answer", bound=Message)

ANSWER_SECONDS = 60.0


class RemoteMemory:
    """A connection to a server; many requests may be under way."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take over a connection; `connected` is the way to get one."""
        self._reader = reader
        self._writer = writer
        self._numbers = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[Frame]] = {}
        self._ended = False

    async def remember(self, request: RememberRequest) -> Stored:
        """Ask the server to keep something. Raises `NpuMemoryError`."""
        return await self._ask(request, Stored)

    async def recall(self, request: RecallRequest) -> Context:
        """Ask the server a question. Raises `NpuMemoryError`."""
        return await self._ask(request, Context)

    async def forget(self, request: ForgetRequest) -> Forgotten:
        """Ask the server to forget. Raises `NpuMemoryError`."""
        return await self._ask(request, Forgotten)

    async def list(self, request: ListRequest) -> Page:
        """Ask the server for a page. Raises `NpuMemoryError`."""
        return await self._ask(request, Page)

    async def corrections(self, request: CorrectionsRequest) -> CorrectionPage:
        """Ask the server for a page of corrections. Raises `NpuMemoryError`."""
        return await self._ask(request, CorrectionPage)

    async def accept_correction(self, request: AcceptCorrectionRequest) -> CorrectionSettled:
        """Ask the server to accept a correction. Raises `NpuMemoryError`."""
        return await self._ask(request, CorrectionSettled)

    async def revert_correction(self, request: RevertCorrectionRequest) -> CorrectionSettled:
        """Ask the server to take a correction back. Raises `NpuMemoryError`."""
        return await self._ask(request, CorrectionSettled)

    async def prepare(self) -> Prepared:
        """Tell the server that somebody is about to speak. Raises `NpuMemoryError`."""
        return await self._ask(PrepareRequest(), Prepared)

    async def status(self) -> Status:
        """Ask the server how it is. Raises `NpuMemoryError`."""
        return await self._ask(StatusRequest(), Status)

    async def authenticate(self, token: str) -> None:
        """Prove the token and have it proven. Raises `NpuMemoryError`."""
        self._writer.write(frame_bytes("describe", {}))
        frame = await read_frame(self._reader)
        if frame is None or not isinstance(frame.data.get(GREETING), dict):
            raise NpuMemoryError("What answers there is no memory server.")
        greeting = from_data(Greeting, frame.data[GREETING])
        nonce = secrets.token_hex(16)
        proof = client_proof(token, greeting.nonce, nonce)
        self._writer.write(
            message_bytes(Authenticate(id="0", protocol=PROTOCOL_VERSION, client_nonce=nonce, proof=proof))
        )
        answer = _checked(await read_frame(self._reader), Authenticated)
        if not hmac.compare_digest(answer.proof, server_proof(token, greeting.nonce, nonce)):
            raise NpuMemoryError("The server does not know the token of this data directory.")

    async def receive(self) -> None:
        """Hand each answer to whoever waits for it, until the connection ends."""
        try:
            while (frame := await read_frame(self._reader)) is not None:
                waiting = self._waiting.pop(str(frame.data.get("id")), None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(frame)
        finally:
            self._ended = True
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(BusyError("The server has closed the connection."))

    async def _ask(self, request: Message, answer: type[Answer]) -> Answer:
        if self._ended:
            raise BusyError("The server has closed the connection.")
        number = str(next(self._numbers))
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._writer.write(message_bytes(replace(request, id=number)))
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return _checked(await waiting, answer)
        except (TimeoutError, OSError) as error:
            raise BusyError("The server does not answer.") from error
        finally:
            self._waiting.pop(number, None)


def _checked(frame: Frame | None, answer: type[Answer]) -> Answer:
    if frame is None:
        raise BusyError("The server has closed the connection.")
    if frame.type == Failure.event_type:
        failure = from_data(Failure, frame.data)
        raise ERRORS.get(failure.code, NpuMemoryError)(failure.text)
    if frame.type != answer.event_type:
        raise NpuMemoryError("The server gave another answer than was asked for.")
    return from_data(answer, frame.data)


@asynccontextmanager
async def connected(host: str, port: int, token: str) -> AsyncIterator[RemoteMemory]:
    """Give a connection to the server at an address. Raises `NpuMemoryError`."""
    try:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection(host, port, limit=MAX_HEADER_BYTES)
            memory = RemoteMemory(reader, writer)
            await memory.authenticate(token)
    except (OSError, TimeoutError, asyncio.IncompleteReadError, WireError) as error:
        raise BusyError(f"The server on {host} port {port} cannot be reached.") from error
    receiving = asyncio.create_task(memory.receive(), name="npu-memory-receive")
    try:
        yield memory
    finally:
        receiving.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError, WireError, asyncio.IncompleteReadError):
            await receiving
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
