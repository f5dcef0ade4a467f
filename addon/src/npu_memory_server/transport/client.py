"""The command line's way to a running server: the same methods as `Memory`, over the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
import hmac
import itertools
import secrets
from typing import TypeVar, cast

from ..errors import ERRORS, BusyError, NpuMemoryError
from ..wire import (
    GREETING,
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
    FrameBuffer,
    Greeting,
    ListRequest,
    Message,
    Page,
    Prepared,
    PrepareRequest,
    ProposalPage,
    ProposalSettled,
    ProposalsRequest,
    RecallRequest,
    RememberRequest,
    RevertCorrectionRequest,
    SettleProposalRequest,
    Status,
    StatusRequest,
    Stored,
    WireError,
    client_proof,
    frame_bytes,
    from_data,
    message_bytes,
    request_data,
    server_proof,
)

Answer = TypeVar("Answer", bound=Message)

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 60.0
ROOM_BYTES = 64 * 1024
"""Read at a time."""


class RemoteMemory(asyncio.BufferedProtocol):
    """A connection to a server; many requests may be under way."""

    def __init__(self) -> None:
        """Prepare a connection; `connected` is the way to get one."""
        self._numbers = itertools.count(1)
        self._frames = FrameBuffer(ROOM_BYTES)
        self._waiting: dict[str, asyncio.Future[Frame]] = {}
        self._ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; called by the event loop, as all that follows."""
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes belong."""
        return self._frames.room

    def buffer_updated(self, nbytes: int) -> None:
        """Hand each answer to whoever waits for it."""
        self._frames.filled(nbytes)
        try:
            while (frame := self._frames.next_frame()) is not None:
                waiting = self._waiting.pop(str(frame.data.get("id", "")), None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(frame)
        except WireError:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        self._ended.set()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(BusyError("The server has closed the connection."))

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

    async def proposals(self, request: ProposalsRequest) -> ProposalPage:
        """Ask the server for a page of proposed facts. Raises `NpuMemoryError`."""
        return await self._ask(request, ProposalPage)

    async def settle_proposal(self, request: SettleProposalRequest) -> ProposalSettled:
        """Have the server remember a proposed fact, or decline it. Raises `NpuMemoryError`."""
        return await self._ask(request, ProposalSettled)

    async def prepare(self) -> Prepared:
        """Tell the server that somebody is about to speak. Raises `NpuMemoryError`."""
        return await self._ask(PrepareRequest(), Prepared)

    async def status(self) -> Status:
        """Ask the server how it is. Raises `NpuMemoryError`."""
        return await self._ask(StatusRequest(), Status)

    async def authenticate(self, token: str) -> None:
        """Prove the token and have it proven. Raises `NpuMemoryError`."""
        info = await self._answer_to("", frame_bytes("describe", {}))
        if not isinstance(info.data.get(GREETING), dict):
            raise NpuMemoryError("What answers there is no memory server.")
        greeting = from_data(Greeting, info.data[GREETING])
        nonce = secrets.token_hex(16)
        proof = client_proof(token, greeting.nonce, nonce)
        request = Authenticate(id="0", protocol=PROTOCOL_VERSION, client_nonce=nonce, proof=proof)
        answer = _checked(await self._answer_to("0", message_bytes(request)), Authenticated)
        if not hmac.compare_digest(answer.proof, server_proof(token, greeting.nonce, nonce)):
            raise NpuMemoryError("The server does not know the token of this data directory.")

    async def close(self) -> None:
        """End the connection."""
        self._transport.abort()
        await self._ended.wait()

    async def _ask(self, request: Message, answer: type[Answer]) -> Answer:
        number = str(next(self._numbers))
        content = frame_bytes(request.event_type, request_data(request, number))
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return _checked(await self._answer_to(number, content), answer)
        except (TimeoutError, OSError) as error:
            raise BusyError("The server does not answer.") from error

    async def _answer_to(self, number: str, content: bytes) -> Frame:
        """Send a frame and return the one that comes with this id. Raises `BusyError` if the connection ends."""
        if self._ended.is_set():
            raise BusyError("The server has closed the connection.")
        waiting: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        self._transport.write(content)
        try:
            return await waiting
        finally:
            self._waiting.pop(number, None)


def _checked(frame: Frame, answer: type[Answer]) -> Answer:
    if frame.type == Failure.event_type:
        failure = from_data(Failure, frame.data)
        raise ERRORS.get(failure.code, NpuMemoryError)(failure.text)
    if frame.type != answer.event_type:
        raise NpuMemoryError("The server gave another answer than was asked for.")
    return from_data(answer, frame.data)


@asynccontextmanager
async def connected(host: str, port: int, token: str) -> AsyncIterator[RemoteMemory]:
    """Give a connection to the server at an address. Raises `NpuMemoryError`."""
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, memory = await asyncio.get_running_loop().create_connection(RemoteMemory, host, port)
                stack.push_async_callback(memory.close)
                await memory.authenticate(token)
        except (OSError, TimeoutError, WireError) as error:
            raise BusyError(f"The server on {host} port {port} cannot be reached.") from error
        yield memory
