"""What was just said between somebody and memory, so that a yes, a correction and a why are about the right thing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..turn import Turn
from ..wire import MemoryItem

CONFIRM_WITHIN = timedelta(minutes=1)
RECENT = timedelta(minutes=5)
"""As long as Home Assistant keeps a conversation."""

type Party = tuple[str | None, str]
"""Who speaks, if that is known, and where: the device, or the conversation if there is none."""


@dataclass(frozen=True, slots=True)
class Told:
    """Memories that an answer came from; the user has `heard` them word by word, or a model was given them."""

    memories: tuple[MemoryItem, ...]
    at: datetime
    heard: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """Memories that somebody was asked about: shall they be forgotten?"""

    memories: tuple[MemoryItem, ...]
    at: datetime


class Exchanges:
    """The last exchange of every party; none outlives its use."""

    def __init__(self) -> None:
        """Begin with nothing said."""
        self._told: dict[Party, Told] = {}
        self._asked: dict[Party, Asked] = {}

    def tell(self, turn: Turn, memories: Sequence[MemoryItem], *, heard: bool) -> None:
        """Note what an answer came from; an answer without memories is noted too."""
        self._drop_old(turn.started)
        self._told[_party(turn)] = Told(tuple(memories), turn.started, heard)

    def told(self, turn: Turn) -> Told | None:
        """Return what the last answer to this party came from, if that was a moment ago."""
        said = self._told.get(_party(turn))
        return said if said is not None and turn.started - said.at <= RECENT else None

    def ask(self, turn: Turn, memories: Sequence[MemoryItem]) -> None:
        """Note what the party is asked about; the next thing that it says answers, or drops it."""
        self._asked[_party(turn)] = Asked(tuple(memories), turn.started)

    def take_asked(self, turn: Turn) -> tuple[MemoryItem, ...]:
        """Return what the party was asked about within the last minute, and drop the question."""
        asked = self._asked.pop(_party(turn), None)
        return asked.memories if asked is not None and turn.started - asked.at <= CONFIRM_WITHIN else ()

    def _drop_old(self, now: datetime) -> None:
        self._told = {party: told for party, told in self._told.items() if now - told.at <= RECENT}
        self._asked = {party: asked for party, asked in self._asked.items() if now - asked.at <= CONFIRM_WITHIN}


def _party(turn: Turn) -> Party:
    return turn.speaker.person_id, turn.place.device_id or turn.session
