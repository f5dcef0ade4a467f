"""One turn of a conversation as memory sees it: who speaks where, and what of it is asked for and kept."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
import re
from typing import Self

from homeassistant.components.conversation import ConversationInput
from homeassistant.core import HomeAssistant
from homeassistant.helpers import area_registry as ar, device_registry as dr
from homeassistant.util import dt as dt_util
from homeassistant.util.ulid import ulid_now

from .options import AssistantOptions
from .prompt import ASSISTANT
from .wire import (
    HOUSEHOLD,
    MAX_NAME_CHARACTERS,
    MAX_TEXT_CHARACTERS,
    MAX_TOP_K,
    Kind,
    MemoryItem,
    RecallRequest,
    RememberRequest,
    Strategy,
)

ASSIST = "assist"
PERSON = "person"
USER_ID = "user_id"
SERVERS_SHARE = 0.85
"""Of the budget; the rest is for the way there and back, so that what the server finds in time arrives in time."""

REPETITIONS = 10
"""More memories than wanted are asked for, since some may repeat the question or each other."""
MIN_RELEVANCE = 0.2
"""Less is not put before a model. No memory that answers a question to the sample household, and is found, has less
than 0.23 with the hybrid strategy; the other strategies have scales of their own."""

_NO_WORD = re.compile(r"\W+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What is known about a turn when it begins; `area` is the name of the room, `area_id` its id."""

    text: str
    started: datetime
    session: str
    speaker: str | None
    language: str | None
    device_id: str | None
    area_id: str | None
    area: str | None
    source: str

    @classmethod
    async def begin(cls, hass: HomeAssistant, user_input: ConversationInput, session: str) -> Self:
        """Look up who speaks and in which room."""
        device = dr.async_get(hass).async_get(user_input.device_id) if user_input.device_id else None
        area = ar.async_get(hass).async_get_area(device.area_id) if device and device.area_id else None
        return cls(
            text=user_input.text.strip()[:MAX_TEXT_CHARACTERS],
            started=dt_util.now(),
            session=session,
            speaker=await _speaker(hass, user_input.context.user_id),
            language=user_input.language,
            device_id=device.id if device else None,
            area_id=area.id if area else None,
            area=area.name[:MAX_NAME_CHARACTERS] if area else None,
            source=(user_input.satellite_id or user_input.device_id or ASSIST)[:MAX_NAME_CHARACTERS],
        )

    @property
    def scopes(self) -> tuple[str, ...]:
        """Return what may be recalled here: what the household shares, and what belongs to this room and device."""
        scopes = [HOUSEHOLD]
        if self.area_id:
            scopes.append(f"area:{self.area_id}")
        if self.device_id:
            scopes.append(f"device:{self.device_id}")
        return tuple(scopes)

    def recall_request(self, options: AssistantOptions, known: int) -> RecallRequest:
        """Return the question to memory, for more memories than wanted: `choose` will leave some out."""
        return RecallRequest(
            text=self.text,
            scopes=self.scopes,
            speaker=self.speaker,
            language=self.language,
            asked_at=self.started.isoformat(),
            top_k=min(options.top_k + known + REPETITIONS, MAX_TOP_K),
            strategy=options.strategy,
            min_relevance=MIN_RELEVANCE if options.strategy is Strategy.HYBRID else 0.0,
            budget_ms=max(1.0, options.budget_ms * SERVERS_SHARE),
        )

    def choose(self, memories: Iterable[MemoryItem], known: Collection[str], top_k: int) -> list[MemoryItem]:
        """Return the best `top_k` of `memories` that say something new.

        Left out are the question itself (a household asks the same thing often), repetitions, and what was said in this
        conversation if `known`, its `essence`s, has it: the model sees that anyway.
        """
        seen = {essence(self.text)}
        chosen = []
        for memory in memories:
            text = essence(memory.text)
            if text not in seen and not (memory.session == self.session and text in known):
                seen.add(text)
                chosen.append(memory)
        return chosen[:top_k]

    def said(self) -> RememberRequest:
        """Return what the user said, to be remembered."""
        return self._remember(self.text, self.speaker, self.started)

    def answered(self, answer: str) -> RememberRequest:
        """Return the assistant's answer, to be remembered after what the user said."""
        return self._remember(answer[:MAX_TEXT_CHARACTERS], ASSISTANT, dt_util.now())

    def _remember(self, text: str, speaker: str | None, moment: datetime) -> RememberRequest:
        return RememberRequest(
            text=text,
            memory_id=ulid_now(),
            kind=Kind.TURN,
            speaker=speaker,
            session=self.session,
            area=self.area,
            source=self.source,
            language=self.language,
            created_at=moment.isoformat(),
        )


def essence(text: str) -> str:
    """Return what two texts have in common that differ in punctuation, white space and case only."""
    return _NO_WORD.sub(" ", text).strip().casefold() or text


async def _speaker(hass: HomeAssistant, user_id: str | None) -> str | None:
    """Return the name of the person who belongs to a user, or the user's own name."""
    if user_id is None:
        return None
    for person in hass.states.async_all(PERSON):
        if person.attributes.get(USER_ID) == user_id:
            return person.name[:MAX_NAME_CHARACTERS]
    user = await hass.auth.async_get_user(user_id)
    return user.name[:MAX_NAME_CHARACTERS] if user and user.name and not user.system_generated else None
