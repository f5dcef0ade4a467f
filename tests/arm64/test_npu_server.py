"""The whole server with the real rknn-toolkit-lite2 2.5.0 on an emulated RK3588, whose NPU is a stand-in that computes.

What is proven is that everything above Rockchip's C library works, and what it does when that library fails. How fast a
real NPU is, and what its numbers are, cannot be seen here.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
import re
import sqlite3
import time

import numpy as np
import pytest

from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.errors import ModelError
from npu_memory_server.records import index_prefix
from npu_memory_server.store import memories
from npu_memory_server.store.database import FILE_NAME
from npu_memory_server.transport.client import RemoteMemory
from npu_memory_server.wire import Context, NpuState, RecallRequest, RememberRequest, Status
from tests.arm64.conftest import Board
from tests.server.npu.stand_in import DEVICE_UNAVAILABLE, FAIL, Faults, StandInNpu

THOROUGH = pytest.mark.thorough
BUDGET_MS = 60_000
THINGS = ["ladder", "drill", "tent", "kettle"]
PLACES = ["attic", "cellar", "garage", "shed"]
SAID = [f"The {thing} is in the {place} now, behind box {len(thing + place)}." for place in PLACES for thing in THINGS]
LONG = " ".join(
    f"On day {n} the meter in the cellar showed {n * 37} units, and the boiler {n * 11}." for n in range(40)
)


async def say(server: RemoteMemory, texts: Sequence[str]) -> None:
    await asyncio.gather(*(server.remember(RememberRequest(text=text, source="test")) for text in texts))


async def ask(server: RemoteMemory, text: str) -> Context:
    return await server.recall(RecallRequest(text=text, budget_ms=BUDGET_MS))


async def all_embedded(server: RemoteMemory) -> Status:
    limit = time.monotonic() + 120
    while (status := await server.status()).pending_embeddings:
        assert time.monotonic() < limit, "the memories are not embedded"
        await asyncio.sleep(0.2)
    return status


async def ask_until_on_npu(server: RemoteMemory, text: str) -> Context:
    """Ask until the NPU answers: on a busy machine it may be late at first, and then the CPU answers, as it should."""
    limit = time.monotonic() + 120
    while (answer := await ask(server, text)).backend != "npu":
        assert time.monotonic() < limit, (await server.status()).npu
        await asyncio.sleep(1)
    return answer


def least_cosine(data: Path, embedder: OnnxEmbedder, count: int) -> float:
    """Return the least cosine of the stored vectors, of which there are `count`, to what this machine's CPU makes."""
    with sqlite3.connect(data / FILE_NAME) as connection:
        stored = dict(connection.execute("SELECT slot, vector FROM vector").fetchall())
        records = memories.by_slot(connection, list(stored))
    assert len(stored) == len(records) == count
    return min(
        float(np.frombuffer(stored[slot], "<f4") @ embedder.embed(record.text, index_prefix(record)).vector)
        for slot, record in records.items()
    )


@THOROUGH
async def test_questions_and_bulk_work_run_on_the_npu_in_three_contexts_at_every_length(
    board: Board, npu: StandInNpu, embedder: OnnxEmbedder, tmp_path: Path
) -> None:
    async with board("all", NPU_CORE_MASK="7") as server:
        status = await server.status()
        assert status.npu is not None
        assert (status.backend, status.npu.state, status.npu.reason) == ("npu", NpuState.ACTIVE, "")
        assert (status.npu.runtime, status.npu.driver) == ("2.5.0", "0.9.8")
        assert [(route.length, route.backend) for route in status.npu.routes] == [
            (length, "npu") for length in (32, 64, 128, 256)
        ]
        assert all(route.cosine is not None and route.cosine >= 0.995 for route in status.npu.routes)
        assert sorted(npu.seen.opened) == [32, 64, 128, 256]

        await say(server, [*SAID, LONG, LONG[:900], LONG[:400]])
        answers = [await ask(server, f"Where is the {thing} that was in the cellar?") for thing in THINGS]
        status = await all_embedded(server)

    assert {(answer.backend, answer.degraded) for answer in answers} == {("npu", "")}
    assert all(f"{thing} is in the cellar" in answer.context for answer, thing in zip(answers, THINGS, strict=True))
    assert status.npu is not None
    assert (status.npu.cpu_windows, status.npu.failures) == (0, 0)
    assert set(npu.seen.core_masks) == {7}
    assert len(npu.seen.threads) == len(npu.seen.opened) > 4
    assert npu.seen.most_at_a_time > 1
    assert least_cosine(tmp_path / "data", embedder, len(SAID) + 3) >= 0.995
    assert npu.open_contexts == 0


RUN_FAULTS = {
    "run fails, stale output": (Faults(run=FAIL), "an earlier text|length is not 1"),
    "NaN": pytest.param(Faults(nan=True), "not finite", marks=THOROUGH),
    "wrong shape": pytest.param(Faults(wrong_length=True), "", marks=THOROUGH),
    "wrong numbers of the right form": pytest.param(Faults(other_text=True), "not the CPU's", marks=THOROUGH),
    "hang of 10 s": pytest.param(Faults(hang=True), "did not come back", marks=THOROUGH),
    "device vanishes": pytest.param(Faults(gone=True), "", marks=THOROUGH),
}


@pytest.mark.parametrize(("faults", "reason"), RUN_FAULTS.values(), ids=RUN_FAULTS.keys())
async def test_a_fault_in_the_middle_loses_nothing_stores_nothing_wrong_and_is_told(
    board: Board, npu: StandInNpu, root: Path, embedder: OnnxEmbedder, tmp_path: Path, faults: Faults, reason: str
) -> None:
    async with board() as server:
        await say(server, SAID[:6])
        await ask_until_on_npu(server, "Where is the ladder that was in the attic?")
        await all_embedded(server)
        npu.faults, npu.hang_seconds = faults, 10.0
        if faults.gone:
            (root / "dev/dri/renderD129").unlink()
        await say(server, SAID[6:])
        answers = [await ask(server, f"Where is the {thing} that was in the shed?") for thing in THINGS]
        status = await all_embedded(server)
        last = await ask(server, "Where is the kettle that was in the garage?")

    assert [answer.degraded for answer in (*answers, last)] == [""] * (len(THINGS) + 1)
    assert last.backend == "cpu"
    assert all(f"{thing} is in the shed" in answer.context for answer, thing in zip(answers, THINGS, strict=True))
    assert status.npu is not None
    assert status.npu.state is NpuState.RESTING or faults.hang  # it may have come back by now
    assert re.search(reason, status.npu.reason)
    assert status.npu.reason
    assert least_cosine(tmp_path / "data", embedder, len(SAID)) >= 0.995


def without_library(root: Path) -> None:
    (root / "usr/lib/librknnrt.so").unlink()


def unchanged(_: Path) -> None:
    """Leave the board as it is."""


START_FAULTS = {
    "init fails": (Faults(init=DEVICE_UNAVAILABLE), unchanged, NpuState.RESTING, "refused model.32.rknn"),
    "core mask refused": pytest.param(
        Faults(core_mask=FAIL), unchanged, NpuState.RESTING, "with the core mask 1", marks=THOROUGH
    ),
    "library missing": pytest.param(
        Faults(), without_library, NpuState.FAILED, "there is no /usr/lib/librknnrt.so", marks=THOROUGH
    ),
}


@pytest.mark.parametrize(("faults", "damage", "state", "reason"), START_FAULTS.values(), ids=START_FAULTS.keys())
async def test_a_fault_at_the_start_leaves_the_work_to_the_cpu_or_ends_the_start(
    board: Board,
    npu: StandInNpu,
    root: Path,
    faults: Faults,
    damage: Callable[[Path], None],
    state: NpuState,
    reason: str,
) -> None:
    npu.faults = faults
    damage(root)
    async with board(NPU_CORE_MASK="1") as server:
        await say(server, SAID[:3])
        answer = await ask(server, "Where is the drill?")
        status = await all_embedded(server)
    assert (answer.backend, answer.degraded) == ("cpu", "")
    assert "drill" in answer.context
    assert status.npu is not None
    assert status.npu.state is state
    assert reason in status.npu.reason

    with pytest.raises(RuntimeError, match="The NPU cannot be used, and the CPU") as refused:
        async with board(NPU_CORE_MASK="1", NPU_EMBEDDER_ENABLED="1", NPU_FALLBACK_CPU="0"):
            pass
    assert reason in str(refused.value)


@THOROUGH
async def test_a_resting_npu_is_used_again_once_it_is_well_and_refuses_where_the_cpu_may_not(
    board: Board, npu: StandInNpu
) -> None:
    async with board(NPU_FALLBACK_CPU="0") as server:
        await say(server, SAID[:3])
        await all_embedded(server)
        npu.faults = Faults(nan=True)
        for thing in THINGS[:4]:
            with pytest.raises(ModelError, match="The NPU cannot answer"):
                await ask(server, f"Where is the {thing}?")
        await say(server, SAID[3:6])
        resting = await server.status()
        npu.faults = Faults()
        status = await all_embedded(server)
        answer = await ask(server, "Where is the kettle?")
    assert resting.npu is not None
    assert (resting.npu.state, resting.pending_embeddings > 0) == (NpuState.RESTING, True)
    assert status.npu is not None
    assert (status.npu.state, answer.backend) == (NpuState.ACTIVE, "npu")
