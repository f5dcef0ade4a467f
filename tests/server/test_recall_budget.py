"""A voice waits for the answer: whatever the embedder does, a recall keeps to its budget and answers from words."""

import asyncio
from collections.abc import AsyncIterator, Callable
import logging
from pathlib import Path
import re
import threading
import time

import pytest

from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.errors import ModelError
from npu_memory_server.inference import InferenceThread, Priority
from npu_memory_server.memory import Memory
from npu_memory_server.wire import Context, ForgetRequest, RecallRequest, RememberRequest, Strategy
from tests.server.conftest import OpenMemory
from tests.server.faulty_embedders import FailingEmbedder, HangingEmbedder, SlowEmbedder

KEY = "The spare key is under the blue flowerpot."
QUESTION = "where is the spare key"
CALM_MS = 20_000.0


async def remember(memory: Memory, *texts: str) -> list[str]:
    return [(await memory.remember(RememberRequest(text=text))).memory_id for text in texts]


async def recall(
    memory: Memory, text: str = QUESTION, budget_ms: float = CALM_MS, strategy: Strategy | None = None
) -> Context:
    return await memory.recall(RecallRequest(text=text, budget_ms=budget_ms, strategy=strategy))


@pytest.fixture
async def hanging(
    tmp_path: Path, embedder: OnnxEmbedder, open_memory: OpenMemory
) -> AsyncIterator[tuple[Memory, HangingEmbedder]]:
    """Return a memory whose embedder does not come back from a question, and lets go at the end."""
    faulty = HangingEmbedder(embedder, lambda text: text == QUESTION)
    memory = await open_memory(tmp_path, faulty)
    await remember(memory, KEY, "The boiler was serviced on Tuesday.")
    await memory.embedded()
    yield memory, faulty
    faulty.released.set()


async def test_an_embedder_that_hangs_costs_the_budget_and_no_more(hanging: tuple[Memory, HangingEmbedder]) -> None:
    memory, faulty = hanging
    answer = await recall(memory, budget_ms=200)
    assert faulty.hanging.is_set()
    assert not faulty.released.is_set()
    assert answer.memories[0].text == KEY
    assert (answer.degraded, answer.backend) == ("The embedding came later than the budget allows.", "none")
    assert KEY in answer.context


async def test_while_the_embedder_hangs_every_other_question_is_answered_too(
    hanging: tuple[Memory, HangingEmbedder],
) -> None:
    memory, faulty = hanging
    answers = await asyncio.gather(*(recall(memory, budget_ms=100) for _ in range(20)))
    assert all(answer.memories[0].text == KEY and answer.degraded for answer in answers)
    stored = await remember(memory, "The milk is in the cellar.")
    assert (await recall(memory, "milk cellar", strategy=Strategy.LEXICAL)).memories[0].id == stored[0]
    await memory.forget(ForgetRequest(memory_ids=tuple(stored)))
    # Questions that nobody waits for any more cost nothing once it is back: only the one that hung is finished.
    before = faulty.calls
    faulty.released.set()
    assert not (await recall(memory, "who serviced the boiler")).degraded
    assert faulty.calls - before <= 3


async def test_by_meaning_alone_there_is_nothing_to_fall_back_on_and_that_is_said(
    hanging: tuple[Memory, HangingEmbedder],
) -> None:
    memory, _ = hanging
    answer = await recall(memory, budget_ms=100, strategy=Strategy.VECTOR)
    assert (answer.memories, answer.context) == ((), "")
    assert answer.degraded == "The embedding came later than the budget allows."


async def test_an_embedder_that_is_slow_once_answers_in_full_where_the_budget_allows(
    tmp_path: Path, embedder: OnnxEmbedder, open_memory: OpenMemory
) -> None:
    memory = await open_memory(tmp_path, SlowEmbedder(embedder, 0.2))
    await remember(memory, KEY)
    await memory.embedded()
    assert (await recall(memory, budget_ms=50)).degraded
    patient = await recall(memory)
    assert (patient.degraded, patient.backend) == ("", "cpu")
    assert patient.timings.total >= 200


@pytest.mark.parametrize("error", [ModelError("failed"), ValueError(KEY), RuntimeError(KEY)])
async def test_an_embedder_that_fails_leaves_the_words_and_recovers(
    tmp_path: Path, embedder: OnnxEmbedder, open_memory: OpenMemory, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    faulty = FailingEmbedder(embedder, error)
    memory = await open_memory(tmp_path, faulty)
    with caplog.at_level(logging.DEBUG):
        await remember(memory, KEY)
        answer = await recall(memory)
        assert answer.memories[0].text == KEY
        assert (answer.degraded, answer.backend) == ("The question could not be embedded.", "none")
        faulty.broken = False
        await remember(memory, "The ladder is in the attic.")
        await asyncio.wait_for(memory.embedded(), 30)
        assert not (await recall(memory)).degraded
        by_meaning = await recall(memory, "how do I reach the gutter", strategy=Strategy.VECTOR)
        assert by_meaning.memories[0].text == "The ladder is in the attic."
    assert KEY not in caplog.text
    assert QUESTION not in caplog.text


async def test_what_could_not_be_embedded_gets_its_vector_at_the_next_start(
    tmp_path: Path, embedder: OnnxEmbedder, open_memory: OpenMemory
) -> None:
    memory = await open_memory(tmp_path, FailingEmbedder(embedder))
    await remember(memory, KEY)
    await memory.embedded()
    assert await memory.faults() == []
    await memory.close()
    again = await open_memory(tmp_path)
    await again.embedded()
    assert (await recall(again, strategy=Strategy.VECTOR)).memories[0].text == KEY


async def test_the_turn_before_is_waited_for_so_that_its_meaning_counts(
    tmp_path: Path, embedder: OnnxEmbedder, open_memory: OpenMemory
) -> None:
    """Both sides of the last turn were stored a moment ago and share no word with the question."""
    memory = await open_memory(tmp_path, SlowEmbedder(embedder, 0.1))
    await remember(memory, "Pickle has swallowed a rubber band.", "Better call the vet then.")
    answer = await recall(memory, "any trouble with the cat", strategy=Strategy.VECTOR)
    assert not answer.degraded
    assert {found.text for found in answer.memories} == {
        "Pickle has swallowed a rubber band.",
        "Better call the vet then.",
    }


async def test_a_turn_before_that_hangs_does_not_take_the_whole_budget(
    tmp_path: Path, embedder: OnnxEmbedder, open_memory: OpenMemory
) -> None:
    faulty = HangingEmbedder(embedder, lambda text: "boiler" in text)
    memory = await open_memory(tmp_path, faulty)
    await remember(memory, KEY)
    await memory.embedded()
    await remember(memory, "The boiler hums.")
    answer = await recall(memory, budget_ms=200)
    assert answer.memories[0].text == KEY
    assert answer.degraded
    faulty.released.set()


async def test_questions_overtake_a_backlog_of_embeddings(
    tmp_path: Path, embedder: OnnxEmbedder, open_memory: OpenMemory
) -> None:
    faulty = SlowEmbedder(embedder, 0.0)
    memory = await open_memory(tmp_path, faulty)
    await remember(memory, KEY)
    await memory.embedded()
    faulty.seconds = 0.02
    await asyncio.gather(*(remember(memory, f"Number {number}.") for number in range(60)))
    answer = await recall(memory, "how do I get in when I am locked out")
    assert not answer.degraded
    assert answer.memories[0].text == KEY
    assert (await memory.status()).pending_embeddings > 30
    # At most the one that was under way when the question came was embedded before it.
    assert faulty.texts.index("how do I get in when I am locked out") < 30
    await memory.embedded()
    assert await memory.faults() == []


async def test_what_has_no_vector_yet_is_as_relevant_as_its_words(
    tmp_path: Path, embedder: OnnxEmbedder, open_memory: OpenMemory
) -> None:
    """A floor for the relevance must not hide what was said a moment ago."""
    faulty = FailingEmbedder(embedder)
    memory = await open_memory(tmp_path, faulty)
    await remember(memory, "The bins are emptied on Tuesday.")
    await memory.embedded()
    faulty.broken = False
    await remember(memory, "The number of the locker is 17.")
    request = RecallRequest(text="On which day are the bins emptied?", min_relevance=0.02, budget_ms=CALM_MS)
    assert "The bins are emptied on Tuesday." in [found.text for found in (await memory.recall(request)).memories]
    faulty.broken = True
    assert "The bins are emptied on Tuesday." in [found.text for found in (await memory.recall(request)).memories]


def test_the_urgent_is_first_and_within_one_urgency_first_come_first_served() -> None:
    thread = InferenceThread()
    release = threading.Event()
    order: list[str] = []

    def note(name: str) -> Callable[[], None]:
        return lambda: order.append(name)

    first = thread.submit(Priority.MEMORY, lambda: release.wait(30))
    for name, priority in [
        ("memory 1", Priority.MEMORY), ("question 1", Priority.QUESTION), ("memory 2", Priority.MEMORY),
        ("question 2", Priority.QUESTION),
    ]:  # fmt: skip
        thread.submit(priority, note(name))
    unwanted = thread.submit(Priority.QUESTION, note("nobody waits for this"))
    unwanted.cancel()
    release.set()
    assert first.result(30)
    thread.close()
    assert order == ["question 1", "question 2", "memory 1", "memory 2"]


async def test_closing_does_not_wait_for_an_embedder_that_hangs(
    tmp_path: Path, embedder: OnnxEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("npu_memory_server.inference.CLOSE_SECONDS", 0.2)
    faulty = HangingEmbedder(embedder, lambda _: True)
    memory = await Memory.open(tmp_path, faulty)
    stored = await remember(memory, KEY)
    await asyncio.to_thread(faulty.hanging.wait, 30)
    await asyncio.wait_for(memory.close(), 30)
    faulty.released.set()
    again = await Memory.open(tmp_path, embedder)
    assert [found.id for found in (await recall(again)).memories] == stored
    await again.close()


async def test_the_timings_say_where_the_time_went(
    tmp_path: Path, embedder: OnnxEmbedder, open_memory: OpenMemory
) -> None:
    memory = await open_memory(tmp_path, SlowEmbedder(embedder, 0.05))
    await remember(memory, KEY)
    await memory.embedded()
    started = time.perf_counter()
    answer = await recall(memory)
    elapsed_ms = (time.perf_counter() - started) * 1000
    timings = answer.timings
    stages = (timings.tokenize, timings.inference, timings.pooling, timings.lexical, timings.vector, timings.fusion)
    assert all(ms > 0 for ms in stages)
    assert 50 <= timings.total <= elapsed_ms
    assert (await memory.status()).last_recall == timings


async def test_the_loop_is_free_while_the_embedder_works(
    tmp_path: Path, embedder: OnnxEmbedder, open_memory: OpenMemory
) -> None:
    """Nothing blocks the event loop: it turns while one recall takes its time."""
    memory = await open_memory(tmp_path, SlowEmbedder(embedder, 0.3))
    turns = 0
    recalling = asyncio.create_task(recall(memory))
    while not recalling.done():
        turns += 1
        await asyncio.sleep(0.005)
    assert turns > 10


async def test_long_and_short_texts_are_both_embedded(memory: Memory) -> None:
    long = " ".join(f"Sentence number {number} of the manual is about filters." for number in range(120))[:8192]
    await remember(memory, long, "a")
    await memory.embedded()
    answer = await recall(memory, "manual about filters", strategy=Strategy.VECTOR)
    assert answer.memories[0].text == long.strip()
    assert re.fullmatch(r"[a-z]+", answer.backend)
