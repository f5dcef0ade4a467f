"""Memory asked for one assistant: no longer than its budget, with a log line when it fails and when it is back."""

import logging
import time

from .client import MemoryClient
from .connection import CannotConnect, MemoryClientError, TooLate
from .options import AssistantOptions
from .report import Outcome, Recalled
from .turn import Turn

_LOGGER = logging.getLogger(__name__)


class Recaller:
    """Recalls for an assistant; the turn goes on in any case."""

    def __init__(self, client: MemoryClient, options: AssistantOptions) -> None:
        """Take what does not change from turn to turn."""
        self._client = client
        self._options = options
        self._fails = False

    async def recall(self, turn: Turn, assistant: str, *, has_history: bool = False) -> Recalled:
        """Return what memory answers within the budget, or why it did not; the log calls it the turn of `assistant`."""
        if not turn.text:
            return Recalled(failure=Outcome.NOTHING_SAID)
        started = time.monotonic()
        context, failure = None, None
        try:
            request = turn.recall_request(self._options, has_history=has_history)
            context = await self._client.recall(request, self._options.budget_ms / 1000)
        except CannotConnect:
            failure = Outcome.NOT_CONNECTED
        except MemoryClientError as error:
            failure = Outcome.TOO_LATE if isinstance(error, TooLate) else Outcome.REFUSED
            if not self._fails:
                _LOGGER.warning("%s answers without memory: %s", assistant, error)
            self._fails = True
        except Exception:
            failure = Outcome.FAILED
            _LOGGER.exception("Unexpected error while recalling for %s", assistant)
        if failure is None and self._fails:
            self._fails = False
            _LOGGER.info("%s has its memory in time again", assistant)
        return Recalled(context=context, failure=failure, waited_ms=(time.monotonic() - started) * 1000)
