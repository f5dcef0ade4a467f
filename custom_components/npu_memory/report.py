"""What memory did for a turn, in numbers: what was asked, what came back, what reached the model, what it cost."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from .wire import Context, MemoryItem, Timings


class Outcome(StrEnum):
    """Whether a turn had memories, and why not if it had none."""

    GIVEN = "given"
    NOTHING_RELEVANT = "nothing_relevant"
    NOTHING_SAID = "nothing_said"
    NOT_NEEDED = "not_needed"
    """Home Assistant's own agent has dealt with it."""
    SPOKEN_TO = "spoken_to"
    """Somebody has spoken to memory itself, and it has answered."""
    NOT_CONNECTED = "not_connected"
    TOO_LATE = "too_late"
    REFUSED = "refused"
    """The server could not answer, or not this question."""
    FAILED = "failed"
    """A mistake of this integration; the log has it."""
    NOT_TAKEN = "not_taken"
    """There were memories, but the agent did not put them before its model."""
    AGENT_MISSING = "agent_missing"
    CIRCLE = "circle"
    """The agent in front of which the assistant sits has asked the assistant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """What came of asking memory; `failure` says why there is no context. `waited_ms` is what the turn waited for."""

    context: Context | None = None
    failure: Outcome | None = None
    waited_ms: float = 0.0

    @property
    def memories(self) -> Sequence[MemoryItem]:
        """Return what came back, best first."""
        return self.context.memories if self.context else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnReport:
    """A turn in numbers; no text, no name and no id is in it.

    Of the memories that came back, `given` reached the model now, and `told` had reached it a few turns before.
    `tokens` are about those of the quotations.
    """

    outcome: Outcome
    asked_characters: int = 0
    returned: int = 0
    given: int = 0
    told: int = 0
    tokens: int = 0
    waited_ms: float = 0.0
    backend: str | None = None
    degraded: str | None = None
    timings: Timings | None = None

    def as_attributes(self) -> dict[str, Any]:
        """Return everything but the outcome as flat attributes; the ms of each stage are named `..._ms`."""
        data = asdict(self)
        del data["outcome"]
        timings = data.pop("timings") or {}
        return {**data, **{f"{stage}_ms": ms for stage, ms in timings.items()}}


def report_of(
    outcome: Outcome, recalled: Recalled, text: str, *, given: int = 0, told: int = 0, tokens: int = 0
) -> TurnReport:
    """Return the report of a turn in which memory was asked for `text`."""
    context = recalled.context
    return TurnReport(
        outcome=outcome,
        asked_characters=len(text),
        returned=len(recalled.memories),
        given=given,
        told=told,
        tokens=tokens,
        waited_ms=round(recalled.waited_ms, 1),
        backend=context.backend if context else None,
        degraded=(context.degraded or None) if context else None,
        timings=context.timings if context else None,
    )
