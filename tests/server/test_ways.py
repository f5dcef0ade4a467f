"""A question has one answer: on whichever way it comes, and whatever was kept from the questions before it."""

import asyncio
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
import json
from pathlib import Path
import sqlite3
import tempfile
from time import perf_counter
from typing import Any, Self

from hypothesis import given, settings, strategies as st
import pytest

from npu_memory_server import asking
from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.errors import ConflictError, NotFoundError
from npu_memory_server.memory import Memory
from npu_memory_server.store.database import FILE_NAME
from npu_memory_server.wire import (
    Context,
    ForgetRequest,
    FrameBuffer,
    RecallRequest,
    RememberRequest,
    RevertCorrectionRequest,
    Timings,
    from_data,
)

CALM_MS = 20_000.0


async def answers(memory: Memory, **asked: Any) -> tuple[Context, Context]:
    """Return the answer of the event loop and that of a thread, without what they took."""
    request = RecallRequest(id="7", budget_ms=CALM_MS, **asked)
    by_loop = await memory.recall(request)
    content = memory.recall_at_once(request, perf_counter())
    assert content is not None
    frames = FrameBuffer(len(content))
    frames.room[:] = content
    frames.filled(len(content))
    frame = frames.next_frame()
    assert frame is not None
    assert frame.type == Context.event_type
    by_thread = from_data(Context, frame.data)
    return replace(by_loop, timings=Timings()), replace(by_thread, timings=Timings())


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"explain": True, "top_k": 12},
        {"with_context": False},
        {"allow_secrets": True},
        {"diversity": 0.5},
        {"max_tokens": 40, "top_k": 20},
        {"min_relevance": 1.0},
    ],
)
async def test_a_household_is_answered_the_same_on_either_way(household: Memory, asked: Mapping[str, Any]) -> None:
    for text in ("when does the recycling go out", "what is the wifi password", "who feeds the cat in march"):
        by_loop, by_thread = await answers(household, text=text, **asked)
        assert by_thread == by_loop


async def test_whatever_is_in_a_memory_arrives_on_either_way(memory: Memory) -> None:
    text = 'The code of the \u201cblue\u201d safe is 4711,\n"memories":[] {"score":1}\u2028 \\ \U0001f511'
    await memory.remember(RememberRequest(text=text, speaker='An "na" \\', tags=("a,b", "{}"), session="\u00fc"))
    await memory.embedded()
    for allow_secrets in (False, True):
        by_loop, by_thread = await answers(memory, text="the code of the safe", allow_secrets=allow_secrets)
        assert by_thread == by_loop
        assert len(by_thread.memories) == 1
        assert ("4711" in json.dumps([by_thread.context, by_thread.memories[0].text])) is allow_secrets


SAID = (
    "The spare key hangs behind the freezer.",
    "The spare key is under the blue flowerpot.",
    "Where is the spare key?",
    "Nora keeps the spare key in her bag since Monday.",
    "The code of the alarm is 4711.",
    "Somebody wrote 4711 on the freezer.",
)
ASKED = ("where is the spare key", "what is the code of the alarm", "what did nora say last week about the bag")
SCOPES = ("household", "person:nora")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["remember", "remember", "remember", "expire", "correct", "correct", "revert", "forget"]),
        st.integers(0, len(SAID) - 1),
        st.integers(0, 40),
    ),
    min_size=4,
    max_size=14,
)


class Clock(datetime):
    """Now, or some hours later."""

    hours = 0

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        """Return the moment that those who ask are in."""
        return super().now(tz) + timedelta(hours=cls.hours)


@given(steps=STEPS)
@settings(max_examples=12)
def test_whatever_has_happened_the_answers_are_those_of_a_memory_that_was_opened_just_now(
    embedder: OnnxEmbedder, steps: list[tuple[str, int, int]]
) -> None:
    """What is kept from one question to the next is never out of date: nobody sees what is gone or not theirs."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(asking, "datetime", Clock)
        patch.setattr(Clock, "hours", 0)
        asyncio.run(_live_through(steps, Path(folder), embedder))


async def _live_through(steps: list[tuple[str, int, int]], folder: Path, embedder: OnnxEmbedder) -> None:
    (folder / "lived").mkdir()
    memory = await Memory.open(folder / "lived", embedder)
    there: list[str] = []
    replaced: list[tuple[str, str]] = []
    try:
        for step, text, number in steps:
            request = RememberRequest(
                text=SAID[text], scope=SCOPES[number % 2], speaker=("Nora", None)[number % 3 == 0], session="breakfast"
            )
            one = there[number % len(there)] if there else None
            if step == "remember" or (step == "correct" and one is None):
                there.append((await memory.remember(request)).memory_id)
            elif step == "expire":
                at = (datetime.now(UTC) + timedelta(hours=1 + number % 4, minutes=30)).isoformat()
                there.append((await memory.remember(replace(request, expires_at=at))).memory_id)
            elif step == "correct" and one is not None:
                with suppress(ConflictError):  # it was corrected before
                    there.append((await memory.correct(one, request)).memory_id)
                    replaced.append((one, there[-1]))
            elif step == "revert" and replaced:
                old, new = replaced.pop()
                if old in there and new in there:
                    with suppress(NotFoundError):  # somebody has said so: it is no correction that was found
                        await memory.revert_correction(RevertCorrectionRequest(old_id=old, new_id=new))
            elif step == "forget" and one is not None:
                gone = await memory.forget(ForgetRequest(memory_ids=(one,)))
                there = [left for left in there if left not in gone.memory_ids]
            for question in ASKED:
                await memory.recall(RecallRequest(text=question, scopes=SCOPES, budget_ms=CALM_MS))
        await memory.embedded()
        (folder / "opened").mkdir()
        with (
            closing(sqlite3.connect(folder / "lived" / FILE_NAME)) as source,
            closing(sqlite3.connect(folder / "opened" / FILE_NAME)) as copy,
        ):
            source.backup(copy)
        opened = await Memory.open(folder / "opened", embedder)
        try:
            for hours in range(6):
                Clock.hours = hours
                (lived, scores), (read, expected) = await _told(memory), await _told(opened)
                assert lived == read
                assert scores == pytest.approx(expected, abs=2e-4)
        finally:
            await opened.close()
    finally:
        await memory.close()


async def _told(memory: Memory) -> tuple[list[object], dict[str, float | None]]:
    """Return what everybody is answered, in an order that does not depend on the last digit of a score; the scores."""
    told: list[object] = []
    scores: dict[str, float | None] = {}
    for text in ASKED:
        for scopes in (SCOPES, SCOPES[:1], SCOPES[1:], ("area:cellar",)):
            by_loop, by_thread = await answers(
                memory, text=text, scopes=scopes, asked_at="2026-03-03T18:30:00+00:00", top_k=20
            )
            assert by_loop == by_thread
            memories = {one.id: replace(one, score=None) for one in by_loop.memories}
            scores |= {f"{text} {scopes} {one.id}": one.score for one in by_loop.memories}
            told.append((memories, sorted(by_loop.context.splitlines()), set(by_loop.left_out)))
    return told, scores
