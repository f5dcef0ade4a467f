"""A household's memory whose cross-encoder reads on the NPU: what answers, in which order, and what the status says."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
import shutil
import time
from typing import Any

from onnxruntime import RunOptions
import pytest

from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.embedding.manifest import MANIFEST_NAME
from npu_memory_server.memory import Memory
from npu_memory_server.npu.board import Board
from npu_memory_server.npu.faults import NpuRequiredError
from npu_memory_server.npu.settings import NpuSettings
from npu_memory_server.recalling import CROSS_ENCODED
from npu_memory_server.reranking.base import Pair
from npu_memory_server.reranking.cross_encoder import CrossEncoder
from npu_memory_server.reranking.shelf import Places, Shelf
from npu_memory_server.wire import Context, NpuReport, NpuState, RecallRequest, Reranker
from tests.server.npu.conftest import RERANKER
from tests.server.npu.model_files import rknn_file
from tests.server.npu.stand_in import DEVICE_UNAVAILABLE, FAIL, Faults, StandInNpu

pytestmark = pytest.mark.usefixtures("rerank_npu")

QUESTION = "what day is trash collected"
SLOW_SECONDS = 0.05


@pytest.fixture
def models(trained: Path, pair_package: Path, tmp_path: Path) -> Path:
    """Return a folder of models with the cross-encoder and its package for the NPU."""
    folder = tmp_path / "models"
    shutil.copytree(trained, folder)
    shutil.copytree(pair_package, folder / pair_package.name)
    return folder


@pytest.fixture
def slow_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the CPU take longer than the stand-in, which computes on it as well."""
    real = CrossEncoder.logit

    def logit(self: CrossEncoder, pair: Pair, options: RunOptions | None = None) -> float:
        time.sleep(SLOW_SECONDS)
        return real(self, pair, options)

    monkeypatch.setattr(CrossEncoder, "logit", logit)


OpenShelf = Callable[..., Awaitable[Memory]]


@pytest.fixture
async def open_with(
    household_directory: Path, embedder: OnnxEmbedder, models: Path, board: Board
) -> AsyncIterator[OpenShelf]:
    """Return what opens the sample household with the cross-encoder; it is closed at the end."""
    async with AsyncExitStack() as stack:

        async def start(board: Board = board, local: Path | None = None, **settings: Any) -> Memory:
            shelf = Shelf(Places(models, local), npu=NpuSettings(**settings), board=board)
            stack.callback(shelf.close)
            shelf.load(Reranker.LOCAL if local else RERANKER)
            memory = await Memory.open(household_directory, embedder, shelf=shelf)
            stack.push_async_callback(memory.close)
            return memory

        yield start


async def ask(memory: Memory, reranker: Reranker = RERANKER, text: str = QUESTION) -> Context:
    return await memory.recall(RecallRequest(text=text, budget_ms=30_000, reranker=reranker, top_k=CROSS_ENCODED))


async def _ask_until_loaded(memory: Memory) -> Context:
    async with asyncio.timeout(60):
        while "still being loaded" in (answer := await ask(memory)).degraded:
            pass
    return answer


async def report(memory: Memory) -> NpuReport:
    (found,) = (await memory.status()).rerankers
    return found.npu


def ids(context: Context) -> list[str]:
    return [one.id for one in context.memories]


@pytest.mark.usefixtures("slow_cpu")
async def test_a_question_is_reranked_on_the_npu_in_the_cpus_order_and_the_status_says_so(
    open_with: OpenShelf, rerank_npu: StandInNpu
) -> None:
    memory = await open_with()
    rerank_npu.seen.pairs_by_core.clear()
    on_npu = await ask(memory)
    state = await report(memory)
    await memory.close()
    on_cpu = await ask(await open_with(enabled=False))

    assert on_npu.reranked is not None
    assert (on_npu.reranked.reached, on_npu.reranked.on_npu, on_npu.degraded) == (CROSS_ENCODED, CROSS_ENCODED, "")
    assert on_cpu.reranked is not None
    assert (on_cpu.reranked.reached, on_cpu.reranked.on_npu) == (CROSS_ENCODED, 0)
    assert ids(on_npu) == ids(on_cpu)
    assert set(rerank_npu.seen.pairs_by_core) == {1, 2, 4}
    assert (state.state, state.npu_windows, state.cpu_windows) == (NpuState.ACTIVE, CROSS_ENCODED, 0)
    assert [route.length for route in state.routes] == [64, 96, 128]


FAULTS = {
    "run fails, stale output": Faults(run=FAIL, runs_before=5),
    "NaN": Faults(nan=True, runs_before=5),
    "wrong shape": Faults(wrong_length=True, runs_before=5),
    "device gone": Faults(gone=True, runs_before=5),
}


@pytest.mark.usefixtures("slow_cpu")
@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS.keys())
async def test_a_fault_in_the_middle_of_a_question_changes_nothing_of_its_answer(
    open_with: OpenShelf, rerank_npu: StandInNpu, faults: Faults
) -> None:
    memory = await open_with()
    before = await ask(memory)
    rerank_npu.faults = faults
    during = await ask(memory)
    after = await ask(memory)
    state = await report(memory)

    assert ids(before) == ids(during) == ids(after)
    assert [one.degraded for one in (before, during, after)] == [""] * 3
    assert after.reranked is not None
    assert (after.reranked.reached, after.reranked.on_npu) == (CROSS_ENCODED, 0)
    assert state.state is NpuState.RESTING
    assert state.reason


async def test_where_only_the_npu_may_read_it_does_or_the_question_is_refused_with_the_reason(
    open_with: OpenShelf, rerank_npu: StandInNpu
) -> None:
    memory = await open_with(fallback=False)
    answer = await ask(memory)
    assert answer.reranked is not None
    assert answer.reranked.on_npu == answer.reranked.reached > 0
    rerank_npu.faults = Faults(nan=True)
    for _ in range(2):
        with pytest.raises(NpuRequiredError, match="not finite"):
            await ask(memory)
    without = await ask(memory, Reranker.MAXSIM)
    assert without.memories


async def test_where_only_the_npu_may_read_and_it_cannot_the_start_ends_with_the_reason(
    open_with: OpenShelf, rerank_npu: StandInNpu, models: Path, pair_package: Path
) -> None:
    rerank_npu.faults = Faults(init=DEVICE_UNAVAILABLE)
    with pytest.raises(NpuRequiredError, match=r"refused model\.64\.rknn"):
        await open_with(fallback=False)
    (models / pair_package.name / "types.npy").write_bytes(b"")
    with pytest.raises(NpuRequiredError, match=r"types\.npy has 0 bytes"):
        await open_with(fallback=False)


async def test_one_that_is_asked_for_later_and_may_not_fall_back_refuses_the_question(
    household_directory: Path, embedder: OnnxEmbedder, models: Path, board: Board, rerank_npu: StandInNpu
) -> None:
    rerank_npu.faults = Faults(init=DEVICE_UNAVAILABLE)
    shelf = Shelf(Places(models), npu=NpuSettings(fallback=False), board=board)
    memory = await Memory.open(household_directory, embedder, shelf=shelf)
    try:
        with pytest.raises(NpuRequiredError, match=r"refused model\.64\.rknn"):
            await _ask_until_loaded(memory)
    finally:
        await memory.close()


def unchanged(_: Path) -> None:
    """Leave the package as it is."""


def without_package(folder: Path) -> None:
    shutil.rmtree(folder)


def damaged(folder: Path) -> None:
    content = bytearray((folder / "model.96.rknn").read_bytes())
    content[80] ^= 1
    (folder / "model.96.rknn").write_bytes(content)


def truncated(folder: Path) -> None:
    (folder / "embeddings.npy").write_bytes((folder / "embeddings.npy").read_bytes()[:-1])


def for_another_board(folder: Path) -> None:
    path = folder / MANIFEST_NAME
    path.write_text(path.read_text().replace('"target": "rk3588"', '"target": "rk3576"'))


def too_new(folder: Path) -> None:
    path = folder / MANIFEST_NAME
    path.write_text(path.read_text().replace('"toolkit": "2.5.0"', '"toolkit": "2.6.0"'))


def of_another_width(folder: Path) -> None:
    path = folder / MANIFEST_NAME
    path.write_text(path.read_text().replace('"dimensions": 64', '"dimensions": 32'))


STARTS = {
    "no package": (without_package, {}, NpuState.ABSENT, "there is no model package of ms-marco-TinyBERT-L-2-v2"),
    "switched off": (unchanged, {"enabled": False}, NpuState.DISABLED, "the settings say so"),
    "a flipped bit": (damaged, {}, NpuState.FAILED, "model.96.rknn has the SHA-256"),
    "truncated": (truncated, {}, NpuState.FAILED, "embeddings.npy has"),
    "another SoC": (for_another_board, {}, NpuState.FAILED, "was converted for rk3576, and this is an rk3588"),
    "newer than the runtime": (too_new, {}, NpuState.FAILED, "update librknnrt.so to 2.6.0"),
    "another width": (of_another_width, {}, NpuState.FAILED, "instead of float16"),
}


@pytest.mark.parametrize(("change", "settings", "state", "reason"), STARTS.values(), ids=STARTS.keys())
async def test_a_package_that_cannot_be_used_leaves_the_reading_to_the_cpu_and_says_why(
    open_with: OpenShelf,
    models: Path,
    pair_package: Path,
    rerank_npu: StandInNpu,
    change: Callable[[Path], None],
    settings: dict[str, Any],
    state: NpuState,
    reason: str,
) -> None:
    change(models / pair_package.name)
    memory = await open_with(**settings)
    answer = await ask(memory)
    found = await report(memory)
    assert answer.reranked is not None
    assert (answer.reranked.reached, answer.reranked.on_npu, answer.degraded) == (CROSS_ENCODED, 0, "")
    assert (found.state, rerank_npu.seen.opened) == (state, [])
    assert reason in found.reason


async def test_a_machine_without_an_npu_reads_on_the_cpu_and_does_not_complain(
    open_with: OpenShelf, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    memory = await open_with(Board(tmp_path / "nothing"))
    assert (await report(memory)).state is NpuState.ABSENT
    assert not caplog.records


async def test_the_package_of_a_folder_of_ones_own_is_found_by_the_folders_name(
    open_with: OpenShelf, models: Path, pair_package: Path, tmp_path: Path
) -> None:
    own = tmp_path / "my-pairs"
    (models / RERANKER).rename(own)
    manifest = models / pair_package.name / MANIFEST_NAME
    manifest.write_text(manifest.read_text().replace(f'"name": "{RERANKER}"', '"name": "my-pairs"'))
    memory = await open_with(local=own, fallback=False)
    answer = await ask(memory, Reranker.LOCAL)
    assert answer.reranked is not None
    assert answer.reranked.on_npu > 0


async def test_a_package_of_another_model_is_found_out_by_its_canaries(
    open_with: OpenShelf, models: Path, pair_package: Path, rerank_npu: StandInNpu
) -> None:
    rerank_npu.faults = Faults(other_text=True)
    assert rknn_file(64, model=1) == (models / pair_package.name / "model.64.rknn").read_bytes()
    memory = await open_with()
    found = await report(memory)
    assert found.state is NpuState.RESTING
    assert "its scores are not the CPU's" in found.reason
