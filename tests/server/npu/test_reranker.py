"""Which backend reads a question with a memory, in what order that comes, and what happens when the NPU goes wrong."""

from dataclasses import replace
import logging
import re
import sys
from time import monotonic, perf_counter, sleep

import numpy as np
import pytest

from npu_memory_server.npu.accelerator import CANARY_SECONDS
from npu_memory_server.npu.faults import NpuRequiredError
from npu_memory_server.npu.settings import CoreMask
from npu_memory_server.npu.trial import Limits
from npu_memory_server.reranking.base import Judged
from npu_memory_server.reranking.npu.canaries import concordance
from npu_memory_server.reranking.npu.routing import RoutedCrossEncoder
from npu_memory_server.wire import NpuState
from tests.server.npu.conftest import PATIENT, Clock, OpenReranker, SlowCrossEncoder
from tests.server.npu.stand_in import DEVICE_UNAVAILABLE, FAIL, TIMEOUT, Faults, StandInNpu
from tests.server.reranking.made import household_pairs

LATER = 60.0
ROUNDING = 2e-3
"""What 16 bits may move a probability by."""
RIGHT, WRONG = household_pairs()
QUESTION = RIGHT[0][0]
TEXTS = [text for _, text in (*RIGHT[:6], *WRONG[:6])]
LONG = " ".join(f"On day {n} the meter in the cellar showed {n * 37} units." for n in range(40))
IMPATIENT = Limits(least=0.5, most=0.5, first=20.0, hang=0.2)


def read(reader: RoutedCrossEncoder, texts: list[str] = TEXTS, question: str = QUESTION) -> Judged:
    return reader.judge(question, texts, perf_counter() + LATER)


def require_the_cpus_order(judged: Judged, cpu: SlowCrossEncoder, texts: list[str] = TEXTS) -> None:
    """Assert that everything was read, and that only what is nearly equal may be in another order."""
    alone = cpu.judge(QUESTION, texts, perf_counter() + LATER)
    assert judged.reached == len(texts)
    found, wanted = np.array(judged.scores, float), np.array(alone.scores, float)
    order = np.argsort(-found, kind="stable")
    assert (np.diff(wanted[order]) <= ROUNDING).all()
    assert np.abs(found - wanted).max() <= ROUNDING


def test_candidates_are_read_three_at_a_time_one_core_each_in_the_order_of_the_cpu(
    open_reranker: OpenReranker, rerank_npu: StandInNpu, slow_cross_encoder: SlowCrossEncoder
) -> None:
    reader = open_reranker()
    rerank_npu.seen.most_at_a_time = 0
    rerank_npu.seen.pairs_by_core.clear()
    judged = read(reader)

    require_the_cpus_order(judged, slow_cross_encoder)
    assert judged.on_npu == len(TEXTS)
    assert set(rerank_npu.seen.core_masks) == {1, 2, 4}
    assert sum(rerank_npu.seen.pairs_by_core.values()) >= len(TEXTS)
    assert set(rerank_npu.seen.pairs_by_core) == {1, 2, 4}
    assert rerank_npu.seen.most_at_a_time > 1
    report = reader.npu
    assert (report.state, report.reason, report.npu_windows, report.cpu_windows) == (
        NpuState.ACTIVE,
        "",
        len(TEXTS),
        0,
    )
    assert [(route.length, route.backend, route.reason) for route in report.routes] == [
        (length, "npu", "the NPU is faster") for length in (64, 96, 128)
    ]
    assert min(route.cosine or 0 for route in report.routes) > 0.99


@pytest.mark.parametrize(
    ("mask", "cores"),
    [(CoreMask.AUTO, {1, 2, 4}), (CoreMask.CORE_1, {2}), (CoreMask.CORE_0_1, {1, 2}), (CoreMask.CORE_0_1_2, {1, 2, 4})],
)
def test_the_core_mask_says_which_cores_get_a_context(
    open_reranker: OpenReranker, rerank_npu: StandInNpu, mask: CoreMask, cores: set[int]
) -> None:
    assert read(open_reranker(core_mask=mask)).on_npu == len(TEXTS)
    assert set(rerank_npu.seen.core_masks) == cores


def test_a_pair_takes_the_shortest_length_that_fits_and_one_beyond_all_is_read_by_the_cpu_as_ever(
    open_reranker: OpenReranker, rerank_npu: StandInNpu, slow_cross_encoder: SlowCrossEncoder
) -> None:
    reader = open_reranker()
    texts = [TEXTS[0], LONG, LONG[:260], TEXTS[1]]
    lengths = [len(slow_cross_encoder.pair(QUESTION, text)) for text in texts]
    assert lengths[0] <= 64 < lengths[2] <= 128 < lengths[1]

    judged = read(reader, texts)

    assert (judged.reached, judged.on_npu) == (4, 3)
    alone = slow_cross_encoder.judge(QUESTION, [LONG], perf_counter() + LATER)
    assert judged.scores[1] == alone.scores[0]
    require_the_cpus_order(judged, slow_cross_encoder, texts)


def test_where_the_cpu_is_faster_it_reads(open_reranker: OpenReranker, slow_cross_encoder: SlowCrossEncoder) -> None:
    slow_cross_encoder.seconds = 0.0
    reader = open_reranker()
    assert [(one.backend, one.reason) for one in reader.npu.routes] == [("cpu", "the CPU is faster")] * 3
    assert (read(reader).on_npu, reader.npu.cpu_windows) == (0, len(TEXTS))


@pytest.mark.parametrize(
    ("faults", "reason"),
    [
        (Faults(other_text=True), "its scores are not the CPU's"),
        (Faults(nan=True), "not finite"),
        (Faults(wrong_length=True), r"instead of float32 \[1, 1\]"),
    ],
    ids=["wrong scores", "NaN", "wrong shape"],
)
def test_a_length_at_which_the_npu_is_wrong_stays_with_the_cpu(
    open_reranker: OpenReranker,
    rerank_npu: StandInNpu,
    slow_cross_encoder: SlowCrossEncoder,
    faults: Faults,
    reason: str,
) -> None:
    rerank_npu.faults = replace(faults, only_length=96)
    reader = open_reranker()
    assert [route.backend for route in reader.npu.routes] == ["npu", "cpu", "npu"]
    assert re.search(reason, reader.npu.routes[1].reason)
    middle = next(LONG[:end] for end in range(100, 400) if len(slow_cross_encoder.pair(QUESTION, LONG[:end])) > 64)
    texts = [TEXTS[0], middle, TEXTS[1]]
    judged = read(reader, texts)
    assert judged.on_npu == 2
    require_the_cpus_order(judged, slow_cross_encoder, texts)


FAULTS = {
    "run fails, stale output": (Faults(run=FAIL), "an earlier pair"),
    "run times out, stale output": (Faults(run=TIMEOUT), "an earlier pair"),
    "device gone": (Faults(gone=True), "an earlier pair"),
    "NaN": (Faults(nan=True), "not finite"),
    "zeros": (Faults(zeros=True), "an earlier pair"),
    "wrong shape": (Faults(wrong_length=True), "instead of float32 [1, 1]"),
}


@pytest.mark.parametrize(("faults", "reason"), FAULTS.values(), ids=FAULTS.keys())
def test_whatever_goes_wrong_the_order_is_the_cpus_in_the_same_request_and_the_reason_is_told_once(
    open_reranker: OpenReranker,
    rerank_npu: StandInNpu,
    slow_cross_encoder: SlowCrossEncoder,
    faults: Faults,
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    reader = open_reranker()
    require_the_cpus_order(read(reader), slow_cross_encoder)
    rerank_npu.faults = faults
    caplog.clear()

    first, second = read(reader), read(reader)

    for judged in (first, second):
        require_the_cpus_order(judged, slow_cross_encoder)
    assert second.on_npu == 0
    assert reader.npu.state is NpuState.RESTING
    assert reason in reader.npu.reason
    assert reader.npu.retry_seconds is not None
    said = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert [message for message in said if reason in message] == said
    assert len(said) == 2


def test_two_pairs_with_the_same_score_are_no_stale_output(
    open_reranker: OpenReranker, rerank_npu: StandInNpu, slow_cross_encoder: SlowCrossEncoder
) -> None:
    reader = open_reranker(core_mask=CoreMask.CORE_0)
    # Of the trained model only whole words count: these two differ in none that the question has.
    texts = [TEXTS[0], f"{TEXTS[0]} ", TEXTS[0], "", " "]
    runs = rerank_npu.seen.runs
    judged = read(reader, texts)
    assert judged.on_npu == len(texts)
    assert rerank_npu.seen.runs >= runs + len(texts)
    assert reader.npu.failures == 0


@pytest.mark.parametrize("fails_at", range(6))
def test_a_single_failed_run_never_passes_for_an_answer(
    open_reranker: OpenReranker, rerank_npu: StandInNpu, slow_cross_encoder: SlowCrossEncoder, fails_at: int
) -> None:
    reader = open_reranker(core_mask=CoreMask.CORE_0)
    rerank_npu.faults = Faults(run=FAIL, runs_before=fails_at, times=1)
    judged = read(reader)
    require_the_cpus_order(judged, slow_cross_encoder)
    assert (reader.npu.failures, reader.npu.state) == (1, NpuState.ACTIVE)
    assert judged.on_npu == len(TEXTS) - 1


def test_failures_in_a_row_put_it_to_rest_longer_each_time_until_it_is_well(
    open_reranker: OpenReranker, rerank_npu: StandInNpu, clock: Clock
) -> None:
    reader = open_reranker()
    rerank_npu.faults = Faults(gone=True)
    read(reader)
    rests = []
    for _ in range(3):
        rest = reader.npu.retry_seconds
        assert rest is not None
        rests.append(rest)
        clock.advance(rest)
        reader.accelerator.look_after()
    assert [round(rest) for rest in rests[1:]] == [30, 60]
    assert rests[0] <= 15
    assert "refused" in reader.npu.reason

    rerank_npu.faults = Faults()
    clock.advance(reader.npu.retry_seconds or 0)
    reader.accelerator.look_after()
    assert (reader.npu.state, read(reader).on_npu) == (NpuState.ACTIVE, len(TEXTS))


@pytest.mark.parametrize(
    ("faults", "reason"),
    [
        (Faults(init=DEVICE_UNAVAILABLE), "refused model.64.rknn"),
        (Faults(core_mask=FAIL), "refused model.64.rknn with the core mask 1"),
        (Faults(core_mask=FAIL, only_core=4), "refused model.64.rknn with the core mask 4"),
        (Faults(other_text=True), "not the CPU's"),
        (Faults(run=FAIL), "an earlier pair"),
    ],
    ids=["init fails", "all cores refused", "one core refused", "wrong scores", "no run succeeds"],
)
def test_an_npu_that_fails_at_the_start_leaves_the_reading_to_the_cpu_and_says_why(
    open_reranker: OpenReranker,
    rerank_npu: StandInNpu,
    slow_cross_encoder: SlowCrossEncoder,
    faults: Faults,
    reason: str,
) -> None:
    rerank_npu.faults = faults
    reader = open_reranker()
    assert reader.npu.state is NpuState.RESTING
    assert reason in reader.npu.reason
    judged = read(reader)
    assert judged.on_npu == 0
    require_the_cpus_order(judged, slow_cross_encoder)
    with pytest.raises(NpuRequiredError, match=reason.split(maxsplit=1)[0]):
        open_reranker(npu_only=True)


def test_without_the_python_library_the_cpu_reads_until_the_next_start(
    open_reranker: OpenReranker, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.delitem(sys.modules, "rknnlite.api")
    monkeypatch.delitem(sys.modules, "rknnlite")
    reader = open_reranker()
    clock.advance(10_000)
    reader.accelerator.look_after()
    assert (reader.npu.state, reader.npu.retry_seconds) == (NpuState.FAILED, None)
    assert "rknn-toolkit-lite2 is not installed" in reader.npu.reason


def test_calls_that_hang_are_answered_by_the_cpu_given_up_and_the_npu_tried_again(
    open_reranker: OpenReranker, rerank_npu: StandInNpu, slow_cross_encoder: SlowCrossEncoder, clock: Clock
) -> None:
    reader = open_reranker(IMPATIENT)
    rerank_npu.faults = Faults(hang=True)
    judged = read(reader)
    require_the_cpus_order(judged, slow_cross_encoder)
    assert reader.npu.state is NpuState.RESTING
    assert "did not come back" in reader.npu.reason

    rerank_npu.faults = Faults()
    clock.advance(reader.npu.retry_seconds or 0)
    reader.accelerator.look_after()
    assert not rerank_npu.released.is_set()
    assert (reader.npu.state, read(reader).on_npu) == (NpuState.ACTIVE, len(TEXTS))


def test_a_hang_does_not_outlast_the_budget_and_is_found_out_afterwards(
    open_reranker: OpenReranker, rerank_npu: StandInNpu, slow_cross_encoder: SlowCrossEncoder
) -> None:
    reader = open_reranker(replace(PATIENT, hang=0.3))
    rerank_npu.faults = Faults(hang=True)
    began = perf_counter()
    judged = reader.judge(QUESTION, TEXTS, began + 0.5)
    assert perf_counter() - began < PATIENT.least
    assert judged.reached == 0
    assert (reader.npu.state, reader.npu.failures) == (NpuState.ACTIVE, 0)  # it may just have been slow

    sleep(0.3)
    require_the_cpus_order(read(reader), slow_cross_encoder)
    assert reader.npu.state is NpuState.RESTING
    assert "was given up" in reader.npu.reason


def test_when_the_time_is_up_nothing_is_read(open_reranker: OpenReranker) -> None:
    judged = open_reranker().judge(QUESTION, TEXTS, perf_counter() - 1)
    assert judged.scores == (None,) * len(TEXTS)


def test_the_budget_is_spent_in_the_order_of_rank(open_reranker: OpenReranker, rerank_npu: StandInNpu) -> None:
    reader = open_reranker()
    rerank_npu.run_seconds = 0.1
    read(reader, TEXTS[:6])  # its pace is known from now on
    judged = reader.judge(QUESTION, TEXTS * 3, perf_counter() + 0.65)
    read_them = [score is not None for score in judged.scores]
    assert 3 <= judged.reached <= 18
    assert read_them == sorted(read_them, reverse=True)
    assert judged.on_npu == judged.reached


def test_an_npu_that_goes_bad_quietly_is_found_out_by_its_canaries_on_every_core(
    open_reranker: OpenReranker, rerank_npu: StandInNpu, clock: Clock
) -> None:
    reader = open_reranker()
    rerank_npu.seen.pairs_by_core.clear()
    clock.advance(CANARY_SECONDS + 1)
    reader.accelerator.look_after()
    assert reader.npu.state is NpuState.ACTIVE
    assert {core: runs > 0 for core, runs in rerank_npu.seen.pairs_by_core.items()} == {1: True, 2: True, 4: True}
    rerank_npu.faults = Faults(other_text=True)
    clock.advance(CANARY_SECONDS + 1)
    reader.accelerator.look_after()
    assert reader.npu.state is NpuState.RESTING
    assert "not the CPU's" in reader.npu.reason
    assert read(reader).on_npu == 0


def test_where_the_cpu_may_not_read_the_npu_does_or_the_reason_is_given(
    open_reranker: OpenReranker, rerank_npu: StandInNpu, slow_cross_encoder: SlowCrossEncoder
) -> None:
    slow_cross_encoder.seconds = 0.0
    reader = open_reranker(npu_only=True)
    judged = read(reader, [*TEXTS, LONG])
    assert judged.on_npu == len(TEXTS)  # though the CPU is faster
    assert judged.scores[-1] is None  # too long for the NPU: it keeps its place
    rerank_npu.faults = Faults(nan=True)
    for _ in range(2):
        with pytest.raises(NpuRequiredError, match="not finite"):
            read(reader)


def test_the_npu_is_released_at_the_end(open_reranker: OpenReranker, rerank_npu: StandInNpu) -> None:
    reader = open_reranker()
    assert rerank_npu.open_contexts == 9
    reader.close()
    limit = monotonic() + 10
    while rerank_npu.open_contexts and monotonic() < limit:
        sleep(0.01)
    assert rerank_npu.open_contexts == 0


def test_concordance_sees_another_order_another_scale_and_another_level() -> None:
    scores = [-4.0, -2.0, 1.0, 5.0]
    assert concordance(scores, scores) == pytest.approx(1)
    assert concordance(scores, [score + 0.05 for score in scores]) > 0.999
    assert concordance(scores, [score + 3 for score in scores]) < 0.98
    assert concordance(scores, [2 * score for score in scores]) < 0.98
    assert concordance(scores, scores[::-1]) < 0
    assert concordance([1.0, 1.0], [1.0, 1.0]) == 0
