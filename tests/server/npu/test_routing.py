"""Which backend embeds a text, and what becomes of the text when the NPU lies, fails, hangs or is gone."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
import logging
import sys
import time

import numpy as np
import pytest

from npu_memory_server.backend import Backend
from npu_memory_server.embedding.embedder import OnnxEmbedder, TextEmbedder
from npu_memory_server.embedding.encoding import Encoded
from npu_memory_server.embedding.npu.package import open_package
from npu_memory_server.embedding.npu.routing import Model, RoutedEncoder
from npu_memory_server.npu.accelerator import CANARY_SECONDS
from npu_memory_server.npu.faults import NpuRequiredError
from npu_memory_server.npu.settings import CoreMask
from npu_memory_server.npu.tables import Ids
from npu_memory_server.npu.trial import Limits
from npu_memory_server.wire import NpuState
from tests.server.npu.conftest import Clock, OpenNpu, SlowCpu
from tests.server.npu.stand_in import DEVICE_UNAVAILABLE, FAIL, TIMEOUT, Faults, StandInNpu

pytestmark = pytest.mark.usefixtures("rknnlite")

QUESTIONS = [
    "Where is the spare key?",
    "When was the heating serviced?",
    "What does Mara not eat?",
    "Which day is the paper collected?",
    "Wer hat die lange Leiter ausgeliehen?",
    "How many tablets does grandmother take?",
]
LONG = " ".join(f"On day {n} the meter in the cellar showed {n * 37} units." for n in range(40))
IMPATIENT = Limits(least=0.5, most=0.5, first=20.0, hang=0.2)
"""A run is waited for half a second, and given up a fifth of a second later."""


@pytest.fixture
def window(embedder: OnnxEmbedder) -> Callable[[str], Ids]:
    """Return what cuts the first window of a text."""
    return lambda text: embedder.tokenizer.windows(embedder.tokenizer.encode(text))[0]


@pytest.fixture
def right(embedder: OnnxEmbedder) -> Callable[[Encoded, Ids], bool]:
    """Return what tells whether vectors are those of a text."""

    def is_right(encoded: Encoded, ids: Ids) -> bool:
        wanted = embedder.encoder.encode(ids, bulk=False)
        return bool(
            encoded.vector @ wanted.vector >= 0.995
            and abs(np.linalg.norm(encoded.vector) - 1) < 1e-5
            and encoded.token_vectors.shape == wanted.token_vectors.shape
            and np.isfinite(encoded.token_vectors).all()
        )

    return is_right


def test_a_question_is_embedded_on_the_npu_at_the_shortest_length_that_fits(
    open_npu: OpenNpu, window: Callable[[str], Ids], right: Callable[[Encoded, Ids], bool], npu: StandInNpu
) -> None:
    encoder = open_npu()
    for text, length in ((QUESTIONS[0], 32), (LONG[:150], 64)):
        ids = window(text)
        before = npu.seen.runs
        encoded = encoder.encode(ids, bulk=False)
        assert (encoded.backend, npu.seen.runs - before) == (Backend.NPU, 1)
        assert length // 2 < len(ids) <= length or length == 32
        assert right(encoded, ids)
    report = encoder.report
    assert (report.state, encoder.backend, report.runtime, report.driver) == (NpuState.ACTIVE, "npu", "2.5.0", "0.9.8")
    assert [(route.length, route.backend, route.reason) for route in report.routes] == [
        (32, "npu", "the NPU is faster"),
        (64, "npu", "the NPU is faster"),
    ]
    assert min(route.cosine or 0 for route in report.routes) >= 0.995


def test_a_text_beyond_the_lengths_of_the_npu_is_read_by_the_cpu(
    open_npu: OpenNpu, window: Callable[[str], Ids], npu: StandInNpu
) -> None:
    encoder = open_npu()
    before = npu.seen.runs
    assert encoder.encode(window(LONG), bulk=False).backend is Backend.CPU
    assert npu.seen.runs == before


def test_a_long_text_is_the_mean_of_overlapping_windows_on_either_backend(
    open_npu: OpenNpu, embedder: OnnxEmbedder, npu_package: object, board: object
) -> None:
    whole = open_package(npu_package, embedder.manifest, embedder.tokenizer, board, CoreMask.AUTO)
    longest = Model(whole.tables, whole.open_context, whole.lengths[-1:], whole.tokenizer)
    encoder = open_npu(with_model=longest)
    on_npu = TextEmbedder(embedder.manifest, embedder.tokenizer, encoder, embedder.fingerprint)

    npu, cpu = on_npu.embed(LONG), embedder.embed(LONG)

    assert (npu.backend, cpu.backend) == ("npu", "cpu")
    assert npu.windows == cpu.windows > 1
    assert npu.vector @ cpu.vector >= 0.995
    assert np.array_equal(npu.token_starts, cpu.token_starts)
    agreement = (npu.token_vectors * cpu.token_vectors).sum(axis=1)
    assert agreement.min() > 0.95


def test_a_length_at_which_the_cpu_is_faster_stays_with_it(
    open_npu: OpenNpu, cpu: SlowCpu, window: Callable[[str], Ids]
) -> None:
    cpu.seconds = 0.0
    encoder = open_npu()
    assert [(route.backend, route.reason) for route in encoder.report.routes] == [("cpu", "the CPU is faster")] * 2
    assert (encoder.encode(window(QUESTIONS[0]), bulk=False).backend, encoder.backend) == (Backend.CPU, "cpu")


@pytest.mark.parametrize(
    ("faults", "reason"),
    [
        (Faults(other_text=True), "not the CPU's"),
        (Faults(nan=True), "not finite"),
        (Faults(wrong_length=True), "instead of float32"),
    ],
    ids=["wrong vectors", "NaN", "wrong shape"],
)
def test_a_length_at_which_the_npu_is_wrong_stays_with_the_cpu(
    open_npu: OpenNpu, npu: StandInNpu, window: Callable[[str], Ids], faults: Faults, reason: str
) -> None:
    faults.only_length = 64
    npu.faults = faults
    encoder = open_npu()
    short, long = encoder.report.routes
    assert (short.backend, long.backend, long.npu_ms) == ("npu", "cpu", None)
    assert reason in long.reason
    assert encoder.encode(window(LONG[:150]), bulk=False).backend is Backend.CPU
    assert encoder.encode(window(QUESTIONS[0]), bulk=False).backend is Backend.NPU


FAULTS = {
    "run fails, stale output": (Faults(run=FAIL), "an earlier text"),
    "run times out, stale output": (Faults(run=TIMEOUT), "an earlier text"),
    "device gone": (Faults(gone=True), "an earlier text"),
    "NaN": (Faults(nan=True), "not finite"),
    "zeros": (Faults(zeros=True), "length is not 1"),
    "wrong shape": (Faults(wrong_length=True), "instead of float32 [1, 32, 384]"),
    "tokens of another run": (Faults(tokens_differ=True), "not the mean of its tokens"),
}


@pytest.mark.parametrize(("faults", "reason"), FAULTS.values(), ids=FAULTS.keys())
@pytest.mark.parametrize("bulk", [False, True], ids=["question", "bulk"])
def test_whatever_goes_wrong_every_text_gets_its_right_vector_in_the_same_request(
    open_npu: OpenNpu,
    npu: StandInNpu,
    window: Callable[[str], Ids],
    right: Callable[[Encoded, Ids], bool],
    faults: Faults,
    reason: str,
    bulk: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    encoder = open_npu()
    for greeting in ("Good morning.", "Good evening."):  # bulk work takes its lanes in turns
        assert encoder.encode(window(greeting), bulk=bulk).backend is Backend.NPU
    npu.faults = faults
    caplog.clear()

    answers = [encoder.encode(window(text), bulk=bulk) for text in QUESTIONS]

    assert [answer.backend for answer in answers] == [Backend.CPU] * len(QUESTIONS)
    assert all(right(answer, window(text)) for answer, text in zip(answers, QUESTIONS, strict=True))
    report = encoder.report
    assert (report.state, encoder.backend) == (NpuState.RESTING, "cpu")
    assert reason in report.reason
    assert report.failures == 3
    assert report.retry_seconds is not None
    said = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert said == [message for message in said if reason in message]
    assert len(said) == 2


def test_the_same_question_twice_is_no_stale_output(
    open_npu: OpenNpu, npu: StandInNpu, window: Callable[[str], Ids]
) -> None:
    encoder = open_npu()
    ids = window(QUESTIONS[0])
    assert [encoder.encode(ids, bulk=False).backend for _ in range(3)] == [Backend.NPU] * 3

    npu.faults = Faults(run=FAIL)
    other = window(QUESTIONS[1])
    assert [encoder.encode(other, bulk=False).backend for _ in range(2)] == [Backend.CPU] * 2


def test_failures_that_come_and_go_do_not_put_the_npu_to_rest(
    open_npu: OpenNpu, npu: StandInNpu, window: Callable[[str], Ids], right: Callable[[Encoded, Ids], bool]
) -> None:
    encoder = open_npu()
    backends = []
    for number in range(12):
        npu.faults = Faults(nan=number % 3 != 0)
        ids = window(f"{QUESTIONS[number % 6]} {number}")
        encoded = encoder.encode(ids, bulk=False)
        assert right(encoded, ids)
        backends.append(encoded.backend)
    assert backends == [Backend.NPU, Backend.CPU, Backend.CPU] * 4
    assert (encoder.report.state, encoder.report.failures) == (NpuState.ACTIVE, 8)
    assert "not finite" in encoder.report.reason


def test_a_resting_npu_is_tried_again_later_each_time_and_used_once_it_is_well(
    open_npu: OpenNpu, npu: StandInNpu, clock: Clock, window: Callable[[str], Ids]
) -> None:
    encoder = open_npu()
    npu.faults = Faults(gone=True)
    for text in QUESTIONS[:3]:
        encoder.encode(window(text), bulk=False)
    rests = []
    for _ in range(3):
        rest = encoder.report.retry_seconds
        assert rest is not None
        rests.append(rest)
        encoder.accelerator.look_after()
        assert encoder.report.retry_seconds == rest  # not before its time
        clock.advance(rest)
        encoder.accelerator.look_after()
    assert rests == [pytest.approx(15, abs=1), 30, 60]  # the CPU's answers take time as well
    assert (encoder.report.state, encoder.encode(window("hello"), bulk=False).backend) == (NpuState.RESTING, "cpu")
    assert "refused" in encoder.report.reason

    npu.faults = Faults()
    clock.advance(encoder.report.retry_seconds or 0)
    encoder.accelerator.look_after()
    assert (encoder.report.state, encoder.encode(window("hello"), bulk=False).backend) == (NpuState.ACTIVE, "npu")
    assert encoder.report.retry_seconds is None


@pytest.mark.parametrize(
    ("faults", "reason"),
    [
        (Faults(init=DEVICE_UNAVAILABLE), "refused model.32.rknn"),
        (Faults(core_mask=FAIL), "refused model.32.rknn with the core mask 7"),
        (Faults(other_text=True), "not the CPU's"),
        (Faults(run=FAIL), "length is not 1"),
    ],
    ids=["init fails", "core mask refused", "wrong vectors", "no run succeeds"],
)
def test_an_npu_that_fails_at_the_start_leaves_the_work_to_the_cpu_and_says_why(
    open_npu: OpenNpu,
    npu: StandInNpu,
    embedder: OnnxEmbedder,
    npu_package: object,
    board: object,
    window: Callable[[str], Ids],
    faults: Faults,
    reason: str,
) -> None:
    npu.faults = faults
    whole = open_package(npu_package, embedder.manifest, embedder.tokenizer, board, CoreMask.CORE_0_1_2)
    model = Model(whole.tables, whole.open_context, whole.lengths[:2], whole.tokenizer)
    encoder = open_npu(with_model=model)
    assert encoder.report.state is NpuState.RESTING
    assert reason in encoder.report.reason
    assert encoder.encode(window(QUESTIONS[0]), bulk=False).backend is Backend.CPU
    if faults.init or faults.core_mask:
        assert npu.open_contexts == 0
    with pytest.raises(NpuRequiredError, match=reason.split(maxsplit=1)[0]):
        open_npu(npu_only=True, with_model=model)


@pytest.mark.parametrize("mask", list(CoreMask))
def test_the_core_mask_reaches_the_runtime(
    open_npu: OpenNpu, npu: StandInNpu, embedder: OnnxEmbedder, npu_package: object, board: object, mask: CoreMask
) -> None:
    whole = open_package(npu_package, embedder.manifest, embedder.tokenizer, board, mask)
    open_npu(with_model=Model(whole.tables, whole.open_context, whole.lengths[:1], whole.tokenizer))
    assert npu.seen.core_masks == [int(mask)]


def test_without_the_python_library_the_cpu_does_the_work_until_the_next_start(
    open_npu: OpenNpu, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.delitem(sys.modules, "rknnlite.api")
    monkeypatch.delitem(sys.modules, "rknnlite")
    encoder = open_npu()
    clock.advance(10_000)
    encoder.accelerator.look_after()
    assert (encoder.report.state, encoder.report.retry_seconds) == (NpuState.FAILED, None)
    assert "rknn-toolkit-lite2 is not installed" in encoder.report.reason


@pytest.mark.parametrize("bulk", [False, True], ids=["question", "bulk"])
def test_a_call_that_is_late_is_answered_by_the_cpu_and_others_do_not_wait_behind_it(
    open_npu: OpenNpu, npu: StandInNpu, window: Callable[[str], Ids], right: Callable[[Encoded, Ids], bool], bulk: bool
) -> None:
    encoder = open_npu(replace(IMPATIENT, hang=60.0))
    for greeting in ("Good morning.", "Good evening."):
        encoder.encode(window(greeting), bulk=bulk)
    npu.faults = Faults(hang=True)
    late = [encoder.encode(window(text), bulk=bulk) for text in QUESTIONS[: encoder.lanes if bulk else 1]]
    before = npu.seen.runs
    behind = [encoder.encode(window(text), bulk=bulk) for text in QUESTIONS]
    assert {one.backend for one in (*late, *behind)} == {Backend.CPU}
    assert all(right(one, window(text)) for one, text in zip(behind, QUESTIONS, strict=True))
    assert npu.seen.runs == before
    assert encoder.report.state is NpuState.ACTIVE
    assert "did not come back" in encoder.report.reason

    npu.faults = Faults()
    npu.released.set()  # it comes back after all
    limit = time.monotonic() + 10
    lanes = range(encoder.lanes)  # they come back one after the other, and are used in turn
    while time.monotonic() < limit:
        if {encoder.encode(window("Good night."), bulk=bulk).backend for _ in lanes} == {Backend.NPU}:
            break
        time.sleep(0.01)
    assert {encoder.encode(window(QUESTIONS[0]), bulk=bulk).backend for _ in lanes} == {Backend.NPU}


def hang(encoder: RoutedEncoder, npu: StandInNpu, ids: Ids) -> None:
    """Let a call hang until it is given up."""
    npu.faults = Faults(hang=True)
    assert encoder.encode(ids, bulk=False).backend is Backend.CPU
    time.sleep(IMPATIENT.hang)
    assert encoder.encode(ids, bulk=False).backend is Backend.CPU
    npu.faults = Faults()


def test_a_call_that_hangs_is_given_up_and_the_npu_used_without_it(
    open_npu: OpenNpu, npu: StandInNpu, clock: Clock, window: Callable[[str], Ids]
) -> None:
    encoder = open_npu(IMPATIENT)
    hang(encoder, npu, window(QUESTIONS[0]))
    assert encoder.report.state is NpuState.RESTING
    assert "was given up" in encoder.report.reason
    clock.advance(15)
    encoder.accelerator.look_after()
    assert (encoder.report.state, encoder.encode(window(QUESTIONS[1]), bulk=False).backend) == (NpuState.ACTIVE, "npu")
    assert not npu.released.is_set()


def test_after_three_calls_that_never_came_back_the_npu_is_left_alone(
    open_npu: OpenNpu, npu: StandInNpu, clock: Clock, window: Callable[[str], Ids]
) -> None:
    encoder = open_npu(IMPATIENT)
    for text in QUESTIONS[:3]:
        hang(encoder, npu, window(text))
        clock.advance(encoder.report.retry_seconds or 0)
        encoder.accelerator.look_after()
    assert (encoder.report.state, encoder.report.retry_seconds) == (NpuState.FAILED, None)
    assert "restart the server" in encoder.report.reason


def test_an_npu_that_goes_bad_quietly_is_found_out_by_its_canaries(
    open_npu: OpenNpu, npu: StandInNpu, clock: Clock, window: Callable[[str], Ids]
) -> None:
    encoder = open_npu()
    encoder.accelerator.check()
    assert encoder.report.state is NpuState.ACTIVE
    npu.faults = Faults(other_text=True)
    clock.advance(CANARY_SECONDS)
    encoder.accelerator.check()
    assert encoder.report.state is NpuState.RESTING
    assert "not the CPU's" in encoder.report.reason
    assert encoder.encode(window(QUESTIONS[0]), bulk=False).backend is Backend.CPU


def test_bulk_work_is_confirmed_by_a_canary_before_it_is_believed(
    open_npu: OpenNpu, npu: StandInNpu, window: Callable[[str], Ids]
) -> None:
    encoder = open_npu()
    encoder.encode(window(QUESTIONS[0]), bulk=True)
    assert encoder.confirm()
    encoder.encode(window(QUESTIONS[1]), bulk=True)
    npu.faults = Faults(other_text=True)
    assert not encoder.confirm()
    assert encoder.report.state is NpuState.RESTING
    encoder.encode(window(QUESTIONS[1]), bulk=True)
    assert encoder.confirm()


def test_bulk_work_runs_in_lanes_of_its_own_beside_the_questions(
    open_npu: OpenNpu, npu: StandInNpu, window: Callable[[str], Ids], right: Callable[[Encoded, Ids], bool]
) -> None:
    encoder = open_npu()
    opened = len(npu.seen.opened)
    texts = [f"{text} {number}" for number in range(10) for text in QUESTIONS]
    with ThreadPoolExecutor(encoder.lanes + 1) as threads:
        bulk = [threads.submit(encoder.encode, window(text), bulk=True) for text in texts]
        questions = [encoder.encode(window(text), bulk=False) for text in QUESTIONS]
        done = [one.result() for one in bulk]
    assert {one.backend for one in (*questions, *done)} == {Backend.NPU}
    assert all(right(one, window(text)) for one, text in zip(done, texts, strict=True))
    assert npu.seen.opened[opened:] == [32] * encoder.lanes
    assert len(npu.seen.threads) == encoder.lanes + 1
    assert npu.seen.most_at_a_time > 1


def test_where_the_cpu_may_not_answer_the_npu_does_or_the_reason_is_given(
    open_npu: OpenNpu, npu: StandInNpu, cpu: SlowCpu, window: Callable[[str], Ids]
) -> None:
    cpu.seconds = 0.0
    encoder = open_npu(npu_only=True)
    assert encoder.encode(window(QUESTIONS[0]), bulk=False).backend is Backend.NPU  # though the CPU is faster
    npu.faults = Faults(nan=True)
    for text in QUESTIONS:
        with pytest.raises(NpuRequiredError, match="not finite"):
            encoder.encode(window(text), bulk=False)
    with pytest.raises(NpuRequiredError):
        encoder.encode(window(LONG), bulk=False)


def test_the_npu_is_released_at_the_end(open_npu: Callable[..., RoutedEncoder], npu: StandInNpu) -> None:
    encoder = open_npu()
    assert npu.open_contexts == 2
    encoder.close()
    limit = time.monotonic() + 10
    while npu.open_contexts and time.monotonic() < limit:
        time.sleep(0.01)
    assert npu.open_contexts == 0
