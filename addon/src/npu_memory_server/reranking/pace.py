"""How long the next one will take, from how long the last ones took."""

from __future__ import annotations

FIRST_GAIN = 1 / 8
DEVIATION_GAIN = 1 / 4
DEVIATIONS = 2
"""Of the mean deviation above the mean; the timers of TCP, which must not fire in vain, take 4."""
OVERHEAD_TOKENS = 5
"""What an inference costs whatever its length: 1.5 ms of 0.3 ms a token, measured on 12 layers of 384."""
BOLDER = 0.8


class Expectation:
    """A running mean of something measured again and again, and of its deviation, as in RFC 6298. Not thread-safe."""

    def __init__(self, first: float = 0.0) -> None:
        """Begin without a measurement: `first` is expected until there is one."""
        self._first = first
        self._mean = 0.0
        self._deviation = 0.0
        self._is_measured = False

    @property
    def most(self) -> float:
        """What is not exceeded, as far as one can tell."""
        return self._mean + DEVIATIONS * self._deviation if self._is_measured else self._first

    def measured(self, value: float) -> None:
        """Take in a measurement."""
        if self._is_measured:
            self._deviation += DEVIATION_GAIN * (abs(value - self._mean) - self._deviation)
            self._mean += FIRST_GAIN * (value - self._mean)
        else:
            self._mean, self._deviation, self._is_measured = value, value / 2, True

    def exceeded(self, value: float) -> None:
        """Take in that it was more than `value`: expect twice as much from now on."""
        self._mean, self._is_measured = max(2 * self._mean, value), True

    def fade(self) -> None:
        """Expect less from now on."""
        self._mean *= BOLDER
        self._deviation *= BOLDER


class Pace:
    """How many seconds an inference takes, from the seconds that a token took in those before. Not thread-safe.

    A layer of width h takes 12 n h^2 multiplications for the matrices of n tokens and 2 n^2 h for their attention, so
    that a token among n costs 1 + n / 6h times what it costs alone.
    """

    def __init__(self, hidden: int) -> None:
        """Begin without a measurement: nothing is expected to take any time."""
        self._hidden = hidden
        self._rate = Expectation()

    def predict(self, tokens: int) -> float:
        """Return the seconds that an inference of so many tokens takes at most, as far as one can tell."""
        return self._work(tokens) * self._rate.most

    def measured(self, tokens: int, seconds: float) -> None:
        """Take in how long one took."""
        self._rate.measured(seconds / self._work(tokens))

    def stopped(self, tokens: int, seconds: float) -> None:
        """Take in that one was not done after so long."""
        self._rate.exceeded(seconds / self._work(tokens))

    def idle(self) -> None:
        """Take in that nothing seemed to fit: expect less the next time, or what was slow once stays so forever."""
        self._rate.fade()

    def _work(self, tokens: int) -> float:
        return OVERHEAD_TOKENS + tokens * (1 + tokens / (6 * self._hidden))
