"""The commands that keep, show and remove memories, and those that look after them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
import json
from pathlib import Path
import sys

from ..errors import InvalidRequestError
from ..memory import Memory
from ..wire import MAX_PAGE, ForgetRequest, ListRequest, MemoryItem, Outcome, RememberRequest
from .opening import Memories

OUTCOMES = {
    Outcome.STORED: "stored",
    Outcome.DUPLICATE: "there already",
    Outcome.FORGOTTEN: "not stored: it was forgotten on request",
}


async def remember(memories: Memories, request: RememberRequest, *, as_json: bool) -> int:
    """Keep something and say what became of it; returns the exit code."""
    stored = await memories.remember(request)
    if as_json:
        print(json.dumps({"id": stored.memory_id, "outcome": stored.outcome}))
    else:
        print(f"{OUTCOMES[stored.outcome]} [{stored.memory_id}]")
    return 0


async def forget(memories: Memories, memory_ids: Sequence[str], *, as_json: bool) -> int:
    """Remove memories, all or none; returns the exit code."""
    forgotten = await memories.forget(ForgetRequest(memory_ids=tuple(memory_ids)))
    if as_json:
        print(json.dumps({"ids": forgotten.memory_ids}))
    else:
        print(f"{len(forgotten.memory_ids)} forgotten")
    return 0


async def show(memories: Memories, request: ListRequest, count: int | None, *, as_json: bool) -> int:
    """Print memories, newest first, up to `count` or all of them; returns the exit code."""
    shown = 0
    async for memory in _pages(memories, request):
        if shown == count:
            break
        shown += 1
        print(json.dumps(asdict(memory), ensure_ascii=False) if as_json else _line(memory))
    if not shown and not as_json:
        print("There are no memories.")
    return 0


async def export(memories: Memories, path: Path) -> int:
    """Write all memories as JSONL, which `import` reads; returns the exit code. Raises `InvalidRequestError`."""
    count = 0
    try:
        if str(path) == "-":
            async for memory in _pages(memories, ListRequest(limit=MAX_PAGE)):
                print(json.dumps(asdict(memory), ensure_ascii=False))
                count += 1
        else:
            unfinished = path.with_name(f"{path.name}.unfinished")
            with unfinished.open("w", encoding="utf-8") as stream:
                unfinished.chmod(0o600)
                async for memory in _pages(memories, ListRequest(limit=MAX_PAGE)):
                    stream.write(json.dumps(asdict(memory), ensure_ascii=False) + "\n")
                    count += 1
            unfinished.replace(path)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InvalidRequestError(f"{path} cannot be written: {error.strerror}.") from error
    print(f"{count} memories exported", file=sys.stderr)
    return 0


async def check(memory: Memory, *, as_json: bool) -> int:
    """Check the whole database and the indexes against it; returns the exit code."""
    faults = await memory.faults()
    status = await memory.status()
    if as_json:
        print(json.dumps({"faults": faults, "status": asdict(status)}))
    else:
        print("\n".join(faults) if faults else "The database is sound and the indexes agree with it.")
        print(f"{status.memories} memories ({status.past} corrected), {status.pending_embeddings} without a vector")
    return 1 if faults else 0


async def _pages(memories: Memories, request: ListRequest) -> AsyncIterator[MemoryItem]:
    cursor = request.cursor
    while True:
        page = await memories.list(
            ListRequest(
                cursor=cursor,
                limit=request.limit,
                scopes=request.scopes,
                kind=request.kind,
                speaker=request.speaker,
                include_past=request.include_past,
            )
        )
        for memory in page.memories:
            yield memory
        cursor = page.next_cursor
        if cursor is None:
            return


def _line(memory: MemoryItem) -> str:
    who = f"{memory.speaker}: " if memory.speaker else ""
    until = f" (until {memory.valid_to[:10]})" if memory.valid_to else ""
    return f"{memory.created_at[:16]}  {memory.kind:8}  {who}{memory.text}{until}  [{memory.id}]"
