"""A text that is too long for the embedder: read in overlapping windows, and the record says so."""

import asyncio
from collections.abc import Sequence
import json
from pathlib import Path
import sqlite3

from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.memory import Memory
from npu_memory_server.store.database import FILE_NAME
from npu_memory_server.store.migrations import MIGRATIONS
from npu_memory_server.wire import ListRequest, MemoryItem, RecallRequest, RememberRequest, Strategy
from tests.server.conftest import OpenMemory
from tests.server.faulty_embedders import HangingEmbedder
from tests.server.process import run_command

SHORT = "The spare key is with the neighbors."
LONG = " ".join(f"On day {day} the thermometer in room {day % 7} showed {day % 30} degrees." for day in range(60))


async def listed(memory: Memory) -> dict[str, int | None]:
    """Return the windows of every memory by its text."""
    page = await memory.list(ListRequest())
    return {item.text: item.windows for item in page.memories}


async def recalled(memory: Memory) -> Sequence[MemoryItem]:
    asked = RecallRequest(text="thermometer room degrees", strategy=Strategy.LEXICAL, budget_ms=20_000)
    return (await memory.recall(asked)).memories


async def test_the_record_of_a_long_text_says_in_how_many_windows_it_was_read(
    tmp_path: Path, open_memory: OpenMemory, embedder: OnnxEmbedder
) -> None:
    memory = await open_memory(tmp_path)
    for text in (SHORT, LONG):
        await memory.remember(RememberRequest(text=text))
    await memory.embedded()
    windows = embedder.embed(LONG).windows
    assert windows > 2
    assert await listed(memory) == {SHORT: None, LONG: windows}
    assert [item.windows for item in await recalled(memory)] == [windows]
    await memory.close()
    again = await open_memory(tmp_path)
    assert await listed(again) == {SHORT: None, LONG: windows}


async def test_it_says_so_as_soon_as_it_was_read_even_if_it_was_shown_before(
    tmp_path: Path, open_memory: OpenMemory, embedder: OnnxEmbedder
) -> None:
    waiting = HangingEmbedder(embedder, hangs=lambda text: text == LONG)
    memory = await open_memory(tmp_path, waiting)
    await memory.remember(RememberRequest(text=LONG))
    await asyncio.to_thread(waiting.hanging.wait, 60)
    assert [item.windows for item in await recalled(memory)] == [None]
    waiting.released.set()
    await memory.embedded()
    assert [item.windows for item in await recalled(memory)] == [embedder.embed(LONG).windows]


async def test_a_database_from_before_is_opened_and_knows_it_of_what_is_said_from_now_on(
    tmp_path: Path, open_memory: OpenMemory, embedder: OnnxEmbedder
) -> None:
    memory = await open_memory(tmp_path)
    await memory.remember(RememberRequest(text=LONG))
    await memory.embedded()
    await memory.close()
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        for thing in ("TRIGGER vector_removed", "INDEX vector_unmoved", "TABLE token_gone", "TABLE token_file"):
            connection.execute(f"DROP {thing}")
        connection.execute("ALTER TABLE memory DROP COLUMN windows")
        added = next(
            number for number, statements in enumerate(MIGRATIONS) if any("COLUMN windows" in one for one in statements)
        )
        connection.execute(f"PRAGMA user_version = {added}")
    again = await open_memory(tmp_path)
    assert await listed(again) == {LONG: None}
    await again.remember(RememberRequest(text=f"{LONG} And so on."))
    await again.embedded()
    assert sorted((await listed(again)).values(), key=str) == [embedder.embed(LONG).windows, None]
    assert await again.faults() == []


def test_the_command_line_lists_and_exports_it(tmp_path: Path, embedder: OnnxEmbedder) -> None:
    async def fill() -> None:
        memory = await Memory.open(tmp_path, embedder)
        for text in (SHORT, LONG):
            await memory.remember(RememberRequest(text=text))
        await memory.embedded()
        await memory.close()

    asyncio.run(fill())
    for arguments in (("list", "--json"), ("export", "-")):
        done = run_command(*arguments, data=tmp_path)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert {line["text"]: line["windows"] for line in lines} == {SHORT: None, LONG: embedder.embed(LONG).windows}
