"""`npu-memory proposals`: facts that a language model has made of what was said, and whether they are remembered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
import json

from ..wire import MAX_PROPOSALS, MemoryItem, Proposal, ProposalsRequest, SettleProposalRequest
from .opening import Memories


async def show(memories: Memories, count: int, *, as_json: bool) -> int:
    """Print the facts that wait, the newest first, up to `count`; returns the exit code."""
    cursor = None
    shown = 0
    while shown < count:
        page = await memories.proposals(ProposalsRequest(limit=min(MAX_PROPOSALS, count - shown), cursor=cursor))
        for proposal in page.proposals:
            print(json.dumps(asdict(proposal), ensure_ascii=False) if as_json else _lines(proposal))
        shown += len(page.proposals)
        cursor = page.next_cursor
        if cursor is None:
            break
    if not shown and not as_json:
        print("No facts are proposed.")
    return 0


async def settle(memories: Memories, requests: Sequence[SettleProposalRequest], *, as_json: bool) -> int:
    """Remember facts or decline them, and say so; returns the exit code."""
    for request in requests:
        settled = await memories.settle_proposal(request)
        if as_json:
            print(json.dumps({"id": settled.memory_id, "accepted": settled.accepted}))
        else:
            print(f"{'remembered' if settled.accepted else 'declined'} [{settled.memory_id}]")
    return 0


def _lines(proposal: Proposal) -> str:
    said = "\n".join(f"  from  {_line(source)}" for source in proposal.sources)
    return f"{proposal.fact.text}  [{proposal.fact.id}]\n{said}"


def _line(memory: MemoryItem) -> str:
    who = f"{memory.speaker}: " if memory.speaker else ""
    return f"{memory.created_at[:10]}  {who}{memory.text}"
