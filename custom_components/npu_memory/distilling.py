"""Facts from conversations: some minutes after the last word, a language model makes them of what is remembered of it.

What was said stays as it was said. The server checks each fact against its sources; a model that hangs, fails, lies or
talks rubbish costs nothing but the time it takes, and nobody waits for it.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
import logging
from typing import Any

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import chat_session
from homeassistant.helpers.selector import ObjectSelector, ObjectSelectorConfig, ObjectSelectorField
from homeassistant.util import dt as dt_util
import probatio

from .capture import CaptureQueue
from .client import MemoryClient
from .connection import CannotConnect, RequestFailed, TooLate
from .const import Distilled
from .facts import FACT, FACTS, TURNS, facts_of, question, talks
from .wire import MAX_PAGE, Derivation, DeriveRequest, ErrorCode, ListRequest

_LOGGER = logging.getLogger(__name__)

SILENCE_SECONDS = chat_session.CONVERSATION_TIMEOUT.total_seconds() + 60
"""Home Assistant itself goes on with a conversation for five minutes."""
ANSWER_SECONDS = 180.0
"""A model on a small board reads and writes for a minute or two; the next conversation waits meanwhile."""
SERVER_SECONDS = 30.0
MAX_WAITING = 50
"""Conversations; of more, the oldest are left as they are."""
TRIES = 10
"""With a server that is away."""

TASK = "Facts from a conversation"
STRUCTURE = probatio.Schema(
    {
        probatio.Required(FACTS, description="The facts; an empty list if there are none"): ObjectSelector(
            ObjectSelectorConfig(
                multiple=True,
                fields={
                    FACT: ObjectSelectorField(required=True, selector={"text": {}}),
                    TURNS: ObjectSelectorField(required=True, selector={"text": {}}),
                },
            )
        )
    }
)


class Distiller:
    """Waits for conversations to end, and has facts made of them, one conversation at a time."""

    def __init__(
        self,
        hass: HomeAssistant,
        client: MemoryClient,
        captured: CaptureQueue,
        distilled: Distilled,
        proposed: Callable[[], Awaitable[None]],
    ) -> None:
        """Prepare; `run` does it. `proposed` is called when facts wait for somebody's yes."""
        self._hass = hass
        self._client = client
        self._captured = captured
        self._distilled = distilled
        self._proposed = proposed
        self._ends: dict[str, float] = {}
        self._tries: Counter[str] = Counter()
        self._heard = asyncio.Event()
        self._fails = False

    @callback
    def heard(self, session: str) -> None:
        """Note that something was said in a conversation, which ends when nothing more is."""
        self._ends.pop(session, None)
        self._ends[session] = self._hass.loop.time() + SILENCE_SECONDS
        while len(self._ends) > MAX_WAITING:
            del self._ends[next(iter(self._ends))]
        self._heard.set()

    async def run(self, entity_id: str) -> None:
        """Have this AI Task entity make facts of each conversation that ends, until cancelled."""
        while True:
            self._heard.clear()
            if not self._ends:
                await self._heard.wait()
                continue
            session, end = next(iter(self._ends.items()))
            if (left := end - self._hass.loop.time()) > 0:
                await asyncio.sleep(left)
                continue
            del self._ends[session]
            await self._distill(session, entity_id)

    async def _distill(self, session: str, entity_id: str) -> None:
        """Make facts of one conversation. Whatever goes wrong, the log says so once, and what was said is there."""
        try:
            outcomes = await self._facts(session, entity_id)
        except CannotConnect, TooLate:
            self._tries[session] += 1
            if self._tries[session] < TRIES:
                self.heard(session)
                return
        except Exception as error:  # noqa: BLE001 - a model's integration may raise anything, and quote anything in it
            if not self._fails:
                self._fails = True
                reason = error.code.value if isinstance(error, RequestFailed) else type(error).__name__
                _LOGGER.warning("Conversations are not distilled, and stay as they were said: %s", reason)
        else:
            if self._fails:
                self._fails = False
                _LOGGER.info("Conversations are distilled again")
            _LOGGER.debug("Facts of a conversation: %s", dict(outcomes))
            if outcomes[Derivation.PROPOSED]:
                await self._proposed()
        del self._tries[session]

    async def _facts(self, session: str, entity_id: str) -> Counter[Derivation]:
        """Return what became of the facts of a conversation."""
        if self._captured.unsent:
            raise CannotConnect("What was said is not stored yet")
        page = await self._client.list(ListRequest(session=session, limit=MAX_PAGE), SERVER_SECONDS)
        outcomes: Counter[Derivation] = Counter()
        for talk in talks(memory for memory in page.memories if memory.session == session):
            answer = await self._ask(entity_id, question(talk, dt_util.get_default_time_zone()))
            for fact in facts_of(answer, talk):
                request = DeriveRequest(
                    text=fact.text, derived_from=fact.sources, propose=self._distilled is Distilled.PROPOSED
                )
                try:
                    outcomes[(await self._client.derive(request, SERVER_SECONDS)).outcome] += 1
                except RequestFailed as error:
                    if error.code not in (ErrorCode.NOT_FOUND, ErrorCode.INVALID_REQUEST):
                        raise
        return outcomes

    async def _ask(self, entity_id: str, instructions: str) -> Any:
        from homeassistant.components import ai_task  # noqa: PLC0415 - its requirements may be missing

        async with asyncio.timeout(ANSWER_SECONDS):
            result = await ai_task.async_generate_data(
                self._hass, task_name=TASK, entity_id=entity_id, instructions=instructions, structure=STRUCTURE
            )
        return result.data
