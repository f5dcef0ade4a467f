"""What each event asks of the memory: a table of requests, and the two answers that any Wyoming client understands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from wyoming.info import Attribution, HandleModel, HandleProgram, Info

from .. import __version__
from ..memory import Memory
from ..records import MONTHS
from ..wire import (
    GREETING,
    AcceptCorrectionRequest,
    Context,
    CorrectionsRequest,
    DeriveRequest,
    ForgetRequest,
    Frame,
    Greeting,
    ListRequest,
    Message,
    PrepareRequest,
    ProposalsRequest,
    RecallRequest,
    RememberRequest,
    RevertCorrectionRequest,
    SettleProposalRequest,
    StatusRequest,
    WireError,
    from_data,
    parse_moment,
)

Request = TypeVar("Request", bound=Message)
Handler = Callable[[Memory, Mapping[str, Any], float], Awaitable[Message]]
"""Answers the data of a request that came at a moment of `perf_counter`."""


@dataclass(frozen=True, slots=True)
class Serving:
    """What all connections of a server share."""

    memory: Memory
    token: str
    handle_transcripts: bool = False


def _handler(cls: type[Request], call: Callable[[Memory, Request], Awaitable[Message]]) -> Handler:
    async def handle(memory: Memory, data: Mapping[str, Any], began: float) -> Message:
        return await call(memory, from_data(cls, data))

    return handle


async def _recall(memory: Memory, data: Mapping[str, Any], began: float) -> Message:
    return await memory.recall(from_data(RecallRequest, data), began)


async def _remember(memory: Memory, data: Mapping[str, Any], began: float) -> Message:
    await memory.let_questions_pass()
    stored = await memory.remember(from_data(RememberRequest, data))
    await memory.let_questions_pass()
    return stored


REQUESTS: Mapping[str, Handler] = {
    RecallRequest.event_type: _recall,
    RememberRequest.event_type: _remember,
    ForgetRequest.event_type: _handler(ForgetRequest, Memory.forget),
    ListRequest.event_type: _handler(ListRequest, Memory.list),
    CorrectionsRequest.event_type: _handler(CorrectionsRequest, Memory.corrections),
    AcceptCorrectionRequest.event_type: _handler(AcceptCorrectionRequest, Memory.accept_correction),
    RevertCorrectionRequest.event_type: _handler(RevertCorrectionRequest, Memory.revert_correction),
    DeriveRequest.event_type: _handler(DeriveRequest, Memory.derive),
    ProposalsRequest.event_type: _handler(ProposalsRequest, Memory.proposals),
    SettleProposalRequest.event_type: _handler(SettleProposalRequest, Memory.settle_proposal),
    PrepareRequest.event_type: _handler(PrepareRequest, lambda memory, request: memory.prepare(request.id)),
    StatusRequest.event_type: _handler(StatusRequest, lambda memory, request: memory.status(request.id)),
}


def hello(greeting: Greeting, serving: Serving) -> dict[str, Any]:
    """Return the data of `info`: what Wyoming clients expect, and our greeting beside it."""
    attribution = Attribution(name="NPU Memory", url="https://github.com/npu-memory/npu-memory")
    program = HandleProgram(
        name="npu-memory",
        description="Answers from what this household has said and noted",
        attribution=attribution,
        installed=True,
        version=__version__,
        models=[
            HandleModel(
                name="memory",
                description="Memory",
                attribution=attribution,
                installed=True,
                version=__version__,
                languages=["en"],
            )
        ],
    )
    info = Info(handle=[program] if serving.handle_transcripts else [])
    return {**info.event().data, GREETING: asdict(greeting)}


async def spoken_answer(memory: Memory, frame: Frame) -> dict[str, Any]:
    """Return the data of `handled` for a `transcript`: the best memory of the household, quoted to be spoken."""
    try:
        request = from_data(RecallRequest, {"text": frame.data.get("text"), "language": frame.data.get("language")})
    except WireError:
        return {"text": "I did not understand that."}
    return {"text": _quotation(await memory.recall(request))}


def _quotation(context: Context) -> str:
    if not context.memories:
        return "I remember nothing about that."
    best = context.memories[0]
    day = parse_moment(best.created_at)
    who = f"{best.speaker} said" if best.speaker else "it was noted"
    return f"On {MONTHS[day.month - 1]} {day.day}, {day.year}, {who}: {best.text}"
