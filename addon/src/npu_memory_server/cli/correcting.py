"""`npu-memory corrections`: what was taken for a correction, and whether it stays so."""

from __future__ import annotations

from dataclasses import asdict
import json

from ..wire import (
    MAX_CORRECTIONS,
    AcceptCorrectionRequest,
    Correction,
    CorrectionsRequest,
    CorrectionState,
    MemoryItem,
    RevertCorrectionRequest,
)
from .opening import Memories

DONE = {
    CorrectionState.CLOSED: "{old} holds no longer; {new} has corrected it",
    CorrectionState.REVERTED: "{old} holds; {new} does not correct it",
}


async def show(memories: Memories, state: CorrectionState | None, count: int, *, as_json: bool) -> int:
    """Print corrections, those of the newest memories first, up to `count`; returns the exit code."""
    cursor = None
    shown = 0
    while shown < count:
        limit = min(MAX_CORRECTIONS, count - shown)
        page = await memories.corrections(CorrectionsRequest(state=state, limit=limit, cursor=cursor))
        for correction in page.corrections:
            print(json.dumps(asdict(correction), ensure_ascii=False) if as_json else _lines(correction))
        shown += len(page.corrections)
        cursor = page.next_cursor
        if cursor is None:
            break
    if not shown and not as_json:
        print(f"There are no corrections{f' that are {state}' if state else ''}.")
    return 0


async def settle(
    memories: Memories, request: AcceptCorrectionRequest | RevertCorrectionRequest, *, as_json: bool
) -> int:
    """Make a correction or take it back, and say so; returns the exit code."""
    if isinstance(request, AcceptCorrectionRequest):
        settled = await memories.accept_correction(request)
    else:
        settled = await memories.revert_correction(request)
    if as_json:
        print(json.dumps({"old_id": settled.old_id, "new_id": settled.new_id, "state": settled.state}))
    else:
        print(DONE[settled.state].format(old=settled.old_id, new=settled.new_id))
    return 0


def _lines(correction: Correction) -> str:
    return (
        f"{correction.state}, {correction.reason}, confidence {correction.confidence:.2f}\n"
        f"  old  {_line(correction.old)}\n"
        f"  new  {_line(correction.new)}"
    )


def _line(memory: MemoryItem) -> str:
    who = f"{memory.speaker}: " if memory.speaker else ""
    return f"{memory.created_at[:10]}  {who}{memory.text}  [{memory.id}]"
