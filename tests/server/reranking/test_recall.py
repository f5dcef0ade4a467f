"""A recall with a cross-encoder: its order as far as the time allows, and an answer whatever becomes of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
import json
from pathlib import Path
from time import perf_counter
from typing import Any

from hypothesis import given, strategies as st
import onnxruntime as ort
import pytest

from benchmarks.made_cross_encoder import Shape, cross_encoder as make, random_weights, repeated_weights
from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.memory import Memory
from npu_memory_server.recalling import CROSS_ENCODED, INSTEAD, NOT_REACHED, RERANKER_FAILED, reordered
from npu_memory_server.reranking.registry import MODEL_FILES
from npu_memory_server.reranking.shelf import Places, Shelf
from npu_memory_server.retrieval.question import Found
from npu_memory_server.settings import EMBEDDER
from npu_memory_server.transport.client import connected
from npu_memory_server.wire import Context, RecallRequest, RememberRequest, Reranked, Reranker, Strategy, Why
from tests.server.process import ServerProcess, run_command
from tests.server.reranking.made import put, run

StartServer = Callable[..., ServerProcess]

TRAINED = Reranker.TINYBERT_L2
UNHURRIED_MS = 30_000.0
QUESTION = "what day is trash collected"


def asked(text: str = QUESTION, **options: Any) -> RecallRequest:
    return RecallRequest(**({"text": text, "budget_ms": UNHURRIED_MS, "reranker": TRAINED, "explain": True} | options))


async def open_with(folder: Path, embedder: OnnxEmbedder, models: Path, *loaded: Reranker) -> Memory:
    shelf = Shelf(Places(models))
    for reranker in loaded:
        shelf.load(reranker)
    return await Memory.open(folder, embedder, shelf=shelf)


@pytest.fixture
async def reranked_household(household_directory: Path, embedder: OnnxEmbedder, trained: Path) -> AsyncIterator[Memory]:
    """Return the sample household with the trained cross-encoder."""
    memory = await open_with(household_directory, embedder, trained, TRAINED)
    yield memory
    await memory.close()


def whys(context: Context) -> list[Why]:
    assert all(memory.why is not None for memory in context.memories)
    return [memory.why for memory in context.memories if memory.why is not None]


# The order


@given(
    st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=12).flatmap(
        lambda scores: st.tuples(st.just(scores), st.integers(0, 5))
    )
)
def test_what_was_not_read_keeps_its_place_and_what_was_read_is_in_order(
    drawn: tuple[list[float | None], int],
) -> None:
    scores, unseen = drawn
    count = len(scores) + unseen
    found = Found(tuple(range(count)), tuple(1 - i / 100 for i in range(count)), 0, 0, 0, tuple([Why()] * count))

    after = reordered(found, scores)
    read = {place: score for place, score in enumerate(scores) if score is not None}

    assert sorted(after.slots) == list(found.slots)
    assert after.scores == found.scores
    assert [after.slots[place] for place in range(count) if place not in read] == [
        place for place in range(count) if place not in read
    ]
    in_order = [read[after.slots[place]] for place in sorted(read)]
    assert in_order == sorted(in_order, reverse=True)
    assert [(why.place, why.rerank) for why in after.whys] == [(slot + 1, read.get(slot)) for slot in after.slots]


async def test_the_order_is_that_of_the_model_by_the_plain_way(
    reranked_household: Memory, trained: Path, tokenizer: Path
) -> None:
    context = await reranked_household.recall(asked(top_k=10))
    plain = ort.InferenceSession(str(trained / TRAINED / MODEL_FILES[TRAINED]))
    texts = {
        memory.id: f"({_day(memory.created_at)}) {memory.speaker}: {memory.text}"
        for memory, why in zip(context.memories, whys(context), strict=True)
        if why.corrects is None and not why.outdated
    }
    logits = [float(run(plain, tokenizer, QUESTION, text)[0, 0]) for text in texts.values()]

    assert len(logits) >= 8
    assert logits == sorted(logits, reverse=True)
    assert context.reranked == Reranked(reranker=TRAINED, reached=CROSS_ENCODED, candidates=CROSS_ENCODED)
    assert context.degraded == ""
    assert sorted(why.place or 0 for why in whys(context)) != list(range(1, 11)), "another order than before"


def _day(moment: str) -> str:
    from npu_memory_server.records import spoken_date
    from npu_memory_server.wire import parse_moment

    return spoken_date(parse_moment(moment))


async def test_the_relevance_stays_with_the_place_so_that_a_floor_means_what_it_meant(
    reranked_household: Memory,
) -> None:
    before = await reranked_household.recall(asked(top_k=20, reranker=Reranker.MAXSIM))
    floor = (before.memories[7].score or 0.0) - 1e-3
    with_floor = await reranked_household.recall(asked(top_k=20, min_relevance=floor))
    candidates = await reranked_household.recall(asked(top_k=20, reranker=Reranker.MAXSIM, min_relevance=floor))

    assert {memory.id for memory in with_floor.memories} == {memory.id for memory in candidates.memories}
    scores = [memory.score or 0.0 for memory in with_floor.memories]
    assert scores == sorted(scores, reverse=True)


async def test_what_holds_now_stays_before_what_it_has_corrected(reranked_household: Memory) -> None:
    context = await reranked_household.recall(asked(top_k=20))
    places = {memory.id: place for place, memory in enumerate(context.memories)}
    pairs = [(memory.superseded_by, memory.id) for memory in context.memories if memory.superseded_by]

    assert pairs
    assert all(places[newer] < places[older] for newer, older in pairs)


@pytest.mark.parametrize("strategy", [Strategy.VECTOR, Strategy.LEXICAL, Strategy.RECENT])
async def test_with_one_leg_alone_that_leg_decides(reranked_household: Memory, strategy: Strategy) -> None:
    context = await reranked_household.recall(asked(strategy=strategy))
    plain = await reranked_household.recall(asked(strategy=strategy, reranker=Reranker.NONE))

    assert [memory.id for memory in context.memories] == [memory.id for memory in plain.memories]
    assert context.reranked is None


async def test_an_empty_memory_answers_with_nothing(tmp_path: Path, embedder: OnnxEmbedder, trained: Path) -> None:
    memory = await open_with(tmp_path, embedder, trained, TRAINED)
    try:
        context = await memory.recall(asked())
    finally:
        await memory.close()

    assert context.memories == ()
    assert (context.reranked, context.degraded) == (Reranked(reranker=TRAINED, reached=0, candidates=0), "")


# Its time


@pytest.fixture(scope="session")
def slow_models(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a cross-encoder that takes many times as long as everything else of a recall."""
    models = tmp_path_factory.mktemp("slow")
    shape = Shape(layers=24, hidden=384, heads=12, vocabulary=30_522)
    put(models, Reranker.MINILM_L12, make(shape, repeated_weights(shape)), tokenizer, shape)
    return models


async def test_a_budget_is_spent_on_the_first_ones_and_the_others_keep_their_places(
    household_directory: Path, embedder: OnnxEmbedder, slow_models: Path
) -> None:
    memory = await open_with(household_directory, embedder, slow_models, Reranker.MINILM_L12)
    try:
        slow = {"reranker": Reranker.MINILM_L12, "top_k": 20}
        for _ in range(3):
            await memory.recall(asked(reranker=Reranker.MAXSIM))
        began = perf_counter()
        whole = await memory.recall(asked(**slow))
        took_ms = (perf_counter() - began) * 1000
        part = await memory.recall(asked(**slow, budget_ms=0.4 * took_ms))
        plain = await memory.recall(asked(reranker=Reranker.MAXSIM, top_k=20))
    finally:
        await memory.close()

    assert whole.reranked is not None
    assert whole.reranked.reached == CROSS_ENCODED
    assert part.reranked is not None
    assert 1 <= part.reranked.reached < CROSS_ENCODED
    assert part.timings.total < 0.8 * took_ms
    assert {memory.id for memory in part.memories} == {memory.id for memory in plain.memories}
    assert sum(why.rerank is not None for why in whys(part)) <= part.reranked.reached


async def test_without_time_for_a_single_one_the_answer_is_maxsims_and_says_so(
    tmp_path: Path, embedder: OnnxEmbedder, slow_models: Path
) -> None:
    memory = await open_with(tmp_path, embedder, slow_models, Reranker.MINILM_L12)
    try:
        for number in range(3):
            text = f"{number}: " + "the trash is collected on fridays, and " * 60
            await memory.remember(RememberRequest(text=text, created_at=f"2026-01-0{number + 1}T12:00:00+00:00"))
        await memory.embedded()
        plain = await memory.recall(asked(reranker=Reranker.MAXSIM))
        whole = await memory.recall(asked(reranker=Reranker.MINILM_L12))
        rushed = await memory.recall(asked(reranker=Reranker.MINILM_L12, budget_ms=0.15 * whole.timings.rerank))
    finally:
        await memory.close()

    assert whole.reranked == Reranked(reranker=Reranker.MINILM_L12, reached=3, candidates=3)
    assert [memory.id for memory in rushed.memories] == [memory.id for memory in plain.memories]
    assert rushed.reranked is not None
    assert (rushed.reranked.reached, rushed.degraded) == (0, NOT_REACHED)


async def test_one_who_waits_for_a_cross_encoder_keeps_nobody_else_waiting(
    household_directory: Path, embedder: OnnxEmbedder, slow_models: Path
) -> None:
    memory = await open_with(household_directory, embedder, slow_models, Reranker.MINILM_L12)
    done: list[str] = []

    async def ask(name: str, reranker: Reranker) -> None:
        await memory.recall(asked(reranker=reranker))
        done.append(name)

    try:
        await memory.recall(asked(reranker=Reranker.MAXSIM))
        patient = asyncio.create_task(ask("patient", Reranker.MINILM_L12))
        await asyncio.sleep(0.05)
        await asyncio.gather(*(ask("quick", Reranker.MAXSIM) for _ in range(3)))
        await patient
    finally:
        await memory.close()

    assert done == ["quick"] * 3 + ["patient"]


# When it cannot be had


async def test_one_that_is_not_there_is_told_and_maxsim_takes_its_place(
    household_directory: Path, embedder: OnnxEmbedder, tmp_path: Path
) -> None:
    memory = await open_with(household_directory, embedder, tmp_path / "nothing")
    try:
        context = await memory.recall(asked())
        plain = await memory.recall(asked(reranker=Reranker.MAXSIM))
    finally:
        await memory.close()

    assert [one.id for one in context.memories] == [one.id for one in plain.memories]
    assert context.degraded.startswith(f"The reranker {TRAINED} is not there")
    assert context.reranked is None
    assert plain.degraded == ""


async def test_a_memory_without_rerankers_says_so(household: Memory) -> None:
    context = await household.recall(asked(reranker=Reranker.LOCAL))

    assert context.degraded == f"There are no rerankers here. {INSTEAD}"
    assert len(context.memories) == 5


async def test_one_that_is_first_asked_for_is_loaded_while_maxsim_answers(
    household_directory: Path, embedder: OnnxEmbedder, trained: Path
) -> None:
    memory = await open_with(household_directory, embedder, trained)
    try:
        first = await memory.recall(asked())
        async with asyncio.timeout(60):
            while (later := await memory.recall(asked())).reranked is None:
                pass
    finally:
        await memory.close()

    assert "is still being loaded" in first.degraded
    assert len(first.memories) == 5
    assert later.degraded == ""
    assert later.reranked is not None


async def test_one_that_cannot_be_loaded_is_told_and_not_tried_again_and_again(
    household_directory: Path, embedder: OnnxEmbedder, models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (models / TRAINED / MODEL_FILES[TRAINED]).write_bytes(b"no model")
    memory = await open_with(household_directory, embedder, models)
    try:
        async with asyncio.timeout(60):
            while "still being loaded" in (context := await memory.recall(asked())).degraded:
                pass
        for _ in range(3):
            context = await memory.recall(asked())
    finally:
        await memory.close()

    assert context.degraded.startswith(f"The reranker {TRAINED} cannot be used")
    assert sum("cannot be used" in record.message for record in caplog.records) == 1


async def test_one_that_fails_on_a_pair_leaves_the_answer_to_maxsim(
    tmp_path: Path, embedder: OnnxEmbedder, tokenizer: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # It says that it reads 512 tokens, and has positions for 80.
    broken = Shape(layers=1, hidden=32, heads=2, positions=80)
    put(tmp_path / "models", TRAINED, make(broken, random_weights(broken)), tokenizer, Shape(1, 32, 2))
    memory = await open_with(tmp_path, embedder, tmp_path / "models", TRAINED)
    try:
        await memory.remember(RememberRequest(text="The secret garden gate squeaks, " + "and squeaks, " * 80))
        await memory.remember(RememberRequest(text="The gate is green."))
        await memory.embedded()
        context = await memory.recall(asked("which gate squeaks"))
    finally:
        await memory.close()

    assert len(context.memories) == 2
    assert context.degraded == RERANKER_FAILED
    assert "secret garden" not in caplog.text


# The doors


def test_the_command_takes_a_name_or_a_folder(household_directory: Path, trained: Path, model_directory: Path) -> None:
    folder = run_command("recall", QUESTION, "--json", "--reranker", trained / TRAINED, data=household_directory)
    found = json.loads(folder.stdout)

    assert (found["reranked"]["reranker"], found["reranked"]["reached"]) == ("local", CROSS_ENCODED)
    assert found["degraded"] == ""


def test_the_command_says_what_to_do_about_one_that_is_not_there(household_directory: Path) -> None:
    missing = run_command("recall", QUESTION, "--reranker", Reranker.MULTIBERT_L12, data=household_directory)
    other = run_command("recall", QUESTION, "--reranker", "rank-T5-flan", data=household_directory)
    unknown = run_command("recall", QUESTION, data=household_directory, extra={"RERANK_MODEL": "nonesuch"})

    assert missing.returncode == 1
    assert f"Run `npu-memory models fetch {Reranker.MULTIBERT_L12}`".lower() in missing.stderr.lower()
    assert other.returncode == 2
    assert "a T5 with an encoder and a decoder, which is not run here" in other.stderr
    assert unknown.returncode == 2
    assert "'nonesuch' is none of maxsim, none, ms-marco" in unknown.stderr


async def test_a_server_uses_the_one_of_its_settings_and_tells_of_others_that_are_not_there(
    household_directory: Path, models: Path, model_directory: Path, start_server: StartServer
) -> None:
    (models / EMBEDDER).symlink_to(model_directory / EMBEDDER)
    server = start_server(household_directory, "--model-dir", str(models), "--reranker", TRAINED)
    async with connected("127.0.0.1", server.port, server.token) as remote:
        default = await remote.recall(asked(reranker=None))
        missing = await remote.recall(asked(reranker=Reranker.ARABIC))

    assert default.reranked == Reranked(reranker=TRAINED, reached=CROSS_ENCODED, candidates=CROSS_ENCODED)
    assert len(missing.memories) == 5
    assert missing.degraded.startswith(f"The reranker {Reranker.ARABIC} is not there")


async def test_a_server_whose_own_reranker_is_missing_serves_and_says_so(
    household_directory: Path, start_server: StartServer
) -> None:
    server = start_server(household_directory, "--reranker", TRAINED)
    async with connected("127.0.0.1", server.port, server.token) as remote:
        context = await remote.recall(asked(reranker=None))
    told = run_command("recall", QUESTION, "--reranker", TRAINED, data=household_directory)

    assert len(context.memories) == 5
    assert "is not there" in context.degraded
    assert "Questions are answered with MaxSim instead" in server.log.read_text()
    assert told.returncode == 0
    assert f"Note: The reranker {TRAINED} is not there" in told.stderr
