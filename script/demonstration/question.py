"""A question to memory, once by the action and once through the Assist pipeline."""

from dataclasses import dataclass
import time
from typing import Any

from .home_assistant import HomeAssistant
from .processes import DemonstrationError


@dataclass(frozen=True)
class Found:
    """What the action `npu_memory.get_context` returned; times in ms."""

    context: str
    memories: int
    backend: str
    stages: dict[str, float]
    round_trip: float


@dataclass(frozen=True)
class Answered:
    """What the pipeline said; times in ms."""

    speech: str
    intent_stage: float
    end_to_end: float


async def find_context(home: HomeAssistant, question: str) -> Found:
    """Ask for the context that an assistant would be given."""
    started = time.perf_counter()
    answer = await home.command(
        "call_service",
        domain="npu_memory",
        service="get_context",
        service_data={"text": question},
        return_response=True,
    )
    round_trip = _milliseconds_since(started)
    response = answer["response"]
    return Found(
        context=response["context"],
        memories=len(response["memories"]),
        backend=response["backend"],
        stages=response["timings"],
        round_trip=round_trip,
    )


async def ask_pipeline(home: HomeAssistant, pipeline: str, question: str) -> Answered:
    """Run the pipeline from text to text. Raises `DemonstrationError` if it reports an error."""
    times: dict[str, float] = {}
    speech: list[str] = []

    def seen(event: dict[str, Any]) -> bool:
        times[event["type"]] = time.perf_counter()
        if event["type"] == "error":
            raise DemonstrationError(f"The pipeline failed: {event['data']['message']}")
        if event["type"] == "intent-end":
            speech.append(event["data"]["intent_output"]["response"]["speech"]["plain"]["speech"])
        return bool(event["type"] == "run-end")

    started = time.perf_counter()
    await home.events(
        "assist_pipeline/run",
        seen,
        start_stage="intent",
        end_stage="intent",
        pipeline=pipeline,
        input={"text": question},
    )
    return Answered(
        speech="".join(speech),
        intent_stage=(times["intent-end"] - times["intent-start"]) * 1000,
        end_to_end=_milliseconds_since(started),
    )


def _milliseconds_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
