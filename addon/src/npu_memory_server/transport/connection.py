"""One peer: its frames, its proof that it knows the token, and its requests, many at a time.

A thread reads what the peer sends. It answers itself what does not take long, and questions for which the model is
free: from the socket to the answer no other thread has to wake up (docs/decisions/0003). The event loop does the rest,
and looks after the thread: a question that is late is taken off its hands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
import contextlib
from dataclasses import dataclass, field
import hmac
import logging
import math
import secrets
import threading
from time import perf_counter
from typing import cast

from .. import __version__
from ..errors import NpuMemoryError
from ..right_of_way import Door
from ..wire import (
    MAX_FRAME_BYTES,
    MAX_STRANGER_FRAME_BYTES,
    PROTOCOL_VERSION,
    Authenticate,
    Authenticated,
    ErrorCode,
    Failure,
    Frame,
    FrameBuffer,
    Greeting,
    Message,
    RecallRequest,
    WireError,
    client_proof,
    frame_bytes,
    from_data,
    is_unicode,
    message_bytes,
    request_id,
    server_proof,
)
from .line import Line
from .requests import REQUESTS, Serving, hello, spoken_answer

LOGGER = logging.getLogger(__name__)

MAX_IN_FLIGHT = 64
"""Requests of one peer that are worked on at once; further ones wait unread."""
MAX_WRONG_TOKENS = 3
ROOM_BYTES = 16 * 1024
"""Read at a time: whoever sends much at once does not keep the others from being heard."""
TAKING_SECONDS = 20.0
"""A peer that does not take its answers for so long is let go."""
LEAVING_SECONDS = 1.0
"""How long the last words may take to reach a peer that is let go."""
STRANGER_SECONDS = 30.0
"""A peer that has not shown the token after so long is let go, whatever it sends; one that has may stay for ever."""


@dataclass(frozen=True, slots=True, eq=False)
class _InHand:
    """A question that the thread answers; whoever locks `unanswered` is the one to do so. Moments of `perf_counter`."""

    frame: Frame
    began: float
    deadline: float
    unanswered: threading.Lock = field(default_factory=threading.Lock)


class Connection(asyncio.Protocol):
    """Serves one peer until it leaves, or has to."""

    def __init__(self, serving: Serving, ended: Callable[[Connection], None]) -> None:
        """Prepare for a peer; `ended` is called with this connection when nothing is left of it."""
        self._serving = serving
        self._ended = ended
        self._greeting = Greeting(
            protocol=PROTOCOL_VERSION,
            version=__version__,
            instance=serving.memory.instance,
            nonce=secrets.token_hex(16),
        )
        self._loop = asyncio.get_running_loop()
        self._frames = FrameBuffer(ROOM_BYTES)
        self._trusted = False
        self._wrong_tokens = 0
        self._free = threading.Semaphore(MAX_IN_FLIGHT)
        self._takes = threading.Event()
        self._takes.set()
        self._requests: set[asyncio.Task[None]] = set()
        self._has_said_all = False
        self._in_hand: _InHand | None = None
        self._looked_after_at = math.inf

    # On the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to serve."""
        self._transport = cast("asyncio.Transport", transport)
        self._line = Line(self._transport)
        # Of a peer that has more than one thing to do, or takes no answers, the next thing is not urgent.
        self._door = Door(self._line.number, lambda: self._trusted and not self._requests and self._takes.is_set())
        self._serving.memory.right_of_way.watch(self._door)
        self._limit = self._loop.call_later(STRANGER_SECONDS, self._leave)
        self._looking_after = self._taking = self._limit
        # Not now: the transport is about to begin to read.
        self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        self._transport.pause_reading()
        self._read_on_a_thread()

    def _read_on_a_thread(self) -> None:
        threading.Thread(target=self._read, name="npu-memory-connection", daemon=True).start()

    def pause_writing(self) -> None:
        """Read no further, and let go of the peer unless it begins to take its answers in time."""
        self._takes.clear()
        self._taking = self._loop.call_later(TAKING_SECONDS, self._transport.abort)

    def resume_writing(self) -> None:
        """Go on."""
        self._taking.cancel()
        self._takes.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything."""
        if exc is not None:
            LOGGER.debug("A connection ended: %s", type(exc).__name__)
        for timer in (self._limit, self._looking_after, self._taking):
            timer.cancel()
        for task in self._requests:
            task.cancel()
        self._line.hang_up()
        self._takes.set()
        self._free.release()
        self._ended(self)

    def close(self) -> None:
        """Let the peer go now."""
        for task in self._requests:
            task.cancel()
        self._leave()

    def _leave(self) -> None:
        """Close when the last words are said, or shortly after."""
        self._transport.close()
        # Whoever still does not take what was sent would keep it, and the socket, for as long as it likes.
        self._limit.cancel()
        self._limit = self._loop.call_later(LEAVING_SECONDS, self._transport.abort)

    def _said_all(self) -> None:
        """Leave when everything that was asked is answered, since the peer may still listen."""
        self._has_said_all = True
        if not self._requests:
            self._leave()

    def _answer_in_a_task(self, frame: Frame, began: float) -> None:
        is_transcript = frame.type == "transcript" and self._serving.handle_transcripts
        task = self._loop.create_task(self._handle_transcript(frame) if is_transcript else self._answer(frame, began))
        self._requests.add(task)
        task.add_done_callback(self._answered)

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._requests.discard(task)
        self._free.release()
        if self._has_said_all and not self._requests:
            self._leave()

    def _look_after(self, deadline: float) -> None:
        self._looking_after.cancel()
        self._looking_after = self._loop.call_later(deadline - perf_counter(), self._take_off_its_hands)

    def _take_off_its_hands(self) -> None:
        """Answer a question that is late, and leave its thread behind: it may hang in the model."""
        # In this order: what the thread takes in hand from here on it has looked after itself.
        self._looked_after_at = math.inf
        question = self._in_hand
        if question is None or self._transport.is_closing():
            return
        if perf_counter() < question.deadline:
            self._looked_after_at = question.deadline
            self._look_after(question.deadline)
        elif question.unanswered.acquire(blocking=False):
            self._free.acquire(blocking=False)
            self._answer_in_a_task(question.frame, question.began)
            self._read_on_a_thread()

    async def _handle_transcript(self, frame: Frame) -> None:
        try:
            event_type, data = "handled", await spoken_answer(self._serving.memory, frame)
        except Exception as error:  # noqa: BLE001 - a client that waits for words must not wait in vain
            event_type, data = "not-handled", {"text": _failure_from(error, frame).text}
        self._line.send(frame_bytes(event_type, data))

    async def _answer(self, frame: Frame, began: float) -> None:
        self._line.send(message_bytes(await self._result(frame, began)))

    async def _result(self, frame: Frame, began: float) -> Message:
        asked_by = request_id(frame.data)
        if not self._trusted:
            sentence = "Show the token first: answer the nonce of the info event with memory-authenticate."
            return _failure(asked_by, ErrorCode.NOT_AUTHENTICATED, sentence)
        if (handler := REQUESTS.get(frame.type)) is None:
            return _failure(asked_by, ErrorCode.UNKNOWN_EVENT, "This server does not know that event.")
        try:
            return await handler(self._serving.memory, frame.data, began)
        except Exception as error:  # noqa: BLE001 - one request that fails must not end the others
            return _failure_from(error, frame)

    # On the thread

    def _read(self) -> None:
        try:
            while (frame := self._next_frame()) is not None:
                if not self._handle(frame):
                    return
            self._on_loop(self._said_all)
        except WireError as error:
            self._send_at_once(_failure(error.request_id or "", error.code, error.sentence))
            self._on_loop(self._leave)
        except OSError as error:
            LOGGER.debug("A connection ended: %s", type(error).__name__)
            self._on_loop(self._transport.abort)
        except Exception as error:  # noqa: BLE001 - one peer must not end the others
            _note("A connection", error)
            self._on_loop(self._transport.abort)
        self._serving.memory.right_of_way.unwatch(self._door)
        self._line.close()

    def _next_frame(self) -> Frame | None:
        """Return the next frame; one that is no event is answered and skipped: the next one can still be found."""
        while True:
            try:
                frame = self._frames.next_frame(MAX_FRAME_BYTES if self._trusted else MAX_STRANGER_FRAME_BYTES)
            except WireError as error:
                if error.code is not ErrorCode.MALFORMED:
                    raise
                self._send_at_once(_failure("", error.code, error.sentence))
                continue
            if frame is not None:
                self._takes.wait()
                return frame
            if not (count := self._receive()):
                return None
            self._frames.filled(count)

    def _receive(self) -> int:
        self._door.has_something = False
        count = self._line.receive(self._frames.room)
        self._door.has_something = True
        return count

    def _handle(self, frame: Frame) -> bool:
        """Handle a frame, or leave it to the event loop; returns whether the connection is still this thread's.

        Raises `WireError` if the peer has to leave.
        """
        match frame.type:
            case "describe":
                self._send_frame_at_once("info", hello(self._greeting, self._serving))
            case "ping":
                text = frame.data.get("text")
                self._send_frame_at_once("pong", {"text": text} if isinstance(text, str) and is_unicode(text) else {})
            case Authenticate.event_type:
                self._authenticate(frame)
            case RecallRequest.event_type if self._trusted:
                with self._serving.memory.right_of_way.question():
                    return self._recall(frame)
            case _:
                if self._requests:
                    # This peer has more than one thing to do.
                    self._serving.memory.right_of_way.wait_in_thread()
                self._leave_to_the_loop(frame, perf_counter())
        return True

    def _recall(self, frame: Frame) -> bool:
        began = perf_counter()
        try:
            request = from_data(RecallRequest, frame.data)
        except WireError as error:
            self._send_at_once(_failure_from(error, frame))
            return True
        question = self._in_hand = _InHand(frame, began, began + request.budget_ms / 1000)
        if question.deadline < self._looked_after_at:
            self._looked_after_at = question.deadline
            self._on_loop(self._look_after, question.deadline)
        try:
            answer = self._serving.memory.recall_at_once(request, began)
        except Exception as error:  # noqa: BLE001 - one request that fails must not end the others
            answer = message_bytes(_failure_from(error, frame))
        if not question.unanswered.acquire(blocking=False):
            return False
        self._in_hand = None
        if answer is None:
            self._leave_to_the_loop(frame, began)
        else:
            self._write_at_once(answer)
        return True

    def _authenticate(self, frame: Frame) -> None:
        try:
            request = from_data(Authenticate, frame.data)
        except WireError as error:
            self._send_at_once(_failure(error.request_id or "", error.code, error.sentence))
            return
        if request.protocol != PROTOCOL_VERSION:
            older = "client" if request.protocol < PROTOCOL_VERSION else "server"
            sentence = (
                f"The client speaks version {request.protocol} and this server version {PROTOCOL_VERSION}: "
                f"update the {older}."
            )
            self._send_at_once(_failure(request.id, ErrorCode.UNSUPPORTED_VERSION, sentence))
            return
        nonces = (self._greeting.nonce, request.client_nonce)
        if not hmac.compare_digest(client_proof(self._serving.token, *nonces).encode(), request.proof.encode()):
            self._wrong_tokens += 1
            LOGGER.warning("A client was refused: wrong token")
            sentence = "The token is not the one of this server."
            if self._wrong_tokens >= MAX_WRONG_TOKENS:
                raise WireError(ErrorCode.WRONG_TOKEN, sentence, request.id)
            self._send_at_once(_failure(request.id, ErrorCode.WRONG_TOKEN, sentence))
            return
        self._trusted = True
        self._on_loop(self._limit.cancel)
        proof = server_proof(self._serving.token, *nonces)
        self._send_at_once(
            Authenticated(
                id=request.id,
                protocol=PROTOCOL_VERSION,
                version=__version__,
                instance=self._greeting.instance,
                proof=proof,
            )
        )

    def _leave_to_the_loop(self, frame: Frame, began: float) -> None:
        self._free.acquire()
        self._on_loop(self._answer_in_a_task, frame, began)

    def _send_at_once(self, message: Message) -> None:
        self._write_at_once(message_bytes(message))

    def _send_frame_at_once(self, event_type: str, data: dict[str, object]) -> None:
        self._write_at_once(frame_bytes(event_type, data))

    def _write_at_once(self, content: bytes) -> None:
        if not self._line.send_at_once(content):
            # A peer that takes nothing is not to pile up answers faster than the loop can notice.
            self._free.acquire()
            self._on_loop(self._free.release)

    def _on_loop(self, callback: Callable[..., object], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it the connection
            self._loop.call_soon_threadsafe(callback, *arguments)


def _failure(asked_by: str, code: ErrorCode, sentence: str) -> Failure:
    return Failure(id=asked_by, text=sentence, code=code.value)


def _failure_from(error: Exception, frame: Frame) -> Failure:
    asked_by = request_id(frame.data)
    if isinstance(error, WireError):
        return _failure(asked_by, error.code, error.sentence)
    if isinstance(error, NpuMemoryError):
        return _failure(asked_by, error.code, str(error))
    _note(frame.type, error)
    return _failure(asked_by, ErrorCode.INTERNAL, "Something went wrong in the server; its log says where.")


def _note(what: str, error: Exception) -> None:
    """Log an error, not its message: that may quote what was asked or stored."""
    LOGGER.error("%s failed: %s", what, _where(error))


def _where(error: BaseException) -> str:
    """Name the kind of an error and the line that raised it, without its message."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    return f"{type(error).__name__}{place}"
