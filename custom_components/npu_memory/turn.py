"""One turn of a conversation as memory sees it: who speaks where, and what of it is asked for and kept."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
import re
from typing import Self

from homeassistant.components.conversation import ChatLog, ConversationInput
from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util
from homeassistant.util.ulid import ulid_now

from .options import AssistantOptions, ServerOptions
from .prompt import ASSISTANT, message_without_memory
from .speaking import Place, Speaker, device_of, visible_scopes, who_speaks
from .wire import (
    HOUSEHOLD,
    MAX_NAME_CHARACTERS,
    MAX_TEXT_CHARACTERS,
    MAX_TOP_K,
    Kind,
    MemoryItem,
    RecallRequest,
    RememberRequest,
)

ASSIST = "assist"
SERVERS_SHARE = 0.85
"""Of the budget; the rest is for the way there and back, so that what the server finds in time arrives in time."""

REPETITIONS = 10
"""More memories than wanted are asked for, since some may repeat the question or each other."""

_NO_WORD = re.compile(r"\W+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What is known about a turn when it begins."""

    text: str
    started: datetime
    session: str
    speaker: Speaker
    place: Place
    language: str | None
    source: str

    @classmethod
    async def begin(
        cls, hass: HomeAssistant, user_input: ConversationInput, session: str, options: ServerOptions
    ) -> Self:
        """Look up who speaks and in which room."""
        device_id = device_of(hass, user_input.device_id, user_input.satellite_id)
        return cls(
            text=user_input.text.strip()[:MAX_TEXT_CHARACTERS],
            started=dt_util.now(),
            session=session,
            speaker=await who_speaks(
                hass, user_input.context.user_id, device_id, user_input.satellite_id, options.speakers
            ),
            place=Place.of_device(hass, device_id),
            language=user_input.language,
            source=(user_input.satellite_id or user_input.device_id or ASSIST)[:MAX_NAME_CHARACTERS],
        )

    def recall_request(self, options: AssistantOptions, *, has_history: bool) -> RecallRequest:
        """Return the question to memory, for more memories than wanted: `choose` will leave some out.

        Whoever is to answer and `has_history` needs nothing of what was said in this conversation.
        """
        return RecallRequest(
            text=self.text,
            scopes=visible_scopes(options.whose, self.speaker, self.place),
            speaker=self.speaker.name,
            language=self.language,
            asked_at=self.started.isoformat(),
            top_k=min(options.top_k + REPETITIONS, MAX_TOP_K),
            strategy=options.strategy,
            reranker=options.reranker,
            min_relevance=options.min_relevance,
            budget_ms=max(1.0, options.budget_ms * SERVERS_SHARE),
            allow_secrets=options.allow_secrets,
            without_session=self.session if has_history else None,
            with_context=False,
        )

    def choose(self, memories: Iterable[MemoryItem], known: Collection[str], top_k: int) -> list[MemoryItem]:
        """Return the best `top_k` of `memories` that say something new.

        Left out are the question itself (a household asks the same thing often), repetitions, and what was said in this
        conversation if `known`, its `essence`s, has it: the model sees that anyway.
        """
        seen = {essence(self.text)}
        chosen: list[MemoryItem] = []
        for memory in memories:
            if len(chosen) == top_k:
                break
            text = essence(memory.text)
            if text not in seen and not (memory.session == self.session and text in known):
                seen.add(text)
                chosen.append(memory)
        return chosen

    def scope(self, *, private: bool) -> str:
        """Return whose a turn is: its speaker's alone if `private` and if it is known who that is, or everybody's."""
        return (self.speaker.private_scope if private else None) or HOUSEHOLD

    def said(self, scope: str) -> RememberRequest:
        """Return what the user said, to be remembered."""
        return self._remember(self.text, self.speaker.name, self.started, scope)

    def answered(self, answer: str, scope: str) -> RememberRequest:
        """Return the assistant's answer, to be remembered after what the user said."""
        return self._remember(answer[:MAX_TEXT_CHARACTERS], ASSISTANT, dt_util.now(), scope)

    def _remember(self, text: str, speaker: str | None, moment: datetime, scope: str) -> RememberRequest:
        return RememberRequest(
            text=text,
            memory_id=ulid_now(),
            kind=Kind.TURN,
            speaker=speaker,
            scope=scope,
            session=self.session,
            area=self.place.area,
            source=self.source,
            language=self.language,
            created_at=moment.isoformat(),
        )


def essence(text: str) -> str:
    """Return what two texts have in common that differ in punctuation, white space and case only."""
    return _NO_WORD.sub(" ", text).strip().casefold() or text


def said_before(chat_log: ChatLog) -> set[str]:
    """Return the `essence` of everything that was said in a conversation before the turn that is under way."""
    texts = (getattr(content, "content", None) for content in chat_log.content[1:-1])
    return {essence(message_without_memory(text)) for text in texts if text}
