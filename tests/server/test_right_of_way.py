"""Somebody asks while others ask, or while memories are stored by the thousand: the work waits, counted in items."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
import select
import sqlite3
import threading
from time import monotonic, sleep
from typing import Any

import numpy as np
from onnxruntime import RunOptions
import pytest

from npu_memory_server import indexing, right_of_way, saving
from npu_memory_server.correcting import Corrector
from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.embedding.encoding import MadeWayError
from npu_memory_server.embedding.onnx_session import OnnxSession
from npu_memory_server.embedding.pooling import Vector
from npu_memory_server.indexes import Indexes
from npu_memory_server.memory import Memory
from npu_memory_server.npu.tables import Ids
from npu_memory_server.store import memories
from npu_memory_server.store.database import FILE_NAME
from npu_memory_server.transport.line import Line
from npu_memory_server.transport.requests import Serving
from npu_memory_server.transport.server import listening
from npu_memory_server.wire import RecallRequest, RememberRequest, Strategy, message_bytes
from tests.server.conftest import OpenMemory
from tests.server.faulty_embedders import CountingEmbedder, HangingEmbedder
from tests.server.peer import peer

QUESTION = "where is the spare key"
TOKEN = "a token of sixteen"
CALM_MS = 60_000.0
LONG_SECONDS = 0.2
"""Long enough for dozens of items, if they did not wait."""


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the right of way last, however slow the machine is."""
    monkeypatch.setattr(right_of_way, "PATIENCE_SECONDS", 60.0)


@pytest.fixture
def items(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Return how many items each kind of bulk work has done; the work itself is the real one."""
    counted: Counter[str] = Counter()

    def counting(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def count(*arguments: Any, **named: Any) -> Any:
            counted[name] += 1
            return real(*arguments, **named)

        return count

    monkeypatch.setattr(memories, "add", counting("written", memories.add))
    for name in ("add", "put_vector", "catch_up"):
        monkeypatch.setattr(Indexes, name, counting(name, getattr(Indexes, name)))
    return counted


@pytest.fixture
async def asked(tmp_path: Path, embedder: OnnxEmbedder, open_memory: OpenMemory) -> tuple[Memory, HangingEmbedder]:
    """Return a memory whose embedder takes as long over the question as it is let."""
    hanging = HangingEmbedder(embedder, lambda text: text == QUESTION)
    return await open_memory(tmp_path, hanging), hanging


async def stored(memory: Memory, count: int) -> None:
    await asyncio.gather(*(memory.remember(RememberRequest(text=f"Number {number}.")) for number in range(count)))


def question(memory: Memory) -> asyncio.Task[Any]:
    return asyncio.create_task(memory.recall(RecallRequest(text=QUESTION, budget_ms=CALM_MS)))


# Eight people at once


async def test_questions_that_come_together_are_answered_in_the_order_in_which_they_came(
    tmp_path: Path, embedder: OnnxEmbedder, open_memory: OpenMemory
) -> None:
    counting = CountingEmbedder(embedder)
    memory = await open_memory(tmp_path, counting)
    answered: list[str] = []

    async def ask(text: str) -> None:
        for _ in range(3):
            await memory.recall(RecallRequest(text=text, budget_ms=CALM_MS))
            answered.append(text)

    people = [f"where is key number {number}" for number in range(8)]
    await asyncio.gather(*map(ask, people))
    # Nobody is asked a second time before everybody had an answer.
    assert counting.texts == people * 3
    assert answered == people * 3


# Beside an import


@pytest.mark.usefixtures("patient")
async def test_while_a_question_is_answered_at_most_one_memory_is_written_and_one_indexed(
    asked: tuple[Memory, HangingEmbedder], items: Counter[str]
) -> None:
    memory, hanging = asked
    importing = asyncio.create_task(stored(memory, 400))
    while items["written"] < 20:  # noqa: ASYNC110 - in another thread
        await asyncio.sleep(0)
    answer = question(memory)
    await asyncio.to_thread(hanging.hanging.wait, 60)
    before = Counter(items)
    await asyncio.sleep(LONG_SECONDS)
    during = items - before
    assert not answer.done()
    assert during["written"] <= 1
    assert during["add"] <= 1
    assert during["put_vector"] <= 1
    hanging.released.set()
    await answer
    await importing
    assert items["written"] == 400
    await memory.embedded()
    assert await memory.faults() == []


@pytest.mark.usefixtures("patient")
async def test_what_a_peer_sends_meanwhile_by_the_dozen_is_left_alone(
    asked: tuple[Memory, HangingEmbedder], items: Counter[str]
) -> None:
    memory, hanging = asked
    burst = b"".join(message_bytes(RememberRequest(id=str(n), text=f"Number {n}.")) for n in range(60))
    async with (
        listening(Serving(memory, TOKEN), "127.0.0.1", 0) as (_, port),
        peer(port, TOKEN) as importer,
        peer(port, TOKEN) as person,
    ):
        await person.send(RecallRequest(id="asked", text=QUESTION, budget_ms=CALM_MS))
        await asyncio.to_thread(hanging.hanging.wait, 60)
        importer.writer.write(burst)
        await asyncio.sleep(LONG_SECONDS)
        assert items["written"] <= 2
        hanging.released.set()
        answer = await person.read()
        assert answer is not None
        assert answer.type == "memory-context"
        for _ in range(60):
            assert (await importer.read()) is not None
    assert items["written"] == 60


@pytest.mark.usefixtures("patient")
async def test_a_question_that_has_come_and_was_not_read_yet_finds_one_item_of_each_before_it(
    tmp_path: Path,
    embedder: OnnxEmbedder,
    open_memory: OpenMemory,
    items: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its thread has to get a processor and the interpreter first, which bulk work holds most of the time."""
    may_read = threading.Event()
    may_read.set()
    receive = Line.receive

    def receive_when_let(line: Line, room: memoryview) -> int:
        select.select([line.number], [], [], 60)
        may_read.wait(60)
        return receive(line, room)

    monkeypatch.setattr(Line, "receive", receive_when_let)
    monkeypatch.setattr(right_of_way, "COMING_SECONDS", 60.0)
    memory = await open_memory(tmp_path, embedder)
    async with listening(Serving(memory, TOKEN), "127.0.0.1", 0) as (_, port), peer(port, TOKEN) as person:
        importing = asyncio.create_task(stored(memory, 400))
        while items["written"] < 20:  # noqa: ASYNC110 - in another thread
            await asyncio.sleep(0)
        may_read.clear()
        await person.send(RecallRequest(id="asked", text=QUESTION, budget_ms=CALM_MS))
        before = Counter(items)
        await asyncio.sleep(LONG_SECONDS)
        during = items - before
        assert during["written"] <= 1
        assert during["add"] <= 1
        assert during["put_vector"] <= 1
        may_read.set()
        answer = await person.read()
        assert answer is not None
        assert answer.data["id"] == "asked"
        await importing
    assert items["written"] == 400


async def test_a_question_that_finds_the_model_busy_with_an_import_is_answered_past_the_loop(
    tmp_path: Path, embedder: OnnxEmbedder, open_memory: OpenMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop has the import's answers to send, and every thread that is woken for a question has to be waited for."""
    hanging = HangingEmbedder(embedder, lambda text: "boiler" in text)
    memory = await open_memory(tmp_path, hanging)

    async def taken_to_the_loop(*_: object) -> None:
        raise AssertionError("the question went to the event loop")

    monkeypatch.setattr(Memory, "recall", taken_to_the_loop)
    async with listening(Serving(memory, TOKEN), "127.0.0.1", 0) as (_, port), peer(port, TOKEN) as person:
        await memory.remember(RememberRequest(text="The boiler hums.", created_at="2019-03-01T10:00:00+01:00"))
        await asyncio.to_thread(hanging.hanging.wait, 60)
        await person.send(RecallRequest(id="asked", text="what does the boiler do", budget_ms=CALM_MS))
        await asyncio.sleep(LONG_SECONDS)
        assert len(hanging.texts) == 0
        hanging.released.set()
        answer = await person.read()
        assert answer is not None
        assert answer.type == "memory-context"
        assert answer.data["memories"][0]["text"] == "The boiler hums."
        # In its turn: behind the one text that was under way.
        assert hanging.texts == ["The boiler hums.", "what does the boiler do"]


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Let the model take as long over what it reads in bulk as nobody ends it; returns whether it has begun to."""
    reading = threading.Event()
    real = OnnxSession.run

    def run(session: OnnxSession, ids: Ids, options: RunOptions | None = None) -> Vector:
        if options is not None:
            reading.set()
            until = monotonic() + 60
            while not options.terminate and monotonic() < until:
                sleep(0.001)
        return real(session, ids, options)

    monkeypatch.setattr(OnnxSession, "run", run)
    return reading


async def test_a_question_ends_the_reading_of_what_is_imported_which_is_read_again(
    tmp_path: Path, embedder: OnnxEmbedder, open_memory: OpenMemory, endless: threading.Event
) -> None:
    counting = CountingEmbedder(embedder)
    memory = await open_memory(tmp_path, counting)
    said_long_ago = "2019-03-01T10:00:00+01:00"
    await memory.remember(RememberRequest(text="The boiler hums.", created_at=said_long_ago))
    await asyncio.to_thread(endless.wait, 60)
    answer = await memory.recall(RecallRequest(text="what does the boiler do", budget_ms=CALM_MS))
    assert not answer.degraded
    assert answer.memories[0].text == "The boiler hums."
    await memory.embedded()
    # The second time it is read to its end, so that somebody who asks all day does not stop an import.
    assert counting.texts == ["The boiler hums.", "what does the boiler do", "The boiler hums."]
    assert await memory.faults() == []
    found = await memory.recall(RecallRequest(text="heating noise", strategy=Strategy.VECTOR, budget_ms=CALM_MS))
    assert found.memories[0].text == "The boiler hums."


def test_who_makes_way_for_nobody_reads_on(embedder: OnnxEmbedder, endless: threading.Event) -> None:
    text = "The boiler hums."
    embedder.make_way()
    ended: list[type[Exception]] = []

    def read() -> None:
        try:
            embedder.embed(text, bulk=True)
        except MadeWayError as error:
            ended.append(type(error))

    reader = threading.Thread(target=read)
    reader.start()
    # Nobody was read in bulk when it was asked to make way at first, and so this one has begun.
    assert endless.wait(60)
    embedder.make_way()
    reader.join(60)
    assert ended == [MadeWayError]
    assert np.array_equal(embedder.embed(text).vector, embedder.embed(text).vector)


@pytest.mark.usefixtures("patient")
async def test_what_is_said_meanwhile_is_stored_all_the_same(asked: tuple[Memory, HangingEmbedder]) -> None:
    memory, hanging = asked
    answer = question(memory)
    await asyncio.to_thread(hanging.hanging.wait, 60)
    await memory.let_questions_pass()
    said = await memory.remember(RememberRequest(text="The spare key is with Nora."))
    assert said.memory_id
    assert not answer.done()
    hanging.released.set()
    await answer


async def test_where_somebody_asks_all_the_time_an_import_goes_on(
    asked: tuple[Memory, HangingEmbedder], items: Counter[str]
) -> None:
    memory, hanging = asked
    answer = question(memory)
    await asyncio.to_thread(hanging.hanging.wait, 60)
    await stored(memory, 100)
    assert items["written"] == 100
    assert not answer.done()
    hanging.released.set()
    await answer


async def test_beside_somebody_who_asks_again_with_each_answer_an_import_goes_on(
    tmp_path: Path, embedder: OnnxEmbedder, open_memory: OpenMemory, items: Counter[str]
) -> None:
    """The next question is there already whenever bulk work looks for one."""
    memory = await open_memory(tmp_path, embedder)
    async with listening(Serving(memory, TOKEN), "127.0.0.1", 0) as (_, port), peer(port, TOKEN) as person:
        asking = RecallRequest(id="again", text=QUESTION, budget_ms=CALM_MS)
        for _ in range(3):
            await person.send(asking)

        async def ask_on() -> None:
            while (await person.read()) is not None:
                await person.send(asking)

        asker = asyncio.create_task(ask_on())
        async with asyncio.timeout(60):
            await stored(memory, 100)
            await memory.embedded()
        assert items["written"] == 100
        assert not asker.done()
        asker.cancel()


@pytest.mark.usefixtures("patient")
async def test_indexes_that_are_made_anew_wait_as_well(
    household_directory: Path,
    embedder: OnnxEmbedder,
    open_memory: OpenMemory,
    items: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(saving, "LARGE", 300)
    monkeypatch.setattr(indexing, "TICK_SECONDS", 0.02)
    hanging = HangingEmbedder(embedder, lambda text: text == QUESTION)
    memory = await open_memory(household_directory, hanging)
    answer = question(memory)
    await asyncio.to_thread(hanging.hanging.wait, 60)
    before = items["catch_up"]
    await asyncio.sleep(LONG_SECONDS)
    assert items["catch_up"] <= before + 1
    assert before < 742
    hanging.released.set()
    await answer
    await memory.indexed()
    assert await memory.faults() == []


async def test_a_question_does_not_wait_for_what_is_imported(
    tmp_path: Path, embedder: OnnxEmbedder, open_memory: OpenMemory
) -> None:
    """The last few of an import look like the turns before a question, but were said years ago."""
    hanging = HangingEmbedder(embedder, lambda text: "boiler" in text)
    memory = await open_memory(tmp_path, hanging)
    said_long_ago = RememberRequest(text="The boiler hums.", created_at="2019-03-01T10:00:00+01:00")
    await memory.remember(said_long_ago)
    await asyncio.to_thread(hanging.hanging.wait, 60)
    # The words answer, since the model hangs; nothing was waited for before.
    answer = await memory.recall(RecallRequest(text="boiler", strategy=Strategy.LEXICAL, budget_ms=CALM_MS))
    assert answer.memories[0].text == "The boiler hums."
    assert not memory._vectorizer.is_awaited
    hanging.released.set()
    await memory.embedded()


async def test_what_is_said_during_an_import_gets_its_vector_next(
    tmp_path: Path, embedder: OnnxEmbedder, open_memory: OpenMemory
) -> None:
    """Not behind the batch that is being embedded, and not behind the search for corrections among all of it."""
    counting = CountingEmbedder(embedder)
    memory = await open_memory(tmp_path, counting)
    importing = [
        RememberRequest(text=f"Shelf {number} holds {number + 7} jars.", created_at="2019-03-01T10:00:00+01:00")
        for number in range(120)
    ]
    await asyncio.gather(*map(memory.remember, importing))
    while len(counting.texts) < 3:  # noqa: ASYNC110 - in another thread
        await asyncio.sleep(0)
    before = len(counting.texts)
    await memory.remember(RememberRequest(text="Pickle has swallowed a rubber band."))
    answer = await memory.recall(RecallRequest(text="any trouble with the cat", budget_ms=CALM_MS))
    assert answer.memories[0].text == "Pickle has swallowed a rubber band."
    embedded = counting.texts.index("Pickle has swallowed a rubber band.")
    # Two were under way or taken up while it was being stored.
    assert embedded - before < 32
    assert (await memory.status()).pending_embeddings > 0
    await memory.embedded()
    assert await memory.faults() == []


async def test_what_is_said_during_a_search_for_corrections_gets_its_vector_next(
    household_directory: Path, embedder: OnnxEmbedder, open_memory: OpenMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    examined = 0
    decide = Corrector._decide

    def counted(*arguments: Any) -> Any:
        nonlocal examined
        examined += 1
        return decide(*arguments)

    monkeypatch.setattr(Corrector, "_decide", counted)
    with closing(sqlite3.connect(household_directory / FILE_NAME)) as database, database:
        database.execute("INSERT OR IGNORE INTO unexamined SELECT slot FROM memory")
    counting = CountingEmbedder(embedder)
    memory = await open_memory(household_directory, counting)
    await memory.remember(RememberRequest(text="The gate squeaks.", created_at="2019-03-01T10:00:00+01:00"))
    while not examined:  # noqa: ASYNC110 - in another thread
        await asyncio.sleep(0)
    await memory.remember(RememberRequest(text="Pickle has swallowed a rubber band."))
    await memory.recall(RecallRequest(text="any trouble with the cat", budget_ms=CALM_MS))
    assert examined < 700
    assert counting.texts[-2:] == ["Pickle has swallowed a rubber band.", "any trouble with the cat"]
    await memory.embedded()
    # Nothing is left out: the search goes on where it stopped.
    with closing(sqlite3.connect(household_directory / FILE_NAME)) as database:
        left = database.execute("SELECT count(*) FROM unexamined").fetchone()[0]
    assert left < 32
