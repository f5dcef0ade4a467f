"""How memories get to the model of an agent, and whether they got there."""

from collections.abc import Sequence
from dataclasses import dataclass

from homeassistant.components import conversation
from homeassistant.util import dt as dt_util

from .const import Fallback, Injection
from .options import AssistantOptions
from .prompt import (
    BELOW,
    NOT_REACHED_BELOW,
    NOTHING_QUOTED,
    Quoted,
    fallback_prompt,
    memory_prompt,
    message_with_memory,
    quote,
)
from .session import Session
from .wire import MemoryItem


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What the agent is handed in a turn: a message and a system prompt, with the memories in one of them.

    The system prompt is empty if there is nothing to be said in it. `told` of the memories that were to be given the
    model has in its history.
    """

    message: str
    system_prompt: str
    quoted: Quoted = NOTHING_QUOTED
    told: int = 0

    def has_arrived(self, chat_log: conversation.ChatLog) -> bool:
        """Say whether the agent has put before its model what it was handed; a message goes there in any case."""
        if self.message_has_memories:
            return True
        system = chat_log.content[0]
        return isinstance(system, conversation.SystemContent) and self.system_prompt in system.content

    @property
    def message_has_memories(self) -> bool:
        """Say whether the memories are below the message."""
        return any(line in self.message for line in self.quoted.lines[:1])


def deliver(
    message: str, memories: Sequence[MemoryItem] | None, session: Session, options: AssistantOptions
) -> Delivery:
    """Return what the agent is to be handed; `memories` is None if memory could not be asked.

    The system prompt is empty only in a conversation that has none yet: it would leave that of the turn before in its
    place, and a model on the household's own hardware needs time for every word.
    """
    if options.injection is Injection.USER_MESSAGE:
        delivery = _below_the_message(message, memories, session, options)
    else:
        delivery = _in_the_system_prompt(message, memories, session, options)
    session.prompted = session.prompted or bool(delivery.system_prompt)
    session.tell(delivery.quoted.memories, stays=options.injection is Injection.USER_MESSAGE)
    if session.callers_prompt is None:
        return delivery
    return Delivery(
        message=delivery.message,
        system_prompt=f"{session.callers_prompt}\n\n{delivery.system_prompt}".strip(),
        quoted=delivery.quoted,
        told=delivery.told,
    )


def _in_the_system_prompt(
    message: str, memories: Sequence[MemoryItem] | None, session: Session, options: AssistantOptions
) -> Delivery:
    if memories is None:
        if options.fallback is Fallback.NO_CONTEXT and not session.prompted:
            return Delivery(message=message, system_prompt="")
        return Delivery(message=message, system_prompt=fallback_prompt(options.fallback))
    quoted = quote(memories, dt_util.get_default_time_zone(), options.max_tokens)
    return Delivery(message=message, system_prompt=memory_prompt(quoted), quoted=quoted)


def _below_the_message(
    message: str, memories: Sequence[MemoryItem] | None, session: Session, options: AssistantOptions
) -> Delivery:
    if memories is None:
        lines = [NOT_REACHED_BELOW] if options.fallback is Fallback.SAY_SO else []
        return Delivery(message=message_with_memory(message, lines), system_prompt=BELOW)
    new = [memory for memory in memories if not session.recently_told(memory)]
    quoted = quote(new, dt_util.get_default_time_zone(), options.max_tokens)
    return Delivery(
        message=message_with_memory(message, quoted.lines),
        system_prompt=BELOW,
        quoted=quoted,
        told=len(memories) - len(new),
    )
