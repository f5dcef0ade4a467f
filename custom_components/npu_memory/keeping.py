"""What of a turn becomes a memory, and whose."""

from collections.abc import Callable
import logging

from homeassistant.core import callback

from .capture import CaptureQueue
from .speaking import narrowest
from .transcripts import Repetitions, Unkept, why_not_kept
from .turn import Turn
from .wire import HOUSEHOLD

_LOGGER = logging.getLogger(__name__)


class Keeper:
    """Puts turns that are worth it into the queue to the server."""

    def __init__(self, captured: CaptureQueue, heard: Callable[[str], None]) -> None:
        """Keep turns in this queue; `heard` is told in which session something is kept."""
        self._captured = captured
        self._heard = heard
        self._repetitions = Repetitions()

    @callback
    def keep(
        self, turn: Turn, answer: str | None, *, private: bool, continues: bool, answer_scope: str = HOUSEHOLD
    ) -> Unkept | None:
        """Remember what the user said and, if given, the answer; return why not, if not.

        With `private` a turn is its speaker's alone. The answer is, too, and at least as private as `answer_scope`.
        """
        unkept = why_not_kept(turn.text, turn.language, continues=continues)
        if unkept is None and self._repetitions.has(turn.text, turn.started):
            unkept = Unkept.REPETITION
        if unkept is not None:
            _LOGGER.debug("A turn of %s is not remembered: %s", turn.source, unkept)
            return unkept
        scope = turn.scope(private=private)
        self._captured.add(turn.said(scope))
        if answer and answer.strip():
            self._captured.add(turn.answered(answer.strip(), narrowest(scope, answer_scope)))
        self._heard(turn.session)
        return None
