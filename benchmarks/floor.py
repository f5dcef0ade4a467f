"""The least that a recall over the wire can take: a server that does only the inference, asked over a bare socket.

No search, no interpreter of requests: token ids come in, the model reads them, and bytes that were ready before go
out, as many as an answer of five memories has. What a real recall takes beyond this is the memory's; what this takes
beyond the bare inference is that of a second process, whatever it does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
import socket
import subprocess
import sys
from time import perf_counter
from typing import Final

import numpy as np
import numpy.typing as npt

from npu_memory_server.embedding.embedder import OnnxEmbedder

ANSWER: Final = bytes(3_500)
ROOM: Final = 8 * 512
"""More than the token ids of a question; as few bytes arrive in one piece within a machine."""


class Floor:
    """A connection to such a server."""

    def __init__(self, line: socket.socket) -> None:
        """Use a connected socket."""
        self._line = line
        self._room = bytearray(len(ANSWER))

    def ask_ms(self, ids: npt.NDArray[np.int64]) -> float:
        """Return how long it takes to have token ids, int64 [n], read by the model of another process, ms."""
        began = perf_counter()
        self._line.sendall(ids.tobytes())
        received = 0
        while received < len(ANSWER):
            some = self._line.recv_into(self._room)
            if not some:
                raise SystemExit("the process that only infers has ended")
            received += some
        return (perf_counter() - began) * 1000


@contextmanager
def floor(model: Path) -> Iterator[Floor]:
    """Run a server that only infers with the embedder in this folder, and give a connection to it."""
    command = (sys.executable, "-m", "benchmarks.floor", str(model))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        port = process.stdout.readline() if process.stdout else ""
        if not port:
            raise SystemExit("the process that only infers did not start")
        with socket.create_connection(("127.0.0.1", int(port)), timeout=60) as line:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            yield Floor(line)


def serve(model: Path) -> None:
    """Answer one connection until it ends."""
    session = OnnxEmbedder.load(model).encoder.session
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(listening.getsockname()[1], flush=True)
        line, _ = listening.accept()
    with line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while request := line.recv(ROOM):
            session.run(np.frombuffer(request, np.int64))
            line.sendall(ANSWER)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
