"""The actions that ask memory: `get_context` and `recall`."""

from dataclasses import asdict
from typing import Any

from homeassistant.core import ServiceCall, ServiceResponse
from homeassistant.helpers import config_validation as cv
from homeassistant.util import dt as dt_util
import probatio

from ..connection import MemoryClientError
from ..errors import action_error
from ..wire import (
    HOUSEHOLD,
    MAX_BUDGET_MS,
    MAX_CONTEXT_TOKENS,
    MAX_NAME_CHARACTERS,
    MAX_TEXT_CHARACTERS,
    MAX_TOP_K,
    MIN_CONTEXT_TOKENS,
    Context,
    RecallRequest,
    Reranker,
    Strategy,
)
from .arguments import ENTRY, SCOPES, Argument, check_scopes, client, memory_data, text

DEFAULT_BUDGET_MS = 1000
"""Nobody waits for an automation as for a voice; long enough for a slow machine."""
ANSWER_SECONDS = 5.0
"""What an answer may take beyond the budget of the recall itself."""
OF_THE_REQUEST = (
    Argument.TOP_K,
    Argument.STRATEGY,
    Argument.RERANKER,
    Argument.MIN_RELEVANCE,
    Argument.MAX_TOKENS,
    Argument.SPEAKER,
    Argument.LANGUAGE,
    Argument.ALLOW_SECRETS,
    Argument.EXPLAIN,
)

_RECALL: dict[Any, Any] = {
    **ENTRY,
    probatio.Required(Argument.TEXT): text(MAX_TEXT_CHARACTERS),
    probatio.Optional(Argument.TOP_K): probatio.All(probatio.Coerce(int), probatio.Range(min=1, max=MAX_TOP_K)),
    probatio.Optional(Argument.STRATEGY): probatio.Coerce(Strategy),
    probatio.Optional(Argument.RERANKER): probatio.Coerce(Reranker),
    probatio.Optional(Argument.MIN_RELEVANCE): probatio.All(probatio.Coerce(float), probatio.Range(min=0, max=1)),
    probatio.Optional(Argument.SCOPES, default=lambda: [HOUSEHOLD]): SCOPES,
    probatio.Optional(Argument.SPEAKER): text(MAX_NAME_CHARACTERS),
    probatio.Optional(Argument.LANGUAGE): text(20),
    probatio.Optional(Argument.BUDGET_MS, default=DEFAULT_BUDGET_MS): probatio.All(
        probatio.Coerce(float), probatio.Range(min=1, max=MAX_BUDGET_MS)
    ),
    probatio.Optional(Argument.ALLOW_SECRETS): cv.boolean,
}
RECALL_SCHEMA = probatio.Schema({**_RECALL, probatio.Optional(Argument.EXPLAIN, default=False): cv.boolean})
CONTEXT_SCHEMA = probatio.Schema(
    {
        **_RECALL,
        probatio.Optional(Argument.MAX_TOKENS): probatio.All(
            probatio.Coerce(int), probatio.Range(min=MIN_CONTEXT_TOKENS, max=MAX_CONTEXT_TOKENS)
        ),
        probatio.Optional(Argument.EXPLAIN, default=True): cv.boolean,
    }
)


async def get_context(call: ServiceCall) -> ServiceResponse:
    """Return what a model would be given, and how that came about."""
    context = await _asked(call)
    return {**_answer(context), "context": context.context, **_how(context)}


async def recall(call: ServiceCall) -> ServiceResponse:
    """Return the memories, best first."""
    return _answer(await _asked(call))


def _answer(context: Context) -> dict[str, Any]:
    return {"memories": [memory_data(memory) for memory in context.memories]}


def _how(context: Context) -> dict[str, Any]:
    return {
        "timings": asdict(context.timings),
        "backend": context.backend,
        "degraded": context.degraded,
        "left_out": [{"id": one.id, "reason": one.reason.value} for one in context.left_out],
    }


async def _asked(call: ServiceCall) -> Context:
    """Recall with what the caller gave; what was not given, the server decides."""
    scopes = tuple(call.data[Argument.SCOPES])
    await check_scopes(call, scopes)
    given = {key.value: call.data[key] for key in OF_THE_REQUEST if key in call.data}
    budget_ms = call.data[Argument.BUDGET_MS]
    request = RecallRequest(
        text=call.data[Argument.TEXT],
        scopes=scopes,
        budget_ms=budget_ms,
        asked_at=dt_util.now().isoformat(),
        **given,
    )
    try:
        return await client(call).recall(request, budget_ms / 1000 + ANSWER_SECONDS)
    except MemoryClientError as error:
        raise action_error(error) from error
