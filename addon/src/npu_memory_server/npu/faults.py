"""What can be wrong with the NPU, each with a reason that a person can act on."""

from __future__ import annotations

from ..errors import ModelError


class NpuFault(Exception):
    """The NPU did not do what it should; the reason reaches the log, the status and whoever has to mend it."""

    def __init__(self, reason: str) -> None:
        """Say what happened and, where something can be done, what."""
        super().__init__(reason)
        self.reason = reason


class NpuLateFault(NpuFault):
    """A call took longer than its caller waits; it may still come back, and the lane is busy until then."""


class NpuHangFault(NpuFault):
    """A call has not come back for so long that its context is left behind with its thread."""


class NpuLastingFault(NpuFault):
    """It will be the same at the next attempt: somebody has to change something first."""


class NpuBusyError(Exception):
    """The lane is in use for longer than the caller can wait; nothing is wrong."""


class NpuRequiredError(ModelError):
    """The NPU cannot answer, and the settings forbid the CPU to."""
