"""How long the next inference will take: the prediction follows what was measured, for every length, and recovers."""

from hypothesis import given, strategies as st
import pytest

from npu_memory_server.reranking.pace import Pace

LENGTHS = st.integers(8, 512)
RATES = st.floats(1e-6, 1e-2)


def seconds(tokens: int, rate: float, hidden: int = 384) -> float:
    return rate * (5 + tokens * (1 + tokens / (6 * hidden)))


def steady(rate: float, times: int = 40) -> Pace:
    pace = Pace(384)
    for number in range(times):
        tokens = 16 + number % 64
        pace.measured(tokens, seconds(tokens, rate))
    return pace


@given(rate=RATES, tokens=LENGTHS)
def test_a_steady_machine_is_predicted_for_lengths_that_were_never_measured(rate: float, tokens: int) -> None:
    assert steady(rate).predict(tokens) == pytest.approx(seconds(tokens, rate), rel=0.01)


@given(rate=RATES, lengths=st.lists(LENGTHS, min_size=2, max_size=9, unique=True))
def test_a_longer_text_is_expected_to_take_longer(rate: float, lengths: list[int]) -> None:
    predicted = [steady(rate).predict(tokens) for tokens in sorted(lengths)]

    assert predicted == sorted(set(predicted))


@given(rates=st.lists(RATES, min_size=5, max_size=40), tokens=LENGTHS)
def test_an_unsteady_machine_gets_a_margin(rates: list[float], tokens: int) -> None:
    pace, bare = Pace(384), 0.0
    for number, rate in enumerate(rates):
        pace.measured(tokens, seconds(tokens, rate))
        bare = rate if number == 0 else bare + (rate - bare) / 8

    assert pace.predict(tokens) >= seconds(tokens, bare) * 0.999


def test_a_machine_that_became_slower_is_noticed_even_if_nothing_is_ever_finished() -> None:
    pace = steady(1e-4)
    for _ in range(4):
        pace.stopped(64, seconds(64, 2e-4))

    assert pace.predict(64) > seconds(64, 1e-3)


def test_a_machine_that_was_slow_once_is_tried_again() -> None:
    pace = steady(1e-4)
    pace.stopped(64, seconds(64, 1e-1))
    tries = 0
    while pace.predict(64) > seconds(64, 2e-4):
        pace.idle()
        tries += 1

    assert tries < 40


def test_without_a_measurement_nothing_is_held_back() -> None:
    assert Pace(384).predict(512) == 0
