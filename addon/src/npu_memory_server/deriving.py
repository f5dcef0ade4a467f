"""Facts that a language model has made of what was said: checked, and stored or proposed. Functions on a connection.

What was said is the truth: a fact belongs to whom its sources belong, names them, and goes and is closed with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
import sqlite3
from typing import TypeVar

from .context.examining import examined
from .context.grounding import is_founded
from .errors import InvalidRequestError
from .records import Record, flags, item_from_record
from .retrieval.fitting import ASSISTANT
from .store import derivations, memories
from .store.memories import Addition
from .wire import Derivation, DeriveRequest, Kind, Proposal, SettleProposalRequest

T = TypeVar("T")

SOURCE = "distilled"


def derive(
    connection: sqlite3.Connection, request: DeriveRequest, new_id: str, now: datetime
) -> tuple[Derivation, Addition | None]:
    """Store or propose a fact if it holds nothing but what its sources say; return what became of it.

    Raises `NotFoundError` if one of these is gone, and `InvalidRequestError` if nothing may be derived from them.
    """
    said = derivations.sources(connection, request.derived_from)
    _check(said)
    fact = _fact(new_id, request.text, said)
    if flags(examined(fact, said)):
        return Derivation.UNFIT, None
    if not is_founded(fact.text, [f"{one.speaker or ''}: {one.text}" for one in said], fact.language):
        return Derivation.UNFOUNDED, None
    same = _essence(fact.text)
    if any(same == _essence(one.text) for one in said) or derivations.is_known(connection, fact.scope, same):
        return Derivation.KNOWN, None
    if memories.is_forgotten(connection, fact):
        return Derivation.KNOWN, None
    derivations.note(connection, fact, same, waits=request.propose)
    if request.propose:
        return Derivation.PROPOSED, None
    return _add(connection, fact, now)


def settle(
    connection: sqlite3.Connection, request: SettleProposalRequest, now: datetime
) -> tuple[Derivation, Addition | None]:
    """Store a fact that was proposed, or decline it.

    Raises `NotFoundError` if it does not wait, and `InvalidRequestError` if it can only be declined.
    """
    waiting = derivations.settle(connection, request.memory_id)
    if not request.accept:
        return Derivation.KNOWN, None
    _check(waiting.sources)
    return _add(connection, _fact(waiting.id, waiting.text, waiting.sources), now)


def proposals(connection: sqlite3.Connection, limit: int, cursor: str | None) -> tuple[list[Proposal], str | None, int]:
    """Return a page of the facts that wait, the newest first, the next cursor, and how many wait in all."""
    found, following = derivations.page(connection, limit, cursor)
    page = [
        Proposal(
            fact=item_from_record(_fact(one.id, one.text, one.sources)),
            sources=tuple(item_from_record(source) for source in one.sources),
        )
        for one in found
    ]
    return page, following, derivations.count(connection)


def _add(connection: sqlite3.Connection, fact: Record, now: datetime) -> tuple[Derivation, Addition | None]:
    addition = memories.add(connection, fact, now)
    if addition.added is None:
        return Derivation.KNOWN, None
    return Derivation.STORED, addition


def _fact(fact_id: str, text: str, said: Sequence[Record]) -> Record:
    """Return a fact as a memory: what its sources have in common is its own, its day is the last one's."""
    expiring = [one.expires_at for one in said if one.expires_at]
    return Record(
        id=fact_id,
        text=" ".join(text.split()),
        created_at=(last := max(one.created_at for one in said)),
        valid_from=last,
        kind=Kind.FACT,
        speaker=_common(one.speaker for one in said),
        scope=said[0].scope,
        area=_common(one.area for one in said),
        source=SOURCE,
        language=_common(one.language for one in said),
        expires_at=min(expiring) if expiring else None,
        derived_from=tuple(dict.fromkeys(one.id for one in said)),
    )


def _check(said: Sequence[Record]) -> None:
    if len({one.scope for one in said}) != 1:
        raise InvalidRequestError("A fact is derived from memories of the same person, place or household.")
    if any(one.derived_from or one.speaker == ASSISTANT or flags(one) for one in said):
        raise InvalidRequestError("No fact is derived from an answer, another fact, a secret or an instruction.")
    if any(one.valid_to for one in said):
        raise InvalidRequestError("No fact is derived from what holds no longer.")


def _common(values: Iterable[T]) -> T | None:
    different = set(values)
    return different.pop() if len(different) == 1 else None


def _essence(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".!")
