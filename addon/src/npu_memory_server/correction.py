"""A correction that was found without being asked for: why it was, and what has become of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Reason(Enum):
    """Why a memory is taken for a correction of an earlier one, as it is stored."""

    DENIED = "denied"
    """It says that the old value is not so any more."""
    CORRECTED = "corrected"
    """It says that something was wrong."""
    CHANGED = "changed"
    """It says that something was changed."""
    ONSET = "onset"
    """It says what holds from now on."""
    RESTATED = "restated"
    """It says the same with another value."""


class State(Enum):
    """What has become of a correction."""

    PROPOSED = "proposed"
    """Not sure enough: the earlier memory still holds."""
    CLOSED = "closed"
    """The earlier memory holds no longer and points to the newer one."""
    REVERTED = "reverted"
    """Somebody took it back: it is never made again."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The memory with `new_slot` corrects the one with `old_slot`, with a confidence from 0 to 1."""

    old_slot: int
    new_slot: int
    confidence: float
    reason: Reason
    closes: bool


@dataclass(frozen=True, slots=True)
class Correction:
    """A correction as it is stored; the ids are those of the two memories."""

    old_id: str
    new_id: str
    confidence: float
    reason: Reason
    state: State
