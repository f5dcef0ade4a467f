"""One peer: its frames, its proof that it knows the token, and its requests, many at a time."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import secrets

from .. import __version__
from ..errors import NpuMemoryError
from ..wire import (
    MAX_FRAME_BYTES,
    MAX_STRANGER_FRAME_BYTES,
    PROTOCOL_VERSION,
    Authenticate,
    Authenticated,
    ErrorCode,
    Failure,
    Frame,
    Greeting,
    Message,
    WireError,
    client_proof,
    frame_bytes,
    from_data,
    is_unicode,
    message_bytes,
    read_frame,
    request_id,
    server_proof,
)
from .requests import REQUESTS, Serving, hello, spoken_answer

LOGGER = logging.getLogger(__name__)

MAX_IN_FLIGHT = 64
"""Requests of one peer that are worked on at once; further ones wait unread."""
MAX_WRONG_TOKENS = 3
TAKING_SECONDS = 20.0
"""A peer that does not take its answers for so long is let go."""
LEAVING_SECONDS = 1.0
"""How long the last words may take to reach a peer that is let go."""
STRANGER_SECONDS = 30.0
"""A peer that has not shown the token after so long is let go, whatever it sends; one that has may stay for ever."""


class Connection:
    """Serves one peer until it leaves, or has to."""

    def __init__(self, serving: Serving, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take over both ends of an accepted connection."""
        self._serving = serving
        self._reader = reader
        self._writer = writer
        self._greeting = Greeting(
            protocol=PROTOCOL_VERSION,
            version=__version__,
            instance=serving.memory.instance,
            nonce=secrets.token_hex(16),
        )
        self._trusted = False
        self._stranger_until = asyncio.get_running_loop().time() + STRANGER_SECONDS
        self._wrong_tokens = 0
        self._free = asyncio.Semaphore(MAX_IN_FLIGHT)

    async def serve(self) -> None:
        """Answer until the peer closes, breaks the framing, or is too slow to take its answers."""
        try:
            async with asyncio.TaskGroup() as requests:
                while (frame := await self._next_frame()) is not None:
                    if await self._handle_conversation(frame):
                        continue
                    await self._free.acquire()
                    requests.create_task(self._answer(frame))
        except* WireError as errors:
            error = next(error for error in errors.exceptions if isinstance(error, WireError))
            with contextlib.suppress(OSError, TimeoutError):
                await self._send(_failure(error.request_id or "", error.code, error.sentence))
        except* (OSError, TimeoutError, asyncio.IncompleteReadError) as errors:
            LOGGER.debug("A connection ended: %s", type(errors.exceptions[0]).__name__)
        finally:
            self._writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(LEAVING_SECONDS):
                    await self._writer.wait_closed()
            # Whoever still does not take what was sent would keep it, and the socket, for as long as it likes.
            self._writer.transport.abort()

    async def _next_frame(self) -> Frame | None:
        """Return the next frame; one that is no event is answered and skipped: the next one can still be found."""
        while True:
            try:
                if self._trusted:
                    return await read_frame(self._reader, MAX_FRAME_BYTES)
                async with asyncio.timeout_at(self._stranger_until):
                    return await read_frame(self._reader, MAX_STRANGER_FRAME_BYTES)
            except WireError as error:
                if error.code is not ErrorCode.MALFORMED:
                    raise
                await self._send(_failure("", error.code, error.sentence))

    async def _handle_conversation(self, frame: Frame) -> bool:
        """Handle what belongs to the connection itself; returns whether it was that."""
        match frame.type:
            case "describe":
                await self._send_frame("info", hello(self._greeting, self._serving))
            case "ping":
                text = frame.data.get("text")
                await self._send_frame("pong", {"text": text} if isinstance(text, str) and is_unicode(text) else {})
            case Authenticate.event_type:
                await self._authenticate(frame)
            case "transcript" if self._serving.handle_transcripts:
                await self._handle_transcript(frame)
            case _:
                return False
        return True

    async def _authenticate(self, frame: Frame) -> None:
        try:
            request = from_data(Authenticate, frame.data)
        except WireError as error:
            await self._send(_failure(error.request_id or "", error.code, error.sentence))
            return
        if request.protocol != PROTOCOL_VERSION:
            older = "client" if request.protocol < PROTOCOL_VERSION else "server"
            sentence = (
                f"The client speaks version {request.protocol} and this server version {PROTOCOL_VERSION}: "
                f"update the {older}."
            )
            await self._send(_failure(request.id, ErrorCode.UNSUPPORTED_VERSION, sentence))
            return
        nonces = (self._greeting.nonce, request.client_nonce)
        if not hmac.compare_digest(client_proof(self._serving.token, *nonces).encode(), request.proof.encode()):
            self._wrong_tokens += 1
            LOGGER.warning("A client was refused: wrong token")
            sentence = "The token is not the one of this server."
            if self._wrong_tokens >= MAX_WRONG_TOKENS:
                raise WireError(ErrorCode.WRONG_TOKEN, sentence, request.id)
            await self._send(_failure(request.id, ErrorCode.WRONG_TOKEN, sentence))
            return
        self._trusted = True
        proof = server_proof(self._serving.token, *nonces)
        await self._send(
            Authenticated(
                id=request.id,
                protocol=PROTOCOL_VERSION,
                version=__version__,
                instance=self._greeting.instance,
                proof=proof,
            )
        )

    async def _handle_transcript(self, frame: Frame) -> None:
        try:
            event_type, data = "handled", await spoken_answer(self._serving.memory, frame)
        except Exception as error:  # noqa: BLE001 - a client that waits for words must not wait in vain
            event_type, data = "not-handled", {"text": _failure_from(error, frame).text}
        await self._send_frame(event_type, data)

    async def _answer(self, frame: Frame) -> None:
        try:
            answer = await self._result(frame)
            await self._send(answer)
        finally:
            self._free.release()

    async def _result(self, frame: Frame) -> Message:
        asked_by = request_id(frame.data)
        if not self._trusted:
            sentence = "Show the token first: answer the nonce of the info event with memory-authenticate."
            return _failure(asked_by, ErrorCode.NOT_AUTHENTICATED, sentence)
        if (handler := REQUESTS.get(frame.type)) is None:
            return _failure(asked_by, ErrorCode.UNKNOWN_EVENT, "This server does not know that event.")
        try:
            return await handler(self._serving.memory, frame.data)
        except Exception as error:  # noqa: BLE001 - one request that fails must not end the others
            return _failure_from(error, frame)

    async def _send(self, message: Message) -> None:
        await self._write(message_bytes(message))

    async def _send_frame(self, event_type: str, data: dict[str, object]) -> None:
        await self._write(frame_bytes(event_type, data))

    async def _write(self, content: bytes) -> None:
        self._writer.write(content)
        if self._writer.transport.get_write_buffer_size():
            async with asyncio.timeout(TAKING_SECONDS):
                await self._writer.drain()


def _failure(asked_by: str, code: ErrorCode, sentence: str) -> Failure:
    return Failure(id=asked_by, text=sentence, code=code.value)


def _failure_from(error: Exception, frame: Frame) -> Failure:
    asked_by = request_id(frame.data)
    if isinstance(error, WireError):
        return _failure(asked_by, error.code, error.sentence)
    if isinstance(error, NpuMemoryError):
        return _failure(asked_by, error.code, str(error))
    # Not the error itself: its message may quote what was asked or stored.
    LOGGER.error("%s failed: %s", frame.type, _where(error))
    return _failure(asked_by, ErrorCode.INTERNAL, "Something went wrong in the server; its log says where.")


def _where(error: BaseException) -> str:
    """Name the kind of an error and the line that raised it, without its message."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    return f"{type(error).__name__}{place}"
