"""One line to the memory server: opened, proven on both sides, watched while it is used, and what can go wrong on it.

Nothing of Home Assistant is in here.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
import hmac
from itertools import count
import re
import secrets
from typing import Any

from . import wire
from .wire import ErrorCode, WireError

CONNECT_SECONDS = 10.0
"""For the whole way from the name look-up to the server's proof."""
KEEPALIVE_SECONDS = 30.0
PONG_SECONDS = 10.0

_VERSION = re.compile(r"[0-9A-Za-z.+-]{1,40}")


class MemoryClientError(Exception):
    """Anything that keeps the memory server from answering."""


class CannotConnect(MemoryClientError):
    """There is no connection, or it broke."""


class TooLate(MemoryClientError):
    """The answer did not arrive within the limit that the caller gave."""


class WrongToken(MemoryClientError):
    """The server knows another token; trying again does not help."""


class NotAMemoryServer(MemoryClientError):
    """Something else answers there, or something that does not know the token but claims to."""


class WrongVersion(MemoryClientError):
    """The server speaks another version of the protocol; one side is to be updated."""

    def __init__(self, server_protocol: int, server_version: str) -> None:
        """Keep what the server said of itself."""
        super().__init__(f"The server speaks protocol {server_protocol}, this client {wire.PROTOCOL_VERSION}")
        self.server_protocol = server_protocol
        self.server_version = server_version

    @property
    def server_is_older(self) -> bool:
        """Say whether it is the server that has to be updated."""
        return self.server_protocol < wire.PROTOCOL_VERSION


class RequestFailed(MemoryClientError):
    """The server, or the check before sending, refused a request."""

    def __init__(self, code: ErrorCode, sentence: str) -> None:
        """`sentence` says why; it quotes no memory."""
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


class Connection:
    """One connection on which both sides have shown the token: many requests in flight, answers in any order."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, greeting: wire.Greeting) -> None:
        """Take a line over; `open_connection` is the way to get one."""
        self.greeting = greeting
        self._reader = reader
        self._writer = writer
        self._ids = count(1)
        self._waiting: dict[str, asyncio.Future[wire.Frame]] = {}
        self._heard = asyncio.Event()
        self._doubted = asyncio.Event()

    async def request[AnswerT: wire.Message](
        self, request: wire.Message, answer: type[AnswerT], within: float
    ) -> AnswerT:
        """Send a request and return its answer; `within` in s. Raises `MemoryClientError`."""
        request_id = str(next(self._ids))
        future = asyncio.get_running_loop().create_future()
        try:
            frame_bytes = _checked_bytes(request, request_id)
            self._waiting[request_id] = future
            async with asyncio.timeout(within):
                self._writer.write(frame_bytes)
                await self._writer.drain()
                frame = await future
        except TimeoutError as error:
            self._doubted.set()
            raise TooLate(f"The memory server did not answer within {within:g} s") from error
        except OSError as error:
            raise CannotConnect("The connection to the memory server broke") from error
        finally:
            self._waiting.pop(request_id, None)
        return _answer(frame, answer)

    async def serve(self) -> MemoryClientError:
        """Hand the answers to those who wait for them until the connection ends, and return why it did."""
        watcher = asyncio.create_task(self._watch(), name="npu_memory keepalive")
        reason = CannotConnect("The connection to the memory server was lost")
        try:
            while frame := await wire.read_frame(self._reader):
                self._heard.set()
                future = self._waiting.get(wire.request_id(frame.data))
                if future is not None and not future.done():
                    future.set_result(frame)
        except (WireError, OSError, EOFError) as error:
            reason.__cause__ = error
        finally:
            watcher.cancel()
            self.close(reason)
        return reason

    async def _watch(self) -> None:
        """Ask the peer for a sign of life regularly, and at once when it has left a request unanswered."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(KEEPALIVE_SECONDS):
                    await self._doubted.wait()
            self._doubted.clear()
            self._heard.clear()
            self._writer.write(wire.frame_bytes("ping", {}))
            try:
                async with asyncio.timeout(PONG_SECONDS):
                    await self._heard.wait()
            except TimeoutError:
                self._writer.transport.abort()

    def close(self, reason: MemoryClientError) -> None:
        """Close the line; whoever still waits gets `reason`."""
        self._writer.transport.abort()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(reason)


def _checked_bytes(request: wire.Message, request_id: str) -> bytes:
    data = wire.request_data(request, request_id)
    try:
        wire.from_data(type(request), data)
    except WireError as error:
        raise RequestFailed(error.code, error.sentence) from error
    return wire.frame_bytes(request.event_type, data)


def _answer[AnswerT: wire.Message](frame: wire.Frame, answer: type[AnswerT]) -> AnswerT:
    try:
        if frame.type == answer.event_type:
            return wire.from_data(answer, frame.data)
        if frame.type == wire.Failure.event_type:
            failure = wire.from_data(wire.Failure, frame.data)
            raise RequestFailed(_known_code(failure.code), failure.text)
    except WireError as error:
        raise RequestFailed(ErrorCode.MALFORMED, error.sentence) from error
    raise RequestFailed(ErrorCode.UNKNOWN_EVENT, "The answer is of another kind than the request")


def _known_code(code: str) -> ErrorCode:
    return ErrorCode(code) if code in ErrorCode else ErrorCode.INTERNAL


async def open_connection(host: str, port: int, token: str) -> Connection:
    """Open a line to the memory server and have both sides show the token. Raises `MemoryClientError`."""
    writer: asyncio.StreamWriter | None = None
    opened = False
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(host, port, limit=wire.MAX_HEADER_BYTES)
            greeting = await _greeting(reader, writer)
            await _authenticate(reader, writer, token, greeting)
        opened = True
        return Connection(reader, writer, greeting)
    except TimeoutError as error:
        raise CannotConnect(f"The memory server did not answer within {CONNECT_SECONDS:g} s") from error
    except (OSError, EOFError, UnicodeError) as error:
        raise CannotConnect(f"The memory server cannot be reached: {error}") from error
    except WireError as error:
        raise NotAMemoryServer("What answers there does not speak the protocol") from error
    finally:
        if writer is not None and not opened:
            writer.transport.abort()


async def _greeting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> wire.Greeting:
    writer.write(wire.frame_bytes("describe", {}))
    info = await _next_frame(reader)
    said = info.data.get(wire.GREETING)
    if info.type != "info" or not isinstance(said, Mapping):
        raise NotAMemoryServer("What answers there is not a memory server")
    _check_version(said)
    return wire.from_data(wire.Greeting, said)


def _check_version(said: Mapping[str, Any]) -> None:
    """Look at the version before the rest, since the rest may look different in another version."""
    protocol, version = said.get("protocol"), said.get("version")
    if isinstance(protocol, int) and protocol != wire.PROTOCOL_VERSION:
        raise WrongVersion(protocol, version if isinstance(version, str) and _VERSION.fullmatch(version) else "?")


async def _authenticate(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str, greeting: wire.Greeting
) -> None:
    nonce = secrets.token_hex(16)
    proof = wire.client_proof(token, greeting.nonce, nonce)
    request = wire.Authenticate(id="0", protocol=wire.PROTOCOL_VERSION, client_nonce=nonce, proof=proof)
    writer.write(wire.message_bytes(request))
    frame = await _next_frame(reader)
    try:
        authenticated = _answer(frame, wire.Authenticated)
    except RequestFailed as error:
        if error.code is ErrorCode.WRONG_TOKEN:
            raise WrongToken("The memory server knows another token") from error
        raise CannotConnect(f"The memory server refused the connection: {error.code}") from error
    if not hmac.compare_digest(authenticated.proof.encode(), wire.server_proof(token, greeting.nonce, nonce).encode()):
        raise NotAMemoryServer("What answers there does not know the token")


async def _next_frame(reader: asyncio.StreamReader) -> wire.Frame:
    frame = await wire.read_frame(reader)
    if frame is None:
        raise EOFError("the connection was closed")
    return frame
