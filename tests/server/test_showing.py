"""What a question finds is ready to be shown before anybody asks."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
import sqlite3
from typing import Any

import pytest

from npu_memory_server import lookup
from npu_memory_server.lookup import Answer, Lookup
from npu_memory_server.memory import Memory
from npu_memory_server.records import Record
from npu_memory_server.retrieval.question import Legs, Question
from npu_memory_server.store import memories, vectors
from npu_memory_server.wire import Context, ForgetRequest, RecallRequest, RememberRequest
from tests.server.conftest import OpenMemory

CALM_MS = 20_000.0
TO_EMBED_AND_TO_SHOW = 2


async def ask(memory: Memory, text: str, top_k: int = 5) -> Context:
    return await memory.recall(RecallRequest(text=text, budget_ms=CALM_MS, top_k=top_k))


async def said(memory: Memory, text: str, **fields: str) -> str:
    return (await memory.remember(RememberRequest(text=text, **fields))).memory_id  # type: ignore[arg-type]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the slots that questions had to read from the database; before the memory is opened."""
    read: list[int] = []
    asking: list[Question] = []
    by_slot, answer = memories.by_slot, Lookup.answer

    def reading(connection: sqlite3.Connection, slots: Sequence[int]) -> dict[int, Record]:
        if asking:
            read.extend(slots)
        return by_slot(connection, slots)

    def answering(self: Lookup, question: Question, legs: Legs) -> Answer:
        asking.append(question)
        try:
            return answer(self, question, legs)
        finally:
            asking.pop()

    tokens = vectors.tokens

    def reading_tokens(connection: sqlite3.Connection, slots: Sequence[int], *others: Any) -> Any:
        if asking:
            read.extend(slots)
        return tokens(connection, slots, *others)

    monkeypatch.setattr(memories, "by_slot", reading)
    monkeypatch.setattr(vectors, "tokens", reading_tokens)
    monkeypatch.setattr(Lookup, "answer", answering)
    return read


async def test_the_first_question_after_a_start_reads_nothing(
    household_directory: Path, open_memory: OpenMemory, read: list[int]
) -> None:
    memory = await open_memory(household_directory)
    await memory.shown_ahead()
    assert (await ask(memory, "when does the recycling go out")).memories
    assert read == []


async def test_what_was_just_said_is_ready_for_the_next_question(read: list[int], memory: Memory) -> None:
    await said(memory, "The spare key is under the blue flowerpot.")
    await memory.embedded()
    assert [one.text for one in (await ask(memory, "where is the spare key")).memories]
    assert read == []


async def test_a_memory_that_was_made_ready_is_shown_as_it_is_now(memory: Memory) -> None:
    old = await said(memory, "The gate code is kept in the hall.")
    await memory.embedded()
    new = await said(memory, "The gate code is kept in the kitchen.", corrects=old)
    await memory.embedded()
    found = {one.id: one for one in (await ask(memory, "where is the gate code kept")).memories}
    assert found[old].superseded_by == new
    await memory.forget(ForgetRequest(memory_ids=(old, new)))
    assert not (await ask(memory, "where is the gate code kept")).memories


async def test_what_is_corrected_while_it_is_made_ready_is_shown_as_it_is_now(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was read before it was corrected, and arrives after that."""
    loop, by_slot, readings = asyncio.get_running_loop(), memories.by_slot, []

    def correcting(connection: sqlite3.Connection, slots: Sequence[int]) -> dict[int, Record]:
        records = by_slot(connection, slots)
        readings.append(records)
        if len(readings) == TO_EMBED_AND_TO_SHOW:
            (old,) = records.values()
            newer = RememberRequest(text="The gate code is kept in the kitchen.", corrects=old.id)
            asyncio.run_coroutine_threadsafe(memory.remember(newer), loop).result()
        return records

    monkeypatch.setattr(memories, "by_slot", correcting)
    old = await said(memory, "The gate code is kept in the hall.")
    await memory.embedded()
    assert len(readings) >= TO_EMBED_AND_TO_SHOW
    found = {one.id: one for one in (await ask(memory, "where is the gate code kept")).memories}
    assert found[old].superseded_by in found


async def test_of_more_memories_than_can_be_kept_all_are_found(
    household_directory: Path, open_memory: OpenMemory, monkeypatch: pytest.MonkeyPatch, read: list[int]
) -> None:
    questions = ["when does the recycling go out", "who is the plumber", "what is the dog's name"]
    memory = await open_memory(household_directory)
    await memory.shown_ahead()
    before = [(await ask(memory, question)).memories for question in questions]
    await memory.close()
    monkeypatch.setattr(lookup, "MAX_KEPT", 8)
    memory = await open_memory(household_directory)
    await memory.shown_ahead()
    assert [(await ask(memory, question)).memories for question in questions * 2] == before * 2
    assert read


async def test_what_a_question_has_found_is_not_lost_to_what_else_it_has_found(
    household_directory: Path, open_memory: OpenMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that were kept longest make room for new ones, also when they are in the very same answer."""
    question = "when does the recycling go out"
    memory = await open_memory(household_directory)
    before = [item.id for item in (await ask(memory, question, 12)).memories]
    await memory.close()
    monkeypatch.setattr(lookup, "MAX_KEPT", 8)
    memory = await open_memory(household_directory)
    await memory.shown_ahead()
    for top_k in (4, 8, 12):
        assert [item.id for item in (await ask(memory, question, top_k)).memories] == before[:top_k]
