"""What was decided about two memories: that the one corrects the other."""

from __future__ import annotations

from dataclasses import dataclass

from .wire import CorrectionReason


@dataclass(frozen=True, slots=True)
class Decision:
    """The memory with `new_slot` corrects the one with `old_slot`, with a confidence from 0 to 1.

    What is only suspected is proposed to nobody: it goes before the older one where a question finds both.
    """

    old_slot: int
    new_slot: int
    confidence: float
    reason: CorrectionReason
    closes: bool
    is_suspected: bool = False
