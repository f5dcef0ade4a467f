"""The image's health check: it passes while the server answers, and only then."""

import asyncio
from collections.abc import Callable
from pathlib import Path
import subprocess
import sys

import pytest

from npu_memory_server.container import health
from npu_memory_server.data_directory import DataDirectory, ServerAddress
from tests.server.process import ServerProcess, environment

COMMAND = [sys.executable, "-m", "npu_memory_server.container", "healthy"]


def healthy(data: Path) -> bool:
    variables = environment({"NPU_MEMORY_DATA": str(data)})
    return subprocess.run(COMMAND, env=variables, check=False, timeout=30).returncode == 0


def test_it_follows_the_server(start_server: Callable[..., ServerProcess], tmp_path: Path) -> None:
    server = start_server(tmp_path / "data")
    assert healthy(server.data)
    server.kill()
    assert not healthy(server.data)
    server.start()
    assert healthy(server.data)
    server.stop()
    assert not healthy(server.data)


@pytest.mark.parametrize(
    "says", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b'{"type": "error", "version": "1"}\n', None]
)
async def test_what_does_not_answer_a_ping_is_not_healthy(
    says: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "ANSWER_SECONDS", 0.2)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if says is None:
            await reader.read()
        writer.write(says or b"")
        writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with DataDirectory(tmp_path) as directory:
            directory.announce(ServerAddress("127.0.0.1", port, 1))
            assert not await health.answers(tmp_path)
