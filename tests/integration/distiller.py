"""AI Task entities that answer by rule: what they are asked decides, so that a test can say what they make of it."""

import asyncio
from collections.abc import Callable
import json
import re
from typing import Any, override

from homeassistant.components import ai_task
from homeassistant.components.conversation import AssistantContent, ChatLog
from homeassistant.core import HomeAssistant
from homeassistant.helpers import llm
from homeassistant.helpers.entity_component import DATA_INSTANCES
from homeassistant.setup import async_setup_component
import probatio

DISTILLER = "ai_task.distiller"

type Answer = Callable[[list[tuple[str, str, str]]], Any]
"""Made of the turns in a task: their numbers, speakers and texts."""

_TURN = re.compile(r'^(\d+)\. [-0-9]{10} [:0-9]{5}(?:, ([^:]*))?: (".*")$', re.MULTILINE)


def facts(*made: tuple[str, Any]) -> dict[str, Any]:
    """Return facts and the turns that they are said to be made of, in the form that was asked for."""
    return {"facts": [{"fact": fact, "turns": turns} for fact, turns in made]}


class Distiller(ai_task.AITaskEntity):
    """An integration of a language model without the language model."""

    _attr_supported_features = ai_task.AITaskEntityFeature.GENERATE_DATA
    _attr_unique_id = "distiller"
    entity_id = DISTILLER

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[list[tuple[str, str, str]]] = []
        self.schemas: list[Any] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.cancelled = False

    @override
    async def _async_generate_data(self, task: ai_task.GenDataTask, chat_log: ChatLog) -> ai_task.GenDataTaskResult:
        turns = [(number, who, json.loads(said)) for number, who, said in _TURN.findall(task.instructions)]
        self.asked.append(turns)
        self.schemas.append(probatio.to_openapi(task.structure, custom_serializer=llm.selector_serializer))
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        data = self.answer(turns)
        chat_log.async_add_assistant_content_without_tools(
            AssistantContent(agent_id=self.entity_id, content=json.dumps(data, default=str))
        )
        return ai_task.GenDataTaskResult(conversation_id=chat_log.conversation_id, data=data)


async def add_distiller(hass: HomeAssistant, answer: Answer) -> Distiller:
    """Add the entity to the AI Task entities, as a platform would."""
    assert await async_setup_component(hass, "ai_task", {})
    distiller = Distiller(answer)
    await hass.data[DATA_INSTANCES]["ai_task"].async_add_entities([distiller])
    return distiller
