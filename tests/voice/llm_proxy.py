"""What a language model was sent: a proxy in front of its server that writes down every request and passes it on."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import json
import threading
import time
from typing import Any

ANSWER_SECONDS = 600.0
HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive"}


@dataclass
class Asked:
    """A request for a completion; the times are those of the wall clock, in s."""

    body: dict[str, Any]
    arrived: float
    first_piece: float = 0.0
    ended: float = 0.0

    @property
    def system_prompt(self) -> str:
        return str(next((m["content"] for m in self.body["messages"] if m["role"] == "system"), ""))

    @property
    def said(self) -> list[str]:
        """What the user said, in this turn and before it."""
        return [str(message["content"]) for message in self.body["messages"] if message["role"] == "user"]


@dataclass
class Recorded:
    """What has passed the proxy at `port`."""

    port: int
    completions: list[Asked] = field(default_factory=list)


@contextmanager
def recording_proxy(model_port: int) -> Iterator[Recorded]:
    """Pass everything on to the server at `model_port` of this machine, and record what it is asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._pass_on(None)

        def do_POST(self) -> None:
            self._pass_on(self.rfile.read(int(self.headers.get("Content-Length", 0))))

        def _pass_on(self, body: bytes | None) -> None:
            asked = None
            if body and self.path.endswith("/chat/completions"):
                asked = Asked(json.loads(body), time.time())
                recorded.completions.append(asked)
            upstream = HTTPConnection("127.0.0.1", model_port, timeout=ANSWER_SECONDS)
            upstream.request(self.command, self.path, body, {"Content-Type": "application/json"})
            response = upstream.getresponse()
            self.send_response(response.status)
            for name, value in response.getheaders():
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            with suppress(BrokenPipeError, ConnectionResetError):  # who has asked has gone
                while piece := response.read1():
                    if asked and not asked.first_piece and b'"content":"' in piece.replace(b": ", b":"):
                        asked.first_piece = time.time()
                    self.wfile.write(piece)
                    self.wfile.flush()
            if asked:
                asked.ended = time.time()
            upstream.close()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    recorded = Recorded(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield recorded
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
