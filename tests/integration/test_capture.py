"""Turns on their way to the server: none is lost, none comes twice, and the order holds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
import logging

import pytest

from custom_components.npu_memory import capture, client as client_module, wire
from custom_components.npu_memory.capture import CaptureQueue
from custom_components.npu_memory.client import MemoryClient
from tests.integration import faults
from tests.integration.memory_server import MemoryServer
from tests.integration.waiting import until


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "FIRST_RETRY_SECONDS", 0.02)
    monkeypatch.setattr(capture, "LAST_RETRY_SECONDS", 0.1)
    monkeypatch.setattr(client_module, "LAST_RETRY_SECONDS", 0.2)


@asynccontextmanager
async def running(client: MemoryClient) -> AsyncIterator[CaptureQueue]:
    await client.connect()
    queue = CaptureQueue()
    task = asyncio.create_task(queue.run(client))
    try:
        yield queue
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.close()


async def empty(queue: CaptureQueue) -> None:
    await until(lambda: not queue.unsent)


def turn(number: int) -> wire.RememberRequest:
    return wire.RememberRequest(text=f"Turn {number}.", memory_id=f"turn-{number}", kind=wire.Kind.TURN)


async def test_turns_arrive_in_their_order_across_a_crash_of_the_server(memory_server: MemoryServer) -> None:
    client = MemoryClient("127.0.0.1", memory_server.port, memory_server.token)
    async with running(client) as queue:
        for number in range(30):
            queue.add(turn(number))
            await asyncio.sleep(0)
        memory_server.kill()
        for number in range(30, 40):
            queue.add(turn(number))
        await asyncio.to_thread(memory_server.start)
        await empty(queue)
        page = await client.list(wire.ListRequest(limit=wire.MAX_PAGE), 10)
        assert [m.id for m in reversed(page.memories)] == [f"turn-{number}" for number in range(40)]


async def test_an_answer_that_got_lost_does_not_store_a_turn_twice() -> None:
    stored: list[str] = []

    async def answers(request: wire.Frame) -> list[wire.Message]:
        stored.append(request.data["memory_id"])
        if len(stored) == 1:
            raise ConnectionResetError  # the commit was made, its confirmation never arrives
        return await faults.healthy(request)

    async with (
        faults.listening(faults.memory_server(answers)) as port,
        running(MemoryClient("127.0.0.1", port, faults.TOKEN)) as queue,
    ):
        queue.add(turn(1))
        await empty(queue)
    assert stored == ["turn-1", "turn-1"]


@pytest.mark.parametrize("code", ["busy", "storage", "internal"])
async def test_a_trouble_that_passes_is_waited_for(code: str) -> None:
    asked = 0

    async def answers(request: wire.Frame) -> list[wire.Message]:
        nonlocal asked
        asked += 1
        if asked < 4:
            return [wire.Failure(id=request.data["id"], text="Later.", code=code)]
        return await faults.healthy(request)

    async with (
        faults.listening(faults.memory_server(answers)) as port,
        running(MemoryClient("127.0.0.1", port, faults.TOKEN)) as queue,
    ):
        queue.add(turn(1))
        await empty(queue)
    assert asked == 4


async def test_a_turn_that_cannot_be_stored_does_not_hold_up_the_others(
    memory_server: MemoryServer, caplog: pytest.LogCaptureFixture
) -> None:
    client = MemoryClient("127.0.0.1", memory_server.port, memory_server.token)
    async with running(client) as queue:
        queue.add(wire.RememberRequest(text="A secret.\0", memory_id="turn-1"))
        queue.add(turn(2))
        await empty(queue)
        assert [m.id for m in (await client.list(wire.ListRequest(), 10)).memories] == ["turn-2"]
    assert "turn-1" in caplog.text
    assert "secret" not in caplog.text


async def test_what_could_not_be_sent_is_counted_in_the_log(
    memory_server: MemoryServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture, "MAX_WAITING", 3)
    caplog.set_level(logging.WARNING)
    client = MemoryClient("127.0.0.1", memory_server.port, memory_server.token)
    async with running(client) as queue:
        memory_server.kill()
        await asyncio.sleep(0.05)
        for number in range(6):
            queue.add(turn(number))
            await asyncio.sleep(0)
        assert queue.unsent == 3
    assert [r.getMessage() for r in caplog.records if r.name == capture.__name__] == [
        "A turn is not remembered: 3 are waiting for the memory server already",
        "A turn is not remembered: 3 are waiting for the memory server already",
        "A turn is not remembered: 3 are waiting for the memory server already",
        "3 turns have not reached the memory server yet",
    ]
