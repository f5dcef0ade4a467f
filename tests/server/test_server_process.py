"""The server as Home Assistant and the rest of the network meet it: a process with a port, a token, a power cord."""

import asyncio
from collections.abc import Callable, Iterator
import contextlib
import json
from pathlib import Path
import re
from typing import Any

from hypothesis import HealthCheck, given, settings, strategies as st
import pytest
from wyoming.asr import Transcript
from wyoming.client import AsyncTcpClient
from wyoming.handle import Handled
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong

from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.errors import BusyError, NpuMemoryError
from npu_memory_server.memory import Memory
from npu_memory_server.transport.client import ANSWER_SECONDS, connected
from npu_memory_server.transport.requests import REQUESTS, Serving
from npu_memory_server.transport.server import MAX_CONNECTIONS, listening
from npu_memory_server.wire import (
    MAX_STRANGER_FRAME_BYTES,
    Authenticated,
    ErrorCode,
    ForgetRequest,
    Frame,
    ListRequest,
    RecallRequest,
    RememberRequest,
    StatusRequest,
    Strategy,
    client_proof,
    frame_bytes,
    from_data,
    message_bytes,
    server_proof,
)
from tests.server.peer import Peer, header, peer
from tests.server.process import ServerProcess, run_command

StartServer = Callable[..., ServerProcess]

WRONG_TOKEN = "not-the-token-of-this-server"


@pytest.fixture(scope="module")
def server(model_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Return one server for all who do not stop it."""
    server = ServerProcess(tmp_path_factory.mktemp("server") / "data", "--log-level", "debug")
    server.start()
    yield server
    server.stop()


def code(answer: Frame | None) -> str:
    assert answer is not None
    assert answer.type == "error", answer
    assert answer.data["text"].endswith(".")
    return str(answer.data["code"])


async def still_serves(server: ServerProcess) -> bool:
    async with peer(server.port, server.token) as good:
        return bool((await good.ask(StatusRequest(id="7"))).data["id"] == "7")


# Who knows the token, and who does not


async def test_both_sides_show_that_they_know_the_token_and_nobody_says_it(server: ServerProcess) -> None:
    async with peer(server.port) as client:
        greeting = await client.greeting()
        proof = await client.proof(server.token)
        answer = await client.ask(proof)
        assert answer.type == "memory-authenticated"
        shown = from_data(Authenticated, answer.data)
        assert shown.proof == server_proof(server.token, greeting["nonce"], proof.client_nonce)
        assert shown.instance == greeting["instance"]
        assert server.token not in json.dumps([greeting, dict(answer.data)])


async def test_after_three_wrong_tokens_the_connection_is_closed(server: ServerProcess) -> None:
    async with peer(server.port) as client:
        for _ in range(2):
            assert code(await client.authenticate(WRONG_TOKEN)) == ErrorCode.WRONG_TOKEN
            assert code(await client.ask(StatusRequest())) == ErrorCode.NOT_AUTHENTICATED
        assert code(await client.authenticate(WRONG_TOKEN)) == ErrorCode.WRONG_TOKEN
        assert await client.read() is None
    assert await still_serves(server)


async def test_a_typing_error_in_the_token_may_be_made_good(server: ServerProcess) -> None:
    async with peer(server.port) as client:
        assert code(await client.authenticate(WRONG_TOKEN)) == ErrorCode.WRONG_TOKEN
        assert (await client.authenticate(server.token)).type == "memory-authenticated"


async def test_a_proof_that_was_overheard_is_worth_nothing_on_another_connection(server: ServerProcess) -> None:
    async with peer(server.port) as victim, peer(server.port) as attacker:
        proof = await victim.proof(server.token)
        assert (await victim.ask(proof)).type == "memory-authenticated"
        await attacker.greeting()
        assert code(await attacker.ask(proof)) == ErrorCode.WRONG_TOKEN
        assert code(await attacker.ask(RecallRequest(text="anything"))) == ErrorCode.NOT_AUTHENTICATED


async def test_the_servers_own_proof_is_not_the_clients(server: ServerProcess) -> None:
    """Handing back what the server would say does not open the door."""
    async with peer(server.port) as attacker:
        nonce = (await attacker.greeting())["nonce"]
        reflected = await attacker.proof(WRONG_TOKEN, proof=server_proof(server.token, nonce, "0" * 32))
        assert code(await attacker.ask(reflected)) == ErrorCode.WRONG_TOKEN


@pytest.mark.parametrize("event", [*REQUESTS, "memory-unheard-of", "transcript"])
async def test_before_the_token_was_shown_nothing_is_answered(server: ServerProcess, event: str) -> None:
    async with peer(server.port) as stranger:
        answer = await stranger.ask(frame_bytes(event, {"id": "9", "text": "who has the key", "memory_ids": ["a"]}))
        assert (code(answer), answer.data["id"]) == (ErrorCode.NOT_AUTHENTICATED, "9")


@pytest.mark.parametrize(("version", "who"), [(0, "client"), (2, "server")])
async def test_a_peer_of_another_version_is_told_who_has_to_be_updated(
    server: ServerProcess, version: int, who: str
) -> None:
    async with peer(server.port) as client:
        answer = await client.authenticate(server.token, protocol=version)
        assert code(answer) == ErrorCode.UNSUPPORTED_VERSION
        assert answer.data["text"].endswith(f"update the {who}.")


@pytest.mark.parametrize("changed", [{"proof": "short"}, {"proof": "ß" * 64}, {"client_nonce": ""}, {"protocol": -1}])
async def test_a_proof_that_is_none_is_refused(server: ServerProcess, changed: dict[str, Any]) -> None:
    async with peer(server.port) as client:
        answer = await client.authenticate(server.token, **changed)
        assert code(answer) in (ErrorCode.INVALID_REQUEST, ErrorCode.WRONG_TOKEN)
        assert answer.data["id"] == "auth"


# What may be said wrongly


async def test_an_event_that_nobody_knows_is_answered(server: ServerProcess) -> None:
    async with peer(server.port, server.token) as client:
        answer = await client.ask(frame_bytes("memory-unheard-of", {"id": "9"}))
        assert (code(answer), answer.data["id"]) == (ErrorCode.UNKNOWN_EVENT, "9")


async def test_after_malformed_json_the_connection_goes_on(server: ServerProcess) -> None:
    async with peer(server.port, server.token) as client:
        for malformed in (
            b"hello\n",
            b"[]\n",
            b'{"type"\n',
            header(type=7),
            header(type="ping", data_length=2) + b"{]",
        ):
            assert code(await client.ask(malformed)) == ErrorCode.MALFORMED
        assert (await client.ask(StatusRequest(id="7"))).data["id"] == "7"


async def test_a_text_of_a_megabyte_is_refused_and_the_connection_goes_on(server: ServerProcess) -> None:
    async with peer(server.port, server.token) as client:
        answer = await client.ask(frame_bytes("memory-remember", {"id": "1", "text": "x" * 1_000_000}))
        assert (code(answer), answer.data["id"]) == (ErrorCode.INVALID_REQUEST, "1")
        assert "at most 8192 characters" in answer.data["text"]
        assert (await client.ask(StatusRequest(id="7"))).data["id"] == "7"


@pytest.mark.parametrize("declared", [100_000_000, -1, 10**30, "many", 1.5])
async def test_a_length_that_is_no_length_ends_the_connection_and_nothing_else(
    server: ServerProcess, declared: object
) -> None:
    async with peer(server.port, server.token) as bystander, peer(server.port, server.token) as client:
        assert code(await client.ask(header(type="ping", data_length=declared))) == ErrorCode.FRAME_TOO_LARGE
        assert await client.read() is None
        assert (await bystander.ask(StatusRequest(id="7"))).data["id"] == "7"


async def test_a_stranger_may_not_send_what_a_friend_may(server: ServerProcess) -> None:
    large = frame_bytes("ping", {"text": "x" * MAX_STRANGER_FRAME_BYTES})
    async with peer(server.port) as stranger:
        assert code(await stranger.ask(large)) == ErrorCode.FRAME_TOO_LARGE
        assert await stranger.read() is None
    async with peer(server.port, server.token) as friend:
        assert (await friend.ask(large)).type == "pong"


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("memory-recall", {"text": "key", "top_k": 0}),
        ("memory-recall", {"text": "key", "top_k": 10**9}),
        ("memory-recall", {"text": "key", "min_relevance": float("nan")}),
        ("memory-recall", {"text": "key", "scopes": ["everything"]}),
        ("memory-recall", {"text": "key\0"}),
        ("memory-recall", {"text": ["key"]}),
        ("memory-recall", {}),
        ("memory-remember", {"text": " "}),
        ("memory-remember", {"text": "key", "created_at": "yesterday"}),
        ("memory-remember", {"text": "key", "memory_id": "../../etc/passwd"}),
        ("memory-forget", {"memory_ids": "all"}),
        ("memory-forget", {"memory_ids": ["x"] * 1001}),
        ("memory-list", {"limit": 0}),
        ("memory-list", {"cursor": "no cursor"}),
    ],
)
async def test_a_request_that_makes_no_sense_is_answered_with_a_sentence(
    server: ServerProcess, event: str, data: dict[str, Any]
) -> None:
    async with peer(server.port, server.token) as client:
        answer = await client.ask(frame_bytes(event, {"id": "9", **data}))
        assert (code(answer), answer.data["id"]) == (ErrorCode.INVALID_REQUEST, "9")
        assert (await client.ask(StatusRequest(id="7"))).data["id"] == "7"


@pytest.mark.parametrize("text", ["\ud800", 7, None, ["x"], {"a": 1}, "\0", float("nan")])
async def test_whatever_a_ping_carries_there_is_a_pong(server: ServerProcess, text: object) -> None:
    body = json.dumps({"text": text}).encode()
    async with peer(server.port) as stranger:
        assert (await stranger.ask(header(type="ping", data_length=len(body)) + body)).type == "pong"
        assert (await stranger.ask(frame_bytes("ping", {"text": "hello"}))).data == {"text": "hello"}


async def test_what_is_not_found_or_contradicts_is_said(server: ServerProcess) -> None:
    async with peer(server.port, server.token) as client:
        assert code(await client.ask(ForgetRequest(memory_ids=("nobody",)))) == ErrorCode.NOT_FOUND
        assert (await client.ask(RememberRequest(text="one", memory_id="taken"))).type == "memory-stored"
        assert code(await client.ask(RememberRequest(text="two", memory_id="taken"))) == ErrorCode.CONFLICT
        assert code(await client.ask(RememberRequest(text="three", corrects="nobody"))) == ErrorCode.NOT_FOUND


# Many requests, many peers


async def test_many_requests_are_under_way_at_once_and_each_answer_finds_its_question(server: ServerProcess) -> None:
    async with connected("127.0.0.1", server.port, server.token) as memory:
        stored = await asyncio.gather(
            *(memory.remember(RememberRequest(text=f"note {n}, as it was read out")) for n in range(200))
        )
        answers = await asyncio.gather(
            *(
                memory.recall(RecallRequest(text=f"note {n}", top_k=1, strategy=Strategy.LEXICAL))
                for n in range(0, 200, 10)
            )
        )
        found = [answer.memories[0].id for answer in answers]
        assert found == [stored[n].memory_id for n in range(0, 200, 10)]
        await memory.forget(ForgetRequest(memory_ids=tuple(one.memory_id for one in stored)))


async def test_one_connection_too_many_hears_why_and_may_come_again(server: ServerProcess) -> None:
    async with contextlib.AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(peer(server.port)) for _ in range(MAX_CONNECTIONS + 6)]
        answers = await asyncio.gather(*(one.ask(frame_bytes("ping", {})) for one in peers))
        refused = [answer for answer in answers if answer.type == "error"]
        assert len(refused) == 6
        assert {code(answer) for answer in refused} == {ErrorCode.BUSY}
        assert refused[0].data["text"] == f"The server has {MAX_CONNECTIONS} connections already; try again later."
    for _ in range(200):
        async with peer(server.port) as client:
            if (await client.ask(frame_bytes("ping", {}))).type == "pong":
                break
        await asyncio.sleep(0.02)
    assert await still_serves(server)


async def test_a_peer_that_never_takes_its_answers_costs_little_memory(server: ServerProcess) -> None:
    async with peer(server.port, server.token) as greedy:
        before = server.resident_kilobytes
        greedy.writer.transport.pause_reading()  # type: ignore[attr-defined]
        letter = frame_bytes("ping", {"text": "x" * 10_000})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.5):
                for _ in range(20_000):  # 200 MB, were they all taken
                    await greedy.send(letter)
        assert await still_serves(server)
        assert server.resident_kilobytes - before < 40_000


async def test_a_peer_that_takes_no_answers_is_let_go_with_everything_it_held(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("npu_memory_server.transport.connection.TAKING_SECONDS", 0.2)
    async with listening(Serving(memory, "a token of sixteen"), "127.0.0.1", 0) as (_, port):
        before = _open_files()
        async with peer(port) as greedy:
            greedy.writer.transport.pause_reading()  # type: ignore[attr-defined]
            letter = frame_bytes("ping", {"text": "x" * 10_000})
            with contextlib.suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(1):
                    while True:
                        await greedy.send(letter)
            # The greedy one still holds its own end; the server's, and what it had for it, are gone.
            for _ in range(500):
                if _open_files() <= before + 1:
                    break
                await asyncio.sleep(0.02)
            assert _open_files() <= before + 1


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_stranger_that_says_nothing_is_let_go(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("npu_memory_server.transport.connection.STRANGER_SECONDS", 0.2)
    async with listening(Serving(memory, "a token of sixteen"), "127.0.0.1", 0) as (_, port):
        async with peer(port) as silent:
            assert await silent.read() is None
        async with peer(port) as slow:
            await slow.send(header(type="ping", data_length=100) + b"half of it")
            assert await slow.read() is None
        async with peer(port, "a token of sixteen") as friend:
            await asyncio.sleep(0.5)
            assert (await friend.ask(StatusRequest(id="7"))).data["id"] == "7"


async def test_garbage_on_many_connections_costs_nothing_that_lasts(server: ServerProcess) -> None:
    events = st.sampled_from(["describe", "ping", "memory-authenticate", "memory-recall", "transcript", ""])
    headers = st.fixed_dictionaries(
        {"type": events | st.integers()},
        optional={
            "data_length": st.integers(-5, 300) | st.none(),
            "payload_length": st.integers(-5, 300),
            "data": st.none(),
        },
    ).map(lambda fields: header(**fields))
    garbage = st.lists(st.binary(max_size=200) | headers, max_size=6).map(b"".join)

    @given(letters=st.lists(garbage, min_size=10, max_size=10))
    @settings(max_examples=15, suppress_health_check=[HealthCheck.large_base_example])
    def throw(letters: list[bytes]) -> None:
        asyncio.run(throw_all(letters))

    async def throw_all(letters: list[bytes]) -> None:
        for letter in letters:
            async with peer(server.port) as stranger:
                with contextlib.suppress(ConnectionError):
                    await stranger.send(letter)
                    stranger.writer.write_eof()
                while await stranger.read() is not None:
                    pass

    await asyncio.to_thread(throw)
    files, memory = server.open_files, server.resident_kilobytes
    await asyncio.to_thread(throw)
    assert await still_serves(server)
    for _ in range(200):
        if server.open_files <= files:
            break
        await asyncio.sleep(0.02)
    assert server.open_files <= files
    assert server.resident_kilobytes - memory < 5_000


# Any Wyoming client


async def test_a_wyoming_client_is_told_who_this_is(server: ServerProcess) -> None:
    async with AsyncTcpClient("127.0.0.1", server.port) as client:
        await client.write_event(Describe().event())
        event = await client.read_event()
        assert event is not None
        assert Info.from_event(event).handle == []  # it answers no transcripts unless it is told to
        await client.write_event(Ping(text="hello").event())
        event = await client.read_event()
        assert event is not None
        assert Pong.from_event(event).text == "hello"


async def test_transcripts_are_answered_from_memory_where_that_was_asked_for(
    household_directory: Path, start_server: StartServer
) -> None:
    server = start_server(household_directory, "--handle-transcripts")
    async with AsyncTcpClient("127.0.0.1", server.port) as client:
        await client.write_event(Describe().event())
        event = await client.read_event()
        assert event is not None
        program = Info.from_event(event).handle[0]
        assert (program.name, program.installed, program.models[0].installed) == ("npu-memory", True, True)

        async def ask_aloud(question: str) -> str:
            await client.write_event(Transcript(text=question).event())
            event = await client.read_event()
            assert event is not None
            return str(Handled.from_event(event).text)

        question = "which black cartridge does the printer take"
        found = await asyncio.to_thread(run_command, "recall", question, "--json", data=household_directory)
        best = json.loads(found.stdout)["memories"][0]
        answer = await ask_aloud(question)
        assert re.match(r"On [A-Z][a-z]+ \d+, 202\d, .+: ", answer)
        assert answer.endswith(f": {best['text']}")
        assert await ask_aloud("") == "I did not understand that."
        await client.write_event(Transcript(text="x" * 10_000).event())
        event = await client.read_event()
        assert event is not None
        assert Handled.from_event(event).text == "I did not understand that."
        # A stranger hears what belongs to everybody, and nothing else.
        listed = await asyncio.to_thread(
            run_command, "list", "--count", "1", "--json", "--scope", "person:nora", data=household_directory
        )
        private = json.loads(listed.stdout)["text"]
        assert private not in await ask_aloud(private)
    server.stop()


async def test_an_empty_memory_says_so_to_a_wyoming_client(tmp_path: Path, start_server: StartServer) -> None:
    server = start_server(tmp_path / "data", "--handle-transcripts")
    async with AsyncTcpClient("127.0.0.1", server.port) as client:
        await client.write_event(Transcript(text="where is the key").event())
        event = await client.read_event()
        assert event is not None
        assert Handled.from_event(event).text == "I remember nothing about that."


# The power cord


async def test_after_a_power_cut_everything_that_was_said_to_be_stored_is_there(
    tmp_path: Path, start_server: StartServer
) -> None:
    data = tmp_path / "data"
    server = start_server(data)
    stored: list[str] = []

    async def remember_until_the_end(start: int) -> None:
        async with peer(server.port, server.token) as client:
            for number in range(start, start + 250):
                await client.send(RememberRequest(id=str(number), text=f"Number {number}.", memory_id=f"n-{number}"))
                answer = await client.read()
                if answer is None:
                    return
                assert answer.type == "memory-stored"
                stored.append(answer.data["memory_id"])
                if len(stored) == 500:
                    server.kill()

    with contextlib.suppress(ConnectionError):
        await asyncio.gather(*(remember_until_the_end(start) for start in range(0, 1000, 250)), return_exceptions=True)
    assert 500 <= len(stored) < 1000
    again = start_server(data)
    async with connected("127.0.0.1", again.port, again.token) as memory:
        found: set[str] = set()
        cursor = None
        while True:
            page = await memory.list(ListRequest(limit=200, cursor=cursor))
            found |= {one.id for one in page.memories}
            cursor = page.next_cursor
            if cursor is None:
                break
    assert set(stored) <= found
    assert again.stop() == 0
    checked = run_command("check", "--json", data=data)
    assert (checked.returncode, json.loads(checked.stdout)["faults"]) == (0, [])


async def test_sigterm_ends_the_server_with_clients_connected(tmp_path: Path, start_server: StartServer) -> None:
    data = tmp_path / "data"
    server = start_server(data)
    async with peer(server.port) as stranger, connected("127.0.0.1", server.port, server.token) as memory:
        await stranger.greeting()
        await asyncio.gather(*(memory.remember(RememberRequest(text=f"Number {number}.")) for number in range(100)))
        assert await asyncio.to_thread(server.stop) == 0
        assert await stranger.read() is None
        # Whoever asks a server that is gone is told so, and does not wait for an answer until its patience ends.
        async with asyncio.timeout(ANSWER_SECONDS / 2):
            with pytest.raises(BusyError):
                await memory.recall(RecallRequest(text="is anybody there"))
    assert not (data / "server.json").exists()
    assert not list(data.glob("*-wal"))
    assert "Stopping" in server.log.read_text()
    assert "Traceback" not in server.log.read_text()


# Its folder, its port, its model


def test_token_and_folder_belong_to_their_owner(server: ServerProcess) -> None:
    assert server.data.stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in server.data.iterdir()}
    assert {modes[name] for name in ("token", "server.json", "lock", "memories.sqlite3")} == {0o600}
    assert len(server.token) >= 32


async def test_a_second_server_on_the_same_folder_is_refused(server: ServerProcess) -> None:
    second = await asyncio.to_thread(run_command, "serve", "--port", "0", data=server.data)
    assert second.returncode == 1
    assert f"The data directory {server.data} is in use by another process." in second.stderr
    assert await still_serves(server)


def test_a_port_that_is_taken_is_a_sentence(server: ServerProcess, tmp_path: Path) -> None:
    second = run_command("serve", "--host", "127.0.0.1", "--port", str(server.port), data=tmp_path / "other")
    assert second.returncode == 1
    assert f"Port {server.port} of 127.0.0.1 cannot be used" in second.stderr
    assert "Traceback" not in second.stderr


@pytest.mark.parametrize("content", ["short\n", "\xff" * 3])
def test_a_token_that_is_none_is_a_sentence(tmp_path: Path, content: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "token").write_text(content, encoding="latin-1")
    refused = run_command("serve", "--port", "0", data=data)
    assert refused.returncode == 1
    assert re.search(r"npu-memory: The token in .*token ", refused.stderr)
    assert "Traceback" not in refused.stderr


def test_without_a_model_the_server_says_where_to_get_one(tmp_path: Path) -> None:
    refused = run_command("serve", "--port", "0", "--model-dir", tmp_path, data=tmp_path / "data")
    assert refused.returncode == 1
    assert "npu-memory-convert" in refused.stderr
    assert "Traceback" not in refused.stderr


# The other end: the command line's own client


async def test_an_impostor_that_does_not_know_the_token_gets_no_memory() -> None:
    asked: list[str] = []

    async def impersonate(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        impostor = Peer(reader, writer)
        while (frame := await impostor.read()) is not None:
            asked.append(frame.type)
            if frame.type == "describe":
                greeting = {"protocol": 1, "version": "1", "instance": "x", "nonce": "n" * 32}
                await impostor.send(frame_bytes("info", {"npu_memory": greeting}))
            else:
                proof = client_proof(WRONG_TOKEN, "n" * 32, frame.data["client_nonce"])
                await impostor.send(
                    message_bytes(Authenticated(id="0", protocol=1, version="1", instance="x", proof=proof))
                )

    impostor = await asyncio.start_server(impersonate, "127.0.0.1", 0)
    port = impostor.sockets[0].getsockname()[1]
    with pytest.raises(NpuMemoryError, match="does not know the token"):
        async with connected("127.0.0.1", port, "the right token of this house"):
            pass
    assert asked == ["describe", "memory-authenticate"]
    impostor.close()


@pytest.mark.parametrize(
    "says",
    [
        frame_bytes("info", {}),
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"",
        frame_bytes("info", {"npu_memory": {"nonce": 1}}),
    ],
)
async def test_something_else_that_answers_is_no_memory_server(says: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(says)
        writer.close()

    other = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = other.sockets[0].getsockname()[1]
    with pytest.raises(NpuMemoryError):
        async with connected("127.0.0.1", port, "the right token of this house"):
            pass
    other.close()


async def test_nobody_at_that_port_is_a_sentence() -> None:
    with pytest.raises(BusyError, match=r"The server on 127\.0\.0\.1 port 1 cannot be reached"):
        async with connected("127.0.0.1", 1, "the right token of this house"):
            pass


# What its log says


async def test_the_log_holds_no_memory_and_no_question(
    memory: Memory, embedder: OnnxEmbedder, server: ServerProcess, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "xylophone submarine"
    async with peer(server.port, server.token) as client:
        stored = await client.ask(
            RememberRequest(text=f"The {secret} is in the attic.", speaker=secret, memory_id="log-1")
        )
        assert stored.type == "memory-stored"
        for request in (
            frame_bytes("memory-recall", {"text": f"where is the {secret}"}),
            frame_bytes("memory-recall", {"text": f"{secret}\0"}),
            frame_bytes("memory-recall", {"text": secret, "strategy": secret, "language": secret * 9}),
            frame_bytes("memory-remember", {"text": secret, "memory_id": "log-1"}),
            frame_bytes("memory-remember", {"text": secret, "memory_id": secret}),
            frame_bytes("memory-remember", {"text": secret, "created_at": secret}),
            frame_bytes("memory-forget", {"memory_ids": [secret.split(maxsplit=1)[0]]}),
            frame_bytes("memory-list", {"cursor": secret}),
            frame_bytes(secret, {"text": secret}),
            f"{secret}\n".encode(),
        ):
            answer = await client.ask(request)
            if answer.type == "error":
                assert secret.split(maxsplit=1)[0] not in json.dumps(dict(answer.data))
        await client.send(header(type=secret, data_length=-1))
        assert code(await client.read()) == ErrorCode.FRAME_TOO_LARGE
    assert await still_serves(server)
    log = server.log.read_text()
    assert "Listening on" in log
    assert secret.split(maxsplit=1)[0] not in log
    assert secret.split()[1] not in log


async def test_an_error_that_nobody_foresaw_is_logged_by_its_place_alone(
    memory: Memory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "xylophone submarine"

    def fail(*_: object) -> None:
        raise RuntimeError(f"something about the {secret}")

    monkeypatch.setattr(Memory, "recall", fail)
    monkeypatch.setattr(Memory, "recall_at_once", fail)
    monkeypatch.setattr(Memory, "prepare", fail)
    serving = Serving(memory, "a token of sixteen", handle_transcripts=True)
    async with listening(serving, "127.0.0.1", 0) as (_, port), peer(port, serving.token) as client:
        answer = await client.ask(frame_bytes("memory-recall", {"id": "9", "text": secret}))
        assert (code(answer), answer.data["id"]) == (ErrorCode.INTERNAL, "9")
        assert code(await client.ask(frame_bytes("memory-prepare", {"id": "8"}))) == ErrorCode.INTERNAL
        spoken = await client.ask(frame_bytes("transcript", {"text": secret}))
        assert (spoken.type, spoken.data["text"]) == ("not-handled", answer.data["text"])
        assert (await client.ask(StatusRequest(id="7"))).data["id"] == "7"
    assert "RuntimeError at " in caplog.text
    assert secret.split(maxsplit=1)[0] not in caplog.text
