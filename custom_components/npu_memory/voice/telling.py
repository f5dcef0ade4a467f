"""Memories as sentences to be spoken."""

from collections.abc import Iterable
from datetime import datetime

from ..prompt import ASSISTANT, local_time, one_line, speaker_name
from ..wire import MAX_NAME_CHARACTERS, MemoryItem
from .language import Language, Say

MAX_SPOKEN_MEMORIES = 3
SPOKEN_SHARE = 0.8
"""Of the best memory's relevance: somebody has to listen to every sentence."""
AT_AN_END = (".", "!", "?", "…")


def worth_saying(memories: Iterable[MemoryItem]) -> tuple[MemoryItem, ...]:
    """Return the best of `memories`: nothing corrected beside its correction, nothing far less to the point."""
    found = list(memories)
    ids = {memory.id for memory in found}
    enough = SPOKEN_SHARE * max((memory.score or 0.0 for memory in found), default=0.0)
    worth = (m for m in found if m.superseded_by not in ids and (m.score or 0.0) >= enough)
    return tuple(worth)[:MAX_SPOKEN_MEMORIES]


def quoted(memory: MemoryItem, language: Language, now: datetime, *, with_place: bool = False) -> str:
    """Return who said when (and where) what a memory holds; `now` gives the time zone."""
    when = language.when(local_time(memory.created_at, now.tzinfo), now)
    speaker = speaker_name(memory.speaker)
    text = one_line(memory.text)
    text = text if text.endswith(AT_AN_END) else f"{text}."
    if speaker == ASSISTANT:
        return language.say(Say.ANSWERED, when=when, text=text)
    if not speaker or memory.derived_from:
        return language.say(Say.NOTED, when=when, text=text)
    if with_place and memory.area:
        area = one_line(memory.area)[:MAX_NAME_CHARACTERS]
        return language.say(Say.SAID_IN, when=when, speaker=speaker, area=area, text=text)
    return language.say(Say.SAID, when=when, speaker=speaker, text=text)


def told(memories: Iterable[MemoryItem], language: Language, now: datetime) -> str:
    """Return what memory says about something, or that there is nothing."""
    return " ".join(quoted(memory, language, now) for memory in memories) or language.say(Say.NOTHING_FOUND)
