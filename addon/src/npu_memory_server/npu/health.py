"""Whether the NPU is to be used: a state, its reason, and when to try again. Knows nothing of how it is used."""

from __future__ import annotations

from collections.abc import Callable
import logging
import threading
from time import monotonic

from ..wire import NpuState
from .faults import NpuFault, NpuHangFault, NpuLastingFault

LOGGER = logging.getLogger(__name__)

FAILURES_IN_A_ROW = 3
FIRST_REST_SECONDS = 15.0
LONGEST_REST_SECONDS = 3600.0
STEADY_SECONDS = 600.0
"""After so long without a rest the next one is a short one again."""


class Health:
    """Active until three failures in a row, or one that is final for its context; then it rests, longer each time."""

    def __init__(self, clock: Callable[[], float] = monotonic, what: str = "") -> None:
        """Begin as resting: the NPU has yet to be tried. `what` names its use in the log, if it has several."""
        self._clock = clock
        self._name = f"The NPU for {what}" if what else "The NPU"
        self._lock = threading.Lock()
        self._state = NpuState.RESTING
        self._reason = "it has not been tried yet"
        self._in_a_row = 0
        self._rests = 0
        self._until = clock()
        self._active_since = 0.0
        self.failures = 0

    @property
    def state(self) -> NpuState:
        """Active, resting or failed."""
        return self._state

    @property
    def reason(self) -> str:
        """Why it is in this state; while it is active, what the last failure was, if there was one."""
        return self._reason

    @property
    def seconds_to_retry(self) -> float | None:
        """How long it rests on; None if it does not, or will not be tried again."""
        with self._lock:
            return max(self._until - self._clock(), 0.0) if self._state is NpuState.RESTING else None

    def recovered(self) -> None:
        """Take in that the NPU was tried and found good."""
        with self._lock:
            self._in_a_row = 0
            self._active_since = self._clock()
            self._change(NpuState.ACTIVE, "")

    def worked(self) -> None:
        """Take in that a call was good."""
        self._in_a_row = 0

    def faulted(self, fault: NpuFault) -> bool:
        """Take in that a call was not; returns whether the NPU is not to be used any more."""
        with self._lock:
            self.failures += 1
            self._in_a_row += 1
            if self._state is not NpuState.ACTIVE:
                return True
            if isinstance(fault, NpuHangFault | NpuLastingFault) or self._in_a_row >= FAILURES_IN_A_ROW:
                self._leave(fault)
                return True
            if fault.reason != self._reason:
                LOGGER.warning("%s failed, and the CPU answers: %s", self._name, fault.reason)
            self._reason = fault.reason
            return False

    def refused(self, fault: NpuFault) -> None:
        """Take in that the NPU was tried and is not to be used."""
        with self._lock:
            self._leave(fault)

    def _leave(self, fault: NpuFault) -> None:
        if self._state is NpuState.ACTIVE and self._clock() - self._active_since > STEADY_SECONDS:
            self._rests = 0
        self._in_a_row = 0
        if isinstance(fault, NpuLastingFault):
            self._change(NpuState.FAILED, fault.reason)
            return
        seconds = min(FIRST_REST_SECONDS * 2**self._rests, LONGEST_REST_SECONDS)
        self._rests += 1
        self._until = self._clock() + seconds
        self._change(NpuState.RESTING, fault.reason)

    def _change(self, state: NpuState, reason: str) -> None:
        same = (state, reason) == (self._state, self._reason)
        self._state, self._reason = state, reason
        if same:
            return
        match state:
            case NpuState.ACTIVE:
                LOGGER.info("%s is in use", self._name)
            case NpuState.RESTING:
                LOGGER.warning("%s rests and will be tried again: %s", self._name, reason)
            case _:
                LOGGER.error("%s is not used until the next start: %s", self._name, reason)
