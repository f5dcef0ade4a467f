"""How long the next inference will take, from how long the last ones took."""

from __future__ import annotations

FIRST_GAIN = 1 / 8
DEVIATION_GAIN = 1 / 4
DEVIATIONS = 2
"""Of the mean deviation above the mean; the timers of TCP, which must not fire in vain, take 4."""
OVERHEAD_TOKENS = 5
"""What an inference costs whatever its length: 1.5 ms of 0.3 ms a token, measured on 12 layers of 384."""
BOLDER = 0.8


class Pace:
    """A running mean of the seconds a token takes, and of its deviation, as in RFC 6298. Not thread-safe.

    A layer of width h takes 12 n h^2 multiplications for the matrices of n tokens and 2 n^2 h for their attention, so
    that a token among n costs 1 + n / 6h times what it costs alone.
    """

    def __init__(self, hidden: int) -> None:
        """Begin without a measurement: nothing is expected to take any time."""
        self._hidden = hidden
        self._mean = 0.0
        self._deviation = 0.0
        self._is_measured = False

    def predict(self, tokens: int) -> float:
        """Return the seconds that an inference of so many tokens takes at most, as far as one can tell."""
        return self._work(tokens) * (self._mean + DEVIATIONS * self._deviation)

    def measured(self, tokens: int, seconds: float) -> None:
        """Take in how long one took."""
        rate = seconds / self._work(tokens)
        if self._is_measured:
            self._deviation += DEVIATION_GAIN * (abs(rate - self._mean) - self._deviation)
            self._mean += FIRST_GAIN * (rate - self._mean)
        else:
            self._mean, self._deviation, self._is_measured = rate, rate / 2, True

    def stopped(self, tokens: int, seconds: float) -> None:
        """Take in that one was not done after so long: expect twice as much from now on."""
        self._mean = max(2 * self._mean, seconds / self._work(tokens))

    def idle(self) -> None:
        """Take in that nothing seemed to fit: expect less the next time, or what was slow once stays so forever."""
        self._mean *= BOLDER
        self._deviation *= BOLDER

    def _work(self, tokens: int) -> float:
        return OVERHEAD_TOKENS + tokens * (1 + tokens / (6 * self._hidden))
