"""A question is answered on the thread that reads it, and whatever that thread meets, the peer is served."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
import threading
from typing import Any

from hypothesis import given, settings, strategies as st
import pytest

from npu_memory_server.embedding.base import Embedding
from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.inference import InferenceThread, Priority
from npu_memory_server.memory import Memory
from npu_memory_server.transport.connection import MAX_IN_FLIGHT
from npu_memory_server.transport.requests import Serving
from npu_memory_server.transport.server import listening
from npu_memory_server.wire import (
    Context,
    Frame,
    FrameBuffer,
    ListRequest,
    Message,
    RecallRequest,
    RememberRequest,
    Reranker,
    StatusRequest,
    Strategy,
    WireError,
    frame_bytes,
    from_data,
    message_bytes,
)
from tests.server.conftest import OpenMemory
from tests.server.faulty_embedders import CountingEmbedder, FailingEmbedder, HangingEmbedder, SlowEmbedder
from tests.server.peer import Peer, peer

TOKEN = "a token of sixteen"
KEY = "The spare key is under the blue flowerpot."
QUESTION = "where is the spare key"
LONG_MS = 20_000.0


class WatchedEmbedder(CountingEmbedder):
    """The real embedder, and the threads that have used it."""

    def __init__(self, real: OnnxEmbedder) -> None:
        super().__init__(real)
        self.threads: list[str] = []
        self.with_tokens: list[bool] = []

    def embed(self, text: str, prefix: str = "", **how: bool) -> Embedding:
        self.threads.append(threading.current_thread().name)
        self.with_tokens.append(how.get("tokens", True))
        return super().embed(text, prefix, **how)


Open = Callable[[CountingEmbedder], Any]


@pytest.fixture
async def port_of(tmp_path: Path, open_memory: OpenMemory) -> AsyncIterator[Open]:
    """Return what serves a memory that knows of the key, with an embedder of its own, and gives the port."""
    servers = []

    async def serve(embedder: CountingEmbedder) -> tuple[int, Memory]:
        memory = await open_memory(tmp_path, embedder)  # type: ignore[arg-type]
        await memory.remember(RememberRequest(text=KEY))
        await memory.embedded()
        server = listening(Serving(memory, TOKEN), "127.0.0.1", 0)
        servers.append(server)
        _, port = await server.__aenter__()
        return port, memory

    yield serve
    for server in servers:
        await server.__aexit__(None, None, None)


def recall(number: str = "1", budget_ms: float = LONG_MS, **fields: Any) -> RecallRequest:
    return RecallRequest(id=number, text=QUESTION, budget_ms=budget_ms, **fields)


async def answers(client: Peer, *requests: Message) -> dict[str, Frame]:
    """Return the answer to each request by its id; all are sent before the first is awaited."""
    await client.send(b"".join(map(message_bytes, requests)))
    frames = [await client.read() for _ in requests]
    return {frame.data["id"]: frame for frame in frames if frame is not None}


def context(frame: Frame | None) -> Context:
    assert frame is not None
    assert frame.type == Context.event_type, frame
    return from_data(Context, frame.data)


async def test_a_question_is_answered_where_it_is_read(port_of: Open, embedder: OnnxEmbedder) -> None:
    watched = WatchedEmbedder(embedder)
    port, memory = await port_of(watched)
    async with peer(port, TOKEN) as client:
        watched.threads.clear()
        found = context(await client.ask(recall()))
        assert watched.threads == ["npu-memory-connection"]
        in_the_process = await memory.recall(recall())
        assert (found.memories, found.context) == (in_the_process.memories, in_the_process.context)
        status = await client.ask(StatusRequest(id="2"))
        assert status.data["recalls"] == 2


async def test_nobody_makes_token_vectors_that_nobody_reads(port_of: Open, embedder: OnnxEmbedder) -> None:
    watched = WatchedEmbedder(embedder)
    port, _ = await port_of(watched)
    async with peer(port, TOKEN) as client:
        for wanted, fields in (
            (True, {}),
            (False, {"reranker": Reranker.NONE}),
            (False, {"strategy": Strategy.VECTOR}),
            (True, {"reranker": Reranker.MINILM_L12}),
        ):
            watched.with_tokens.clear()
            assert context(await client.ask(recall(**fields))).memories[0].text == KEY
            assert watched.with_tokens == [wanted], fields


async def test_a_question_waits_in_line_while_something_else_has_the_model(
    port_of: Open, embedder: OnnxEmbedder
) -> None:
    slow = SlowEmbedder(embedder, 0.0)
    port, memory = await port_of(slow)
    slow.seconds = 0.02
    await asyncio.gather(*(memory.remember(RememberRequest(text=f"Number {number}.")) for number in range(60)))
    async with peer(port, TOKEN) as client:
        found = context(await client.ask(recall()))
        assert (found.degraded, found.memories[0].text) == ("", KEY)
        # It overtakes what is embedded behind its back.
        assert (await memory.status()).pending_embeddings > 30
    await memory.embedded()


async def test_a_model_that_hangs_costs_the_budget_and_not_the_connection(
    port_of: Open, embedder: OnnxEmbedder
) -> None:
    hanging = HangingEmbedder(embedder, lambda text: text == QUESTION)
    port, _ = await port_of(hanging)
    async with peer(port, TOKEN) as client:
        for number in "123":
            late = context(await client.ask(recall(number, 100)))
            assert late.memories[0].text == KEY
            assert (late.degraded, late.backend) == ("The embedding came later than the budget allows.", "none")
            assert (await client.ask(StatusRequest(id="s"))).data["id"] == "s"
            assert (await client.ask(frame_bytes("ping", {}))).type == "pong"
        hanging.released.set()
        for number in ("4", "5"):
            again = context(await client.ask(recall(number)))
            assert (again.degraded, again.memories[0].text) == ("", KEY)
        # Nothing comes of the answers that nobody waits for any more.
        assert (await client.ask(StatusRequest(id="last"))).data["id"] == "last"


async def test_a_question_that_is_late_is_answered_once(port_of: Open, embedder: OnnxEmbedder) -> None:
    slow = SlowEmbedder(embedder, 0.0)
    port, _ = await port_of(slow)
    async with peer(port, TOKEN) as client:
        for number in range(8):
            slow.seconds = 0.02
            answer = context(await client.ask(recall(str(number), 20)))
            assert (answer.id, answer.memories[0].text) == (str(number), KEY)
        slow.seconds = 0.0
        assert (await client.ask(StatusRequest(id="last"))).data["id"] == "last"


async def test_a_model_that_fails_leaves_the_words(port_of: Open, embedder: OnnxEmbedder) -> None:
    failing = FailingEmbedder(embedder)
    failing.broken = False
    port, _ = await port_of(failing)
    failing.broken = True
    async with peer(port, TOKEN) as client:
        found = context(await client.ask(recall()))
        assert (found.degraded, found.memories[0].text) == ("The question could not be embedded.", KEY)
        failing.broken = False
        assert not context(await client.ask(recall())).degraded


async def test_what_was_said_a_moment_ago_is_waited_for(port_of: Open, embedder: OnnxEmbedder) -> None:
    slow = SlowEmbedder(embedder, 0.0)
    port, _ = await port_of(slow)
    slow.seconds = 0.1
    async with peer(port, TOKEN) as client:
        await client.ask(RememberRequest(id="0", text="Pickle has swallowed a rubber band."))
        request = RecallRequest(
            id="1", text="any trouble with the cat", strategy=Strategy.VECTOR, budget_ms=LONG_MS, top_k=1
        )
        found = context(await client.ask(request))
        assert [one.text for one in found.memories] == ["Pickle has swallowed a rubber band."]


async def test_all_that_was_asked_at_once_is_answered(port_of: Open, embedder: OnnxEmbedder) -> None:
    port, _ = await port_of(WatchedEmbedder(embedder))
    async with peer(port, TOKEN) as client:
        requests = [
            recall(str(number)) if number % 3 else StatusRequest(id=str(number)) for number in range(3 * MAX_IN_FLIGHT)
        ]
        received = await answers(client, *requests)
        assert set(received) == {request.id for request in requests}
        for request in requests:
            expected = Context.event_type if isinstance(request, RecallRequest) else "memory-report"
            assert received[request.id].type == expected


async def test_who_has_said_all_still_hears_the_answers(port_of: Open, embedder: OnnxEmbedder) -> None:
    port, _ = await port_of(SlowEmbedder(embedder, 0.05))
    async with peer(port, TOKEN) as client:
        await client.send(message_bytes(recall("1")) + message_bytes(StatusRequest(id="2")))
        client.writer.write_eof()
        heard = {frame.data["id"] for frame in (await client.read(), await client.read()) if frame}
        assert heard == {"1", "2"}
        assert await client.read() is None


async def test_when_the_peer_has_left_nothing_of_it_stays(port_of: Open, embedder: OnnxEmbedder) -> None:
    def held() -> int:
        threads = [thread for thread in threading.enumerate() if thread.name == "npu-memory-connection"]
        return len(threads) + len(list(Path("/proc/self/fd").iterdir()))

    hanging = HangingEmbedder(embedder, lambda text: text == QUESTION)
    port, memory = await port_of(hanging)
    # The database opens its files for whoever reads first, and keeps them.
    await memory.recall(RecallRequest(text="anything else"))
    before = held()
    for _ in range(3):
        async with peer(port, TOKEN) as client:
            await client.ask(recall(budget_ms=50))
            await client.send(recall(budget_ms=50))
    hanging.released.set()
    async with asyncio.timeout(30):
        while held() > before:  # noqa: ASYNC110 - threads tell nobody
            await asyncio.sleep(0.01)


async def test_answers_to_a_peer_that_has_gone_fill_no_log(
    port_of: Open, embedder: OnnxEmbedder, caplog: pytest.LogCaptureFixture
) -> None:
    port, memory = await port_of(WatchedEmbedder(embedder))
    async with peer(port, TOKEN) as client:
        notes = [RememberRequest(id=str(number), text=f"Shelf {number} is full.") for number in range(MAX_IN_FLIGHT)]
        await client.send(b"".join(map(message_bytes, notes)))
        client.writer.transport.abort()
    before, now = -1, 0
    while now > before:  # nobody is told any more
        await asyncio.sleep(0.3)
        before, now = now, (await memory.list(ListRequest())).total
    assert now > 1
    assert "socket.send" not in caplog.text


async def test_an_answer_that_the_peer_takes_slowly_arrives_whole(port_of: Open, embedder: OnnxEmbedder) -> None:
    port, memory = await port_of(WatchedEmbedder(embedder))
    for number in range(40):
        await memory.remember(RememberRequest(text=f"{number} spare keys. " + "x" * 8000))
    await memory.embedded()
    async with peer(port, TOKEN) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        requests = [recall(str(number), top_k=40, max_tokens=20_000) for number in range(20)]
        asking = asyncio.create_task(answers(client, *requests, StatusRequest(id="end")))
        await asyncio.sleep(0.3)
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        received = await asking
        assert all(len(context(received[request.id]).memories) == 40 for request in requests)
        assert received["end"].type == "memory-report"


def test_the_model_is_had_by_one_at_a_time_and_who_waits_is_not_overtaken() -> None:
    thread = InferenceThread()
    begun, release = threading.Event(), threading.Event()
    assert thread.run_here(lambda: "at once") == "at once"

    def hold() -> bool:
        begun.set()
        return release.wait(30)

    first = thread.submit(Priority.MEMORY, hold)
    assert begun.wait(30)
    assert thread.run_here(lambda: "at once") is None
    release.set()
    assert first.result(30)

    def nested() -> object:
        waiting = thread.submit(Priority.QUESTION, lambda: "later")
        assert thread.run_here(lambda: "at once") is None
        return waiting

    waiting: Any = thread.run_here(nested)
    assert waiting.result(30) == "later"
    with pytest.raises(ValueError, match="of the work itself"):
        thread.run_here(lambda: int("of the work itself"))
    assert thread.run_here(lambda: "free again") == "free again"
    thread.close()


@given(
    frames=st.lists(st.tuples(st.text(min_size=1, max_size=8), st.dictionaries(st.text(max_size=4), st.integers()))),
    cuts=st.lists(st.integers(1, 40), min_size=1),
)
@settings(max_examples=60)
def test_frames_are_the_same_however_their_bytes_come(
    frames: list[tuple[str, dict[str, int]]], cuts: list[int]
) -> None:
    content = b"".join(frame_bytes(*frame) for frame in frames)
    buffer = FrameBuffer(40)
    read: list[Frame] = []
    place = 0
    while place < len(content):
        cut = cuts[place % len(cuts)]
        piece = content[place : place + cut]
        buffer.room[: len(piece)] = piece
        buffer.filled(len(piece))
        place += len(piece)
        while (frame := buffer.next_frame()) is not None:
            read.append(frame)
    assert [(frame.type, frame.data) for frame in read] == frames


@given(garbage=st.lists(st.binary(max_size=40), max_size=30))
@settings(max_examples=100)
def test_garbage_in_pieces_is_an_error_that_is_known_or_a_frame(garbage: list[bytes]) -> None:
    buffer = FrameBuffer(40)
    for piece in garbage:
        buffer.room[: len(piece)] = piece
        buffer.filled(len(piece))
        try:
            while buffer.next_frame(100) is not None:
                pass
        except WireError as error:
            if error.code == "frame_too_large":
                return
