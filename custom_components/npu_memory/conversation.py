"""An assistant with memory: in front of a conversation agent, or answering from memory itself."""

from contextlib import suppress
from contextvars import ContextVar
from typing import Literal, override

from homeassistant.components import conversation
from homeassistant.config_entries import ConfigSubentry
from homeassistant.const import MATCH_ALL
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import intent
from homeassistant.helpers.dispatcher import async_dispatcher_send
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .connection import MemoryClientError
from .const import DOMAIN, SUBENTRY_CONVERSATION, Capture
from .coordinator import NpuMemoryConfigEntry
from .delivery import Delivery, deliver
from .fronting import FrontingEntity
from .issues import NOT_TAKEN, raise_not_taken, settle
from .recalling import Recaller
from .report import Outcome, Recalled, TurnReport, report_of
from .session import Session, async_get_session
from .speaking import narrowest, visible_scopes
from .transcripts import is_command
from .turn import Turn, said_before
from .voice.answering import Spoken, answer
from .voice.language import Say
from .voice.telling import told, worth_saying
from .voice.understanding import spoken_language
from .wire import Context

PARALLEL_UPDATES = 0

PREPARE_SECONDS = 10.0
"""Of speech, at most: then the question is there itself."""

AGENT_MISSING_SPOKEN = "The assistant behind my memory is not available. Please check the settings of NPU Memory."
CIRCLE_SPOKEN = "The assistant behind my memory asks me in turn. Please check the settings of NPU Memory."

NOT_UNDERSTOOD = (intent.IntentResponseErrorCode.NO_INTENT_MATCH, intent.IntentResponseErrorCode.NO_VALID_TARGETS)
"""What Home Assistant's agent answers to a question that is not about the home's devices; the second if it sounds as if
it were."""

NOT_TAKEN_TURNS = 3
"""In a row: then it is the agent's way, not an accident."""

ANSWERING: ContextVar[frozenset[str]] = ContextVar("npu_memory_answering", default=frozenset())
"""The assistants that wait for an answer of the agent behind them."""


async def async_setup_entry(
    hass: HomeAssistant, entry: NpuMemoryConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Set up the assistants."""
    for subentry in entry.subentries.values():
        if subentry.subentry_type == SUBENTRY_CONVERSATION:
            async_add_entities([MemoryConversationEntity(entry, subentry)], config_subentry_id=subentry.subentry_id)


class MemoryConversationEntity(FrontingEntity):
    """Recalls within a budget, lets the agent behind it answer, and remembers behind the answer's back."""

    _attr_name = None
    _attr_translation_key = "conversation"

    def __init__(self, entry: NpuMemoryConfigEntry, subentry: ConfigSubentry) -> None:
        """Read the options."""
        super().__init__(entry, subentry)
        self._recaller = Recaller(self.memory.client, self.options)
        self._not_taken = 0

    @property
    @override
    def supported_languages(self) -> list[str] | Literal["*"]:
        return MATCH_ALL

    @override
    async def async_prepare(self, language: str | None = None) -> None:
        self.entry.async_create_background_task(self.hass, self._wake_memory(), f"{DOMAIN} prepare")
        if self.agent_is_there():
            await conversation.async_prepare_agent(self.hass, self.options.agent, language or self.hass.config.language)

    @override
    async def _async_handle_message(
        self, user_input: conversation.ConversationInput, chat_log: conversation.ChatLog
    ) -> conversation.ConversationResult:
        if self.subentry.subentry_id in (answering := ANSWERING.get()):
            return self._without_an_agent(user_input, chat_log, Outcome.CIRCLE, CIRCLE_SPOKEN)
        self.memory.overheard.leave(chat_log.conversation_id)
        session = async_get_session(self.hass, user_input, chat_log)
        turn = await Turn.begin(self.hass, user_input, session.name, self.memory.options)
        alone = self.options.agent in (None, conversation.HOME_ASSISTANT_AGENT)
        if spoken := await answer(self.memory.client, self.memory.exchanges, self.options, turn, alone=alone):
            session.tell(spoken.memories, stays=False)
            return self._say(user_input, chat_log, spoken)
        if self.options.agent is None:
            return await self._answer_from_memory(user_input, chat_log, turn, session)
        if not self.agent_is_there():
            return self._without_an_agent(user_input, chat_log, Outcome.AGENT_MISSING, AGENT_MISSING_SPOKEN)
        token = ANSWERING.set(answering | {self.subentry.subentry_id})
        try:
            if self.options.agent == conversation.HOME_ASSISTANT_AGENT:
                return await self._answer_after_home_assistant(user_input, chat_log, turn, session)
            return await self._answer_with_agent(user_input, chat_log, turn, session)
        finally:
            ANSWERING.reset(token)

    async def _answer_with_agent(
        self,
        user_input: conversation.ConversationInput,
        chat_log: conversation.ChatLog,
        turn: Turn,
        session: Session,
    ) -> conversation.ConversationResult:
        """Let the agent answer with the memories at hand."""
        recalled = await self._recaller.recall(turn, self.entity_id, has_history=True)
        known = said_before(chat_log) if any(m.session == turn.session for m in recalled.memories) else ()
        memories = turn.choose(recalled.memories, known, self.options.top_k) if recalled.context else None
        delivery = deliver(user_input.text, memories, session, self.options)
        self.memory.exchanges.tell(turn, memories or (), heard=False)
        if delivery.message != user_input.text:
            chat_log.content[-1] = conversation.UserContent(content=delivery.message)
        result = await self._converse(user_input, chat_log, delivery.message, delivery.system_prompt or None)
        if _has_asked_by_itself(chat_log):
            scopes = visible_scopes(self.options.whose, turn.speaker, turn.place)
            session.narrowest_scope = narrowest(session.narrowest_scope, *scopes)
        self._report(_report_of(turn, recalled, delivery, chat_log), recalled.context)
        if result.response.response_type is not intent.IntentResponseType.ERROR:
            self._remember(turn, session, result.response.speech.get("plain", {}).get("speech"))
        return result

    async def _answer_after_home_assistant(
        self,
        user_input: conversation.ConversationInput,
        chat_log: conversation.ChatLog,
        turn: Turn,
        session: Session,
    ) -> conversation.ConversationResult:
        """Let Home Assistant's own agent do what it understands, and quote memories where it does not."""
        result = await self._converse(user_input, chat_log, user_input.text, session.callers_prompt)
        if result.response.error_code not in NOT_UNDERSTOOD or is_command(turn.text, turn.language):
            self.memory.exchanges.tell(turn, (), heard=True)
            self._report(report_of(Outcome.NOT_NEEDED, Recalled(), turn.text))
            if result.response.response_type is not intent.IntentResponseType.ERROR:
                self._remember(turn, session, result.response.speech.get("plain", {}).get("speech"))
            return result
        recalled = await self._recaller.recall(turn, self.entity_id)
        if not turn.choose(recalled.memories, (), self.options.top_k):
            self._report(report_of(recalled.failure or Outcome.NOTHING_RELEVANT, recalled, turn.text), recalled.context)
            self._remember(turn, session, None)
            return result
        if isinstance(chat_log.content[-1], conversation.AssistantContent):
            chat_log.content.pop()  # that it has not understood
        return self._quote(user_input, chat_log, turn, session, recalled)

    async def _answer_from_memory(
        self,
        user_input: conversation.ConversationInput,
        chat_log: conversation.ChatLog,
        turn: Turn,
        session: Session,
    ) -> conversation.ConversationResult:
        """Answer by quoting."""
        recalled = await self._recaller.recall(turn, self.entity_id)
        if recalled.failure not in (None, Outcome.NOTHING_SAID):
            sentence = spoken_language(turn.language).say(Say.NOT_REACHED)
            return self._without_an_agent(user_input, chat_log, recalled.failure, sentence)
        return self._quote(user_input, chat_log, turn, session, recalled)

    def _quote(
        self,
        user_input: conversation.ConversationInput,
        chat_log: conversation.ChatLog,
        turn: Turn,
        session: Session,
        recalled: Recalled,
    ) -> conversation.ConversationResult:
        memories = turn.choose(recalled.memories, (), self.options.top_k)
        session.tell(memories, stays=False)
        said = worth_saying(memories)
        self.memory.exchanges.tell(turn, said, heard=True)
        outcome = recalled.failure or (Outcome.GIVEN if memories else Outcome.NOTHING_RELEVANT)
        self._report(report_of(outcome, recalled, turn.text, given=len(memories)), recalled.context)
        self._remember(turn, session, None)
        return _speech(user_input, chat_log, Spoken(told(said, spoken_language(turn.language), turn.started)))

    def _say(
        self, user_input: conversation.ConversationInput, chat_log: conversation.ChatLog, spoken: Spoken
    ) -> conversation.ConversationResult:
        """Say what memory itself has to say; what is said to memory is no turn to be remembered."""
        self._report(report_of(Outcome.SPOKEN_TO, Recalled(), user_input.text))
        return _speech(user_input, chat_log, spoken)

    def _without_an_agent(
        self,
        user_input: conversation.ConversationInput,
        chat_log: conversation.ChatLog,
        outcome: Outcome,
        sentence: str,
    ) -> conversation.ConversationResult:
        self._report(report_of(outcome, Recalled(), user_input.text))
        response = intent.IntentResponse(language=user_input.language)
        response.async_set_error(intent.IntentResponseErrorCode.FAILED_TO_HANDLE, sentence)
        return conversation.ConversationResult(response=response, conversation_id=chat_log.conversation_id)

    async def _converse(
        self,
        user_input: conversation.ConversationInput,
        chat_log: conversation.ChatLog,
        message: str,
        system_prompt: str | None,
    ) -> conversation.ConversationResult:
        return await conversation.async_converse(
            self.hass,
            message,
            chat_log.conversation_id,
            user_input.context,
            language=user_input.language,
            agent_id=self.options.agent,
            device_id=user_input.device_id,
            satellite_id=user_input.satellite_id,
            extra_system_prompt=system_prompt,
        )

    @override
    async def async_will_remove_from_hass(self) -> None:
        settle(self.hass, NOT_TAKEN, self.subentry.subentry_id)
        await super().async_will_remove_from_hass()

    async def _wake_memory(self) -> None:
        with suppress(MemoryClientError):  # the turn that follows will say so, if it is still true then
            await self.memory.client.prepare(PREPARE_SECONDS)

    def _remember(self, turn: Turn, session: Session, answer: str | None) -> None:
        if self.options.capture not in (Capture.USER, Capture.BOTH):
            return
        self.memory.keeper.keep(
            turn,
            answer if self.options.capture is Capture.BOTH else None,
            private=self.options.private,
            continues=session.continues,
            answer_scope=session.narrowest_scope,
        )

    @callback
    def _report(self, report: TurnReport, context: Context | None = None) -> None:
        """Tell what memory did for this turn: in the trace, and then, behind the answer's back, to the entities."""
        conversation.async_conversation_trace_append(
            conversation.ConversationTraceEventType.AGENT_DETAIL,
            {"memory": {"outcome": report.outcome.value, **report.as_attributes()}},
        )
        self.memory.turns[self.subentry.subentry_id] = report
        self.hass.loop.call_soon(self._tell_entities, report, context)
        if report.outcome is Outcome.GIVEN and self._not_taken:
            self._not_taken = 0
            settle(self.hass, NOT_TAKEN, self.subentry.subentry_id)
        elif report.outcome is Outcome.NOT_TAKEN:
            self._not_taken += 1
            if self._not_taken == NOT_TAKEN_TURNS:
                raise_not_taken(self.hass, self.entry.entry_id, self.subentry.subentry_id, self.subentry.title)

    @callback
    def _tell_entities(self, report: TurnReport, context: Context | None) -> None:
        async_dispatcher_send(self.hass, self.turn_signal, report)
        if context is not None:
            self.memory.coordinator.recalled(context)


def _report_of(turn: Turn, recalled: Recalled, delivery: Delivery, chat_log: conversation.ChatLog) -> TurnReport:
    quoted = delivery.quoted
    if recalled.failure is not None:
        outcome = recalled.failure
    elif not quoted.memories and not delivery.told:
        outcome = Outcome.NOTHING_RELEVANT
    else:
        outcome = Outcome.GIVEN if delivery.has_arrived(chat_log) else Outcome.NOT_TAKEN
    given = len(quoted.memories) if outcome is Outcome.GIVEN else 0
    return report_of(outcome, recalled, turn.text, given=given, told=delivery.told, tokens=quoted.tokens)


def _speech(
    user_input: conversation.ConversationInput, chat_log: conversation.ChatLog, spoken: Spoken
) -> conversation.ConversationResult:
    chat_log.async_add_assistant_content_without_tools(
        conversation.AssistantContent(agent_id=user_input.agent_id, content=spoken.text)
    )
    response = intent.IntentResponse(language=user_input.language)
    response.async_set_speech(spoken.text)
    return conversation.ConversationResult(
        response=response, conversation_id=chat_log.conversation_id, continue_conversation=spoken.expects_answer
    )


def _has_asked_by_itself(chat_log: conversation.ChatLog) -> bool:
    """Say whether the model has looked into memory by a tool; then its answer may repeat what belongs to somebody."""
    return any(isinstance(c, conversation.ToolResultContent) and DOMAIN in c.tool_name for c in chat_log.content)
