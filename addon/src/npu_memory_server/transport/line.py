"""The socket of a peer, shared by the thread that reads from it and the event loop: each may send."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from typing import Final

WAIT_SECONDS = 3600.0
"""A socket with a limit is waited for by Python, and may be the event loop's at the same time; what the limit is does
not matter."""


class Line:
    """Sends whole frames, one after the other, from the event loop and from one thread, which also receives.

    The thread writes to the socket itself: to wake the event loop for that takes longer than to write. What the socket
    does not take at once goes the loop's way, and whatever follows goes behind it.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        """Use what `transport` uses, whose own reading is to be paused; made on its event loop."""
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        # The transport's own may be closed while the thread waits for it, and its number be another peer's by then.
        self._socket = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        self._socket.settimeout(WAIT_SECONDS)
        self.number: Final = self._socket.fileno()
        self._lock = threading.Lock()
        self._behind = 0

    def receive(self, room: memoryview) -> int:
        """Wait for bytes and return how many there are; 0 at the end. On the thread. Raises `OSError`."""
        while True:
            with contextlib.suppress(TimeoutError):
                return self._socket.recv_into(room)

    def send(self, content: bytes) -> None:
        """Send a frame; on the event loop."""
        with self._lock:
            if self._behind:
                self._send_behind(content)
            else:
                self._write(content)

    def send_at_once(self, content: bytes) -> bool:
        """Send a frame, on the thread; returns whether the socket has taken it, or the loop has to send the rest."""
        with self._lock:
            if not self._behind and not self._transport.get_write_buffer_size():
                # An error is found by whoever receives.
                with contextlib.suppress(OSError):
                    content = content[os.write(self._socket.fileno(), content) :]
            if content:
                self._send_behind(content)
        return not content

    def _send_behind(self, content: bytes) -> None:
        self._behind += 1
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it the connection
            self._loop.call_soon_threadsafe(self._send_now, content)

    def _send_now(self, content: bytes) -> None:
        with self._lock:
            self._behind -= 1
            self._write(content)

    def _write(self, content: bytes) -> None:
        if not self._transport.is_closing():  # asyncio warns of every answer to a peer that has gone
            self._transport.write(content)

    def hang_up(self) -> None:
        """End the connection for both sides, so that `receive` returns."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the socket; on the thread, which does not use it any more."""
        with self._lock:
            self._socket.close()
