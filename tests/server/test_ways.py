"""A question has the same answer on whichever way it comes: through the event loop, or on a connection's own thread."""

from collections.abc import Mapping
from dataclasses import replace
import json
from time import perf_counter
from typing import Any

import pytest

from npu_memory_server.memory import Memory
from npu_memory_server.wire import Context, FrameBuffer, RecallRequest, RememberRequest, Timings, from_data

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
