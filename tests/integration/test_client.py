"""The client: against the real server, and against peers that do what a real one never does."""

import _socket
import asyncio
from dataclasses import replace
import socket
import time

import pytest

from custom_components.npu_memory import client as client_module, connection as connection_module, wire
from custom_components.npu_memory.client import MemoryClient, probe
from custom_components.npu_memory.connection import (
    CannotConnect,
    MemoryClientError,
    NotAMemoryServer,
    RequestFailed,
    TooLate,
    WrongToken,
    WrongVersion,
)
from custom_components.npu_memory.wire import ErrorCode
from tests.integration import faults
from tests.integration.memory_server import MemoryServer


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the client lose patience sooner than in a house."""
    monkeypatch.setattr(connection_module, "CONNECT_SECONDS", 2.0)
    monkeypatch.setattr(connection_module, "KEEPALIVE_SECONDS", 0.2)
    monkeypatch.setattr(connection_module, "PONG_SECONDS", 0.2)
    monkeypatch.setattr(client_module, "FIRST_RETRY_SECONDS", 0.02)
    monkeypatch.setattr(client_module, "LAST_RETRY_SECONDS", 0.1)


class Changes:
    """What a client told about its connection."""

    def __init__(self) -> None:
        self.told: list[MemoryClientError | None] = []
        self._news = asyncio.Event()

    def __call__(self, error: MemoryClientError | None) -> None:
        self.told.append(error)
        self._news.set()

    async def until(self, wanted: type[MemoryClientError] | None) -> None:
        async with asyncio.timeout(30):
            while not self.told or (self.told[-1] is not None if wanted is None else type(self.told[-1]) is not wanted):
                self._news.clear()
                await self._news.wait()


class TestTheRealServer:
    async def test_both_sides_show_that_they_know_the_token(self, memory_server: MemoryServer) -> None:
        greeting = await probe("127.0.0.1", memory_server.port, memory_server.token)
        assert greeting.protocol == wire.PROTOCOL_VERSION
        assert greeting.instance == (await probe("127.0.0.1", memory_server.port, memory_server.token)).instance

    async def test_another_token_is_told_apart(self, memory_server: MemoryServer) -> None:
        with pytest.raises(WrongToken):
            await probe("127.0.0.1", memory_server.port, "another")

    async def test_what_is_remembered_is_recalled_listed_and_forgotten(self, memory: MemoryClient) -> None:
        stored = await memory.remember(
            wire.RememberRequest(text="The number of the locker is 4711.", speaker="Anna"), 10
        )
        await memory.remember(wire.RememberRequest(text="The heating was serviced in March."), 10)
        context = await memory.recall(wire.RecallRequest(text="What is the number of the locker?", budget_ms=5000), 10)
        assert context.memories[0].id == stored.memory_id
        assert context.memories[0].speaker == "Anna"
        assert (await memory.list(wire.ListRequest(), 10)).total == 2
        assert (await memory.status(10)).memories == 2
        await memory.forget(wire.ForgetRequest(memory_ids=(stored.memory_id,)), 10)
        assert [m.text for m in (await memory.list(wire.ListRequest(), 10)).memories] == [
            "The heating was serviced in March."
        ]

    async def test_a_correction_that_was_found_is_listed_taken_back_and_made_again(self, memory: MemoryClient) -> None:
        said = {"tuesday": "Trash goes out on Tuesday.", "friday": "We moved trash day, it is Friday now."}
        for day, (memory_id, text) in enumerate(said.items(), 1):
            at = f"2026-02-0{day}T12:00:00+00:00"
            await memory.remember(wire.RememberRequest(text=text, memory_id=memory_id, created_at=at), 10)
        async with asyncio.timeout(30):
            while not (page := await memory.corrections(wire.CorrectionsRequest(), 10)).corrections:
                pass
        (correction,) = page.corrections
        pair = {"old_id": correction.old.id, "new_id": correction.new.id}
        reverted = await memory.revert_correction(wire.RevertCorrectionRequest(**pair), 10)
        accepted = await memory.accept_correction(wire.AcceptCorrectionRequest(**pair), 10)

        assert pair == {"old_id": "tuesday", "new_id": "friday"}
        assert reverted.state is wire.CorrectionState.REVERTED
        assert accepted.state is wire.CorrectionState.CLOSED

    async def test_a_turn_is_prepared_before_anybody_has_spoken(self, memory: MemoryClient) -> None:
        # The start of the server may have woken it a moment ago; after the first call it is awake for certain.
        await memory.prepare(10)
        assert not (await memory.prepare(10)).woken

    async def test_many_requests_at_once_get_each_its_own_answer(self, memory: MemoryClient) -> None:
        texts = [f"Parcel {number} is in the shed." for number in range(40)]
        stored = await asyncio.gather(*(memory.remember(wire.RememberRequest(text=text), 30) for text in texts))
        by_id = {m.id: m.text for m in (await memory.list(wire.ListRequest(limit=wire.MAX_PAGE), 10)).memories}
        assert [by_id[answer.memory_id] for answer in stored] == texts

    async def test_the_same_id_twice_is_stored_once(self, memory: MemoryClient) -> None:
        request = wire.RememberRequest(text="Once.", memory_id="turn-1")
        assert (await memory.remember(request, 10)).outcome is wire.Outcome.STORED
        assert (await memory.remember(request, 10)).outcome is wire.Outcome.DUPLICATE

    async def test_what_the_server_refuses_has_a_code(self, memory: MemoryClient) -> None:
        with pytest.raises(RequestFailed) as caught:
            await memory.forget(wire.ForgetRequest(memory_ids=("no-such-memory",)), 10)
        assert caught.value.code is ErrorCode.NOT_FOUND

    @pytest.mark.parametrize("text", ["", "x" * (wire.MAX_TEXT_CHARACTERS + 1), "zero\0", "half a \ud800 pair"])
    async def test_what_cannot_be_sent_is_refused_before_it_is(self, memory: MemoryClient, text: str) -> None:
        with pytest.raises(RequestFailed) as caught:
            await memory.remember(wire.RememberRequest(text=text), 10)
        assert caught.value.code is ErrorCode.INVALID_REQUEST
        assert (await memory.status(10)).memories == 0


class TestAServerThatComesAndGoes:
    async def test_the_client_comes_back_after_a_restart(self, memory_server: MemoryServer, hurried: None) -> None:
        changes = Changes()
        client = MemoryClient("127.0.0.1", memory_server.port, memory_server.token, changes)
        await client.connect()
        memory_server.kill()
        await changes.until(CannotConnect)
        assert not client.connected
        with pytest.raises(CannotConnect):
            await client.status(10)
        await asyncio.to_thread(memory_server.start)
        await changes.until(None)
        assert (await client.status(10)).memories == 0
        await client.close()

    async def test_killed_in_mid_request_the_caller_hears_it_at_once(
        self, memory_server: MemoryServer, hurried: None
    ) -> None:
        client = MemoryClient("127.0.0.1", memory_server.port, memory_server.token)
        await client.connect()
        memory_server.freeze()
        request = asyncio.create_task(client.status(60))
        await asyncio.sleep(0.05)
        started = time.monotonic()
        memory_server.kill()
        with pytest.raises(CannotConnect):
            await request
        assert time.monotonic() - started < 30
        await client.close()

    async def test_a_server_that_hangs_is_noticed_by_its_silence(
        self, memory_server: MemoryServer, hurried: None
    ) -> None:
        changes = Changes()
        client = MemoryClient("127.0.0.1", memory_server.port, memory_server.token, changes)
        await client.connect()
        memory_server.freeze()
        await changes.until(CannotConnect)
        memory_server.thaw()
        await changes.until(None)
        assert (await client.status(10)).memories == 0
        await client.close()

    async def test_a_live_server_is_not_taken_for_dead(self, memory_server: MemoryServer, hurried: None) -> None:
        changes = Changes()
        client = MemoryClient("127.0.0.1", memory_server.port, memory_server.token, changes)
        await client.connect()
        await asyncio.sleep(1)
        assert changes.told == []
        await client.close()

    async def test_an_unanswered_request_makes_the_client_look_for_a_sign_of_life(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection_module, "PONG_SECONDS", 0.05)
        changes = Changes()
        async with faults.listening(faults.memory_server(faults.never, pongs=False)) as port:
            client = MemoryClient("127.0.0.1", port, faults.TOKEN, changes)
            await client.connect()
            with pytest.raises(TooLate):
                await client.recall(wire.RecallRequest(text="Hello?"), 0.05)
            await changes.until(CannotConnect)
            await client.close()

    async def test_with_another_token_it_stops_trying(self, memory_server: MemoryServer, hurried: None) -> None:
        changes = Changes()
        client = MemoryClient("127.0.0.1", memory_server.port, memory_server.token, changes)
        await client.connect()
        memory_server.kill()
        memory_server.token = "another-token-for-this-house"
        await asyncio.to_thread(memory_server.start)
        await changes.until(WrongToken)
        told = len(changes.told)
        await asyncio.sleep(0.5)
        assert len(changes.told) == told
        assert not client.connected
        await client.close()

    async def test_it_can_begin_without_a_server(self, memory_server: MemoryServer, hurried: None) -> None:
        changes = Changes()
        memory_server.kill()
        client = MemoryClient("127.0.0.1", memory_server.port, memory_server.token, changes)
        client.connect_later()
        await changes.until(CannotConnect)
        await asyncio.to_thread(memory_server.start)
        await changes.until(None)
        assert client.connected
        await client.close()


class TestPeersThatAreNoMemoryServer:
    async def test_nobody_listens(self, hurried: None) -> None:
        async with faults.listening(faults.silent) as port:
            pass
        with pytest.raises(CannotConnect):
            await probe("127.0.0.1", port, faults.TOKEN)

    @pytest.mark.parametrize("host", ["300.1.1.1", "a..b", "x" * 70])
    async def test_a_host_that_cannot_exist(self, host: str, hurried: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(socket, "getaddrinfo", _socket.getaddrinfo)  # the test plugin refuses names altogether
        with pytest.raises(CannotConnect):
            await probe(host, 10750, faults.TOKEN)

    async def test_something_accepts_and_stays_silent(self, hurried: None) -> None:
        async with faults.listening(faults.silent) as port:
            with pytest.raises(CannotConnect):
                await probe("127.0.0.1", port, faults.TOKEN)

    async def test_something_hangs_up(self, hurried: None) -> None:
        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()

        async with faults.listening(hang_up) as port:
            with pytest.raises(CannotConnect):
                await probe("127.0.0.1", port, faults.TOKEN)

    @pytest.mark.parametrize(
        "said",
        [
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"x" * (2 * wire.MAX_HEADER_BYTES),
            b'{"type":"info","data_length":99999999999}\n',
            wire.frame_bytes("info", {"asr": []}),
            wire.frame_bytes("info", {wire.GREETING: "hello"}),
            wire.frame_bytes("info", {wire.GREETING: {"protocol": 1}}),
            wire.frame_bytes("pong", faults.greeting()),
        ],
        ids=["http", "ssh", "endless", "huge", "wyoming", "no object", "half a greeting", "another event"],
    )
    async def test_something_else_answers(self, said: bytes, hurried: None) -> None:
        async with faults.listening(faults.saying(said)) as port:
            with pytest.raises(NotAMemoryServer):
                await probe("127.0.0.1", port, faults.TOKEN)

    @pytest.mark.parametrize(("protocol", "older"), [(0, True), (wire.PROTOCOL_VERSION + 1, False)])
    async def test_another_version_says_which_side_is_to_be_updated(
        self, protocol: int, older: bool, hurried: None
    ) -> None:
        async with faults.listening(faults.introducing(faults.greeting(protocol=protocol, nonce=None))) as port:
            with pytest.raises(WrongVersion) as caught:
                await probe("127.0.0.1", port, faults.TOKEN)
        assert caught.value.server_is_older is older
        assert caught.value.server_version == "0.1.0"

    async def test_a_version_that_is_no_version_is_not_passed_on(self, hurried: None) -> None:
        async with faults.listening(faults.introducing(faults.greeting(protocol=7, version="<b>1</b>"))) as port:
            with pytest.raises(WrongVersion) as caught:
                await probe("127.0.0.1", port, faults.TOKEN)
        assert caught.value.server_version == "?"

    async def test_an_impostor_that_accepts_every_token_gets_no_memory(self, hurried: None) -> None:
        async with faults.listening(faults.memory_server(faults.healthy, lies=True)) as port:
            with pytest.raises(NotAMemoryServer):
                await probe("127.0.0.1", port, faults.TOKEN)

    async def test_a_server_that_is_too_busy_is_tried_again_later(self, hurried: None) -> None:
        async def busy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await wire.read_frame(reader)
            writer.write(wire.frame_bytes("info", faults.greeting()))
            await wire.read_frame(reader)
            writer.write(wire.message_bytes(wire.Failure(text="Later.", code=ErrorCode.BUSY)))
            await reader.read()

        async with faults.listening(busy) as port:
            with pytest.raises(CannotConnect):
                await probe("127.0.0.1", port, faults.TOKEN)


class TestAnswersThatAreWrong:
    @pytest.mark.parametrize(
        ("answer", "code"),
        [
            (wire.Failure(text="Full.", code="storage"), ErrorCode.STORAGE),
            (wire.Failure(text="?", code="a code of the future"), ErrorCode.INTERNAL),
            (wire.Failure(text="x" * 2001, code="storage"), ErrorCode.MALFORMED),
            (wire.Stored(memory_id="not an id", outcome=wire.Outcome.STORED), ErrorCode.UNKNOWN_EVENT),
        ],
    )
    async def test_the_request_fails_and_the_connection_stays(self, answer: wire.Message, code: ErrorCode) -> None:
        async def answers(frame: wire.Frame) -> list[wire.Message]:
            if frame.type == wire.StatusRequest.event_type:
                return [faults.status(frame)]
            return [replace(answer, id=frame.data["id"])]

        async with faults.listening(faults.memory_server(answers)) as port:
            client = MemoryClient("127.0.0.1", port, faults.TOKEN)
            await client.connect()
            with pytest.raises(RequestFailed) as caught:
                await client.recall(wire.RecallRequest(text="Hello?"), 10)
            assert caught.value.code is code
            assert (await client.status(10)).memories == 2
            await client.close()

    async def test_an_answer_that_comes_too_late_disturbs_nobody(self) -> None:
        release = asyncio.Event()

        async def answers(frame: wire.Frame) -> list[wire.Message]:
            if frame.type == wire.RecallRequest.event_type:
                await release.wait()
            return await faults.healthy(frame)

        async with faults.listening(faults.memory_server(answers)) as port:
            client = MemoryClient("127.0.0.1", port, faults.TOKEN)
            await client.connect()
            with pytest.raises(TooLate):
                await client.recall(wire.RecallRequest(text="Hello?"), 0.05)
            release.set()
            assert (await client.status(10)).memories == 2
            await client.close()

    async def test_garbage_ends_the_connection_and_whoever_waits_hears_it(self, hurried: None) -> None:
        async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            async def answers(frame: wire.Frame) -> list[wire.Message]:
                writer.write(b"{]\n")
                return []

            await faults.memory_server(answers)(reader, writer)

        async with faults.listening(garbage) as port:
            client = MemoryClient("127.0.0.1", port, faults.TOKEN)
            await client.connect()
            with pytest.raises(CannotConnect):
                await client.status(10)
            await client.close()

    async def test_an_answer_that_stops_in_the_middle_is_noticed(self, hurried: None) -> None:
        async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            async def answers(frame: wire.Frame) -> list[wire.Message]:
                writer.write(b'{"type":"memory-report","data_length":1000}\n{')
                return []

            await faults.memory_server(answers)(reader, writer)

        async with faults.listening(half) as port:
            client = MemoryClient("127.0.0.1", port, faults.TOKEN)
            await client.connect()
            with pytest.raises(CannotConnect):
                await client.status(60)
            await client.close()

    async def test_closing_fails_what_is_under_way(self) -> None:
        async with faults.listening(faults.memory_server(faults.never)) as port:
            client = MemoryClient("127.0.0.1", port, faults.TOKEN)
            await client.connect()
            request = asyncio.create_task(client.recall(wire.RecallRequest(text="Hello?"), 10))
            await asyncio.sleep(0)
            await client.close()
            with pytest.raises(CannotConnect):
                await request
