"""Announcing the server to Home Assistant's Supervisor: told once, as often as it takes, and never in the way."""

import asyncio
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import json
import logging
from pathlib import Path
import queue
import socket
from threading import Event, Thread
from typing import Any

import pytest

from npu_memory_server import supervisor
from npu_memory_server.supervisor import Supervisor, announced
from tests.server.process import ServerProcess

TOKEN = "the-token-of-the-server"
OK = (200, {"result": "ok", "data": {"uuid": "f" * 32}})


class StandIn(ThreadingHTTPServer):
    """A Supervisor that gives the answers it was told to give, and then good ones."""

    daemon_threads = True

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any]] = []
        self.heard: queue.Queue[tuple[str, str, Any]] = queue.Queue()
        self.silent = False
        self.awake = Event()
        super().__init__(("127.0.0.1", 0), Api)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class Api(BaseHTTPRequestHandler):
    server: StandIn

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heard.put((self.path, self.headers["Authorization"], json.loads(content)))
        if self.server.silent:
            self.server.awake.wait(10)
        status, answer = self.server.answers.pop(0) if self.server.answers else OK
        written = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(written)))
        self.end_headers()
        self.wfile.write(written)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with StandIn() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.awake.set()
        server.shutdown()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FIRST_RETRY_SECONDS", 0.01)


async def heard(stand_in: StandIn) -> tuple[str, str, Any]:
    return await asyncio.to_thread(stand_in.heard.get, timeout=10)


async def told(caplog: pytest.LogCaptureFixture, sentence: str) -> None:
    async with asyncio.timeout(10):
        while sentence not in caplog.text:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_the_supervisor_learns_address_and_token(stand_in: StandIn, caplog: pytest.LogCaptureFixture) -> None:
    async with announced(Supervisor(host=stand_in.address, token="of the app"), 10750, TOKEN):
        path, authorization, message = await heard(stand_in)
        await told(caplog, "Home Assistant was told where the server is")
    assert (path, authorization) == ("/discovery", "Bearer of the app")
    config = {"host": socket.gethostname(), "port": 10750, "token": TOKEN}
    assert message == {"service": "npu_memory", "config": config}
    assert TOKEN not in caplog.text


async def test_without_a_supervisor_nobody_is_told(stand_in: StandIn) -> None:
    async with announced(None, 10750, TOKEN):
        await asyncio.sleep(0.05)
    assert stand_in.heard.empty()


async def test_a_supervisor_that_is_not_up_yet_is_told_later_with_one_line_for_each_reason(
    stand_in: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    stand_in.answers = [(502, b"starting"), (502, b"starting"), (503, b""), (502, b"")]
    async with announced(Supervisor(host=stand_in.address, token="t"), 10750, TOKEN):
        await told(caplog, "Home Assistant was told")
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [line.rpartition(" ")[2] for line in warnings] == ["502", "503", "502"]


async def test_a_supervisor_that_refuses_is_not_asked_again_and_its_reason_is_told(
    stand_in: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    stand_in.answers = [(400, {"result": "error", "message": "Apps must list services they provide via discovery"})]
    async with announced(Supervisor(host=stand_in.address, token="t"), 10750, TOKEN):
        await told(caplog, "400 Apps must list services they provide via discovery. Add the integration by hand")
        await asyncio.sleep(0.1)
    assert stand_in.heard.qsize() == 1


@pytest.mark.parametrize("answer", [b"\xff", b"[]", {"message": 3}, {"message": "line\nbreak"}])
async def test_a_refusal_without_a_sentence_is_told_by_its_number(
    answer: Any, stand_in: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    stand_in.answers = [(401, answer)]
    async with announced(Supervisor(host=stand_in.address, token="t"), 10750, TOKEN):
        await told(caplog, "does not take the announcement: 401. Add the integration by hand")


async def test_a_host_that_does_not_exist_is_no_reason_to_stop(caplog: pytest.LogCaptureFixture) -> None:
    async with announced(Supervisor(host="supervisor.invalid", token="t"), 10750, TOKEN):
        await told(caplog, "could not be told where the server is")


async def test_the_server_does_not_wait_for_a_supervisor_that_hangs(
    stand_in: StandIn, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "ANSWER_SECONDS", 0.1)
    stand_in.silent = True
    async with asyncio.timeout(5), announced(Supervisor(host=stand_in.address, token="t"), 10750, TOKEN):
        await told(caplog, "timed out")


async def test_the_app_announces_itself_when_it_listens(
    stand_in: StandIn, start_server: Callable[..., ServerProcess], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUPERVISOR_TOKEN", "of the app")
    monkeypatch.setenv("SUPERVISOR", stand_in.address)
    server = start_server(tmp_path / "data")
    _, _, message = await heard(stand_in)
    assert message["config"] == {"host": socket.gethostname(), "port": server.port, "token": server.token}
