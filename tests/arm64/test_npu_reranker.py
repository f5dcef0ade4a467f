"""The whole server with a cross-encoder on the real rknn-toolkit-lite2 2.5.0, emulated, with a stand-in NPU."""

from pathlib import Path
import time

import pytest

from npu_memory_server.transport.client import RemoteMemory
from npu_memory_server.wire import Context, NpuReport, NpuState, RecallRequest, Reranker
from tests.arm64.conftest import RERANKER, Board
from tests.arm64.test_npu_server import THOROUGH, all_embedded, say
from tests.server.npu.model_files import CROSS_ENCODER
from tests.server.npu.stand_in import FAIL, Faults, StandInNpu

BUDGET_MS = 60_000
SAID = [
    "The trash is collected on Tuesday, and the paper every second Wednesday.",
    "Mara takes the trash out on Monday evening, before the truck comes.",
    "The trash can is behind the garage, beside the old ladder.",
    "On Sunday we eat at grandmother's, who collects us at eleven.",
    "The day before yesterday the heating was serviced.",
    "Paper and glass are collected in the yellow boxes of the cellar.",
    "What the dog must not eat: grapes, chocolate, and what is in the trash.",
    "The plumber comes on Tuesday at half past nine and needs the key to the cellar.",
]
QUESTIONS = ["what day is trash collected", "who takes the trash out", "when does the plumber come"]


LONGER = [
    f"{SAID[0]} {' '.join(SAID[3:5])} {SAID[1]}",
    f"{SAID[7]} {' '.join(SAID[2:6])}",
    f"{' '.join(SAID[1:4])} {' '.join(SAID[5:])}",
    " ".join([*SAID, *SAID]),
]
"""With a question up to 64, 96 and 128 tokens and, the last one, more than that."""


async def ask(server: RemoteMemory, count: int = len(SAID)) -> list[Context]:
    return [await server.recall(RecallRequest(text=text, budget_ms=BUDGET_MS, top_k=count)) for text in QUESTIONS]


async def ask_until_read_everywhere(server: RemoteMemory, npu: StandInNpu) -> list[Context]:
    """Ask until each core and each length has read pairs: on a busy machine some are late, and then the CPU's."""
    npu.seen.pairs_by_core.clear()
    npu.seen.pairs_by_length.clear()
    limit = time.monotonic() + 240
    while True:
        answers = await ask(server, len(SAID) + len(LONGER))
        cores = {core for core, runs in npu.seen.pairs_by_core.items() if runs}
        lengths = {length for length, runs in npu.seen.pairs_by_length.items() if runs}
        if (cores, lengths) == ({1, 2, 4}, {64, 96, 128}) and on_npu(answers):
            return answers
        assert time.monotonic() < limit, (cores, lengths, await state(server, Reranker.LOCAL))


async def state(server: RemoteMemory, reranker: Reranker = RERANKER) -> NpuReport:
    (found,) = (await server.status()).rerankers
    assert found.reranker == reranker
    return found.npu


def order(answers: list[Context]) -> list[list[str]]:
    return [[memory.text for memory in answer.memories] for answer in answers]


def all_read(answers: list[Context]) -> bool:
    """Return whether a cross-encoder has read every candidate of each answer."""
    return all(one.reranked is not None and one.reranked.reached == one.reranked.candidates > 1 for one in answers)


def on_npu(answers: list[Context]) -> int:
    """Return how many candidates the NPU has read."""
    return sum(one.reranked.on_npu for one in answers if one.reranked is not None)


# No wrong shape: rknn-toolkit-lite2 gives as many numbers as the model says, and of one there are no fewer.
RUN_FAULTS = {
    "run fails, stale output": (Faults(run=FAIL), "an earlier pair"),
    "NaN": pytest.param(Faults(nan=True), "not finite", marks=THOROUGH),
    "hang of 10 s": pytest.param(Faults(hang=True), "did not come back", marks=THOROUGH),
    "device vanishes": pytest.param(Faults(gone=True), "", marks=THOROUGH),
}


@pytest.mark.parametrize(("faults", "reason"), RUN_FAULTS.values(), ids=RUN_FAULTS.keys())
async def test_questions_are_reranked_on_three_cores_and_a_fault_changes_no_answer(
    board: Board, npu: StandInNpu, root: Path, reranking: Path, faults: Faults, reason: str
) -> None:
    async with board(NPU_MEMORY_MODEL_DIR=str(reranking), RERANK_MODEL=RERANKER) as server:
        await say(server, SAID)
        await all_embedded(server)
        npu.seen.pairs_by_core.clear()
        well = await ask(server)
        active = await state(server)
        cores = {core for core, runs in npu.seen.pairs_by_core.items() if runs}
        faults.only_model = CROSS_ENCODER
        npu.faults, npu.hang_seconds = faults, 10.0
        if faults.gone:
            (root / "dev/dri/renderD129").unlink()
        ill = [*await ask(server), *await ask(server)]
        after = await state(server)

    assert active.state is NpuState.ACTIVE
    assert [(route.length, route.backend) for route in active.routes] == [(64, "npu")]
    assert all_read(well)
    assert on_npu(well) > len(SAID)  # a call that a busy machine makes late is the CPU's
    assert cores == {1, 2, 4}
    assert [one.degraded for one in (*well, *ill)] == [""] * 3 * len(QUESTIONS)
    assert order(ill) == order(well) * 2
    assert all_read(ill)
    assert after.state is NpuState.RESTING or faults.hang  # it may have come back by now
    assert after.reason
    assert reason in after.reason


@THOROUGH
async def test_cross_encoders_of_6_and_12_layers_read_on_three_cores_at_all_lengths_and_a_fault_changes_no_answer(
    board: Board, npu: StandInNpu, deep: Path
) -> None:
    async with board(NPU_MEMORY_MODEL_DIR=str(deep.parent), RERANK_MODEL=str(deep)) as server:
        active = await state(server, Reranker.LOCAL)
        await say(server, [*SAID, *LONGER])
        await all_embedded(server)
        well = await ask_until_read_everywhere(server, npu)
        npu.faults = Faults(run=FAIL, only_model=CROSS_ENCODER)
        ill = await ask(server, len(SAID) + len(LONGER))
        after = await state(server, Reranker.LOCAL)

    assert active.state is NpuState.ACTIVE
    assert [(route.length, route.backend) for route in active.routes] == [(64, "npu"), (96, "npu"), (128, "npu")]
    assert all(route.cosine is not None and route.cosine >= 0.9 for route in active.routes)
    assert all_read(well)
    too_long = len(QUESTIONS)  # what no length takes is the CPU's
    assert 0 < on_npu(well) <= sum(one.reranked.candidates for one in well if one.reranked) - too_long
    assert [one.degraded for one in (*well, *ill)] == [""] * 2 * len(QUESTIONS)
    assert all_read(ill)
    assert order(ill) == order(well)
    assert after.state is NpuState.RESTING
    assert "an earlier pair" in after.reason


@THOROUGH
async def test_a_core_that_is_refused_leaves_the_reading_to_the_cpu_or_ends_the_start(
    board: Board, npu: StandInNpu, reranking: Path
) -> None:
    settings = {"NPU_MEMORY_MODEL_DIR": str(reranking), "RERANK_MODEL": RERANKER}
    npu.faults = Faults(core_mask=FAIL, only_model=CROSS_ENCODER, only_core=4)
    async with board(**settings) as server:
        await say(server, SAID)
        await all_embedded(server)
        answers = await ask(server)
        found = await state(server)
        embedder = (await server.status()).npu
    assert all_read(answers)
    assert on_npu(answers) == 0
    assert found.state is NpuState.RESTING
    assert "refused model.64.rknn with the core mask 4" in found.reason
    assert embedder is not None
    assert embedder.state is NpuState.ACTIVE

    with pytest.raises(RuntimeError, match="The NPU cannot be used, and the CPU") as refused:
        async with board(NPU_FALLBACK_CPU="0", **settings):
            pass
    assert "core mask 4" in str(refused.value)
