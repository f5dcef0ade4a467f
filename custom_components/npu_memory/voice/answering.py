"""What memory does when somebody speaks to it, and what it says then: never that something is done before it is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from homeassistant.util.ulid import ulid_now

from ..client import MemoryClient
from ..connection import MemoryClientError, RequestFailed
from ..const import Capture
from ..options import AssistantOptions
from ..speaking import visible_scopes
from ..turn import Turn, essence
from ..wire import (
    MAX_TEXT_CHARACTERS,
    ErrorCode,
    ForgetRequest,
    Kind,
    ListRequest,
    MemoryItem,
    RecallRequest,
    RememberRequest,
)
from .exchanges import Exchanges
from .language import Command, Language, Say
from .telling import quoted, told, worth_saying
from .understanding import Understood, language_of, understood

CHANGE_SECONDS = 10.0
"""Somebody waits for the word that it is done; without it, it is not said."""
RECALL_BUDGET_MS = 2000.0
RECALL_SECONDS = 4.0
FORGET_MIN_RELEVANCE = 0.04
"""Of 300 questions to the sample household, 19 in 20 that are answered at once have more."""
ABOUT_MIN_RELEVANCE = 0.25
"""The sample household's memories of a boiler, a cat or a grandmother have 0.49 and more, the only one of a boiler in
an empty memory has 0.30; what is nearest to penguins or the stock market has 0.22 and less, to black holes 0.30."""
WHEN_MIN_RELEVANCE = 0.3
"""With a language model behind, memory answers itself only where it is sure: of the questions to the sample household
that nothing answers, 3 in 4 have less. The model judges the others better, with the memories before it."""
CANDIDATES = 10
LAST_SAID = 50


@dataclass(frozen=True, slots=True)
class Spoken:
    """An answer, and the `memories` that it repeats; `expects_answer` if it is a question."""

    text: str
    memories: tuple[MemoryItem, ...] = ()
    expects_answer: bool = False


@dataclass(frozen=True, slots=True)
class Listener:
    """Memory, spoken to in one turn; `alone` if no language model is behind it."""

    client: MemoryClient
    exchanges: Exchanges
    options: AssistantOptions
    turn: Turn
    language: Language
    alone: bool

    async def answer(self, heard: Understood, asked: Sequence[MemoryItem]) -> Spoken | None:
        """Do what was asked for; `asked` is what memory wanted to know just before. None: it is not for memory."""
        match heard.command:
            case Command.REMEMBER | Command.REMEMBER_PRIVATELY if self.options.capture is not Capture.NOTHING:
                return await self._remember(heard)
            case Command.CORRECT if self.options.capture is not Capture.NOTHING:
                return await self._correct()
            case Command.ABOUT | Command.WHEN:
                return await self._look_up(heard)
            case Command.FORGET:
                return await self._ask_to_forget(heard.text)
            case Command.FORGET_LAST:
                return await self._ask_to_forget_last()
            case Command.YES | Command.CONFIRM if asked:
                return await self._forget(asked)
            case Command.CONFIRM:
                return self._say(Say.NOTHING_ASKED)
            case Command.NO if asked:
                return self._say(Say.KEPT)
            case Command.WHY:
                return self._why()
        return None

    async def _remember(self, heard: Understood) -> Spoken:
        private = heard.command is Command.REMEMBER_PRIVATELY
        if private and self.turn.speaker.private_scope is None:
            return self._say(Say.WHO_ARE_YOU)
        request = self._new_memory(heard.text, self.turn.scope(private=private or self.options.private))
        try:
            await self.client.remember(request, CHANGE_SECONDS)
        except MemoryClientError:
            return self._say(Say.NOT_REMEMBERED)
        kept = _as_item(request)
        self.exchanges.tell(self.turn, [kept], heard=True)
        said = self._say(Say.REMEMBERED_PRIVATELY if private else Say.REMEMBERED, text=heard.text)
        return replace(said, memories=(kept,))

    async def _correct(self) -> Spoken | None:
        """Correct what was just heard or remembered: the words of both are kept, and nothing is made up between."""
        last = self.exchanges.told(self.turn)
        if last is None or not last.heard or not last.memories:
            return None
        old = last.memories[0]
        text = self.language.say(Say.CORRECTION, said=self.turn.text, old=old.text)[:MAX_TEXT_CHARACTERS]
        request = replace(self._new_memory(text, old.scope), corrects=old.id)
        try:
            await self.client.remember(request, CHANGE_SECONDS)
        except RequestFailed as error:
            if error.code is ErrorCode.CONFLICT:
                return self._say(Say.CORRECTED_ALREADY)
            return self._say(Say.GONE_ALREADY if error.code is ErrorCode.NOT_FOUND else Say.NOT_REMEMBERED)
        except MemoryClientError:
            return self._say(Say.NOT_REMEMBERED)
        self.exchanges.tell(self.turn, [_as_item(request)], heard=True)
        return replace(self._say(Say.CORRECTED, text=text), memories=(_as_item(request),))

    async def _look_up(self, heard: Understood) -> Spoken | None:
        sure = ABOUT_MIN_RELEVANCE if heard.command is Command.ABOUT else WHEN_MIN_RELEVANCE
        subject = heard.text if heard.command is Command.ABOUT else self.turn.text
        try:
            found = await self._recall(subject, self.options.min_relevance if self.alone else sure)
        except MemoryClientError:
            return self._say(Say.NOT_REACHED) if self.alone else None
        memories = worth_saying(self.turn.choose(found, (), self.options.top_k))
        if not memories and not self.alone:
            return None
        self.exchanges.tell(self.turn, memories, heard=True)
        return Spoken(told(memories, self.language, self.turn.started), memories)

    async def _ask_to_forget(self, subject: str) -> Spoken:
        try:
            found = await self._recall(subject, FORGET_MIN_RELEVANCE)
        except MemoryClientError:
            return self._say(Say.NOT_REACHED)
        if not found:
            return self._say(Say.NOTHING_TO_FORGET)
        meant = next((memory for memory in found if essence(subject) in essence(memory.text)), found[0])
        return self._shall_i_forget(meant, found)

    async def _ask_to_forget_last(self) -> Spoken:
        name = self.turn.speaker.name
        filters = ListRequest(scopes=self._scopes, speaker=name, limit=LAST_SAID)
        try:
            newest = (await self.client.list(filters, RECALL_SECONDS)).memories
        except MemoryClientError:
            return self._say(Say.NOT_REACHED)
        own = [m for m in newest if m.speaker == name and (name is not None or m.source == self.turn.source)]
        return self._shall_i_forget(own[0], own) if own else self._say(Say.NOTHING_LAST)

    def _shall_i_forget(self, meant: MemoryItem, found: Sequence[MemoryItem]) -> Spoken:
        """Read back what is meant; what says the same word for word goes with it."""
        self.exchanges.ask(self.turn, [memory for memory in found if essence(memory.text) == essence(meant.text)])
        quotation = quoted(meant, self.language, self.turn.started)
        return replace(self._say(Say.SHALL_I_FORGET, quotation=quotation), memories=(meant,), expects_answer=True)

    async def _forget(self, memories: Sequence[MemoryItem]) -> Spoken:
        try:
            await self.client.forget(ForgetRequest(memory_ids=tuple(memory.id for memory in memories)), CHANGE_SECONDS)
        except RequestFailed as error:
            return self._say(Say.GONE_ALREADY if error.code is ErrorCode.NOT_FOUND else Say.NOT_FORGOTTEN)
        except MemoryClientError:
            return self._say(Say.NOT_FORGOTTEN)
        self.exchanges.tell(self.turn, (), heard=True)
        return self._say(Say.FORGOTTEN)

    def _why(self) -> Spoken | None:
        last = self.exchanges.told(self.turn)
        if last is None or not last.memories:
            return self._say(Say.NO_REASON) if self.alone or last is not None else None
        sources = worth_saying(last.memories)
        quotation = " ".join(quoted(one, self.language, self.turn.started, with_place=True) for one in sources)
        return replace(self._say(Say.BECAUSE, quotation=quotation), memories=sources)

    async def _recall(self, subject: str, min_relevance: float) -> Sequence[MemoryItem]:
        request = RecallRequest(
            text=subject[:MAX_TEXT_CHARACTERS],
            scopes=self._scopes,
            speaker=self.turn.speaker.name,
            language=self.turn.language,
            asked_at=self.turn.started.isoformat(),
            top_k=CANDIDATES,
            min_relevance=min_relevance,
            budget_ms=RECALL_BUDGET_MS,
            allow_secrets=self.options.allow_secrets,
        )
        return (await self.client.recall(request, RECALL_SECONDS)).memories

    def _new_memory(self, text: str, scope: str) -> RememberRequest:
        return RememberRequest(
            text=text,
            memory_id=ulid_now(),
            kind=Kind.FACT,
            speaker=self.turn.speaker.name,
            scope=scope,
            session=self.turn.session,
            area=self.turn.place.area,
            source=self.turn.source,
            language=self.turn.language,
            created_at=self.turn.started.isoformat(),
        )

    @property
    def _scopes(self) -> tuple[str, ...]:
        return visible_scopes(self.options.whose, self.turn.speaker, self.turn.place)

    def _say(self, what: Say, **values: str) -> Spoken:
        return Spoken(self.language.say(what, **values))


async def answer(
    client: MemoryClient, exchanges: Exchanges, options: AssistantOptions, turn: Turn, *, alone: bool
) -> Spoken | None:
    """Return what memory answers to a turn that is spoken to it, or None if it is for somebody else."""
    asked = exchanges.take_asked(turn)
    language = language_of(turn.language)
    heard = understood(turn.text, language) if language is not None else None
    if language is None or heard is None:
        return None
    return await Listener(client, exchanges, options, turn, language, alone).answer(heard, asked)


def _as_item(request: RememberRequest) -> MemoryItem:
    return MemoryItem(
        id=request.memory_id or "",
        text=request.text,
        kind=request.kind,
        created_at=request.created_at or "",
        speaker=request.speaker,
        scope=request.scope,
        area=request.area,
    )
