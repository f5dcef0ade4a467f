"""What a language model's tools know of a conversation: which memories it was shown, and what it may forget.

A model names a memory by the short reference that it was shown, never by an id: what it was not shown it can neither
correct nor forget. Pure: no Home Assistant.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from .turn import essence
from .wire import MemoryItem

MAX_CONVERSATIONS = 50
MAX_SHOWN = 100


@dataclass(slots=True)
class Proposal:
    """A memory that the model wants to forget, and after how many messages of the user it said so."""

    reference: str
    messages: int


@dataclass(slots=True)
class Shown:
    """The memories that a model was shown in a conversation, by their references, the latest last."""

    proposal: Proposal | None = None
    _memories: dict[str, MemoryItem] = field(default_factory=dict)
    _forgotten: set[str] = field(default_factory=set)
    _count: int = 0

    def show(self, memories: Iterable[MemoryItem]) -> dict[str, MemoryItem]:
        """Return references for `memories`; one that was shown before keeps its own."""
        known = {memory.id: reference for reference, memory in self._memories.items()}
        shown = {}
        for memory in memories:
            if (reference := known.get(memory.id)) is None:
                self._count += 1
                reference = f"m{self._count}"
            shown[reference] = memory
        self._memories = dict([*self._memories.items(), *shown.items()][-MAX_SHOWN:])
        return shown

    def memory(self, reference: str) -> MemoryItem | None:
        """Return what was shown under a reference."""
        return self._memories.get(reference.strip().lower())

    def propose(self, reference: str, messages: int) -> None:
        """Note that the user is to be asked whether this is to be forgotten."""
        self.proposal = Proposal(reference.strip().lower(), messages)

    def is_answered(self, reference: str, messages: int) -> bool:
        """Say whether the user has said something since being asked about this memory, and nothing but that."""
        proposal = self.proposal
        return (
            proposal is not None
            and proposal.reference == reference.strip().lower()
            and messages == proposal.messages + 1
        )

    @contextmanager
    def forgetting(self, reference: str) -> Iterator[None]:
        """Have a memory gone: neither its reference nor its text comes back in this conversation, unless it fails.

        It is gone at once: a model may call several tools at a time.
        """
        self.proposal = None
        memory = self._memories.pop(reference.strip().lower())
        self._forgotten.add(essence(memory.text))
        try:
            yield
        except BaseException:
            self._memories[reference.strip().lower()] = memory
            self._forgotten.discard(essence(memory.text))
            raise

    def was_forgotten(self, text: str) -> bool:
        """Say whether a text was forgotten in this conversation, so that the model does not put it back by itself."""
        return essence(text) in self._forgotten


class ShownInConversations:
    """What was shown, by conversation; the oldest conversations are dropped."""

    def __init__(self) -> None:
        """Begin with none."""
        self._shown: dict[str, Shown] = {}

    def of(self, conversation: str) -> Shown:
        """Return what was shown in a conversation."""
        shown = self._shown.pop(conversation, None) or Shown()
        self._shown[conversation] = shown
        while len(self._shown) > MAX_CONVERSATIONS:
            del self._shown[next(iter(self._shown))]
        return shown
