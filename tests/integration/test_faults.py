"""Whatever becomes of the server: no turn fails, none is later than its budget, and the user is told once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
import logging
from typing import Any

from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.npu_memory import client as client_module, connection as connection_module, wire
from custom_components.npu_memory.client import MemoryClient
from custom_components.npu_memory.const import CONF_AGENT
from custom_components.npu_memory.report import Outcome, TurnReport
from tests.integration import faults
from tests.integration.agent import AGENT, RecordingAgent
from tests.integration.conftest import AddEntry
from tests.integration.memory_server import MemoryServer
from tests.integration.test_conversation import away, back, say, speech
from tests.integration.waiting import until

BUDGET_MS = 200
LATE_MS = 20
TURNS = 5
WAKINGS = 4
"""So often is a turn that memory is too late for woken up: by the timer, and from there by one task after the other."""
REACHED = (Outcome.GIVEN, Outcome.NOTHING_RELEVANT, Outcome.TOO_LATE)
"""The last, where the machine is busy: the server is there, and has not said that it could not answer."""
OPTIONS = {CONF_AGENT: AGENT, "budget_ms": BUDGET_MS}


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "LAST_RETRY_SECONDS", 0.2)


class Lag:
    """How much later than asked for this machine wakes a task, at most, in ms: that is not the integration's doing."""

    ms = 0.0


@asynccontextmanager
async def lag() -> AsyncIterator[Lag]:
    measured = Lag()

    async def measure() -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + 0.005
            await asyncio.sleep(0.005)
            measured.ms = max(measured.ms, (loop.time() - due) * 1000)

    task = asyncio.create_task(measure())
    try:
        yield measured
    finally:
        task.cancel()


async def answered(home: HomeAssistant, entry: MockConfigEntry) -> TurnReport:
    """Say something that is answered, no later than the budget allows; return what memory did."""
    async with lag() as late:
        assert speech(await say(home, "Where is the key?")) == "Of course."
    (report,) = entry.runtime_data.turns.values()
    assert isinstance(report, TurnReport)
    assert report.waited_ms <= BUDGET_MS + LATE_MS + WAKINGS * late.ms
    return report


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return how serious the lines are that the integration has written."""
    return [record.levelname for record in caplog.records if record.name.startswith("custom_components.npu_memory")]


@pytest.fixture
async def entry(
    memory_server: MemoryServer, memory: MemoryClient, agent: RecordingAgent, add_entry: AddEntry
) -> MockConfigEntry:
    instance = (await memory.status(10)).instance
    return await add_entry(memory_server.entry_data, OPTIONS, unique_id=instance)


async def test_the_server_is_stopped(
    home: HomeAssistant, entry: MockConfigEntry, memory_server: MemoryServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    memory_server.kill()
    await away(entry)
    for _ in range(TURNS):
        assert (await answered(home, entry)).outcome is Outcome.NOT_CONNECTED
    assert entry.state is ConfigEntryState.LOADED
    await asyncio.to_thread(memory_server.start)
    await back(entry)
    assert (await answered(home, entry)).outcome in REACHED
    assert told(caplog)[:2] == ["ERROR", "INFO"]


async def test_the_server_hangs(
    home: HomeAssistant, entry: MockConfigEntry, memory_server: MemoryServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    memory_server.freeze()
    for _ in range(TURNS):
        assert (await answered(home, entry)).outcome is Outcome.TOO_LATE
    assert told(caplog) == ["WARNING"]
    assert entry.state is ConfigEntryState.LOADED
    memory_server.thaw()
    await until(lambda: entry.runtime_data.client.connected)
    while (await answered(home, entry)).outcome not in (Outcome.GIVEN, Outcome.NOTHING_RELEVANT):
        pass
    assert told(caplog) == ["WARNING", "INFO"]


async def test_the_server_hangs_until_the_connection_is_given_up(
    home: HomeAssistant,
    entry: MockConfigEntry,
    memory_server: MemoryServer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_module, "PONG_SECONDS", 0.2)
    monkeypatch.setattr(connection_module, "CONNECT_SECONDS", 0.3)
    caplog.set_level(logging.INFO)
    memory_server.freeze()
    assert (await answered(home, entry)).outcome is Outcome.TOO_LATE
    await away(entry)
    for _ in range(TURNS):
        assert (await answered(home, entry)).outcome is Outcome.NOT_CONNECTED
    assert entry.state is ConfigEntryState.LOADED
    assert told(caplog) == ["WARNING", "ERROR"]
    memory_server.thaw()
    monkeypatch.undo()
    await back(entry)


async def test_the_server_accepts_and_never_answers_from_the_start(
    home: HomeAssistant,
    agent: RecordingAgent,
    add_entry: AddEntry,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_module, "CONNECT_SECONDS", 0.3)
    async with faults.listening(faults.silent) as port:
        data = {"host": "127.0.0.1", "port": port, "token": faults.TOKEN}
        alone = await add_entry(data, unique_id="alone")
        assert alone.state is ConfigEntryState.SETUP_RETRY
        await home.config_entries.async_remove(alone.entry_id)
        caplog.clear()
        entry = await add_entry(data, OPTIONS)
        assert entry.state is ConfigEntryState.LOADED
        for _ in range(TURNS):
            assert (await answered(home, entry)).outcome is Outcome.NOT_CONNECTED
        assert told(caplog).count("ERROR") == 1
        await home.config_entries.async_unload(entry.entry_id)


async def test_the_server_is_slow(
    home: HomeAssistant, agent: RecordingAgent, add_entry: AddEntry, caplog: pytest.LogCaptureFixture
) -> None:
    slow = True

    async def slowly(request: wire.Frame) -> list[wire.Message]:
        if slow and request.type == wire.RecallRequest.event_type:
            await asyncio.sleep(0.3)
        return await faults.healthy(request)

    async with faults.listening(faults.memory_server(slowly)) as port:
        entry = await add_entry({"host": "127.0.0.1", "port": port, "token": faults.TOKEN}, OPTIONS)
        caplog.set_level(logging.INFO)
        for _ in range(TURNS):
            assert (await answered(home, entry)).outcome is Outcome.TOO_LATE
        slow = False
        while (await answered(home, entry)).outcome is not Outcome.NOTHING_RELEVANT:
            pass
        assert told(caplog) == ["WARNING", "INFO"]
        await home.config_entries.async_unload(entry.entry_id)


async def test_the_server_is_killed_in_mid_request(
    home: HomeAssistant, entry: MockConfigEntry, memory_server: MemoryServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    memory_server.freeze()
    turn = asyncio.create_task(answered(home, entry))
    await asyncio.sleep(BUDGET_MS / 4000)
    memory_server.kill()
    assert (await turn).outcome in (Outcome.NOT_CONNECTED, Outcome.TOO_LATE)
    await away(entry)
    assert entry.state is ConfigEntryState.LOADED
    assert told(caplog).count("ERROR") == 1
    await asyncio.to_thread(memory_server.start)
    await back(entry)
    assert (await answered(home, entry)).outcome in REACHED


async def test_the_server_comes_back_with_another_token(
    home: HomeAssistant, entry: MockConfigEntry, memory_server: MemoryServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    memory_server.kill()
    await away(entry)
    memory_server.token = "another-token-of-at-least-32-characters"
    await asyncio.to_thread(memory_server.start)
    await until(home.config_entries.flow.async_progress)
    (form,) = home.config_entries.flow.async_progress()
    assert form["context"]["source"] == "reauth"
    for _ in range(TURNS):
        assert (await answered(home, entry)).outcome is Outcome.NOT_CONNECTED
    assert told(caplog) == ["ERROR"]
    result: Any = await home.config_entries.flow.async_configure(form["flow_id"], {"token": memory_server.token})
    assert result["reason"] == "reauth_successful"
    await until(lambda: entry.state is ConfigEntryState.LOADED and entry.runtime_data.client.connected)
    assert (await answered(home, entry)).outcome in REACHED
