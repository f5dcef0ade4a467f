"""Garbage is collected between questions, and all of it in the end."""

import asyncio
from collections.abc import AsyncIterator, Iterator
import gc
from typing import Any
import weakref

import pytest

from npu_memory_server import right_of_way, tidying
from npu_memory_server.right_of_way import RightOfWay
from npu_memory_server.tidying import ALL, YOUNG, tidied


class Ring:
    """What only a collection can free."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def collected() -> Iterator[list[int]]:
    """Return the generations that are collected meanwhile."""
    generations: list[int] = []

    def note(phase: str, info: dict[str, Any]) -> None:
        if phase == "start":
            generations.append(info["generation"])

    gc.callbacks.append(note)
    yield generations
    gc.callbacks.remove(note)


@pytest.fixture
async def way(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RightOfWay]:
    """Return the right of way of a server that tidies all the time, and whose bulk work waits as long as it takes."""
    monkeypatch.setattr(right_of_way, "PATIENCE_SECONDS", 60.0)
    monkeypatch.setattr(tidying, "EVERY_SECONDS", 0.01)
    way = RightOfWay()
    async with tidied(way):
        yield way
    assert gc.isenabled()
    assert not gc.get_freeze_count()


async def until_gone(ring: "weakref.ref[Ring]") -> None:
    async with asyncio.timeout(60):
        while ring() is not None:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


async def test_garbage_goes_while_nobody_asks(way: RightOfWay) -> None:
    await until_gone(weakref.ref(Ring()))


async def test_nothing_is_collected_while_a_question_is_answered(way: RightOfWay, collected: list[int]) -> None:
    with way.question():
        await asyncio.sleep(0.05)
        collected.clear()
        ring = weakref.ref(Ring())
        # Many times what Python begins a collection for.
        assert len([Ring() for _ in range(20_000)]) == 20_000
        await asyncio.sleep(0.1)
        assert collected == []
        assert ring() is not None
    await until_gone(ring)


@pytest.mark.parametrize(("quiet", "at_latest"), [(0.0, 3600.0), (3600.0, 0.1)], ids=["quiet", "somebody asks all day"])
async def test_what_is_old_goes_in_a_quiet_moment_or_at_the_latest_in_time(
    way: RightOfWay, collected: list[int], monkeypatch: pytest.MonkeyPatch, quiet: float, at_latest: float
) -> None:
    old = Ring()
    ring = weakref.ref(old)
    for _ in range(2):
        gc.collect(YOUNG)
    del old
    collected.clear()
    await asyncio.sleep(0.05)
    assert set(collected) == {YOUNG}
    assert ring() is not None
    monkeypatch.setattr(tidying, "QUIET_SECONDS", quiet)
    monkeypatch.setattr(tidying, "ALL_EVERY_SECONDS", 0.1)
    monkeypatch.setattr(tidying, "AT_LATEST_SECONDS", at_latest)
    await until_gone(ring)
    assert ALL in collected
