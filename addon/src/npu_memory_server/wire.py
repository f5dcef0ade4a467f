"""The protocol between the integration and the memory server: events, their checks, and their frames.

The events travel as Wyoming events over TCP. This file is the same, byte for byte, in `addon/src/npu_memory_server` and
in `custom_components/npu_memory`; it needs nothing but the standard library of Python 3.11. Unknown fields are skipped,
so that a newer peer may say more; everything known is checked for type, size and encoding before anybody sees it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache, lru_cache, partial
import hashlib
import hmac
import json
from operator import attrgetter
import re
from types import NoneType
from typing import Any, ClassVar, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")

PROTOCOL_VERSION = 1
DEFAULT_PORT = 10750

MAX_TEXT_CHARACTERS = 8192
"""A memory or a question; about 1 500 spoken words. Longer documents are to be split."""
MAX_NAME_CHARACTERS = 256
MAX_REASON_CHARACTERS = 2000
MAX_TOP_K = 50
MIN_CONTEXT_TOKENS = 16
MAX_CONTEXT_TOKENS = 20_000
MAX_PAGE = 200
MAX_CORRECTIONS = 40
"""A page of them: two memories each, so that the longest ones fit into a frame."""
MAX_FACT_CHARACTERS = 500
"""Of a fact that is derived: a sentence."""
MAX_SOURCES = 8
"""What one fact is derived from."""
MAX_PROPOSALS = 10
"""A page of them: each with its sources, so that the longest ones fit into a frame."""
MAX_OVERVIEW = 1000
"""Of the scopes, and of the speakers, that there are memories of."""
MAX_BUDGET_MS = 60_000
MAX_NUMBER = 2**63
"""Of a field without bounds of its own; NaN is below no bound."""
MAX_FRAME_BYTES = 8 * 1024 * 1024
"""Holds the largest answer: 50 memories of 8 192 characters of 6 bytes (as `\\u0001`), and their context."""
MAX_STRANGER_FRAME_BYTES = 16 * 1024
"""Before a peer has authenticated, nothing it sends has a reason to be larger."""
MAX_HEADER_BYTES = 32 * 1024
JSON_SPACE = " \t\r\n"
LONG_HEADER = "The header of a frame is too long."

GREETING = "npu_memory"
HOUSEHOLD = "household"
SCOPE_PATTERN = re.compile(r"household|(person|area|device):[^\s:][^\n\r]{0,199}")
ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")


class ErrorCode(StrEnum):
    """What went wrong; the key of the translations and of the tests as well."""

    MALFORMED = "malformed"
    FRAME_TOO_LARGE = "frame_too_large"
    UNKNOWN_EVENT = "unknown_event"
    INVALID_REQUEST = "invalid_request"
    NOT_AUTHENTICATED = "not_authenticated"
    WRONG_TOKEN = "wrong_token"
    UNSUPPORTED_VERSION = "unsupported_version"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    BUSY = "busy"
    STORAGE = "storage"
    MODEL = "model"
    INTERNAL = "internal"


class Kind(StrEnum):
    """What sort of thing is remembered."""

    TURN = "turn"
    FACT = "fact"
    NOTE = "note"
    DOCUMENT = "document"


class Strategy(StrEnum):
    """How memories are found."""

    HYBRID = "hybrid"
    VECTOR = "vector"
    LEXICAL = "lexical"
    RRF = "rrf"
    RECENT = "recent"


class Reranker(StrEnum):
    """What looks at the found memories a second time; those with the name of a model are cross-encoders."""

    MAXSIM = "maxsim"
    """The embedder's own token vectors."""
    NONE = "none"
    TINYBERT_L2 = "ms-marco-TinyBERT-L-2-v2"
    MINILM_L12 = "ms-marco-MiniLM-L-12-v2"
    MULTIBERT_L12 = "ms-marco-MultiBERT-L-12"
    ESCI_MINILM_L12 = "ce-esci-MiniLM-L12-v2"
    ARABIC = "miniReranker_arabic_v1"
    LOCAL = "local"
    """The cross-encoder in a folder that the server was given."""


class Outcome(StrEnum):
    """What became of something that was to be remembered."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    """A memory with this id was there already, with the same text; nothing was changed."""
    FORGOTTEN = "forgotten"
    """It had been forgotten on request and is not learnt again."""


class NpuState(StrEnum):
    """What the server does with a neural processing unit."""

    ABSENT = "absent"
    """There is none, or no model for it: the CPU does the work, and nothing is wrong."""
    DISABLED = "disabled"
    """The settings say so."""
    ACTIVE = "active"
    RESTING = "resting"
    """It failed and will be tried again; until then the CPU does its work."""
    FAILED = "failed"
    """Somebody has to change something before it is tried again."""


class Flag(StrEnum):
    """What was noticed about a memory when it was written."""

    SECRET = "secret"
    """It has a PIN, a password or the like in it, which is masked unless the request allows secrets."""
    INSTRUCTION = "instruction"
    """It reads as if it were meant to steer a language model; it is to be shown as suspicious, or not at all."""


class Omission(StrEnum):
    """Why a memory of an answer is not in its context, or not whole."""

    REPEATS = "repeats"
    """Another one there says the same."""
    NO_ROOM = "no_room"
    """The token budget was spent on better ones."""
    SHORTENED = "shortened"
    """It is there, but cut: it is long."""


class CorrectionReason(StrEnum):
    """Why a memory is taken for a correction of an earlier one."""

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


class CorrectionState(StrEnum):
    """What has become of a correction that was found without being asked for."""

    PROPOSED = "proposed"
    """Not sure enough: the earlier memory still holds."""
    CLOSED = "closed"
    """The earlier memory holds no longer and points to the newer one."""
    REVERTED = "reverted"
    """Somebody took it back: it is never made again by itself."""


class Derivation(StrEnum):
    """What became of a fact that was derived from memories."""

    STORED = "stored"
    PROPOSED = "proposed"
    """It waits until somebody accepts or declines it; nothing finds it until then."""
    KNOWN = "known"
    """It says nothing new, or it was declined or forgotten before; nothing was changed."""
    UNFOUNDED = "unfounded"
    """It has a name or a number that its sources lack; nothing was changed."""
    UNFIT = "unfit"
    """It has a secret in it, or reads like an instruction; nothing was changed."""


class WireError(Exception):
    """A frame or an event that cannot be accepted; `code` and the sentence go to the peer."""

    def __init__(self, code: ErrorCode, sentence: str, request_id: str | None = None) -> None:
        """`sentence` never quotes what the peer sent: it may be a memory."""
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.request_id = request_id


@dataclass(frozen=True, slots=True)
class Frame:
    """One Wyoming event as it travels: its type and its data."""

    type: str
    data: Mapping[str, Any]


def characters(
    limit: int = MAX_NAME_CHARACTERS, *, minimum: int = 0, pattern: re.Pattern[str] | None = None
) -> dict[str, Any]:
    """Return the metadata of a string field: its length in characters and what it must match."""
    return {"limit": limit, "minimum": minimum, "pattern": pattern}


def between(low: float, high: float) -> dict[str, Any]:
    """Return the metadata of a number field: its bounds, both included."""
    return {"low": low, "high": high}


SPOKEN = characters(MAX_TEXT_CHARACTERS, minimum=1)
IDENTIFIER = characters(64, minimum=1, pattern=ID_PATTERN)
SCOPE = characters(pattern=SCOPE_PATTERN)
MOMENT = {**characters(40), "moment": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """An event with the `id` that links an answer to its request."""

    event_type: ClassVar[str]
    id: str = field(default="", metadata=characters(64))


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """What the server's `info` says of itself under `GREETING`; the nonce is new for every connection.

    `instance` names the database: it stays the same when the server moves to another address.
    """

    protocol: int
    version: str = field(metadata=characters(40))
    instance: str = field(metadata=characters(64))
    nonce: str = field(metadata=characters(64, minimum=16))


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticate(Message):
    """The client's answer to the nonce in the server's `info`, and a nonce of its own."""

    event_type: ClassVar[str] = "memory-authenticate"
    protocol: int = field(metadata=between(0, 1_000_000))
    client_nonce: str = field(metadata=characters(64, minimum=16))
    proof: str = field(metadata=characters(64, minimum=64))


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticated(Message):
    """The server knows the token too; `proof` shows it."""

    event_type: ClassVar[str] = "memory-authenticated"
    protocol: int
    version: str = field(metadata=characters(40))
    instance: str = field(metadata=characters(64))
    proof: str = field(metadata=characters(64))


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallRequest(Message):
    """A question; `scopes` are those the asker may see, `budget_ms` what the whole recall may take.

    Without `top_k`, `strategy`, `reranker`, `max_tokens` or `diversity` the server's own settings hold. `max_tokens`
    bounds the context, in tokens of the embedder. Secrets are masked unless `allow_secrets`. With `explain` every
    memory says why it was chosen. With `diversity` a memory that is like a better one comes later, or not at all. What
    was said in `without_session` is left out: whoever asks has it at hand. Without `with_context` the answer has the
    memories alone, for whoever makes a text of them in a way of its own.
    """

    event_type: ClassVar[str] = "memory-recall"
    text: str = field(metadata=SPOKEN)
    scopes: tuple[str, ...] = field(default=(HOUSEHOLD,), metadata={**SCOPE, "items": 16})
    speaker: str | None = field(default=None, metadata=characters())
    language: str | None = field(default=None, metadata=characters(20))
    asked_at: str | None = field(default=None, metadata=MOMENT)
    top_k: int | None = field(default=None, metadata=between(1, MAX_TOP_K))
    strategy: Strategy | None = None
    reranker: Reranker | None = None
    min_relevance: float = field(default=0.0, metadata=between(0, 1))
    budget_ms: float = field(default=200.0, metadata=between(1, MAX_BUDGET_MS))
    max_tokens: int | None = field(default=None, metadata=between(MIN_CONTEXT_TOKENS, MAX_CONTEXT_TOKENS))
    allow_secrets: bool = False
    explain: bool = False
    diversity: float | None = field(default=None, metadata=between(0, 1))
    without_session: str | None = field(default=None, metadata=characters())
    with_context: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """What one signal has added to the score of a memory, or taken from it; the same vector adds 1."""

    signal: str = field(metadata=characters(40, minimum=1))
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Why a memory is in an answer.

    `lexical` is what its words have scored, of the most that the question could get (0 to 1), and `vector` the cosine
    with the question; None if that leg was not asked. The `contributions` add up to the score from which the relevance
    is made. `place` is the place before the reranker, from 1, and `rerank` what the reranker itself has given; None if
    it did not look at it. `outdated`: it was corrected and counts less. `corrects`: it has corrected this memory of the
    answer, and so stands before it; `perhaps_corrects`: it may have, and is newer. `repeats`: those of the answer that
    say the same.
    """

    lexical: float | None = None
    vector: float | None = None
    contributions: tuple[Contribution, ...] = field(default=(), metadata={"items": 32})
    place: int | None = field(default=None, metadata=between(1, 1_000_000))
    rerank: float | None = None
    outdated: bool = False
    corrects: str | None = field(default=None, metadata=IDENTIFIER)
    perhaps_corrects: str | None = field(default=None, metadata=IDENTIFIER)
    repeats: tuple[str, ...] = field(default=(), metadata={**IDENTIFIER, "items": MAX_TOP_K})


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryItem:
    """One memory as its readers see it; moments are ISO 8601 with an offset, `score` is the relevance from 0 to 1.

    Without `valid_from` it is valid from when it was said. `windows`: in how many overlapping parts a text was read
    that is too long for the embedder; its vector is their mean. `why` is there if the question has asked for it. A fact
    is `derived_from` the memories with these ids, and goes with them.
    """

    id: str = field(metadata=IDENTIFIER)
    text: str = field(metadata=characters(MAX_TEXT_CHARACTERS))
    kind: Kind = Kind.NOTE
    created_at: str = field(metadata=MOMENT)
    speaker: str | None = field(default=None, metadata=characters())
    scope: str = field(default=HOUSEHOLD, metadata=SCOPE)
    session: str | None = field(default=None, metadata=characters())
    area: str | None = field(default=None, metadata=characters())
    source: str | None = field(default=None, metadata=characters())
    language: str | None = field(default=None, metadata=characters(20))
    tags: tuple[str, ...] = field(default=(), metadata={**characters(64), "items": 32})
    valid_from: str | None = field(default=None, metadata=MOMENT)
    valid_to: str | None = field(default=None, metadata=MOMENT)
    superseded_by: str | None = field(default=None, metadata=IDENTIFIER)
    expires_at: str | None = field(default=None, metadata=MOMENT)
    score: float | None = None
    flags: tuple[Flag, ...] = field(default=(), metadata={"items": len(Flag)})
    windows: int | None = field(default=None, metadata=between(2, MAX_TEXT_CHARACTERS))
    why: Why | None = None
    derived_from: tuple[str, ...] = field(default=(), metadata={**IDENTIFIER, "items": MAX_SOURCES})


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A memory of an answer that its context does not have, or not whole, and why."""

    id: str = field(metadata=IDENTIFIER)
    reason: Omission


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Where the time of a recall went, each in ms; in a large memory the lexical search runs beside the embedding."""

    wait: float = 0.0
    tokenize: float = 0.0
    inference: float = 0.0
    pooling: float = 0.0
    lexical: float = 0.0
    vector: float = 0.0
    fusion: float = 0.0
    rerank: float = 0.0
    context: float = 0.0
    total: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reranked:
    """How far a cross-encoder came within the budget: it has read `reached` of the first `candidates`.

    What it has read stands in its order; what it has not read has kept its place. `on_npu` of them the NPU has read.
    """

    reranker: Reranker
    reached: int = field(metadata=between(0, 1000))
    candidates: int = field(metadata=between(0, 1000))
    on_npu: int = field(default=0, metadata=between(0, 1000))


@dataclass(frozen=True, slots=True, kw_only=True)
class Context(Message):
    """The answer to a recall: the memories, best first, and the same as text that can be put before a model.

    The context has no more tokens than the request allows; `left_out` says which memories it lacks. `degraded` says why
    less was done than was asked for (for instance that the embedding came too late), or is empty. `reranked` is there
    if a cross-encoder was at work.
    """

    event_type: ClassVar[str] = "memory-context"
    context: str = field(metadata=characters(MAX_FRAME_BYTES))
    memories: tuple[MemoryItem, ...] = field(metadata={"items": MAX_TOP_K})
    timings: Timings
    backend: str = field(metadata=characters(40))
    degraded: str = field(default="", metadata=characters())
    left_out: tuple[LeftOut, ...] = field(default=(), metadata={"items": MAX_TOP_K})
    reranked: Reranked | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RememberRequest(Message):
    """Something to keep as it was said; `memory_id` is kept if given, `corrects` closes that memory's validity.

    `valid_to`, `superseded_by` and `derived_from` are for what was corrected or derived elsewhere before: an export
    that is imported again.
    """

    event_type: ClassVar[str] = "memory-remember"
    text: str = field(metadata=SPOKEN)
    memory_id: str | None = field(default=None, metadata=IDENTIFIER)
    kind: Kind = Kind.NOTE
    speaker: str | None = field(default=None, metadata=characters())
    scope: str = field(default=HOUSEHOLD, metadata=SCOPE)
    session: str | None = field(default=None, metadata=characters())
    area: str | None = field(default=None, metadata=characters())
    source: str | None = field(default=None, metadata=characters())
    language: str | None = field(default=None, metadata=characters(20))
    created_at: str | None = field(default=None, metadata=MOMENT)
    expires_at: str | None = field(default=None, metadata=MOMENT)
    tags: tuple[str, ...] = field(default=(), metadata={**characters(64), "items": 32})
    corrects: str | None = field(default=None, metadata=IDENTIFIER)
    valid_to: str | None = field(default=None, metadata=MOMENT)
    superseded_by: str | None = field(default=None, metadata=IDENTIFIER)
    derived_from: tuple[str, ...] = field(default=(), metadata={**IDENTIFIER, "items": MAX_SOURCES})


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored(Message):
    """Said after the commit, never before."""

    event_type: ClassVar[str] = "memory-stored"
    memory_id: str = field(metadata=IDENTIFIER)
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetRequest(Message):
    """Memories to forget: all of them, or none if one is not known."""

    event_type: ClassVar[str] = "memory-forget"
    memory_ids: tuple[str, ...] = field(metadata={**IDENTIFIER, "items": 1000})


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten(Message):
    """The memories that are gone, from the database and from every index; last those that were derived from them."""

    event_type: ClassVar[str] = "memory-forgotten"
    memory_ids: tuple[str, ...] = field(metadata={**IDENTIFIER, "items": 50_000})


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRequest(Message):
    """A page of memories, newest first; `cursor` is the `next_cursor` of the page before. No `scopes` means all.

    With `session` only what was said in that conversation; with `history_of` only that memory, what has taken its
    place, and what these have taken the place of. With `overview` the answer says whose memories there are, and who has
    spoken.
    """

    event_type: ClassVar[str] = "memory-list"
    cursor: str | None = field(default=None, metadata=characters(64))
    limit: int = field(default=50, metadata=between(1, MAX_PAGE))
    scopes: tuple[str, ...] = field(default=(), metadata={**SCOPE, "items": 64})
    kind: Kind | None = None
    speaker: str | None = field(default=None, metadata=characters())
    include_past: bool = True
    session: str | None = field(default=None, metadata=characters())
    history_of: str | None = field(default=None, metadata=IDENTIFIER)
    overview: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Message):
    """Some memories and where the next ones begin; `total` counts everything that the filters let through.

    `scopes` and `speakers`, if the request has asked for them, are those of all memories, by the alphabet.
    """

    event_type: ClassVar[str] = "memory-page"
    memories: tuple[MemoryItem, ...] = field(metadata={"items": MAX_PAGE})
    total: int
    next_cursor: str | None = field(default=None, metadata=characters(64))
    scopes: tuple[str, ...] = field(default=(), metadata={**SCOPE, "items": MAX_OVERVIEW})
    speakers: tuple[str, ...] = field(default=(), metadata={**characters(), "items": MAX_OVERVIEW})


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionsRequest(Message):
    """A page of the corrections that were found without being asked for, those of the newest memories first.

    `cursor` is the `next_cursor` of the page before. No `state` means all.
    """

    event_type: ClassVar[str] = "memory-corrections"
    state: CorrectionState | None = None
    cursor: str | None = field(default=None, metadata=characters(64))
    limit: int = field(default=20, metadata=between(1, MAX_CORRECTIONS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """The memory `new` is taken for a correction of `old`, with a confidence from 0 to 1."""

    old: MemoryItem
    new: MemoryItem
    confidence: float = field(metadata=between(0, 1))
    reason: CorrectionReason
    state: CorrectionState


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionPage(Message):
    """Some corrections and where the next ones begin; `total` counts all in the state that was asked for."""

    event_type: ClassVar[str] = "memory-correction-page"
    corrections: tuple[Correction, ...] = field(metadata={"items": MAX_CORRECTIONS})
    total: int
    next_cursor: str | None = field(default=None, metadata=characters(64))


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptCorrectionRequest(Message):
    """Let a correction that was only proposed, or taken back, close the older memory.

    With `stated` also one that nobody has found: somebody says that the memory `new_id` takes the place of `old_id`.
    """

    event_type: ClassVar[str] = "memory-correction-accept"
    old_id: str = field(metadata=IDENTIFIER)
    new_id: str = field(metadata=IDENTIFIER)
    stated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RevertCorrectionRequest(Message):
    """Let a memory hold again that was taken for corrected, or refuse what was only proposed; it stays so."""

    event_type: ClassVar[str] = "memory-correction-revert"
    old_id: str = field(metadata=IDENTIFIER)
    new_id: str = field(metadata=IDENTIFIER)


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionSettled(Message):
    """What a correction is now, said after the commit."""

    event_type: ClassVar[str] = "memory-correction-settled"
    old_id: str = field(metadata=IDENTIFIER)
    new_id: str = field(metadata=IDENTIFIER)
    state: CorrectionState


@dataclass(frozen=True, slots=True, kw_only=True)
class DeriveRequest(Message):
    """A fact that a language model has made of what somebody said, to be stored or, with `propose`, to be asked about.

    Whose it is, who said it and until when it is kept follow from its sources, which must belong to the same person,
    place or household. It is checked against them.
    """

    event_type: ClassVar[str] = "memory-derive"
    text: str = field(metadata=characters(MAX_FACT_CHARACTERS, minimum=1))
    derived_from: tuple[str, ...] = field(metadata={**IDENTIFIER, "items": MAX_SOURCES})
    propose: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived(Message):
    """What became of a fact, said after the commit; `memory_id` is that of one that was stored or proposed."""

    event_type: ClassVar[str] = "memory-derived"
    outcome: Derivation
    memory_id: str | None = field(default=None, metadata=IDENTIFIER)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalsRequest(Message):
    """A page of the facts that wait for somebody's yes, the newest first; `cursor` is from the page before."""

    event_type: ClassVar[str] = "memory-proposals"
    cursor: str | None = field(default=None, metadata=characters(64))
    limit: int = field(default=MAX_PROPOSALS, metadata=between(1, MAX_PROPOSALS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A fact that is not remembered yet, as it would be, and what was said."""

    fact: MemoryItem
    sources: tuple[MemoryItem, ...] = field(metadata={"items": MAX_SOURCES})


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalPage(Message):
    """Some proposals and where the next ones begin; `total` counts all."""

    event_type: ClassVar[str] = "memory-proposal-page"
    proposals: tuple[Proposal, ...] = field(metadata={"items": MAX_PROPOSALS})
    total: int
    next_cursor: str | None = field(default=None, metadata=characters(64))


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleProposalRequest(Message):
    """Remember a fact that was proposed, or decline it: then the same one is not proposed again."""

    event_type: ClassVar[str] = "memory-proposal-settle"
    memory_id: str = field(metadata=IDENTIFIER)
    accept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalSettled(Message):
    """What was done with a proposal, said after the commit."""

    event_type: ClassVar[str] = "memory-proposal-settled"
    memory_id: str = field(metadata=IDENTIFIER)
    accepted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusRequest(Message):
    """How is the server?"""

    event_type: ClassVar[str] = "memory-status"


@dataclass(frozen=True, slots=True)
class NpuRoute:
    """Where texts of up to `length` tokens are read (`npu` or `cpu`) and why; ms of one inference on each.

    `cosine` is the least between their vectors, for a cross-encoder the concordance of their scores. What the NPU
    failed to do is None.
    """

    length: int
    backend: str = field(metadata=characters(40))
    npu_ms: float | None
    cpu_ms: float
    cosine: float | None
    reason: str = field(metadata=characters(MAX_REASON_CHARACTERS))


@dataclass(frozen=True, slots=True)
class NpuReport:
    """The state of the NPU, the reason for it, and what it has done since the start.

    A window is what a model reads at once. `retry_seconds`: until a resting NPU is tried again. `runtime`, `driver`:
    the versions of Rockchip's library and of the kernel's driver, as the library says, or "".
    """

    state: NpuState
    reason: str = field(default="", metadata=characters(MAX_REASON_CHARACTERS))
    routes: tuple[NpuRoute, ...] = field(default=(), metadata={"items": 32})
    npu_windows: int = 0
    cpu_windows: int = 0
    failures: int = 0
    retry_seconds: float | None = None
    runtime: str = field(default="", metadata=characters(40))
    driver: str = field(default="", metadata=characters(40))


@dataclass(frozen=True, slots=True)
class RerankerReport:
    """A cross-encoder that is loaded, and the NPU's state for it; its windows are pairs of a question and a memory."""

    reranker: Reranker
    npu: NpuReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Status(Message):
    """The server's state in numbers; no text of a memory is in it."""

    event_type: ClassVar[str] = "memory-report"
    version: str = field(metadata=characters(40))
    protocol: int
    instance: str = field(metadata=characters(64))
    memories: int
    past: int
    pending_embeddings: int
    backend: str = field(metadata=characters(40))
    model: str = field(metadata=characters())
    fingerprint: str = field(metadata=characters())
    database_bytes: int
    uptime_seconds: float
    recalls: int
    last_recall: Timings | None = None
    npu: NpuReport | None = None
    rerankers: tuple[RerankerReport, ...] = field(default=(), metadata={"items": 16})
    proposals: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareRequest(Message):
    """Somebody is about to speak: wake what has slept, so that the question finds it awake."""

    event_type: ClassVar[str] = "memory-prepare"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared(Message):
    """The next question costs what every question costs; `woken` says that there was something to wake."""

    event_type: ClassVar[str] = "memory-prepared"
    woken: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure(Message):
    """Wyoming's own `error`, with the request's id."""

    event_type: ClassVar[str] = "error"
    text: str = field(metadata=characters(2000))
    code: str = field(metadata=characters(40))


def client_proof(token: str, server_nonce: str, client_nonce: str) -> str:
    """Return the HMAC-SHA256 (hex) by which a client shows that it knows `token`, without sending it."""
    return _proof(token, "client", server_nonce, client_nonce)


def server_proof(token: str, server_nonce: str, client_nonce: str) -> str:
    """Return the HMAC-SHA256 (hex) by which the server shows the same, so that memories reach no impostor."""
    return _proof(token, "server", server_nonce, client_nonce)


def _proof(token: str, role: str, server_nonce: str, client_nonce: str) -> str:
    message = f"npu-memory\n{role}\n{server_nonce}\n{client_nonce}"
    return hmac.new(token.encode(errors="replace"), message.encode(errors="replace"), hashlib.sha256).hexdigest()


async def read_frame(reader: asyncio.StreamReader, limit: int = MAX_FRAME_BYTES) -> Frame | None:
    """Read one event, or return None at the end of the stream; for who has nothing else to do meanwhile.

    Sizes are checked before anything is read, so that a declared length costs nothing. The connection is not to be used
    again after `WireError` with `FRAME_TOO_LARGE`: where the next frame begins is not known. How long to wait is the
    caller's to say. Raises `WireError` and `asyncio.IncompleteReadError`.
    """
    try:
        line = await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    except asyncio.LimitOverrunError as error:
        raise WireError(ErrorCode.FRAME_TOO_LARGE, LONG_HEADER) from error
    header, data_length, payload_length = _header(line, limit)
    body = await reader.readexactly(data_length)
    if payload_length:
        await reader.readexactly(payload_length)
    return _frame(header, body)


class FrameBuffer:
    """The bytes of a connection as they come, and the frames in them: for a protocol, which cannot wait for more.

    `room` is for the next bytes. Sizes are checked before a body is kept, as `read_frame` does.
    """

    def __init__(self, room: int) -> None:
        """Make room for so many bytes at a time."""
        self.room = memoryview(bytearray(room))
        self._come = bytearray()
        self._header: tuple[dict[str, Any], int, int] | None = None

    def filled(self, count: int) -> None:
        """Take in the first `count` bytes of `room`."""
        self._come += self.room[:count]

    def next_frame(self, limit: int = MAX_FRAME_BYTES) -> Frame | None:
        """Return the next event, or None until more has come.

        Raises `WireError`; not to be used again if that is `FRAME_TOO_LARGE`: where the next frame begins is not known.
        """
        if self._header is None:
            end = self._come.find(b"\n", 0, MAX_HEADER_BYTES)
            if end < 0:
                if len(self._come) >= MAX_HEADER_BYTES:
                    raise WireError(ErrorCode.FRAME_TOO_LARGE, LONG_HEADER)
                return None
            line = self._taken(end + 1)
            self._header = _header(line, limit)
        header, data_length, payload_length = self._header
        if len(self._come) < data_length + payload_length:
            return None
        self._header = None
        body = self._taken(data_length)
        del self._come[:payload_length]
        return _frame(header, body)

    def _taken(self, count: int) -> bytes:
        taken = bytes(self._come[:count])
        del self._come[:count]
        return taken


def _header(line: bytes, limit: int) -> tuple[dict[str, Any], int, int]:
    """Return the header of a frame, and the bytes of its data and of its payload. Raises `WireError`."""
    header = _json_object(line)
    data_length, payload_length = header.get("data_length") or 0, header.get("payload_length") or 0
    # Not `isinstance`: true and false are numbers to Python.
    if type(data_length) is not int or type(payload_length) is not int or data_length < 0 or payload_length < 0:
        raise WireError(ErrorCode.FRAME_TOO_LARGE, "The lengths of a frame must be whole numbers from 0.")
    if data_length + payload_length > limit:
        raise WireError(ErrorCode.FRAME_TOO_LARGE, f"A frame may have at most {limit} bytes here.")
    return header, data_length, payload_length


def _frame(header: Mapping[str, Any], body: bytes) -> Frame:
    event_type, inline = header.get("type"), header.get("data") or {}
    if not isinstance(event_type, str) or not isinstance(inline, dict):
        raise WireError(ErrorCode.MALFORMED, "A frame needs a type, and its data must be a JSON object.")
    if not body:
        return Frame(event_type, inline)
    data = _json_object(body)
    return Frame(event_type, {**inline, **data} if inline else data)


_read_json = json.JSONDecoder().raw_decode


def _json_object(line: bytes) -> dict[str, Any]:
    try:
        text = line.decode().strip(JSON_SPACE)
        value, end = _read_json(text)
        if end != len(text):
            raise ValueError("something follows")
    except (ValueError, RecursionError) as error:
        raise WireError(ErrorCode.MALFORMED, "A frame must be JSON in UTF-8.") from error
    if not isinstance(value, dict):
        raise WireError(ErrorCode.MALFORMED, "A frame must be a JSON object.")
    return value


_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def frame_bytes(event_type: str, data: Mapping[str, Any]) -> bytes:
    """Return one event as it goes over the line."""
    return written_frame(event_type, _json(data))


def written_frame(event_type: str, data: str) -> bytes:
    """Return one event whose data is written as JSON already."""
    body = data.encode()
    return b'%s,"data_length":%d}\n%s' % (_beginning(event_type), len(body), body)


@lru_cache
def _beginning(event_type: str) -> bytes:
    return b'{"type":%s' % _json(event_type).encode()


def message_bytes(message: Message) -> bytes:
    """Return a message as a frame."""
    return frame_bytes(message.event_type, to_data(message))


def request_data(request: Message, number: str) -> dict[str, Any]:
    """Return a request as JSON data, with `number` as its id; to make a copy of it for that takes longer."""
    data: dict[str, Any] = to_data(request)
    data["id"] = number
    return data


def context_bytes(context: Context, memories: Sequence[str]) -> bytes:
    """Return an answer as a frame, with memories that are JSON objects already in the place of its own."""
    data = to_data(context)
    del data["memories"]
    return written_frame(context.event_type, f'{_json(data)[:-1]},"memories":[{",".join(memories)}]}}')


def to_json(value: Any) -> str:
    """Return a dataclass of this file as JSON; fields that hold their default are left out."""
    return _json(to_data(value))


def to_data(value: Any) -> Any:
    """Return a dataclass of this file as JSON data; fields that hold their default are left out."""
    if isinstance(value, tuple):
        return [to_data(item) for item in value]
    cls: Any = type(value)
    if (layout := _layout(cls)) is None:
        return value
    described, values_of = layout
    return {
        name: to_data(item) if nested else item
        for (name, default, nested), item in zip(described, values_of(value), strict=True)
        if item != default
    }


@cache
def _layout(cls: Any) -> tuple[tuple[tuple[str, Any, bool], ...], Callable[[Any], tuple[Any, ...]]] | None:
    """Return name, default and whether there may be more inside, of each field; and what reads them all at once."""
    if not is_dataclass(cls):
        return None
    described = tuple((f.name, f.default, _is_nested(_hint(cls, f.name)[0])) for f in fields(cls))
    get = attrgetter(*(name for name, _, _ in described))
    return described, get if len(described) > 1 else lambda value: (get(value),)


def _is_nested(hint: Any) -> bool:
    return get_origin(hint) is tuple or is_dataclass(hint)


def from_data(cls: type[T], data: Mapping[str, Any]) -> T:
    """Return `data` as a checked `cls`; unknown fields are skipped. Raises `WireError` with the request's id."""
    try:
        checked: T = _checked_object(cls, data)
        return checked
    except WireError as error:
        error.request_id = request_id(data)
        raise


def request_id(data: Mapping[str, Any]) -> str:
    """Return the id that an answer to this request has to carry, or "" if it has none that could be sent back."""
    value = data.get("id")
    return value if isinstance(value, str) and len(value) <= 64 and is_unicode(value) else ""


def _checked_object(cls: Any, data: Mapping[str, Any]) -> Any:
    checks, required = _schema(cls)
    # Through what is there and not through what could be: of the fields of a memory most are left out.
    values = {name: checked(value) for name, value in data.items() if (checked := checks.get(name)) is not None}
    for name in required:
        if name not in values:
            raise WireError(ErrorCode.INVALID_REQUEST, f"The field '{name}' is missing.")
    return cls(**values)


Check = Callable[[Any], Any]


@cache
def _schema(cls: Any) -> tuple[dict[str, Check], tuple[str, ...]]:
    """Return the check of each field, and the fields that have to be there; made once a class, since a voice waits."""
    checks: dict[str, Check] = {}
    for f in fields(cls):
        hint, nullable = _hint(cls, f.name)
        check = _check(f.name, hint, f.metadata)
        checks[f.name] = _or_none(check) if nullable else check
    return checks, tuple(f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING)


def _hint(cls: Any, name: str) -> tuple[Any, bool]:
    """Return the type of a field, and whether it may be None instead."""
    hint = _hints(cls)[name]
    kinds = [kind for kind in get_args(hint) if kind is not NoneType]
    nullable = NoneType in get_args(hint)
    return (kinds[0] if nullable else hint), nullable


@cache
def _hints(cls: Any) -> dict[str, Any]:
    return get_type_hints(cls)


def _or_none(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def _check(name: str, hint: Any, rules: Mapping[str, Any]) -> Check:
    if get_origin(hint) is tuple:
        return _list_check(name, _check(name, get_args(hint)[0], rules), rules["items"])
    if hint is str:
        return _text_check(name, rules)
    if hint in (int, float):
        return _number_check(name, hint, rules)
    if hint is bool:
        return _kind_check(name, bool, "true or false", lambda value: value)
    if issubclass(hint, StrEnum):
        return _enum_check(name, hint)
    return _kind_check(name, dict, "an object", partial(_checked_object, hint))


def _kind_check(name: str, kind: Any, what: str, convert: Check) -> Check:
    def check(value: Any) -> Any:
        if isinstance(value, kind):
            return convert(value)
        raise WireError(ErrorCode.INVALID_REQUEST, f"The field '{name}' must be {what}.")

    return check


def _enum_check(name: str, cls: type[StrEnum]) -> Check:
    members = {member.value: member for member in cls}

    def check(value: Any) -> Any:
        if isinstance(value, str) and value in members:
            return members[value]
        raise WireError(ErrorCode.INVALID_REQUEST, f"The field '{name}' must be one of: {', '.join(members)}.")

    return check


def _list_check(name: str, check_item: Check, limit: int) -> Check:
    def check(value: Any) -> Any:
        if isinstance(value, list | tuple) and len(value) <= limit:
            return tuple([check_item(item) for item in value])
        raise WireError(ErrorCode.INVALID_REQUEST, f"The field '{name}' must be a list of at most {limit}.")

    return check


def _text_check(name: str, rules: Mapping[str, Any]) -> Check:
    limit, minimum = rules.get("limit", MAX_NAME_CHARACTERS), rules.get("minimum", 0)
    pattern, is_moment = rules.get("pattern"), rules.get("moment", False)
    at_least = f"at least {minimum} and " if minimum else ""
    size = f"The field '{name}' must be a text of {at_least}at most {limit} characters."

    def check(value: Any) -> Any:
        if not isinstance(value, str) or len(value) > limit or (minimum and len(value.strip()) < minimum):
            raise WireError(ErrorCode.INVALID_REQUEST, size)
        # Python knows whether a text is ASCII without looking.
        if "\0" in value or not (value.isascii() or is_unicode(value)):
            raise WireError(ErrorCode.INVALID_REQUEST, f"The field '{name}' has characters that are no text.")
        if pattern and not pattern.fullmatch(value):
            raise WireError(ErrorCode.INVALID_REQUEST, f"The field '{name}' does not have the form that it must have.")
        if is_moment:
            parse_moment(value, name)
        return value

    return check


def _number_check(name: str, hint: type[int | float], rules: Mapping[str, Any]) -> Check:
    low, high = rules.get("low", -MAX_NUMBER), rules.get("high", MAX_NUMBER)
    kinds = (int,) if hint is int else (float, int)
    what = "whole number" if hint is int else "number"
    bounds = f" from {low:g} to {high:g}" if rules else ""

    def check(value: Any) -> Any:
        if isinstance(value, kinds) and not isinstance(value, bool) and low <= value <= high:
            return value
        raise WireError(ErrorCode.INVALID_REQUEST, f"The field '{name}' must be a {what}{bounds}.")

    return check


def is_unicode(value: str) -> bool:
    """Return whether a text can be written as UTF-8; JSON can hold halves of characters, which cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def parse_moment(value: str, name: str = "created_at") -> datetime:
    """Return an ISO 8601 moment as an aware datetime; one without an offset is taken as local.

    Raises `WireError`, also for one that UTC has no date for.
    """
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            moment = moment.astimezone()
        if moment.astimezone(UTC).microsecond != moment.microsecond:
            raise ValueError("an offset with parts of a second")
        return moment
    except (ValueError, OverflowError, OSError) as error:
        sentence = f"The field '{name}' must be a moment such as 2026-03-03T18:30:00+01:00."
        raise WireError(ErrorCode.INVALID_REQUEST, sentence) from error
