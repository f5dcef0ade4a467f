"""What the panel does with memories, beyond a request that the client has as it is."""

from collections.abc import Sequence
from itertools import batched

from homeassistant.util import dt as dt_util
from homeassistant.util.ulid import ulid_now

from ..actions.arguments import CHANGE_SECONDS
from ..client import MemoryClient
from ..connection import RequestFailed
from ..listing import PAGE_SECONDS, listed
from ..wire import (
    MAX_TOP_K,
    AcceptCorrectionRequest,
    ErrorCode,
    ForgetRequest,
    Kind,
    ListRequest,
    MemoryItem,
    RecallRequest,
    RememberRequest,
)

SOURCE = "panel"
BUDGET_MS = 5000.0
"""Somebody looks at a screen: finding everything matters more than haste."""
ANSWER_SECONDS = 10.0
SCOPES_A_QUESTION = 16
"""As many as one recall takes."""


async def searched(client: MemoryClient, text: str, filters: ListRequest) -> list[MemoryItem]:
    """Return the memories that fit a text best, best first and at most `MAX_TOP_K`, of those that the `filters` want.

    Nothing is masked or left out because it is like something else: whoever looks for what is to be forgotten has to
    see all of it. Raises `MemoryClientError`.
    """
    scopes = filters.scopes or (await client.list(ListRequest(limit=1, overview=True), PAGE_SECONDS)).scopes
    found: dict[str, MemoryItem] = {}
    for some in batched(scopes, SCOPES_A_QUESTION, strict=False):
        question = RecallRequest(
            text=text,
            scopes=some,
            asked_at=dt_util.now().isoformat(),
            top_k=MAX_TOP_K,
            budget_ms=BUDGET_MS,
            diversity=0.0,
            allow_secrets=True,
            explain=True,
        )
        recalled = await client.recall(question, BUDGET_MS / 1000 + ANSWER_SECONDS)
        found |= {memory.id: memory for memory in recalled.memories}
    fitting = [memory for memory in found.values() if _passes(memory, filters)]
    return sorted(fitting, key=lambda memory: memory.score or 0.0, reverse=True)[:MAX_TOP_K]


def _passes(memory: MemoryItem, filters: ListRequest) -> bool:
    return (
        filters.kind in (None, memory.kind)
        and filters.speaker in (None, memory.speaker)
        and (filters.include_past or memory.valid_to is None)
    )


async def history(client: MemoryClient, memory_id: str) -> list[MemoryItem]:
    """Return a memory, what has taken its place and what these have taken the place of, newest first.

    Raises `MemoryClientError`; `RequestFailed` with `NOT_FOUND` if there is no such memory.
    """
    chain = [memory async for memory in listed(client, ListRequest(history_of=memory_id))]
    if not any(memory.id == memory_id for memory in chain):
        raise RequestFailed(ErrorCode.NOT_FOUND, "There is no memory with this id.")
    return chain


async def corrected(client: MemoryClient, memory_id: str, text: str) -> str:
    """Remember a text in the place of a memory, for whom and about whom that was; return the new id.

    Raises `MemoryClientError`.
    """
    (old,) = (memory for memory in await history(client, memory_id) if memory.id == memory_id)
    request = RememberRequest(
        text=text,
        memory_id=ulid_now(),
        kind=Kind.NOTE if old.kind is Kind.TURN else old.kind,  # nobody has said it like that
        speaker=old.speaker,
        scope=old.scope,
        area=old.area,
        source=SOURCE,
        language=old.language,
        expires_at=old.expires_at,
        tags=old.tags,
        corrects=old.id,
    )
    return (await client.remember(request, CHANGE_SECONDS)).memory_id


async def merged(client: MemoryClient, kept: str, others: Sequence[str], *, forget: bool) -> tuple[str, ...]:
    """Let one memory take the place of others that say the same, and forget those if told; return what is forgotten.

    Even what is forgotten is linked first: what it had corrected itself is then corrected by the one that is kept, and
    does not hold again. Raises `MemoryClientError`; what was linked until then stays linked.
    """
    if kept in others or any(memory.id == kept and memory.valid_to for memory in await history(client, kept)):
        raise RequestFailed(ErrorCode.CONFLICT, "Only what holds takes the place of another memory.")
    for other in others:
        request = AcceptCorrectionRequest(old_id=other, new_id=kept, stated=True)
        try:
            await client.accept_correction(request, CHANGE_SECONDS)
        except RequestFailed as error:
            if error.code is not ErrorCode.CONFLICT:  # it was corrected before
                raise
    if not forget:
        return ()
    return (await client.forget(ForgetRequest(memory_ids=tuple(others)), CHANGE_SECONDS)).memory_ids
